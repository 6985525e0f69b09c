"""What every live panel is in a notebook: a widget with a static report beside it, and the life of both."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
import uuid
from abc import abstractmethod
from collections import deque
from html import escape
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from comm import get_comm_manager

from loops_nb import faults
from loops_nb.panels import panel_registry
from loops_nb.panels.cells import CELL_CLOCK, current_position, is_notebook, shell
from loops_nb.panels.jupyter_server import advice
from loops_nb.panels.kernel_status import keep_busy_while_a_cell_runs
from loops_nb.panels.visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.panels.protocol import BaseController

    Tell = Callable[[dict[str, Any]], None]

    class _Widget(traitlets.HasTraits):
        """`anywidget.AnyWidget` as type checkers see it: neither anywidget nor ipywidgets publishes its types."""

        def __getattr__(self, name: str) -> Any: ...

        def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]: ...  # noqa: FBT001, FBT002

        def close(self) -> None: ...

else:
    _Widget = anywidget.AnyWidget

_LOG = logging.getLogger(__name__)
#: A report is a result, not a screen: it marks the notebook as changed.
REPORT_SECONDS = 60.0
#: Messages that wait for a page that has to fetch them; what is more is lost, and the page asks for everything.
_MOST_WAITING = 50
_LIVE_TEXT = "(live panel: needs a running kernel)"


class LiveWidget(_Widget):
    """A live panel, whatever it shows.

    Showing makes two outputs, of which one is seen: a static report that stays in the saved notebook, and the live
    view, which the page puts in its place.

    Parameters
    ----------
    make
        Makes what is shown, given the function that sends messages and the visibility of its views.
    page
        Code of the page.
    """

    snapshot: traitlets.Dict[str, Any] = traitlets.Dict().tag(sync=True)
    _controller: BaseController[Any]

    def __init__(self, make: Callable[[Tell, Visibility], BaseController[Any]], page: str) -> None:
        self._closing = threading.RLock()
        self._is_closed = False
        #: Whether a page has refused it, as one does without a widget manager.
        self._is_refused = False
        self._marks: tuple[str, str] | None = None
        self._shown_in: Any = None
        self._reported_at = float("-inf")
        self._forget_cell: Any = None
        # Colab passes on only what is sent while one of its own messages is handled; its page sends one every few
        # seconds.
        self._waiting: deque[dict[str, Any]] | None = (
            deque(maxlen=_MOST_WAITING) if "google.colab" in sys.modules else None
        )
        CELL_CLOCK.listen()
        keep_busy_while_a_cell_runs()
        self._controller = make(self._tell, Visibility(time.monotonic, CELL_CLOCK.ended))
        self._before_opening()
        try:
            # Not an argument: anywidget makes a trait of it only where it finds it.
            self._esm = page
            super().__init__()
        except BaseException:
            self._controller.close("")
            raise
        self._answer_beside_the_cell()
        self.on_msg(self._heard)
        self._stay_reachable()

    # What people use.

    def show(self) -> None:
        """Show the panel below the cell that runs now; outside of a notebook, print its report."""
        if not is_notebook() or self._is_closed:
            self._show_report_alone()
            return
        here = current_position()
        if self._shown_in is not None and here is not None and self._shown_in == here[:2]:
            # The magics show at once; as the last line of its cell a panel is not shown again.
            return
        self._shown_in = here[:2] if here is not None else None
        if here is not None:
            panel_registry.register(self, here)
        self._marks = (uuid.uuid4().hex, uuid.uuid4().hex)
        first = self._first_report()
        self._publish(0, self._report(live=True) if first is None else first, update=False)
        view = self._repr_mimebundle_()
        data = dict(view[0] if isinstance(view, tuple) else view or {})
        data["text/plain"] = _LIVE_TEXT
        self._publish(1, data, update=False)
        if first is not None:
            self._publish(0, self._report(live=True), update=True)
        self._reported_at = time.monotonic()
        if self._forget_cell is None:
            self._forget_cell = CELL_CLOCK.at_end(self._cell_ended)
        self._after_showing()

    def freeze(self) -> None:
        """End the live view and leave the report, as of now, as the result."""
        if not self._is_closed:
            # Not under the lock: the thread that brings the news may need it.
            self._look_now()
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
            self._close_widget()
            self._let_go()

    def close(self) -> None:
        """End the live view; the report stays where the panel was shown.  Closing twice does no harm."""
        if getattr(self, "_controller", None) is None:
            # It was refused before it was made.
            return
        with self._closing:
            if self._is_closed:
                return
            self._end("The panel was closed.")
            if self._marks is not None:
                self._publish(0, self._report(live=True), update=True)
            self._close_widget()
            self._let_go()

    # What a terminal uses.

    @property
    def is_over(self) -> bool:
        """Whether nothing that is shown can change any more."""
        return self._is_closed

    @property
    def is_drawn(self) -> bool:
        """Whether a page has drawn it, as far as the kernel has heard."""
        return self._controller.is_drawn

    @property
    def is_refused(self) -> bool:
        """Whether a page could not draw it, and none has drawn it."""
        return self._is_refused and not self.is_drawn

    def keep_visible(self) -> None:
        """Keep it up to date for a terminal that shows it; to be called every few seconds."""
        self._controller.keep_visible("terminal")

    # What a kind of panel says for itself.

    def _first_report(self) -> dict[str, str] | None:
        """Return what stands in place of the report until that is made; None if it is made at once."""
        return None

    @abstractmethod
    def _report(self, *, live: bool) -> dict[str, str]:
        """Return the static report as Jupyter shows it."""

    @abstractmethod
    def _words(self, width: int) -> str:
        """Return the report for a terminal."""

    @abstractmethod
    def _cell_ended(self) -> None:
        """Bring the report up to date at the end of a cell: a notebook that is executed without a page ends here."""

    def _before_opening(self) -> None:
        """Do what has to be done before the page gets its first snapshot."""

    def _after_showing(self) -> None:
        """Take in that the panel is shown now."""

    def _look_now(self) -> None:
        """Bring what is shown up to now, for a last report."""

    def _let_go(self) -> None:
        """Close what only this panel used."""

    # What Jupyter uses.

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - the parent's
        """Return the widget's state; the snapshot is always the newest, so that a reloaded page starts with it."""
        state: dict[str, Any] = super().get_state(key=key, drop_defaults=drop_defaults)
        if "snapshot" in state:
            state["snapshot"] = {} if self._is_closed else self._controller.initial_state()
        return state

    def _ipython_display_(self, **_: Any) -> None:
        self.show()

    def _heard(self, _widget: Any, content: Any, _buffers: Any) -> None:
        self._controller.receive(content)
        while self._waiting:
            self._send_now(self._waiting.popleft())

    def _tell(self, message: dict[str, Any]) -> None:
        if self._waiting is not None:
            self._waiting.append(message)
        else:
            self._send_now(message)

    def _send_now(self, message: dict[str, Any]) -> None:
        # A kernel that is on its way out, or a page that was closed: no page receives it.
        try:
            self.send(message)
        except Exception:  # noqa: BLE001 - see above; a page that is still there misses it and asks again
            _LOG.debug("A message to the page could not be sent.", exc_info=True)

    def _answer_beside_the_cell(self) -> None:
        """Let the page's messages be heard while a cell runs.

        ipykernel 7.4 sends them to the shell that the comm last published from; the thread that tells of news counts as
        the cell's. Without the private name (any other version) nothing is touched.
        """
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = lambda _data, default: default  # noqa: SLF001 - there is no public way

    def _stay_reachable(self) -> None:
        """Keep the comm when a page closes it, and say in the report what that page lacks.

        A page without a widget manager closes every comm that a kernel opens. Where the manager is installed then and
        the page loaded again, it draws the panel from its state, and nothing that it sends would arrive.
        """
        comm = self.comm
        if not hasattr(comm, "on_close"):
            return

        def refused(_message: Any) -> None:
            if self._is_closed:
                return
            comm._closed = False  # noqa: SLF001 - there is no public way
            get_comm_manager().register_comm(comm)
            self._is_refused = True
            with self._closing:
                if self._marks is not None and not self._is_closed:
                    self._publish(0, self._report(live=True), update=True)

        comm.on_close(refused)

    def _show_report_alone(self) -> None:
        if not is_notebook():
            # In a script IPython's display would print the bundle, HTML and all; in a terminal the short text that a
            # notebook keeps.
            sys.stdout.write(self._words(shutil.get_terminal_size().columns) + "\n")
            return
        self._look_now()
        from IPython.display import display  # only where something is shown

        show: Any = display
        show(self._report(live=False), raw=True)

    def _publish(self, which: int, data: dict[str, Any], *, update: bool) -> None:
        marks, ip = self._marks, shell()
        if marks is None or ip is None:
            return
        if which == 0 and not self._is_closed and (missing := advice(is_refused=self.is_refused)):
            # The page hides the report wherever it shows the live panel.
            words = f"<p>{escape(missing)}</p>"
            data = {**data, "text/html": words + data["text/html"], "text/plain": f"{missing}\n{data['text/plain']}"}
        try:
            ip.display_pub.publish(data=data, metadata={}, transient={"display_id": marks[which]}, update=update)
        except Exception as error:  # noqa: BLE001 - a panel never fails a cell; %loops doctor tells that the notebook lacks something
            faults.record(_LOG, "showing a panel in the notebook", error)

    def _end(self, why: str) -> None:
        self._is_closed = True
        if self._forget_cell is not None:
            self._forget_cell()
        panel_registry.unregister(self)
        self._controller.close(why)

    def _close_widget(self) -> None:
        layout = self.layout
        super().close()
        # A widget of its own, which ipywidgets made for this one and does not close.
        layout.close()

    def _drop_state(self) -> None:
        """Take the code and the rows out of what a notebook may have kept of this widget."""
        try:
            self.set_trait("_esm", "export default { render() {} }")
            self.send_state("snapshot")
        except Exception:  # noqa: BLE001 - the notebook only stays larger than it could be
            _LOG.warning("The state of a closed panel could not be removed.", exc_info=True)
