"""The widget: a panel in a notebook, its static report beside it, and the life of both."""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import anywidget
import traitlets

from loops_nb.config.zones import display_zone
from loops_nb.errors import InvalidArgumentError
from loops_nb.live import poller_for
from loops_nb.panels import shelf
from loops_nb.panels.bundle import page_code
from loops_nb.panels.cells import CLOCK, is_notebook, place, shell
from loops_nb.panels.core import Core
from loops_nb.panels.measuring import measure_for
from loops_nb.panels.presence import Presence
from loops_nb.panels.report import report_html, report_text

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.client.exchange import Exchange
    from loops_nb.panels.view import View
    from loops_nb.panels.wire import Snapshot

#: How long a panel waits for its first data before it is shown without.
FIRST_LOOK_SECONDS = 1.5
#: A report is a result, not a screen: it marks the notebook as changed.
REPORT_SECONDS = 60.0
_REPORT_WIDTH = 120
# Nearly every reader of a notebook shows the HTML; its twin in text is there for diffs, and doubles the size of the file.
_TEXT_ROWS = 5
#: Messages that wait for a page that has to fetch them; what is more is lost, and the page asks for everything.
_MOST_WAITING = 50
_LIVE_TEXT = "(live panel: needs a running kernel)"


class Connected(Protocol):
    """Whatever holds a connection: `Loops`, `AsyncLoops`, or a resource's transport."""

    @property
    def exchange(self) -> Exchange:
        """Where to connect, and how."""


class Panel(anywidget.AnyWidget):
    """A live panel; see `FleetPanel`, `RunPanel`, `SamplersPanel`, `DeploymentsPanel` and `CheckpointsPanel`.

    It shows itself when it is a cell's last value, or with `show`.  Showing makes two outputs, of which one is seen: a static report that
    stays in the saved notebook, and the live view, which hides the report for as long as it lives.

    Parameters
    ----------
    loops
        The connection, a `Loops` or an `AsyncLoops`; panels of one connection share one poller.
    view
        What is shown.
    notify
        Raise a browser notification when something ends, where the browser allows it.
    time_zone
        Zone of the times in the report: ``local``, ``UTC`` or a name such as ``Europe/Berlin``.
    interval
        Seconds between two looks while something changes; None leaves the connection's poller as it is.
    """

    snapshot = traitlets.Dict().tag(sync=True)

    def __init__(
        self, loops: Connected, view: View, *, notify: bool = False, time_zone: str = "local", interval: float | None = None
    ) -> None:
        display_zone(time_zone)
        self._time_zone = time_zone
        self._closing = threading.RLock()
        self._is_closed = False
        self._marks: tuple[str, str] | None = None
        self._shown_in: Any = None
        self._report_due: Any = None
        self._reported_at = float("-inf")
        self._reported: object = None
        self._forget_cell: Any = None
        # Colab passes on only what is sent while one of its own messages is handled; its page sends one every few seconds.
        self._waiting: deque[dict[str, Any]] | None = deque(maxlen=_MOST_WAITING) if "google.colab" in sys.modules else None
        CLOCK.listen()
        self._poller = poller_for(loops.exchange)
        if interval is not None:
            self._poller.interval = interval
        self._core = Core(
            view,
            self._poller,
            self._tell,
            Presence(time.monotonic, CLOCK.ended),
            notify=notify,
            measure=measure_for(loops.exchange),
            time_zone=time_zone,
        )
        self._core.on_turn = self._turn
        # What comes within a moment stands on the page from the start.
        self._core.wait_until_ready(FIRST_LOOK_SECONDS)
        try:
            # Not an argument: anywidget makes a trait of it only where it finds it.
            self._esm = page_code()
            super().__init__()
        except BaseException:
            self._core.close()
            raise
        self._answer_beside_the_cell()
        self.on_msg(self._heard)

    # What people use.

    @property
    def frame(self) -> pd.DataFrame:
        """The newest data as a DataFrame: the listing that this panel shows (for a run, its checkpoints).

        Raises
        ------
        InvalidArgumentError
            If nothing came from the service yet.
        """
        frame = self._core.frame()
        if frame is None:
            raise InvalidArgumentError("Nothing came from the service yet.", hint="The panel tells why; try again in a moment.")
        return frame

    def snapshot_now(self) -> Snapshot:
        """Return everything that is shown now."""
        return self._core.snapshot()

    def show(self) -> None:
        """Show the panel below the cell that runs now; outside of a notebook, print its report."""
        if not is_notebook() or self._is_closed:
            self._show_report_alone()
            return
        here = place()
        if self._shown_in is not None and here is not None and self._shown_in == here[:2]:
            # `%loops watch` shows at once; as the last line of its cell it is not shown again.
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
        self._reported_at = time.monotonic()
        if self._forget_cell is None:
            self._forget_cell = CLOCK.at_end(self._cell_ended)
        self._core.shown()

    def freeze(self) -> None:
        """End the live view and leave the report, as of now, as the result."""
        with self._closing:
            if self._is_closed:
                return
            marks, self._marks = self._marks, None
            self._end("Frozen: this is how it was.")
            if marks is not None:
                self._marks = marks
                self._publish(0, self._report(live=False), update=True)
                # Nothing is left of the live view but an empty place.
                self._publish(1, {"text/html": "", "text/plain": ""}, update=True)
            self._drop_state()
            super().close()

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

    def pause(self) -> None:
        """Stop looking; what is shown stays."""
        self._core.pause(on=True)

    def resume(self) -> None:
        """Go on looking, also after everything watched had ended."""
        self._core.pause(on=False)

    def refresh(self) -> None:
        """Look now."""
        self._core.refresh()

    def __repr__(self) -> str:
        state = self._core.state
        return f"<{type(self).__name__} {self._core.view.title!r}, {state.health.state}>"

    # What Jupyter uses.

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - the parent's
        """Return the widget's state; the snapshot is always the newest, so that a reloaded page starts with it."""
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        if "snapshot" in state:
            state["snapshot"] = {} if self._is_closed else self._core.opening()
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

    def _send_now(self, message: dict[str, Any]) -> None:
        # A kernel that is on its way out, or a page that went: nobody is left to be told.
        with contextlib.suppress(Exception):
            self.send(message)

    def _answer_beside_the_cell(self) -> None:
        """Let the page's messages be heard while a cell runs.

        ipykernel 7.4 sends them to the shell that the comm last published from; the poller's thread counts as the cell's.  Without the
        private name (any other version) nothing is touched.
        """
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no public way

    # The report.

    def _turn(self) -> None:
        """Take in that something worth a new report happened; on the poller's thread."""
        if self._marks is None or self._report_due is not None or self._is_closed:
            return
        wait = max(0.0, self._reported_at + REPORT_SECONDS - time.monotonic())
        self._report_due = self._poller.call_later(wait, self._renew_report)

    def _renew_report(self) -> None:
        with self._closing:
            self._report_due = None
            if self._is_closed or self._marks is None or self._reported is self._core.state.content:
                return
            self._publish(0, self._report(live=True), update=True)
            self._reported_at = time.monotonic()
            with contextlib.suppress(Exception):
                self.send_state("snapshot")

    def _cell_ended(self) -> None:
        """Bring the report up to date at the end of a cell: a notebook that is executed without a page ends here."""
        if self._report_due is not None:
            self._report_due.cancel()
            self._renew_report()

    def _report(self, *, live: bool) -> dict[str, str]:
        snapshot = self._core.snapshot()
        self._reported = self._core.state.content
        html = report_html(snapshot, time_zone=self._time_zone, frozen=not live)
        return {
            "text/html": html,
            "text/plain": report_text(snapshot, width=_REPORT_WIDTH, time_zone=self._time_zone, most_rows=_TEXT_ROWS),
        }

    def _show_report_alone(self) -> None:
        if not is_notebook():
            # In a script IPython's display would print the bundle, HTML and all; in a terminal the short text that a notebook keeps.
            width = shutil.get_terminal_size().columns
            sys.stdout.write(report_text(self._core.snapshot(), width=width, time_zone=self._time_zone) + "\n")
            return
        from IPython.display import display  # noqa: PLC0415 - only where something is shown

        show: Any = display
        show(self._report(live=False), raw=True)

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
        if self._report_due is not None:
            self._report_due.cancel()
        shelf.take(self)
        self._core.close(why)

    def _drop_state(self) -> None:
        """Take the code and the rows out of what a notebook may have kept of this widget."""
        with contextlib.suppress(Exception):
            self.set_trait("_esm", "export default { render() {} }")
            self.send_state("snapshot")
