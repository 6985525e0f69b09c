"""The widget of the curve panel, its static report beside it, and the life of both."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from loops_nb.drawing.wording import many
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels import shelf
from loops_nb.panels.bundle import page_code
from loops_nb.panels.cells import CLOCK, is_notebook, place, shell
from loops_nb.panels.curves_core import CurvesCore, plain
from loops_nb.panels.curves_report import plot_of, report_of
from loops_nb.panels.curves_wire import Look
from loops_nb.panels.presence import Presence

if TYPE_CHECKING:
    from loops_nb.curves.history import Axis
    from loops_nb.curves.source import Source
    from loops_nb.panels.curves_wire import CurvesSnapshot
    from loops_nb.plots import Plot
    from loops_nb.tracking import Store

#: A report is a result, not a screen: it marks the notebook as changed.
REPORT_SECONDS = 60.0
_MOST_WAITING = 50
_LIVE_TEXT = "(live panel: needs a running kernel)"


class CurvesPanel(anywidget.AnyWidget):
    """Curves of training numbers, live while a cell trains: runs laid over each other, with their checkpoints.

    It shows itself when it is a cell's last value, or with `show`.  A static picture of the same stays in the saved notebook.

    Parameters
    ----------
    runs
        Ids of runs or experiments, or names of experiments, also such that do not exist yet; None for the newest experiments, as they come.
    key
        What is drawn first: ``loss`` where that was recorded.
    axis
        Along what: ``step``, ``tokens``, ``elapsed`` (seconds since the experiment began) or ``clock``.
    smoothing
        How much of the former average stays at each value, from 0 (none) to 0.999.
    store
        Where the points are; None for the store that ``loops_nb`` writes to.

    Raises
    ------
    InvalidArgumentError
        If an argument cannot be used.
    """

    snapshot = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        runs: str | list[str] | tuple[str, ...] | None = None,
        *,
        key: str = "",
        axis: Axis = "step",
        smoothing: float = 0.0,
        store: Source | None = None,
    ) -> None:
        wanted = _names(runs)
        look = _look(key, axis, smoothing)
        self._closing = threading.RLock()
        self._is_closed = False
        self._marks: tuple[str, str] | None = None
        self._shown_in: Any = None
        self._reported_at = float("-inf")
        self._reported_seq: object = None
        self._forget_cell: Any = None
        # Colab passes on only what is sent while one of its own messages is handled; its page sends one every few seconds.
        self._waiting: deque[dict[str, Any]] | None = deque(maxlen=_MOST_WAITING) if "google.colab" in sys.modules else None
        CLOCK.listen()
        self._own_store: Store | None = None
        if store is None:
            store = self._own_store = _store()
        self._core = CurvesCore(
            store,
            wanted,
            self._tell,
            Presence(time.monotonic, CLOCK.ended),
            title="Curves" if wanted is None else f"Curves of {', '.join(wanted)}",
            line=" ".join(["%loops curves", *(wanted or ())]),
            look=look,
        )
        # Not an argument: anywidget makes a trait of it only where it finds it.
        self._esm = page_code("curves.js")
        super().__init__()
        self._answer_beside_the_cell()
        self.on_msg(self._heard)
        self._core.start()

    # What people use.

    def show(self) -> None:
        """Show the panel below the cell that runs now; outside of a notebook, print its report."""
        if not is_notebook() or self._is_closed:
            self._show_report_alone()
            return
        here = place()
        if self._shown_in is not None and here is not None and self._shown_in == here[:2]:
            # The magic shows at once; as the last line of its cell it is not shown again.
            return
        self._shown_in = here[:2] if here is not None else None
        if here is not None:
            shelf.put(self, here)
        self._marks = (uuid.uuid4().hex, uuid.uuid4().hex)
        self._publish(0, self._report(live=True), update=False)
        view = self._repr_mimebundle_()
        data = dict(view[0] if isinstance(view, tuple) else view or {})
        data["text/plain"] = _LIVE_TEXT
        self._publish(1, data, update=False)
        if self._forget_cell is None:
            self._forget_cell = CLOCK.at_end(self._cell_ended)

    def freeze(self) -> None:
        """End the live view and leave the report, as of now, as the result."""
        with self._closing:
            if self._is_closed:
                return
            self._core.look_now()
            marks, self._marks = self._marks, None
            self._end("Frozen: this is how it was.")
            if marks is not None:
                self._marks = marks
                self._publish(0, self._report(live=False), update=True)
                # Nothing is left of the live view but an empty place.
                self._publish(1, {"text/html": "", "text/plain": ""}, update=True)
            with contextlib.suppress(Exception):
                self.set_trait("_esm", "export default { render() {} }")
                self.send_state("snapshot")
            super().close()
            self._close_store()

    def close(self) -> None:
        """End the live view; the report stays where the panel was shown.  Closing twice does no harm."""
        if getattr(self, "_core", None) is None:
            # It was refused before it was made.
            return
        with self._closing:
            if self._is_closed:
                return
            self._end("The panel was closed.")
            if self._marks is not None:
                self._publish(0, self._report(live=True), update=True)
            super().close()
            self._close_store()

    def snapshot_now(self) -> CurvesSnapshot:
        """Return everything that is shown now."""
        return self._core.snapshot()

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

    # What Jupyter uses.

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - the parent's
        """Return the widget's state; the snapshot is always the newest, so that a reloaded page starts with it."""
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        if "snapshot" in state:
            state["snapshot"] = {} if self._is_closed else plain(self._core.snapshot())
        return state

    def _ipython_display_(self, **_: Any) -> None:
        self.show()

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        self._core.hear(content)
        while self._waiting:
            self._send_now(self._waiting.popleft())

    def _tell(self, message: dict[str, Any]) -> None:
        if self._waiting is not None:
            self._waiting.append(message)
        else:
            self._send_now(message)
        self._renew_report_when_due()

    def _send_now(self, message: dict[str, Any]) -> None:
        # A kernel that is on its way out, or a page that went: nobody is left to be told.
        with contextlib.suppress(Exception):
            self.send(message)

    def _answer_beside_the_cell(self) -> None:
        """Let the page's messages be heard while a cell runs, as `loops_nb.panels.Panel` does."""
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no public way

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
        """Bring the report up to date at the end of a cell: a notebook that is executed without a page ends here."""
        self._core.look_now()
        if self._core.points() != self._reported_seq:
            self._renew_report()

    def _report(self, *, live: bool) -> dict[str, str]:
        self._reported_at = time.monotonic()
        self._reported_seq = self._core.points()
        return report_of(self._core, live=live)

    def _show_report_alone(self) -> None:
        if not is_notebook():
            sys.stdout.write(self.told(shutil.get_terminal_size().columns) + "\n")
            return
        self._core.look_now()
        report = report_of(self._core, live=False)
        from IPython.display import display  # noqa: PLC0415 - only where something is shown

        show: Any = display
        show(report, raw=True)

    def _publish(self, which: int, data: dict[str, Any], *, update: bool) -> None:
        marks, ip = self._marks, shell()
        if marks is None or ip is None:
            return
        with contextlib.suppress(Exception):
            ip.display_pub.publish(data=data, metadata={}, transient={"display_id": marks[which]}, update=update)

    def _end(self, why: str) -> None:
        self._is_closed = True
        if self._forget_cell is not None:
            self._forget_cell()
        shelf.take(self)
        self._core.close(why)

    def _close_store(self) -> None:
        if self._own_store is not None:
            self._own_store.close()


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
