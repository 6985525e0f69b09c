"""The heart of a panel of curves, without a widget: one thread that reads what was recorded and tells the views what is new."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from loops_nb import faults
from loops_nb.errors import LoopsError
from loops_nb.live.turns import TURNS
from loops_nb.panels.curves_book import MOST_BYTES, Book, Shown
from loops_nb.panels.curves_wire import (
    CurvesFromPage,
    CurvesSnapshot,
    CurvesToPage,
    Drawn,
    FindKeys,
    FoundKeys,
    HeadNews,
    Look,
    LookAt,
    Pulse,
    ShowNewer,
    ViewGone,
    ViewSeen,
)
from loops_nb.panels.wire import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loops_nb.curves.source import Source
    from loops_nb.panels.curves_book import Listed
    from loops_nb.panels.curves_wire import CurveHead
    from loops_nb.panels.presence import Presence

_LOG = logging.getLogger(__name__)
#: Seconds between two looks while somebody sees the panel: five updates a second are as many as a person can follow.
EVERY_SECONDS = 0.2
HEARTBEAT_SECONDS = 5.0
RETRY_SECONDS = 2.0
#: The view that a page is taken to have until it says what it has: what comes then is sent unasked.
UNASKED = "*"
_MOST_VIEWS = 12


class CurvesCore:
    """One panel of curves.

    Parameters
    ----------
    source
        Where the points are.
    wanted
        Ids of experiments or runs, or names; None for the newest.
    send
        Takes each message to the pages.
    presence
        Whether anybody sees it.
    title, line
        As in `CurvesSnapshot`.
    look
        What a view begins with.
    """

    def __init__(
        self,
        source: Source,
        wanted: Sequence[str] | None,
        send: Callable[[dict[str, Any]], None],
        presence: Presence,
        *,
        title: str,
        line: str,
        look: Look,
    ) -> None:
        self._source = source
        self._send = send
        self._presence = presence
        self.title, self.line, self.first = title, line, look
        self._book = Book(source, wanted)
        self._views: dict[str, Shown] = {UNASKED: Shown(look)}
        self._state: Literal["live", "failing", "over"] = "live"
        self._reason = ""
        self._version: int | None = None
        self._closed = False
        self._inbox: deque[CurvesFromPage] = deque()
        self._wake = threading.Condition()
        # Around everything that reads or changes what is known: the panel's thread, and whoever asks for a snapshot.
        self._lock = threading.RLock()
        self._beat_at = self._try_at = 0.0
        self._thread: threading.Thread | None = None
        self.look_now()

    # Called from any thread.

    def start(self) -> None:
        """Begin to look, now that there is somebody to be told."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="loops-nb-curves", daemon=True)
            self._thread.start()

    def hear(self, content: Any) -> None:
        """Take a message of a page in; what is not one is left alone."""
        try:
            message: CurvesFromPage = msgspec.convert(content, CurvesFromPage)
        except (msgspec.ValidationError, TypeError):
            return
        with self._wake:
            self._inbox.append(message)
            self._wake.notify()

    def look_now(self) -> None:
        """Read what there is now, whoever sees it, and tell the views."""
        with self._lock:
            self._look()

    def show_newer(self) -> None:
        """Show the newest experiments in place of those that are shown, where none were named."""
        with self._lock:
            self._book.show_newer()
            self._version = None
            self._look()

    def list_checkpoints(self, listed: Sequence[Listed]) -> None:
        """Take in which checkpoints somebody else knows of."""
        with self._lock:
            self._book.listed = listed
            self._trying(self._place_marks)

    def opening(self) -> dict[str, Any]:
        """Return the snapshot that travels with the widget."""
        return plain(self.snapshot())

    def snapshot(self) -> CurvesSnapshot:
        """Return everything, as a page begins with it; what comes next is told to the view that has not said anything yet."""
        with self._lock:
            shown = self._views.get(UNASKED) or Shown(self.first)
            room = MOST_BYTES - 600 - len(msgspec.json.encode(self._book.head))
            curve = self._trying(lambda: self._book.draw(shown, max(room, MOST_BYTES // 4)))
            return CurvesSnapshot(
                now=_now(),
                title=self.title,
                line=self.line,
                head=self._book.head,
                curve=curve,
                seq=shown.seq,
                state=self._state,
                reason=self._reason,
            )

    @property
    def trouble(self) -> str:
        """Why what was recorded cannot be read; empty while it can."""
        return self._reason if self._state == "failing" else ""

    @property
    def head(self) -> CurveHead:
        """What is shown, all but the points."""
        return self._book.head

    def reading(self, do: Callable[[Book], Any]) -> Any:
        """Have something read out of what is known, while nothing changes it."""
        with self._lock:
            return do(self._book)

    def points(self) -> tuple[int | None, int]:
        """Return something that is another when there is anything new to show."""
        return self._version, len(self._book.head.marks)

    def close(self, why: str) -> None:
        """Stop for good; nothing is sent afterwards."""
        with self._wake:
            if self._closed:
                return
            self._closed = True
            self._wake.notify()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)
        with self._lock:
            self._state, self._reason = "over", why

    # On the panel's own thread.

    def _live(self) -> None:
        with TURNS.short():
            while not self._closed:
                self._turn()

    def _turn(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: self._inbox or self._closed, timeout=self._pause())
            heard, self._inbox = list(self._inbox), deque()
        if self._closed:
            return
        with self._lock:
            for message in heard:
                self._heard(message)
            if self._presence.is_seen() and time.monotonic() >= self._try_at:
                self._look()
            self._beat()

    def _pause(self) -> float | None:
        # Where nobody looks nothing is read: the next message wakes it.
        return EVERY_SECONDS if self._presence.is_seen() else None

    def _heard(self, message: CurvesFromPage) -> None:
        match message:
            case LookAt(view=view, look=look):
                self._presence.saw(view, visible=True)
                self._views.pop(UNASKED, None)
                # What came while nobody looked.
                self._look()
                former = self._views.pop(view, None)
                self._views[view] = Shown(look, seq=former.seq if former is not None else 0)
                # Views of pages that went without a word.
                while len(self._views) > _MOST_VIEWS:
                    del self._views[next(iter(self._views))]
                self._trying(lambda: self._draw(view))
            case ViewSeen(view=view, visible=visible):
                self._presence.saw(view, visible=visible)
            case ViewGone(view=view):
                self._presence.gone(view)
                self._views.pop(view, None)
            case FindKeys(view=view, text=text):
                keys, total = self._book.find_keys(text)
                self._give(FoundKeys(view=view, text=text, now=_now(), keys=keys, total=total))
            case ShowNewer():
                self.show_newer()

    def _look(self) -> None:
        self._trying(self._news)

    def _news(self) -> None:
        version = self._source.version()
        if version == self._version and self._state == "live":
            return
        was_failing = self._state == "failing"
        is_other = self._book.read()
        if self._state == "failing":
            self._state, self._reason = "live", ""
        if is_other or was_failing:
            for shown in self._views.values():
                shown.is_stale = True
            self._give(HeadNews(now=_now(), head=self._book.head, state=self._state, reason=self._reason))
        for view in list(self._views):
            shown = self._views[view]
            tail = None if shown.is_stale else self._book.tail(view, shown, _now())
            if tail is not None:
                self._give(tail)
            elif shown.is_stale:
                self._draw(view)
        self._book.keep_only(shown.look.key for shown in self._views.values())
        self._version = version

    def _draw(self, view: str) -> None:
        shown = self._views[view]
        curve = self._book.draw(shown)
        # Of tokens nothing was known before the points were read.
        self._place_marks()
        shown.seq += 1
        self._give(Drawn(view=view, seq=shown.seq, now=_now(), curve=curve))

    def _place_marks(self) -> None:
        if self._book.place_marks():
            self._give(HeadNews(now=_now(), head=self._book.head, state=self._state, reason=self._reason))

    def _trying(self, do: Callable[[], Any]) -> Any:
        """Do something that reads the store; a failure is a state, told once and tried again."""
        try:
            return do()
        except Exception as error:  # noqa: BLE001 - what a thread throws lands under a stranger's cell
            reason = str(error) if isinstance(error, LoopsError) else faults.record(_LOG, "reading what was recorded", error).reason
            self._try_at = time.monotonic() + RETRY_SECONDS
            if (self._state, self._reason) != ("failing", reason):
                self._state, self._reason = "failing", reason
                self._give(HeadNews(now=_now(), head=self._book.head, state="failing", reason=reason))
            return None

    def _beat(self) -> None:
        moment = time.monotonic()
        if moment - self._beat_at >= HEARTBEAT_SECONDS and self._presence.is_seen():
            self._beat_at = moment
            self._give(Pulse(now=_now(), seqs={view: shown.seq for view, shown in self._views.items()}))

    def _give(self, message: CurvesToPage) -> None:
        if not self._closed and self._thread is not None:
            self._send(plain(message))


def _now() -> float:
    return float(round(time.time() * 1000))
