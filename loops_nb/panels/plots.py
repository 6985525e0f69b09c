"""Static plots in the tabs of a panel: drawn on request in a worker thread, redrawn when their rows change."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from loops_nb.errors import LoopsError
from loops_nb.panels.drift_measurement import can_measure, measured_ids, what_is_read
from loops_nb.panels.messages import PlotStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from loops_nb.live import Poller
    from loops_nb.panels.drift_measurement import Measure
    from loops_nb.panels.inside import PanelInside
    from loops_nb.panels.messages import PlotName, Row

#: Plots of one panel are drawn at most so often, and with pauses of so many times what the drawing took.
DRAWN_EVERY_SECONDS, _LONGER_THAN_DRAWING = 1.0, 5.0
#: Plots of the rows alone, redrawn when they change.
_OF_ROWS = ("timeline", "sizes")


class Plots:
    """The plots of one panel.  All methods run on the poller's thread; drawing runs on a worker thread.

    Parameters
    ----------
    poller : Poller
        Runs jobs on worker threads, and calls back later.
    rows : callable
        Returns the rows that are shown now; another object when they change.
    frame : callable
        Returns them as a DataFrame; called on a worker thread.
    give : callable
        Sends a plot to the pages.
    measure : callable or None
        Measures the drift of checkpoints; None where that is not possible.
    inside : sequence of PanelInside
        Panels in tabs, such as the curves: made and told of other rows on a worker thread.
    time_zone : str
        Of the times in plots.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        poller: Poller,
        *,
        rows: Callable[[], Mapping[str, Row]],
        frame: Callable[[], pd.DataFrame | None],
        give: Callable[[PlotStatus], None],
        measure: Measure | None,
        inside: Sequence[PanelInside[Any]],
        time_zone: str,
        clock: Callable[[], float],
    ) -> None:
        self._poller = poller
        self._rows = rows
        self._frame = frame
        self._give = give
        self._measure = measure
        self._inside: dict[PlotName, PanelInside[Any]] = {part.plot: part for part in inside}
        self._time_zone = time_zone
        self._clock = clock
        self._shown: dict[str, PlotName] = {}
        self._drawn: dict[PlotName, tuple[PlotStatus, Mapping[str, Row]]] = {}
        self._drift = PlotStatus(plot="drift", state="unmeasured")
        self._is_drawing = False
        self._drawn_at = self._began_at = float("-inf")
        self._pause = DRAWN_EVERY_SECONDS
        self._timer: Any = None

    def show(self, view: str, plot: PlotName | None) -> None:
        """Set which plot a view shows; None for none."""
        if plot is None:
            self._shown.pop(view, None)
            return
        self._shown[view] = plot
        known = self._drawn.get(plot)
        if plot == "drift":
            self._tell_drift()
        elif plot in self._inside:
            job = partial(self._inside[plot].status, self._rows())
            self._poller.run_in_background(job, partial(self._is_there, plot))
        elif known is not None and known[1] is self._rows():
            self._give(known[0])
        else:
            self._draw_soon()

    def rows_changed(self) -> None:
        """Redraw, since other rows are shown."""
        if "drift" in self._shown.values() and self._drift.state == "unmeasured":
            self._tell_drift()
        for plot in self._inside.keys() & set(self._shown.values()):
            self._poller.run_in_background(partial(self._inside[plot].set_rows, self._rows()), lambda _: None)
        self._draw_soon()

    def measure(self) -> None:
        """Measure the drift, unless a measurement is running."""
        rows, measure = self._rows(), self._measure
        if measure is None or self._drift.state == "running":
            return
        if not can_measure(rows):
            self._tell_drift()
            return
        self._drift = PlotStatus(plot="drift", state="running", text=what_is_read(rows))
        self._tell_drift()
        job = partial(_measured, measure, self._frame, measured_ids(rows))
        self._poller.run_in_background(job, self._was_measured)

    def close(self) -> None:
        """Stop drawing."""
        self._shown.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _tell_drift(self) -> None:
        if self._drift.state == "unmeasured":
            rows = self._rows()
            can = self._measure is not None and can_measure(rows)
            self._drift = PlotStatus(plot="drift", state="unmeasured", text=what_is_read(rows), can_measure=can)
        self._give(self._drift)

    def _is_there(self, plot: PlotName, outcome: PlotStatus | Exception | None) -> None:
        if isinstance(outcome, Exception):
            outcome = PlotStatus(plot=plot, state="failed", text=failure_text(outcome))
        if outcome is not None:
            self._give(outcome)

    def _was_measured(self, outcome: tuple[str, str] | Exception) -> None:
        if isinstance(outcome, Exception):
            self._drift = PlotStatus(plot="drift", state="failed", text=failure_text(outcome), can_measure=True)
        else:
            self._drift = PlotStatus(plot="drift", state="drawn", svg=outcome[0], text=outcome[1], can_measure=True)
        self._tell_drift()

    def _wanted(self) -> list[PlotName]:
        rows = self._rows()
        return [
            plot
            for plot in dict.fromkeys(self._shown.values())
            if plot in _OF_ROWS and (plot not in self._drawn or self._drawn[plot][1] is not rows)
        ]

    def _draw_soon(self) -> None:
        if self._is_drawing or self._timer is not None or not self._wanted():
            return
        wait = self._drawn_at + self._pause - self._clock()
        if wait > 0:
            self._timer = self._poller.call_later(wait, self._draw)
        else:
            self._draw()

    def _draw(self) -> None:
        self._timer = None
        wanted = self._wanted()
        if not wanted:
            return
        self._is_drawing, self._began_at = True, self._clock()
        self._poller.run_in_background(
            partial(_pictures, wanted, self._frame, self._time_zone), partial(self._were_drawn, wanted, self._rows())
        )

    def _were_drawn(
        self, plots: list[PlotName], rows: Mapping[str, Row], outcome: dict[PlotName, PlotStatus] | Exception
    ) -> None:
        now = self._clock()
        self._is_drawing, self._drawn_at = False, now
        # Forty panels take two seconds of the kernel's time, which training needs more.
        self._pause = max(DRAWN_EVERY_SECONDS, _LONGER_THAN_DRAWING * (now - self._began_at))
        for plot in plots:
            picture = (
                PlotStatus(plot=plot, state="failed", text=failure_text(outcome))
                if isinstance(outcome, Exception)
                else outcome[plot]
            )
            self._drawn[plot] = (picture, rows)
            self._give(picture)
        self._draw_soon()


def _pictures(
    plots: list[PlotName], make_frame: Callable[[], pd.DataFrame | None], time_zone: str
) -> dict[PlotName, PlotStatus]:
    from loops_nb import charts as drawing  # pandas, only when a plot is shown

    frame = make_frame()
    if frame is None:
        return {plot: PlotStatus(plot=plot, state="drawn", text="Nothing came from the service yet.") for plot in plots}
    found = {}
    for plot in plots:
        made = drawing.timeline(frame, time_zone=time_zone) if plot == "timeline" else drawing.sizes(frame)
        found[plot] = PlotStatus(plot=plot, state="drawn", svg=made.svg, text=" ".join(made.notes))
    return found


def _measured(measure: Measure, make_frame: Callable[[], pd.DataFrame | None], ids: list[str]) -> tuple[str, str]:
    from loops_nb import charts as drawing

    frame = make_frame()
    if frame is None:
        return "", "Nothing came from the service yet."
    made = drawing.drift(measure(frame[frame["id"].isin(ids)]))
    return made.svg, " ".join(made.notes)


def failure_text(error: Exception) -> str:
    """Return why a plot is not drawn."""
    if isinstance(error, LoopsError):
        return str(error)
    return f"This failed in a way that was not foreseen ({type(error).__name__}). The table is as good as ever."
