"""The pictures of a panel: drawn when a page shows them, on a thread of their own, and anew when their rows change."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from loops_nb.errors import LoopsError
from loops_nb.panels.measuring import can_measure, measured_ids, what_is_read
from loops_nb.panels.wire import Picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from loops_nb.live import Poller
    from loops_nb.panels.measuring import Measure
    from loops_nb.panels.wire import PlotName, Row

#: At most so often are the pictures of one panel drawn.
DRAWN_EVERY_SECONDS = 1.0
#: What is drawn of the rows alone, and anew when they change.
_OF_ROWS = ("timeline", "sizes")


class Plots:
    """The pictures of one panel; everything here happens on the poller's thread, but for the drawing.

    Parameters
    ----------
    poller
        Has things carried out elsewhere, and later.
    rows
        Returns the rows that are shown now; replaced when they change.
    frame
        Returns them as a frame; called on another thread.
    give
        Sends a picture to the pages.
    measure
        Measures the drift of checkpoints; None where nobody can.
    curves
        Puts the checkpoints of rows on the curves, and returns the picture that names their widget; called on another thread.  None
        where there are none.
    time_zone
        Of the times in pictures.
    clock
        Seconds that only go forward.
    """

    def __init__(
        self,
        poller: Poller,
        *,
        rows: Callable[[], Mapping[str, Row]],
        frame: Callable[[], pd.DataFrame | None],
        give: Callable[[Picture], None],
        measure: Measure | None,
        curves: Callable[[Mapping[str, Row]], Picture] | None,
        time_zone: str,
        clock: Callable[[], float],
    ) -> None:
        self._poller = poller
        self._rows = rows
        self._frame = frame
        self._give = give
        self._measure = measure
        self._curves = curves
        self._time_zone = time_zone
        self._clock = clock
        self._shown: dict[str, PlotName] = {}
        self._drawn: dict[PlotName, tuple[Picture, Mapping[str, Row]]] = {}
        self._drift = Picture(plot="drift", state="unmeasured")
        self._is_drawing = False
        self._drawn_at = float("-inf")
        self._timer: Any = None

    def show(self, view: str, plot: PlotName | None) -> None:
        """Take in which picture a view shows; None for none."""
        if plot is None:
            self._shown.pop(view, None)
            return
        self._shown[view] = plot
        known = self._drawn.get(plot)
        if plot == "drift":
            self._tell_drift()
        elif plot == "curves":
            self._tell_curves()
        elif known is not None and known[1] is self._rows():
            self._give(known[0])
        else:
            self._draw_soon()

    def rows_changed(self) -> None:
        """Take in that other rows are shown."""
        if "drift" in self._shown.values() and self._drift.state == "unmeasured":
            self._tell_drift()
        if "curves" in self._shown.values() and self._curves is not None:
            # Whoever shows them was told where they are.
            self._poller.work(partial(self._curves, self._rows()), lambda _: None)
        self._draw_soon()

    def measure(self) -> None:
        """Measure the drift, unless that is being done."""
        rows, measure = self._rows(), self._measure
        if measure is None or self._drift.state == "doing":
            return
        if not can_measure(rows):
            self._tell_drift()
            return
        self._drift = Picture(plot="drift", state="doing", text=what_is_read(rows))
        self._tell_drift()
        job = partial(_measured, measure, self._frame, measured_ids(rows))
        self._poller.work(job, self._was_measured)

    def close(self) -> None:
        """Draw nothing any more."""
        self._shown.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _tell_drift(self) -> None:
        if self._drift.state == "unmeasured":
            rows = self._rows()
            can = self._measure is not None and can_measure(rows)
            self._drift = Picture(plot="drift", state="unmeasured", text=what_is_read(rows), can_measure=can)
        self._give(self._drift)

    def _tell_curves(self) -> None:
        if self._curves is not None:
            self._poller.work(partial(self._curves, self._rows()), self._curves_are_there)

    def _curves_are_there(self, outcome: Picture | Exception) -> None:
        if isinstance(outcome, Exception):
            outcome = Picture(plot="curves", state="failed", text=_in_words(outcome))
        self._give(outcome)

    def _was_measured(self, outcome: tuple[str, str] | Exception) -> None:
        if isinstance(outcome, Exception):
            self._drift = Picture(plot="drift", state="failed", text=_in_words(outcome), can_measure=True)
        else:
            self._drift = Picture(plot="drift", state="drawn", svg=outcome[0], text=outcome[1], can_measure=True)
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
        wait = self._drawn_at + DRAWN_EVERY_SECONDS - self._clock()
        if wait > 0:
            self._timer = self._poller.call_later(wait, self._draw)
        else:
            self._draw()

    def _draw(self) -> None:
        self._timer = None
        wanted = self._wanted()
        if not wanted:
            return
        self._is_drawing = True
        self._poller.work(partial(_pictures, wanted, self._frame, self._time_zone), partial(self._were_drawn, wanted, self._rows()))

    def _were_drawn(self, plots: list[PlotName], rows: Mapping[str, Row], outcome: dict[PlotName, Picture] | Exception) -> None:
        self._is_drawing, self._drawn_at = False, self._clock()
        for plot in plots:
            picture = Picture(plot=plot, state="failed", text=_in_words(outcome)) if isinstance(outcome, Exception) else outcome[plot]
            self._drawn[plot] = (picture, rows)
            self._give(picture)
        self._draw_soon()


def _pictures(plots: list[PlotName], make_frame: Callable[[], pd.DataFrame | None], time_zone: str) -> dict[PlotName, Picture]:
    from loops_nb import plots as drawing  # noqa: PLC0415 - pandas and all that is for those who look at a picture

    frame = make_frame()
    if frame is None:
        return {plot: Picture(plot=plot, state="drawn", text="Nothing came from the service yet.") for plot in plots}
    found = {}
    for plot in plots:
        made = drawing.timeline(frame, time_zone=time_zone) if plot == "timeline" else drawing.sizes(frame)
        found[plot] = Picture(plot=plot, state="drawn", svg=made.svg, text=" ".join(made.notes))
    return found


def _measured(measure: Measure, make_frame: Callable[[], pd.DataFrame | None], ids: list[str]) -> tuple[str, str]:
    from loops_nb import plots as drawing  # noqa: PLC0415

    frame = make_frame()
    if frame is None:
        return "", "Nothing came from the service yet."
    made = drawing.drift(measure(frame[frame["id"].isin(ids)]))
    return made.svg, " ".join(made.notes)


def _in_words(error: Exception) -> str:
    if isinstance(error, LoopsError):
        return str(error)
    return f"This failed in a way that was not foreseen ({type(error).__name__}). The table is as good as ever."
