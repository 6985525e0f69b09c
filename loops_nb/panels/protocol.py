"""The protocol between a panel and its pages: sequence numbers, resynchronisation, heartbeats and visible views.

Each message that changes what a page shows belongs to a *stream* and raises the stream's sequence number by one. Tables
have one stream for all views, `ALL_VIEWS`; a panel of curves has one for each view, because each view plots something
of its own. A page that receives a message whose ``base`` is not its newest number has lost one and sends a `Resync`,
at most once a second; a `Heartbeat` repeats the newest numbers, so that a loss is noticed when nothing else is sent.

The structs become the TypeScript types of the page (``js/contract.py``). Times are epoch milliseconds by the kernel's
clock, and ``now`` of each message tells the page that clock.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loops_nb.panels.visibility import Visibility

logger: logging.Logger = logging.getLogger(__name__)
#: The stream that every view listens to.
ALL_VIEWS = "*"
#: Seconds between two heartbeats while a view is visible.
HEARTBEAT_SECONDS = 5.0
#: Most updates a second: a reader cannot follow more, and each costs the page a rendering.
UPDATES_PER_SECOND = 5.0

Incoming = TypeVar("Incoming")


class Heartbeat(Struct, kw_only=True, tag_field="type", tag="heartbeat", omit_defaults=True):
    """The panel is alive, and nothing has changed.

    Parameters
    ----------
    now : float
        The kernel's clock.
    seqs : dict of str to int
        The newest sequence number of each stream.
    looked_at : float or None, default None
        When the service was last polled successfully; None where nothing is polled.
    """

    now: float
    seqs: dict[str, int]
    looked_at: float | None = None


class ViewOpened(Struct, kw_only=True, tag_field="type", tag="view_opened"):
    """A view opened; ``have`` is the sequence number that it starts with (None: it needs a whole snapshot)."""

    view: str
    have: int | None = None


class ViewVisibility(Struct, kw_only=True, tag_field="type", tag="view_visibility"):
    """A view became visible or hidden; repeated every ten seconds while it is visible."""

    view: str
    visible: bool


class ViewClosed(Struct, kw_only=True, tag_field="type", tag="view_closed"):
    """A view was closed."""

    view: str


class Resync(Struct, kw_only=True, tag_field="type", tag="resync"):
    """A message of a stream was lost: send its state as a whole; ``have`` is the newest number that the page has."""

    stream: str
    have: int


FromAnyPage = ViewOpened | ViewVisibility | ViewClosed | Resync


def as_dict(message: Struct) -> dict[str, Any]:
    """Return a message as JSON-compatible builtins."""
    found: dict[str, Any] = msgspec.to_builtins(message)
    return found


class Throttle:
    """Rate limit over a sliding window.

    Parameters
    ----------
    clock : callable
        Monotonic seconds.
    most : int, default 10
        Updates that one window may hold.
    seconds : float, optional
        Length of the window; by default such that `UPDATES_PER_SECOND` is the rate.
    """

    def __init__(self, clock: Callable[[], float], most: int = 10, seconds: float | None = None) -> None:
        self._clock = clock
        self._seconds = most / UPDATES_PER_SECOND if seconds is None else seconds
        self._sent: deque[float] = deque(maxlen=most)

    def wait(self) -> float:
        """Return the seconds until the next update may be sent; 0 if it may be sent now."""
        if len(self._sent) < (self._sent.maxlen or 0):
            return 0.0
        return max(0.0, self._sent[0] + self._seconds - self._clock())

    def count(self) -> None:
        """Count an update that is sent now."""
        self._sent.append(self._clock())


class BaseController(ABC, Generic[Incoming]):
    """What the controllers of tables and of curves have in common: receives and sends the messages of one panel.

    One thread, the writer, changes what is shown and sends messages; any thread may call `receive`.

    Parameters
    ----------
    send : callable
        Sends a message to the pages.
    visibility : Visibility
        Which views are visible.
    incoming : type
        Union of the messages that pages may send.
    wall, clock : callable
        Epoch seconds, and monotonic seconds.
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        visibility: Visibility,
        incoming: Any,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send_message = send
        self._visibility = visibility
        self._incoming = incoming
        self._wall = wall
        self._clock = clock
        self._closed = False
        #: Whether a page has sent anything yet: some kernels receive nothing while a cell runs.
        self._heard_page = False

    @property
    def is_drawn(self) -> bool:
        """Whether a page has drawn the panel since it was made, as far as the kernel has heard."""
        return self._heard_page

    def keep_visible(self, view: str) -> None:
        """Record that a view which sends no messages, such as a terminal, is visible now; on any thread."""
        self._visibility.saw(view, visible=True)

    @abstractmethod
    def initial_state(self) -> dict[str, Any]:
        """Return the snapshot that is part of the widget's state; pages start with it."""

    @abstractmethod
    def close(self, reason: str) -> None:
        """Stop for good; nothing is sent afterwards."""

    def receive(self, content: Any) -> None:
        """Take in a message of a page, on any thread; ignore what is none."""
        try:
            message = msgspec.convert(content, self._incoming)
        except (msgspec.ValidationError, TypeError):
            logger.debug("Ignored a message of a page that is not part of the protocol.", exc_info=True)
            return
        self._enqueue(message)

    @abstractmethod
    def _enqueue(self, message: Any) -> None:
        """Have `_handle` called with a message on the writer's thread."""

    def _handle(self, message: FromAnyPage | Incoming) -> None:
        self._heard_page = True
        match message:
            case ViewOpened(view=view, have=have):
                self._visibility.saw(view, visible=True)
                self._open_view(view, have)
            case ViewVisibility(view=view, visible=visible):
                self._visibility.saw(view, visible=visible)
            case ViewClosed(view=view):
                self._visibility.gone(view)
                self._close_view(view)
            case Resync(stream=stream):
                self._resend(stream)
            case _:
                self._handle_request(message)

    @abstractmethod
    def _open_view(self, view: str, have: int | None) -> None:
        """Send what a view needs that has just opened."""

    @abstractmethod
    def _close_view(self, view: str) -> None:
        """Forget a view."""

    @abstractmethod
    def _resend(self, stream: str) -> None:
        """Send the state of a stream as a whole."""

    @abstractmethod
    def _handle_request(self, message: Incoming) -> None:
        """Handle a message that only this kind of panel has."""

    @abstractmethod
    def _seqs(self) -> Mapping[str, int]:
        """Return the newest sequence number of each stream."""

    def _looked_at(self) -> float | None:
        return None

    def _send_heartbeat(self) -> None:
        self._send(Heartbeat(now=self._now(), seqs=dict(self._seqs()), looked_at=self._looked_at()))

    def _send(self, message: Struct) -> None:
        if not self._closed:
            self._send_message(as_dict(message))

    def _now(self) -> float:
        return round(self._wall() * 1000)
