"""Controller of a panel of log lines: one thread reads what is new of them and sends it; no widget."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace as replace_fields

from loops_nb.client.logs import LogQuery, LogReading, LogTail, LogTarget, read_target
from loops_nb.live import Health
from loops_nb.panels.logs.messages import (
    LogFromPage,
    LogHealth,
    LogRow,
    LogRowsAdded,
    LogSnapshot,
    ReadEarlier,
    SetFollowing,
)
from loops_nb.panels.protocol import ALL_VIEWS, as_dict
from loops_nb.panels.store_controller import StoreController

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from loops_nb.client.logs import HalfLine
    from loops_nb.client.transport import Transport
    from loops_nb.panels.visibility import Visibility

#: Lines that are kept, and those that are saved with a widget's state.
MOST_ROWS = 5_000
INITIAL_ROWS = 200
#: Lines that a page reads back at once.
EARLIER_ROWS = 1_000
_LONGEST_MESSAGE = 4_000
#: Seconds between two readings: the first while lines come, up to the second while none do.
_INTERVAL_SECONDS, _QUIET_SECONDS = 2.0, 10.0
_SLOWER = 1.5


class LogsController(StoreController[LogFromPage]):
    """The controller of one panel of log lines.

    Parameters
    ----------
    transport : Transport
        The connection; closed with the controller.
    target : LogTarget
        What the lines are of.
    query : LogQuery
        Which lines.
    send : callable
        Sends a message to the pages.
    visibility : Visibility
        Which views are visible.
    title, line : str
        Heading, and the line of code that opens the panel.
    """

    def __init__(
        self,
        transport: Transport,
        target: LogTarget,
        query: LogQuery,
        send: Callable[[dict[str, Any]], None],
        visibility: Visibility,
        *,
        title: str,
        line: str,
    ) -> None:
        super().__init__(
            send,
            visibility,
            LogFromPage,
            title=title,
            line=line,
            thread_name="loops-nb-logs",
            reading="reading log lines",
        )
        self._transport = transport
        self._target = target
        self._query = query
        self._tail = LogTail(target, query)
        self._health = Health(state="starting")
        self._interval = _INTERVAL_SECONDS
        self._seq = 0
        self._rows: deque[LogRow] = deque()
        self._has_earlier = True
        self._paused = False
        #: Around one reading of the service after the other, without the lock of the state.
        self._reading_service = threading.Lock()
        self.update()

    # Called from any thread.

    @property
    def rows(self) -> list[LogRow]:
        """The lines that are kept, in the order in which they came."""
        with self._lock:
            return list(self._rows)

    @property
    def both(self) -> bool:
        """Whether there are lines of both halves."""
        return len(self._target.sources) > 1

    def initial_state(self) -> dict[str, Any]:
        return as_dict(self.snapshot(INITIAL_ROWS))

    def snapshot(self, most: int = MOST_ROWS) -> LogSnapshot:
        """Return everything that is shown, with the newest lines."""
        with self._lock:
            left_out = max(0, len(self._rows) - most)
            return LogSnapshot(
                seq=self._seq,
                now=self._now(),
                title=self.title,
                line=self.line,
                health=self._health,
                both=self.both,
                has_earlier=self._has_earlier,
                left_out=left_out,
                rows=list(islice(self._rows, left_out, None)),
            )

    def set_paused(self, *, paused: bool) -> None:
        """Pause the reading of new lines, or resume it."""
        with self._wake:
            self._inbox.append(SetFollowing(paused=paused))
            self._wake.notify()

    def update(self) -> None:
        """Read new lines now, unless the reading is paused, and send the views what is new."""
        if not self._paused:
            super().update()

    def close(self, reason: str) -> None:
        super().close(reason)
        self._transport.close()

    # On the panel's own thread, the writer.

    def _open_view(self, view: str, have: int | None) -> None:  # noqa: ARG002 - all views show the same
        if have == self._seq and len(self._rows) <= INITIAL_ROWS:
            self._send_heartbeat()
        else:
            self._resend(ALL_VIEWS)

    def _close_view(self, view: str) -> None:
        """Nothing to forget: all views show the same."""

    def _resend(self, stream: str) -> None:  # noqa: ARG002 - there is one stream
        self._send(self.snapshot())

    def _handle_request(self, message: LogFromPage) -> None:
        match message:
            case SetFollowing(paused=paused):
                self._paused = paused
                self._health = replace_fields(self._health, state="paused" if paused else "live")
                self._interval, self._next_read_at = _INTERVAL_SECONDS, 0.0
                self._send_health()
            case ReadEarlier():
                self._guarded(self._read_earlier)

    def _look(self, moment: float) -> None:
        if not self._paused:
            super()._look(moment)

    def _update(self) -> None:
        with self._unlocked(), self._reading_service:
            reading = self._read_tail()
        if reading is None:
            return
        before = self._health.state
        self._health = Health(state="live" if before != "paused" else before, looked_at=self._now())
        if reading.lines:
            self._add(reading.lines)
        if before != self._health.state:
            self._send_health()
        slower = min(_QUIET_SECONDS, self._interval * _SLOWER)
        self._interval = _INTERVAL_SECONDS if reading.lines else slower
        self._next_read_at = self._clock() + self._interval

    def _read_tail(self) -> LogReading | None:
        """Return what is new; None when the panel was closed meanwhile, and its connection with it."""
        try:
            return self._transport.send_each(self._tail.steps())
        except Exception:
            if self._closed:
                return None
            raise

    def _add(self, lines: Iterable[HalfLine]) -> None:
        is_first = not self._rows
        number = self._rows[-1].number + 1 if self._rows else 0
        rows = list(_rows_of(lines, number))
        self._rows.extend(rows)
        if is_first:
            self._has_earlier = len(rows) >= self._query.limit
        while len(self._rows) > MOST_ROWS:
            self._rows.popleft()
            self._has_earlier = False
        base, self._seq = self._seq, self._seq + 1
        self._send(
            LogRowsAdded(base=base, seq=self._seq, now=self._now(), first=self._rows[0].number, rows=rows[-MOST_ROWS:])
        )

    def _read_earlier(self) -> None:
        """Read lines before the first one, as far as there is room for them."""
        room = min(EARLIER_ROWS, MOST_ROWS - len(self._rows))
        if self._rows and self._has_earlier and room > 0:
            first = self._rows[0]
            until = datetime.fromtimestamp(first.at / 1000, UTC)
            query = replace(self._query, until=until, limit=room)
            with self._unlocked(), self._reading_service:
                reading = self._transport.send_each(read_target(self._target, query))
            # Those of the first line's own millisecond are shown already.
            lines = [line for line in reading.lines if line.nanos // 1_000_000 < int(first.at)]
            self._has_earlier = len(reading.lines) >= room and bool(lines)
            self._rows.extendleft(reversed(list(_rows_of(lines, first.number - len(lines)))))
        else:
            self._has_earlier = False
        self._seq += 1
        self._resend(ALL_VIEWS)

    @contextmanager
    def _unlocked(self) -> Iterator[None]:
        """Give the state's lock free during a request: a kernel that needs the state must not wait for the service."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    def _send_health(self) -> None:
        self._send(LogHealth(now=self._now(), health=self._health))

    def _looked_at(self) -> float | None:
        return self._health.looked_at

    def _seqs(self) -> Mapping[str, int]:
        return {ALL_VIEWS: self._seq}


def _rows_of(lines: Iterable[HalfLine], number: int) -> Generator[LogRow]:
    for place, line in enumerate(lines):
        yield LogRow(
            number=number + place,
            at=line.nanos / 1_000_000,
            level=line.line.level or "",
            half=line.half,
            message=line.line.message[:_LONGEST_MESSAGE],
        )
