"""Live panels: what runs, samplers, checkpoints and deployments do, shown under a cell and kept up to date by `loops_nb.live`.

>>> from loops_nb import Loops
>>> from loops_nb.panels import RunPanel
>>> panel = RunPanel(Loops(), "k4q95w5")  # doctest: +SKIP

A cell that ends with ``panel`` shows it.  It goes on while later cells run, and while its own cell trains if it is shown first
(``panel.show()``).  ``panel.frame`` is the newest data as a DataFrame, ``panel.freeze()`` leaves a static report as the result.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loops_nb.panels.curves import CurvesPanel
    from loops_nb.panels.kinds import CheckpointsPanel, DeploymentsPanel, FleetPanel, RunPanel, SamplersPanel
    from loops_nb.panels.panel import Panel
    from loops_nb.panels.shelf import open_panels

_WHERE = {
    "CheckpointsPanel": "kinds",
    "CurvesPanel": "curves",
    "DeploymentsPanel": "kinds",
    "FleetPanel": "kinds",
    "Panel": "panel",
    "RunPanel": "kinds",
    "SamplersPanel": "kinds",
    "open_panels": "shelf",
}
__all__ = ["CheckpointsPanel", "CurvesPanel", "DeploymentsPanel", "FleetPanel", "Panel", "RunPanel", "SamplersPanel", "open_panels"]


def __getattr__(name: str) -> Any:
    # Widgets are imported when a panel is made: the wire and the reports do without them.
    if name in _WHERE:
        return getattr(import_module(f"loops_nb.panels.{_WHERE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
