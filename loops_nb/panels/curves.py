"""The panel of curves: what it is asked for, its report, and its picture."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from loops_nb.drawing.wording import many
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.bundle import page_code
from loops_nb.panels.curves_core import CurvesCore
from loops_nb.panels.curves_report import plot_of, report_of
from loops_nb.panels.curves_wire import Look
from loops_nb.panels.widget import REPORT_SECONDS, LiveWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loops_nb.curves.history import Axis
    from loops_nb.curves.source import Source
    from loops_nb.panels.curves_book import Listed
    from loops_nb.panels.curves_wire import CurvesSnapshot
    from loops_nb.panels.presence import Presence
    from loops_nb.plots import Plot
    from loops_nb.tracking import Store


_MOST_IN_TITLE = 8


class CurvesPanel(LiveWidget):
    """Curves of training numbers, live while a cell trains: experiments laid over each other, with the checkpoints recorded for them.

    It shows itself when it is a cell's last value, or with `show`.  A static picture of the same stays in the saved notebook.

    Parameters
    ----------
    runs
        Ids of runs or experiments, or names of experiments, also such that do not exist yet; None for the newest experiments, which
        stay when newer ones are logged, until `show_newer`.
    key
        What is drawn first: ``loss`` where that was recorded.
    axis
        Along what: ``step``, ``tokens``, ``elapsed`` (seconds since the experiment began) or ``clock``.
    smoothing
        How much of the former average stays at each value, from 0 (none) to 0.999.
    store
        Where the points are; None for the store that ``loops_nb`` writes to.
    inside
        It stands in another panel, which says for both how they stand and how to open them.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be used.
    """

    _core: CurvesCore

    def __init__(
        self,
        runs: str | list[str] | tuple[str, ...] | None = None,
        *,
        key: str = "",
        axis: Axis = "step",
        smoothing: float = 0.0,
        store: Source | None = None,
        inside: bool = False,
    ) -> None:
        wanted = _names(runs)
        look = _look(key, axis, smoothing)
        self._reported_seq: object = None
        self._own_store: Store | None = None
        page = page_code("curves.js")
        source = store
        if source is None:
            source = self._own_store = _store()

        def made(tell: Callable[[dict[str, Any]], None], presence: Presence) -> CurvesCore:
            line = "" if inside else " ".join(["%loops curves", *map(shlex.quote, wanted or ())])
            return CurvesCore(source, wanted, tell, presence, title=_title(wanted), line=line, look=look)

        super().__init__(made, page)
        self._core.start()

    def snapshot_now(self) -> CurvesSnapshot:
        """Return everything that is shown now."""
        return self._core.snapshot()

    def list_checkpoints(self, listed: Sequence[Listed]) -> None:
        """Put checkpoints on the curves that the service knows of, those that were recorded not twice."""
        self._core.list_checkpoints(listed)

    def show_newer(self) -> None:
        """Show the newest experiments in place of those that are shown; of named ones nothing changes."""
        self._core.show_newer()

    def told(self, width: int = 120) -> str:
        """Return what is shown now in words, for a terminal."""
        self._core.look_now()
        return report_of(self._core, live=False, width=width)["text/plain"]

    @property
    def picture(self) -> Plot:
        """What is shown now as a picture that needs no page: ``panel.picture.save("curves.svg")``."""
        self._core.look_now()
        plot: Plot = self._core.reading(lambda book: plot_of(book, self._core.first))
        return plot

    def __repr__(self) -> str:
        return f"<CurvesPanel of {many(len(self._core.head.runs), 'experiment')}>"

    def _tell(self, message: dict[str, Any]) -> None:
        super()._tell(message)
        self._renew_report_when_due()

    # The report.

    def _renew_report_when_due(self) -> None:
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._renew_report()

    def _renew_report(self) -> None:
        # Not waited for: who closes the panel waits for the thread that may be here.
        if not self._closing.acquire(blocking=False):
            return
        try:
            if self._is_closed or self._marks is None:
                return
            self._publish(0, self._report(live=True), update=True)
        finally:
            self._closing.release()

    def _cell_ended(self) -> None:
        self._core.look_now()
        if self._core.points() != self._reported_seq:
            self._renew_report()

    def _report(self, *, live: bool) -> dict[str, str]:
        self._reported_at = time.monotonic()
        self._reported_seq = self._core.points()
        return report_of(self._core, live=live)

    def _words(self, width: int) -> str:
        return self.told(width)

    def _look_now(self) -> None:
        self._core.look_now()

    def _let_go(self) -> None:
        if self._own_store is not None:
            self._own_store.close()


def _title(wanted: Sequence[str] | None) -> str:
    if wanted is None:
        return "Curves"
    more = len(wanted) - _MOST_IN_TITLE
    return f"Curves of {', '.join(wanted[:_MOST_IN_TITLE])}{f' and {more:,} more' if more > 0 else ''}"


def _names(runs: Any) -> list[str] | None:
    if runs is None:
        return None
    given = [runs] if isinstance(runs, str) else list(runs)
    # A run, an experiment, or a row of either's frame may be given where an id is expected.
    names = [each if isinstance(each, str) else getattr(each, "id", None) for each in given]
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise InvalidArgumentError("runs are given by their ids or names, as texts.", argument="runs", hint='For example: ["k4q95w5"]')
    return [str(name).strip() for name in names] or None


def _look(key: Any, axis: Any, smoothing: Any) -> Look:
    from loops_nb.curves.history import AXES  # noqa: PLC0415 - numpy
    from loops_nb.curves.smoothing import HEAVIEST  # noqa: PLC0415

    if not isinstance(key, str):
        raise InvalidArgumentError(f"key is a text such as loss, not {key!r}.", argument="key")
    if axis not in AXES:
        raise InvalidArgumentError(f"axis is one of {', '.join(AXES)}, not {axis!r}.", argument="axis")
    if not isinstance(smoothing, int | float) or not 0 <= smoothing <= HEAVIEST:
        raise InvalidArgumentError(f"smoothing is from 0 to {HEAVIEST}, not {smoothing!r}.", argument="smoothing")
    return Look(key=key, axis=axis, smoothing=float(smoothing))


def _store() -> Store:
    from loops_nb.tracking import Store  # noqa: PLC0415 - only when none was given

    return Store()
