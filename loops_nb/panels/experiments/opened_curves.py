"""Curves of the experiments that a user opens in a panel: a widget of their own for each choice of experiments."""

from __future__ import annotations

import shlex
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from loops_nb.errors import LoopsError
from loops_nb.tracking.store import ExperimentStore

if TYPE_CHECKING:
    from loops_nb.panels.curves.panel import CurvesPanel
    from loops_nb.tracking.location import Location

#: Widgets that are kept, so that a choice that is opened again is there at once.
_MOST_OPEN = 4


class OpenedCurves:
    """The panels of curves inside of a panel of experiments; closed with it.

    Parameters
    ----------
    location : Path or PostgresAddress
        The store of experiments.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._lock = threading.Lock()
        self._panels: OrderedDict[tuple[str, ...], tuple[CurvesPanel, ExperimentStore]] = OrderedDict()
        self._is_closed = False

    def open(self, ids: list[str], metric: str) -> tuple[str, str]:
        """Return the id of the widget's model, and what to type where a page cannot embed it; on any thread.

        Raises
        ------
        LoopsError
            If the panel was closed meanwhile, or nothing can be read of what was recorded.
        """
        from loops_nb.panels.curves.panel import CurvesPanel  # numpy, for users who look at curves

        chosen = tuple(ids)
        with self._lock:
            if self._is_closed:
                raise LoopsError("The panel was closed.")
            if chosen not in self._panels:
                store = ExperimentStore(self._location)
                self._panels[chosen] = CurvesPanel(list(chosen), key=metric, store=store, inside=True), store
            self._panels.move_to_end(chosen)
            widget = str(self._panels[chosen][0].model_id)
            surplus = [self._panels.popitem(last=False)[1] for _ in range(len(self._panels) - _MOST_OPEN)]
        _close(surplus)
        line = shlex.join(["%loops", "curves", *chosen])
        return widget, f"This page shows no panel inside of another. For the curves, type in a cell: {line}"

    def close(self) -> None:
        """Close all; none is opened afterwards."""
        with self._lock:
            self._is_closed = True
            panels = list(self._panels.values())
            self._panels.clear()
        _close(panels)


def _close(panels: list[tuple[CurvesPanel, ExperimentStore]]) -> None:
    for panel, store in panels:
        panel.close()
        store.close()
