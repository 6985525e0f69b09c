"""Live panels of runs, samplers, checkpoints and deployments, shown under a cell and updated by `loops_nb.live`.

>>> from loops_nb import Loops
>>> from loops_nb.panels import RunPanel
>>> panel = RunPanel(Loops(), "k4q95w5")  # doctest: +SKIP

A cell that ends with ``panel`` shows it.  It goes on while later cells run, and while its own cell trains if it is
shown first (``panel.show()``).  ``panel.frame`` is the newest data as a DataFrame, ``panel.freeze()`` leaves a static
report as the result.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loops_nb.panels.curves.panel import CurvesPanel
    from loops_nb.panels.dashboard.panel import DashboardPanel
    from loops_nb.panels.experiments.panel import ExperimentsPanel
    from loops_nb.panels.fleet import FleetPanel
    from loops_nb.panels.listings import CheckpointsPanel, DeploymentsPanel, SamplersPanel
    from loops_nb.panels.logs.panel import LogsPanel
    from loops_nb.panels.panel import Panel
    from loops_nb.panels.panel_registry import open_panels
    from loops_nb.panels.run import RunPanel
    from loops_nb.panels.samples.panel import SamplesPanel
    from loops_nb.panels.system.panel import SystemPanel

_MODULES = {
    "CheckpointsPanel": "listings",
    "CurvesPanel": "curves.panel",
    "DashboardPanel": "dashboard.panel",
    "DeploymentsPanel": "listings",
    "ExperimentsPanel": "experiments.panel",
    "FleetPanel": "fleet",
    "LogsPanel": "logs.panel",
    "Panel": "panel",
    "RunPanel": "run",
    "SamplersPanel": "listings",
    "SamplesPanel": "samples.panel",
    "SystemPanel": "system.panel",
    "open_panels": "panel_registry",
}
__all__ = [
    "CheckpointsPanel",
    "CurvesPanel",
    "DashboardPanel",
    "DeploymentsPanel",
    "ExperimentsPanel",
    "FleetPanel",
    "LogsPanel",
    "Panel",
    "RunPanel",
    "SamplersPanel",
    "SamplesPanel",
    "SystemPanel",
    "open_panels",
]


def __getattr__(name: str) -> Any:
    # Widgets are imported when a panel is created: messages and reports do without them.
    if name in _MODULES:
        return getattr(import_module(f"loops_nb.panels.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
