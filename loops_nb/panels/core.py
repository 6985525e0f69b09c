"""The heart of a panel, without a widget: takes news in, keeps one version of the truth, and says what is different.

Everything that changes the state runs on the poller's thread: one writer.  Any thread may read `Core.state`, which is replaced whole.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from loops_nb import faults
from loops_nb.client.operations import deployments, runs, samplers
from loops_nb.errors import LoopsError
from loops_nb.live import Attention
from loops_nb.panels.content import Content, table_changes, tables_of
from loops_nb.panels.notices import Crier
from loops_nb.panels.plotting import Plots
from loops_nb.panels.presence import Presence
from loops_nb.panels.wire import (
    Act,
    Change,
    Draw,
    FromPage,
    Gone,
    Health,
    Hello,
    Notice,
    Order,
    Pause,
    Refresh,
    Resync,
    Seen,
    Snapshot,
    Tick,
    ToPage,
    plain,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from loops_nb.faults import Fault
    from loops_nb.live import Board, Poller
    from loops_nb.panels.measuring import Measure
    from loops_nb.panels.view import View
    from loops_nb.panels.wire import Picture, PlotName, Row

_LOG = logging.getLogger(__name__)
#: Rows of a table that travel with the widget itself, and are saved with a notebook whose widgets are: more than one sees at once, few
#: enough for five panels of a thousand runs in a notebook of 400 kB.
ROWS_AT_OPENING = 50
#: How often a sign of life is sent when nothing else is.
HEARTBEAT_SECONDS = 5.0
#: At most so many messages in this many seconds; what comes faster is put together.
_MOST_SENT, _SENT_SECONDS = 10, 2.0
#: A kernel that cannot hear the page while a cell runs sends the rest unasked, after these times.
_UNASKED_SECONDS = (1.0, 3.0)
_MOST_ACTS = 10
_DEACTIVATE = {"runs": runs.deactivate, "samplers": samplers.deactivate, "deployments": deployments.deactivate}


@dataclass(frozen=True, slots=True)
class State:
    """One version of everything that a panel shows."""

    seq: int = 0
    content: Content = field(default_factory=Content)
    health: Health = field(default_factory=lambda: Health(state="starting"))
    notices: tuple[Notice, ...] = ()
    acts: tuple[Act, ...] = ()
    ready: bool = False


class Core:
    """One panel.

    Parameters
    ----------
    view
        What it shows.
    poller
        Where its data comes from; its thread is the panel's one writer.
    send
        Takes each message to the pages.
    presence
        Whether anybody sees it.
    notify
        Whether pages may raise a browser notification; then it is looked now and then even when nobody sees the panel.
    measure
        Measures the drift of checkpoints; None where nobody can.
    curves
        Puts checkpoints on the curves of what is shown and names their widget, on another thread; None where there are none.
    time_zone
        Of the times in pictures.
    wall, clock
        Epoch seconds, and seconds that only go forward.
    """

    def __init__(
        self,
        view: View,
        poller: Poller,
        send: Callable[[dict[str, Any]], None],
        presence: Presence,
        *,
        notify: bool = False,
        measure: Measure | None = None,
        curves: Callable[[Mapping[str, Row]], Picture] | None = None,
        time_zone: str = "local",
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.view = view
        self.state = State()
        #: Called on the poller's thread when something was announced or a state changed; for the static report.
        self.on_turn: Callable[[], None] = lambda: None
        self._poller = poller
        self._send = send
        self._presence = presence
        self._notify = notify
        self._wall = wall
        self._clock = clock
        self._ready = threading.Event()
        self._crier = Crier()
        self._board: Board | None = None
        #: What of this panel's own code failed; None once all of it was shown again.
        self._fault: Fault | None = None
        self._paused = False
        self._over = ""
        self._closed = False
        self._orders: set[str] = set()
        self._acts: tuple[Act, ...] = ()
        self._sent: deque[float] = deque(maxlen=_MOST_SENT)
        self._behind = False
        self._timers: list[Any] = []
        self._opened_seq = 0
        self._hello = False
        self._turn: tuple[Any, ...] = ()
        self._beats = False
        #: Who waits for a look that began after a moment, by the poller's clock.
        self._awaited: list[tuple[float, Callable[[], object]]] = []
        self._plots = Plots(
            poller,
            rows=lambda: self.state.content.tables.get("checkpoints", {}),
            frame=self.frame,
            give=self._give,
            measure=measure,
            curves=curves,
            time_zone=time_zone,
            clock=clock,
        )
        self._sub = poller.subscribe(view.needs, self._news, attention=Attention.WATCHED)
        self._post(self._attend)

    # Read by any thread.

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait until every listing came once, or the first one failed."""
        return self._ready.wait(seconds)

    def snapshot(self, most_rows: int | None = None) -> Snapshot:
        """Return everything that is shown now, with at most so many rows a table."""
        state = self.state
        return Snapshot(
            seq=state.seq,
            now=self._now(),
            view=self.view.name,
            title=self.view.title,
            line=self.view.line,
            tables=tables_of(state.content, most_rows),
            facts=list(state.content.facts),
            run=state.content.run,
            health=state.health,
            notices=list(state.notices),
            acts=list(state.acts),
            notify=self._notify,
            ready=state.ready,
        )

    def opening(self) -> dict[str, Any]:
        """Return the snapshot that travels with the widget."""
        found = self.snapshot(ROWS_AT_OPENING)
        self._opened_seq = found.seq
        return plain(found)

    def frame(self) -> pd.DataFrame | None:
        """Return the newest data as a frame; None when none came yet."""
        board = self._board
        return None if board is None or not board.known(self.view.needs[0]) else self.view.frame(board)

    # Called from any thread; done on the writer's.

    def hear(self, content: Any) -> None:
        """Take a message of a page in; what is not one is left alone."""
        try:
            message = msgspec.convert(content, FromPage)
        except (msgspec.ValidationError, TypeError):
            return
        self._post(lambda: self._heard(message))

    def shown(self) -> None:
        """Take in that a view was put on a page, which may not be able to answer for a while."""
        for seconds in _UNASKED_SECONDS:
            self._later(seconds, self._send_unasked)

    @property
    def is_watched(self) -> bool:
        """Whether a page that has spoken may be showing the panel."""
        return self._hello and self._presence.is_seen()

    @property
    def can_look(self) -> bool:
        """Whether another look may show anything else: not when all has ended, it is paused, or the service does not answer."""
        return not self._closed and self.state.health.state in {"starting", "live"}

    def look_again(self, then: Callable[[], object]) -> None:
        """Look now; any thread may call it.

        Parameters
        ----------
        then
            Called on the poller's thread when all that is shown is from requests that were made after this call, or when they failed.
        """
        moment = self._poller.now

        def begin() -> None:
            self._awaited.append((moment, then))
            self._sub.refresh()

        self._post(begin)

    def wait_for_look(self, seconds: float) -> bool:
        """Look now, and wait until it is shown, but not for longer; tell whether it is.  Not for the poller's thread."""
        came = threading.Event()
        self.look_again(came.set)
        return came.wait(seconds)

    def pause(self, *, on: bool) -> None:
        """Stop looking, or go on."""
        self._post(lambda: self._pause(on=on))

    def refresh(self) -> None:
        """Look now."""
        self._post(self._refresh)

    def failed(self, doing: str, error: Exception) -> None:
        """Record a fault of this panel's own code and show it, until all is shown again.  Any thread may call it.

        Parameters
        ----------
        doing
            What failed, as words that go on after "while".
        error
            What was raised.
        """
        fault = faults.record(_LOG, doing, error)
        self._post(lambda: self._show_fault(fault))

    def close(self, why: str = "") -> None:
        """Stop for good; nothing is sent afterwards."""
        self._closed = True
        self._sub.close()
        self._plots.close()
        for timer in self._timers:
            timer.cancel()
        self.state = replace(self.state, health=msgspec.structs.replace(self.state.health, state="over", reason=why, hint=""))

    # On the writer's thread.

    def _post(self, do: Callable[[], None]) -> None:
        if not self._closed:
            self._poller.post(lambda: self._safely(do))

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        self._timers.append(self._poller.call_later(seconds, lambda: self._safely(do)))

    def _safely(self, do: Callable[[], None]) -> None:
        """Do something, unless the panel is closed; a fault in it becomes the panel's state, or old rows would look like new ones."""
        if self._closed:
            return
        try:
            do()
        except Exception as error:  # noqa: BLE001 - whatever it is, the panel says so
            self._show_fault(faults.record(_LOG, f"showing the panel {self.view.title!r}", error))

    def _show_fault(self, fault: Fault) -> None:
        self._fault = fault
        self._show_health()
        self._ready.set()

    def _show_health(self) -> None:
        """Send how fresh the data is, and nothing of what may have failed."""
        old = self.state
        new = replace(old, health=self._health())
        change = difference(old, new, self._now())
        if says_something(change):
            self.state = replace(new, seq=change.seq)
            self._give(change)

    def _news(self, board: Board, changed: bool) -> None:  # noqa: FBT001 - called by position
        def take_in() -> None:
            self._board = board
            self._update(recompose=changed or not self.state.ready or self._fault is not None, looked=True)
            self._call_awaited(board)

        self._safely(take_in)

    def _call_awaited(self, board: Board) -> None:
        is_failing = self.state.health.state == "failing"
        came = [then for moment, then in self._awaited if is_failing or board.is_since(moment)]
        self._awaited = [] if is_failing else [(moment, then) for moment, then in self._awaited if not board.is_since(moment)]
        for then in came:
            then()

    def _heard(self, message: FromPage) -> None:
        match message:
            case Hello(view=view, have=have):
                self._presence.saw(view, visible=True)
                self._hello = True
                self._answer(have)
            case Seen(view=view, visible=visible):
                self._presence.saw(view, visible=visible)
            case Gone(view=view):
                self._presence.gone(view)
                self._plots.show(view, None)
            case Draw(view=view, plot=plot, measure=measure):
                self._draw(view, plot, measure=measure)
            case Resync():
                self._give(self.snapshot())
            case Pause(on=on):
                self._pause(on=on)
            case Refresh():
                self._refresh()
            case Order():
                self._carry_out(message)
        self._attend()

    def _draw(self, view: str, plot: PlotName | None, *, measure: bool) -> None:
        if "checkpoints" in self.state.content.tables:
            self._plots.show(view, plot)
            if measure:
                self._plots.measure()

    def _answer(self, have: int | None) -> None:
        whole = all(len(rows) <= ROWS_AT_OPENING for rows in self.state.content.tables.values())
        if have == self.state.seq and whole:
            self._give(self._tick())
        else:
            self._give(self.snapshot())

    def _send_unasked(self) -> None:
        if self._hello:
            return
        whole = all(len(rows) <= ROWS_AT_OPENING for rows in self.state.content.tables.values())
        if not whole or self.state.seq != self._opened_seq:
            self._give(self.snapshot())

    def _pause(self, *, on: bool) -> None:
        self._paused = on
        if not on:
            self._over = ""
        self._attend()
        self._update(recompose=False, looked=False)
        if not on:
            self._sub.refresh()

    def _refresh(self) -> None:
        self._over = ""
        self._attend()
        self._sub.refresh()

    def _attend(self) -> None:
        if self._paused or self._over:
            wanted = Attention.ASLEEP
        elif self._presence.is_seen():
            wanted = Attention.WATCHED
        else:
            wanted = Attention.HEARTBEAT if self._notify else Attention.ASLEEP
        if self._sub.attention is not wanted:
            self._sub.attention = wanted
        if wanted is not Attention.ASLEEP and not self._beats:
            self._beats = True
            self._later(HEARTBEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._beats = False
        self._timers = [timer for timer in self._timers if timer.is_pending]
        # Where nothing is looked at nobody waits for a sign of life: the timer starts again with the looking.
        self._attend()
        if self._sub.attention is not Attention.ASLEEP:
            self._show_health()
            self._give(self._tick())

    def _tick(self) -> Tick:
        return Tick(seq=self.state.seq, now=self._now(), looked_at=self.state.health.looked_at)

    def _update(self, *, recompose: bool, looked: bool) -> None:
        """Make the next version, and send what is different from the last one, or a tick when nothing is."""
        old, board, now = self.state, self._board, self._now()
        content, notices, ready = old.content, old.notices, old.ready
        if board is not None and recompose:
            content = self.view.compose(board, now)
            self._fault = None
            ready = all(board.known(need) for need in self.view.needs)
            if ready:
                # Before that, a half whose listing comes a moment later would look like one that has just ended.
                notices = self._crier.look(self.view.troubles(board), now)
            if content.over and ready:
                self._over = content.over
        health = self._health()
        if ready or health.state == "failing":
            self._ready.set()
        new = replace(old, content=content, health=health, notices=notices, acts=self._acts, ready=ready)
        change = difference(old, new, now)
        if says_something(change):
            self._step(new, change)
        else:
            # The time of the look is no new version, but a page that opens now shall have it.
            self.state = new
            if looked:
                self._give(self._tick())
        if self._over:
            self._attend()

    def _step(self, new: State, change: Change) -> None:
        moment = self._clock()
        # A report that waits for the newest state cannot wait for the pages as well.
        if len(self._sent) == _MOST_SENT and moment - self._sent[0] < _SENT_SECONDS and not self._awaited:
            # Too fast for a page to follow: one message later says all of it.
            if not self._behind:
                self._behind = True
                self._later(_SENT_SECONDS - (moment - self._sent[0]), self._catch_up)
            return
        self._behind = False
        self._sent.append(moment)
        self.state = replace(new, seq=change.seq)
        self._give(change)
        if "checkpoints" in change.tables:
            self._plots.rows_changed()
        turn = (new.notices, new.content.run and new.content.run.timeline, new.ready, new.health.state, new.content.facts)
        if turn != self._turn:
            self._turn = turn
            self.on_turn()

    def _catch_up(self) -> None:
        if self._behind:
            # The timer may have come a moment early: then it is set again.
            self._behind = False
            self._update(recompose=True, looked=False)

    def _health(self) -> Health:
        fault = self._fault or self._poller.trouble
        if fault is not None:
            at = round(fault.at * 1000)
            return msgspec.structs.replace(
                self.state.health, state="failing", since=at, next_at=None, reason=fault.reason, hint=faults.HINT
            )
        found = self._board.health(self.view.needs) if self._board is not None else None
        health = (
            Health(state="starting")
            if found is None
            else Health(
                state=found.state,
                looked_at=found.looked_at,
                every=found.every,
                since=found.since,
                next_at=found.next_at,
                reason=found.reason,
                # A panel keeps the key that it was opened with.
                hint=f"{found.hint} Then run this cell again." if "%loops login" in found.hint else found.hint,
            )
        )
        if self._over:
            return msgspec.structs.replace(health, state="over", reason=self._over, hint="", since=None, next_at=None)
        if self._paused:
            return msgspec.structs.replace(health, state="paused", since=None, next_at=None)
        return health

    def _carry_out(self, order: Order) -> None:
        if order.id in self._orders:
            return
        self._orders.add(order.id)
        act = Act(id=order.id, what=order.what, table=order.table, target=order.target, state="doing")
        if order.table not in _DEACTIVATE:
            self._acted(msgspec.structs.replace(act, state="failed", text="Checkpoints cannot be deactivated."))
            return
        try:
            call = _DEACTIVATE[order.table](order.target)
        except LoopsError as error:
            self._acted(msgspec.structs.replace(act, state="failed", text=str(error)))
            return
        self._acted(act)

        def done(outcome: object) -> None:
            if self._closed:
                return
            if isinstance(outcome, Exception):
                self._acted(msgspec.structs.replace(act, state="failed", text=str(outcome)))
            else:
                self._acted(msgspec.structs.replace(act, state="done", text="Deactivation accepted; checkpoints stay."))

        self._poller.act(call, done)

    def _acted(self, act: Act) -> None:
        self._acts = (act, *(former for former in self._acts if former.id != act.id))[:_MOST_ACTS]
        self._update(recompose=False, looked=False)

    def _give(self, message: ToPage) -> None:
        if not self._closed:
            self._send(plain(message))

    def _now(self) -> float:
        return round(self._wall() * 1000)


def difference(old: State, new: State, now: float) -> Change:
    """Return the message that turns one state into the next; the time of the newest look alone is told by ticks."""
    before = msgspec.structs.replace(old.health, looked_at=new.health.looked_at)
    told = {notice.id for notice in old.notices}
    return Change(
        base=old.seq,
        seq=old.seq + 1,
        now=now,
        tables=table_changes(old.content, new.content),
        facts=list(new.content.facts) if new.content.facts != old.content.facts else None,
        run=new.content.run if new.content.run != old.content.run else None,
        health=new.health if new.health != before else None,
        notices=[notice for notice in new.notices if notice.id not in told] or None,
        acts=list(new.acts) if new.acts != old.acts else None,
        ready=new.ready if new.ready != old.ready else None,
    )


def says_something(change: Change) -> bool:
    """Tell whether a change changes anything."""
    parts = (change.facts, change.run, change.health, change.notices, change.acts, change.ready)
    return bool(change.tables) or any(part is not None for part in parts)
