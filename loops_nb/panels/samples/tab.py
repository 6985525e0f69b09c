"""The panel of samples inside of the panel of a run: a widget of its own, made when a page first shows it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from loops_nb.errors import LoopsError
from loops_nb.panels.messages import PlotStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.panels.messages import PlotName, Row
    from loops_nb.panels.samples.panel import SamplesPanel


class SamplesInside:
    """The recorded samples of one run, for the pages of its panel; made once, as `CurvesInside` is.

    Parameters
    ----------
    run_id
        The run, whether any samples are recorded of it or not.
    """

    plot: PlotName = "samples"

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._lock = threading.Lock()
        self._panel: SamplesPanel | None = None
        self._is_closed = False

    def picture(self, rows: Mapping[str, Row]) -> PlotStatus:  # noqa: ARG002 - as of curves, which show checkpoints
        """Return what tells a page which widget to show, and in words what to do where it cannot; made on any thread.

        Parameters
        ----------
        rows
            The run's checkpoints.

        Raises
        ------
        LoopsError
            If the panel was closed meanwhile, or nothing can be read of what was recorded.
        """
        with self._lock:
            if self._is_closed:
                raise LoopsError("The panel was closed.")
            if self._panel is None:
                from loops_nb.panels.samples.panel import SamplesPanel  # for those who look at samples

                self._panel = SamplesPanel(self._run_id)
            widget = self._panel.model_id
        line = f"%loops watch samples {self._run_id}"
        words = f"This page shows no panel inside of another. For the samples, type in a cell: {line}"
        return PlotStatus(plot="samples", state="drawn", widget=widget, text=words)

    def close(self) -> None:
        """End it, if it was ever made; none is made afterwards."""
        with self._lock:
            self._is_closed = True
            panel, self._panel = self._panel, None
        if panel is not None:
            panel.close()
