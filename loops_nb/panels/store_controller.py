"""Base of the controllers of what was recorded: a thread of the panel reads the store and sends what is new."""

from __future__ import annotations

import logging
import threading
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any

from loops_nb import faults
from loops_nb.errors import LoopsError
from loops_nb.live import Health
from loops_nb.live.threads import SWITCH_INTERVAL
from loops_nb.panels.protocol import HEARTBEAT_SECONDS, BaseController, Incoming, Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loops_nb.panels.visibility import Visibility

logger: logging.Logger = logging.getLogger(__name__)
#: Seconds until a store that could not be read is read again.
RETRY_SECONDS = 2.0


class StoreController(BaseController[Incoming]):
    """A controller with a thread of its own, which reads the store while a view is visible.

    Parameters
    ----------
    send, visibility, incoming
        As in `BaseController`.
    title, line : str
        Heading, and the line of code that opens the panel.
    thread_name : str
        Name of the thread.
    reading : str
        What failed where a fault is recorded, such as "reading experiments".
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        visibility: Visibility,
        incoming: Any,
        *,
        title: str,
        line: str,
        thread_name: str,
        reading: str,
    ) -> None:
        super().__init__(send, visibility, incoming)
        self.title: str = title
        self.line: str = line
        self._thread_name = thread_name
        self._reading = reading
        self._health = Health(state="live")
        self._inbox: deque[Any] = deque()
        self._wake = threading.Condition()
        # Around everything that reads or changes the state: the panel's thread, and those that ask for a snapshot.
        self._lock = threading.RLock()
        self._throttle = Throttle(self._clock, most=1)
        self._heartbeat_at = self._next_read_at = 0.0
        self._thread: threading.Thread | None = None

    # Called from any thread.

    def start(self) -> None:
        """Start the thread, now that messages can be sent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._thread_name, daemon=True)
            self._thread.start()

    def update(self) -> None:
        """Read the store now, even if no view is visible, and send the views what is new."""
        with self._lock:
            self._guarded(self._update)

    @property
    def read_error(self) -> str:
        """Why the store cannot be read; empty while it can."""
        return self._health.reason if self._health.state == "failing" else ""

    def close(self, reason: str) -> None:  # noqa: D102 - as in the base class
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)
        with self._lock:
            self._health = Health(state="over", reason=reason)

    # On the panel's own thread, the writer.

    def _enqueue(self, message: Any) -> None:
        with self._wake:
            self._inbox.append(message)
            self._wake.notify()

    def _run(self) -> None:
        with SWITCH_INTERVAL.shortened():
            while not self._closed:
                self._turn()

    def _turn(self) -> None:
        # While no view is visible nothing is read: the next message ends the wait.
        timeout = max(self._throttle.wait(), 0.001) if self._visibility.is_seen() else None
        with self._wake:
            self._wake.wait_for(lambda: self._inbox or self._closed, timeout=timeout)
            messages, self._inbox = list(self._inbox), deque()
        # A page repeats its requests while the kernel is busy: each needs one answer, in the order of the last ones.
        messages = [message for place, message in enumerate(messages) if message not in messages[place + 1 :]]
        if self._closed:
            return
        with self._lock:
            self._handle_all(messages)
            if not self._visibility.is_seen():
                return
            moment = self._clock()
            if not self._throttle.wait():
                self._throttle.count()
                self._look(moment)
            self._send_unrequested(moment)
            if moment >= self._heartbeat_at + HEARTBEAT_SECONDS:
                self._heartbeat_at = moment
                self._send_heartbeat()

    def _handle_all(self, messages: Sequence[Any]) -> None:
        for message in messages:
            self._handle(message)

    def _look(self, moment: float) -> None:
        if moment >= self._next_read_at:
            self._guarded(self._update)

    def _send_unrequested(self, moment: float) -> None:
        """Send what a page may need that the kernel cannot hear; nothing by default."""

    @abstractmethod
    def _update(self) -> None:
        """Read what changed in the store, and send it."""

    @abstractmethod
    def _send_health(self) -> None:
        """Send `_health`, which has changed."""

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """Do something that reads the store; a failure is a state, sent once, and the reading is tried again."""
        try:
            return action()
        except Exception as error:
            if isinstance(error, LoopsError):
                logger.debug("What was recorded cannot be read: %s", self._reading, exc_info=True)
                failing = self._failing(error)
            else:
                failing = self._failing(faults.record(logger, self._reading, error))
            self._next_read_at = self._clock() + RETRY_SECONDS
            if (self._health.state, self._health.reason) != ("failing", failing.reason):
                self._health = failing
                self._send_health()
            return None

    def _failing(self, failure: LoopsError | faults.Fault) -> Health:
        """Return the state of health after a failure."""
        return Health(state="failing", reason=failure.reason if isinstance(failure, faults.Fault) else str(failure))

    def _send(self, message: Any) -> None:
        if self._thread is not None:
            super()._send(message)
