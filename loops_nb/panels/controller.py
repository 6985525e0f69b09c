"""Panel controller: versioned state, deltas to the page, no widget.

Everything that changes the state runs on the poller's thread, the one writer. Any thread may read
`PanelController.state`, which is replaced as a whole.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace as replace_fields

from loops_nb import faults
from loops_nb.client import checks
from loops_nb.client.deletion_notices import DELETION_NOTICES
from loops_nb.client.operations import deployments, runs, samplers
from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.live import Health, Priority
from loops_nb.panels.deletion import PlannedDeletions
from loops_nb.panels.deployment import FollowedDeployment, PlannedDeployments
from loops_nb.panels.messages import (
    PLANS,
    Command,
    CommandStatus,
    FromPage,
    Notice,
    PanelChange,
    PanelSnapshot,
    Refresh,
    SelectPlot,
    SelectRuns,
    SetPolling,
)
from loops_nb.panels.notices import Notifier
from loops_nb.panels.outcome import CommandOutcome
from loops_nb.panels.plots import Plots
from loops_nb.panels.protocol import ALL_VIEWS, HEARTBEAT_SECONDS, BaseController, Throttle, as_dict
from loops_nb.panels.view import DashboardContent
from loops_nb.panels.view_model import ViewModel, table_changes, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from loops_nb.api.models import Checkpoint, ModelDeployment
    from loops_nb.client.request import Request
    from loops_nb.faults import Fault
    from loops_nb.live import Poller, Snapshot
    from loops_nb.panels.drift_measurement import Measure
    from loops_nb.panels.inside import PanelInside
    from loops_nb.panels.view import View
    from loops_nb.panels.visibility import Visibility

logger: logging.Logger = logging.getLogger(__name__)
#: Rows of each table in the widget's own state, which is saved with a notebook whose widgets are saved: more than are
#: visible at once, few enough for five panels of a thousand runs in a notebook of 400 kB.
INITIAL_ROWS = 50
#: Where the kernel receives nothing while a cell runs, the state as a whole is sent unrequested after these times.
_UNREQUESTED_SECONDS = (1.0, 3.0)
_MOST_COMMANDS = 10
#: Seconds between two polls of what has ended, while it is visible: it may be deleted, and nothing else.
OVER_SECONDS = 60.0
#: Seconds from a deletion in this process to the poll that shows it.
DELETION_SECONDS = 0.2
_DEACTIVATE = {"runs": runs.deactivate, "samplers": samplers.deactivate, "deployments": deployments.deactivate}


@dataclass(frozen=True, slots=True)
class PanelState:
    """One version of everything that a panel shows."""

    seq: int = 0
    content: ViewModel = field(default_factory=ViewModel)
    health: Health = field(default_factory=lambda: Health(state="starting"))
    notices: tuple[Notice, ...] = ()
    commands: tuple[CommandStatus, ...] = ()
    ready: bool = False


class PanelController(BaseController[FromPage]):
    """The controller of one panel of tables.

    Parameters
    ----------
    view : View
        What the panel shows.
    poller : Poller
        Source of the data; its thread is the panel's writer.
    send : callable
        Sends a message to the pages.
    visibility : Visibility
        Which views are visible.
    notify : bool, default False
        Whether pages may raise a browser notification; then the service is polled now and then while no view is
        visible.
    measure : callable or None, default None
        Measures the drift of checkpoints; None where that is impossible.
    inside : sequence of PanelInside, default ()
        Panels in tabs of this one; as of `Plots`.
    time_zone : str, default "local"
        Time zone of the plots.
    wall, clock : callable
        Epoch seconds, and monotonic seconds.
    """

    def __init__(
        self,
        view: View,
        poller: Poller,
        send: Callable[[dict[str, Any]], None],
        visibility: Visibility,
        *,
        notify: bool = False,
        measure: Measure | None = None,
        inside: Sequence[PanelInside[Any]] = (),
        time_zone: str = "local",
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(send, visibility, FromPage, wall=wall, clock=clock)
        self.view = view
        self.state: PanelState = PanelState()
        #: Called on the poller's thread after a notice or a change of state; for the static report.
        self.on_change: Callable[[], None] = lambda: None
        #: Whether something on this machine changed that the view shows beside the listings; asked at each heartbeat.
        self.has_local_news: Callable[[], bool] = lambda: False
        self._poller = poller
        self._notify = notify
        self._ready = threading.Event()
        self._notifier = Notifier()
        self._live_snapshot: Snapshot | None = None
        #: An error of the panel's own code; None once everything was composed again.
        self._fault: Fault | None = None
        self._paused = False
        #: Why nothing can change any more; empty while it can.
        self._over = ""
        self._command_ids: set[tuple[str, str]] = set()
        self._deletions = PlannedDeletions(poller.config)
        self._deployments = PlannedDeployments(poller.config)
        self._commands: tuple[CommandStatus, ...] = ()
        self._throttle = Throttle(clock)
        self._update_pending = False
        self._timers: list[Any] = []
        self._initial_seq = 0
        self._reported: tuple[Any, ...] = ()
        self._heartbeat_scheduled = False
        #: Callbacks that wait for data that was requested after a moment, by the poller's clock.
        self._waiting: list[tuple[float, Callable[[], object]]] = []
        self._plots = Plots(
            poller,
            rows=lambda: self.state.content.tables.get("checkpoints", {}),
            frame=self.checkpoints_frame,
            give=self._send,
            measure=measure,
            inside=inside,
            time_zone=time_zone,
            clock=clock,
        )
        self._subscription = poller.subscribe(view.queries, self._on_news, priority=Priority.VISIBLE)
        self._deletion_pending = False
        self._refreshed_over_at = self._clock()
        DELETION_NOTICES.listen(poller.config.address.url, self._on_deletion)
        self._post(self._set_priority)

    # Read by any thread.

    def wait_until_ready(self, seconds: float) -> bool:
        """Wait until every listing arrived once, or the first one failed; return whether it did."""
        return self._ready.wait(seconds)

    def snapshot(self, most_rows: int | None = None) -> PanelSnapshot:
        """Return everything that is shown now, with at most so many rows of each table."""
        state = self.state
        return PanelSnapshot(
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
            commands=list(state.commands),
            notify=self._notify,
            ready=state.ready,
            selected_runs=None if state.content.selected_runs is None else list(state.content.selected_runs),
            curves=self.view.curves if isinstance(self.view, DashboardContent) else None,
        )

    def initial_state(self) -> dict[str, Any]:
        found = self.snapshot(INITIAL_ROWS)
        self._initial_seq = found.seq
        return as_dict(found)

    def frame(self) -> pd.DataFrame | None:
        """Return the newest data as a frame; None before any arrived."""
        live_snapshot = self._live_snapshot
        return (
            None
            if live_snapshot is None or not live_snapshot.is_known(self.view.queries[0])
            else self.view.frame(live_snapshot)
        )

    def checkpoints_frame(self) -> pd.DataFrame | None:
        """Return the checkpoints that are shown as a frame; None before any arrived."""
        if self._live_snapshot is not None and isinstance(self.view, DashboardContent):
            return self.view.checkpoints_frame(self._live_snapshot)
        return self.frame()

    # Called from any thread; done on the writer's.

    def displayed(self) -> None:
        """Take in that a view was put on a page; the kernel may not receive its messages for a while."""
        for seconds in _UNREQUESTED_SECONDS:
            self._later(seconds, self._send_unrequested)

    @property
    def is_watched(self) -> bool:
        """Whether a page that has sent a message may be showing the panel."""
        return self._heard_page and self._visibility.is_seen()

    @property
    def can_refresh(self) -> bool:
        """Whether a poll may bring anything: not when all has ended, while it is paused, or while the service fails."""
        return not self._closed and self.state.health.state in {"starting", "live"}

    def refresh_then(self, callback: Callable[[], object]) -> None:
        """Poll now; any thread may call it.

        Parameters
        ----------
        callback : callable
            Called on the poller's thread when everything shown is from requests that were made after this call, or
            when they failed.
        """
        moment = self._poller.now

        def begin() -> None:
            self._waiting.append((moment, callback))
            self._subscription.refresh()

        self._post(begin)

    def refresh_and_wait(self, seconds: float) -> bool:
        """Poll now, wait at most so long until it is shown, and return whether it is.  Not for the poller's thread."""
        arrived = threading.Event()
        self.refresh_then(arrived.set)
        return arrived.wait(seconds)

    def set_paused(self, *, paused: bool) -> None:
        """Pause the polling, or resume it."""
        self._post(lambda: self._set_paused(paused=paused))

    def refresh(self) -> None:
        """Poll now."""
        self._post(self._refresh)

    def select_runs(self, ids: Sequence[str]) -> None:
        """Narrow a dashboard to these runs; to none, for all.  For any thread."""
        self._post(lambda: self._select_runs(ids))

    def recompose(self, then: Callable[[], object] = lambda: None) -> None:
        """Compose again, because something that the view shows beside the listings changed.  For any thread.

        Parameters
        ----------
        then : callable, optional
            Called afterwards, on the poller's thread.
        """

        def update() -> None:
            self._update(recompose=True, polled=False)
            then()

        self._post(update)

    def report_fault(self, doing: str, error: Exception) -> None:
        """Record an error of this panel's own code and show it until everything was composed again.  For any thread.

        Parameters
        ----------
        doing : str
            What failed, in words that go on after "while".
        error : Exception
            What was raised.
        """
        fault = faults.record(logger, doing, error)
        self._post(lambda: self._show_fault(fault))

    def close(self, reason: str = "") -> None:
        self._closed = True
        self._subscription.close()
        self._plots.close()
        for timer in self._timers:
            timer.cancel()
        health = replace_fields(self.state.health, state="over", reason=reason, hint="")
        self.state = replace(self.state, health=health)

    # On the writer's thread.

    def _enqueue(self, message: Any) -> None:
        def handle() -> None:
            was_seen = self._visibility.is_seen()
            self._handle(message)
            self._set_priority()
            is_due = not was_seen or self._clock() - self._refreshed_over_at >= OVER_SECONDS
            if self._over and self._visibility.is_seen() and is_due:
                # What has ended is not polled, but it may have been deleted meanwhile.
                self._refreshed_over_at = self._clock()
                self._subscription.refresh()

        self._post(handle)

    def _on_deletion(self) -> None:
        """Take in that this process deleted something; for any thread."""
        self._post(self._expect_deletion)

    def _expect_deletion(self) -> None:
        if self._paused or self._deletion_pending:
            return
        # Many deletions that follow each other are looked at together.
        self._deletion_pending = True
        self._later(DELETION_SECONDS, self._look_after_deletion)

    def _look_after_deletion(self) -> None:
        self._deletion_pending = False
        if self._over or self._subscription.priority is not Priority.NONE:
            self._subscription.refresh()

    def _post(self, action: Callable[[], None]) -> None:
        if not self._closed:
            self._poller.post(lambda: self._guarded(action))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._timers.append(self._poller.call_later(seconds, lambda: self._guarded(action)))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something unless the panel is closed; an error becomes its state, or old rows would pass for new."""
        if self._closed:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - any error is shown in the panel
            self._show_fault(faults.record(logger, f"showing the panel {self.view.title!r}", error))

    def _show_fault(self, fault: Fault) -> None:
        self._fault = fault
        self._send_health()
        self._ready.set()

    def _send_health(self) -> None:
        """Send how fresh the data is, and nothing else: composing may have failed."""
        old = self.state
        new = replace(old, health=self._health())
        change = difference(old, new, self._now())
        if has_changes(change):
            self.state = replace(new, seq=change.seq)
            self._send(change)

    def _on_news(self, live_snapshot: Snapshot, changed: bool) -> None:  # noqa: FBT001 - called by position
        def take_in() -> None:
            self._live_snapshot = live_snapshot
            self._update(recompose=changed or not self.state.ready or self._fault is not None, polled=True)
            self._call_waiting(live_snapshot)

        self._guarded(take_in)

    def _call_waiting(self, live_snapshot: Snapshot) -> None:
        is_failing = self.state.health.state == "failing"
        due = [callback for moment, callback in self._waiting if is_failing or live_snapshot.is_since(moment)]
        if is_failing:
            self._waiting = []
        else:
            self._waiting = [waiting for waiting in self._waiting if not live_snapshot.is_since(waiting[0])]
        for callback in due:
            callback()

    def _open_view(self, view: str, have: int | None) -> None:  # noqa: ARG002 - all views show the same
        if have == self.state.seq and self._fits_initial_state():
            self._send_heartbeat()
        else:
            self._resend(ALL_VIEWS)

    def _close_view(self, view: str) -> None:
        self._plots.show(view, None)

    def _resend(self, stream: str) -> None:  # noqa: ARG002 - there is one stream
        self._send(self.snapshot())

    def _handle_request(self, message: FromPage) -> None:
        match message:
            case SelectPlot(view=view, plot=plot, measure=measure):
                if "checkpoints" in self.state.content.tables:
                    self._plots.show(view, plot)
                    if measure:
                        self._plots.measure()
            case SelectRuns(ids=ids):
                self._select_runs(ids)
            case SetPolling(paused=paused):
                self._set_paused(paused=paused)
            case Refresh():
                self._refresh()
            case Command():
                self._run_command(message)

    def _select_runs(self, ids: Sequence[str]) -> None:
        if isinstance(self.view, DashboardContent):
            seq = self.state.seq
            self.view.select_runs(ids)
            self._update(recompose=True, polled=False)
            if self.state.seq == seq:
                # Runs that are not listed are not kept: a page that waits for them is told what there is.
                self._resend(ALL_VIEWS)

    def _fits_initial_state(self) -> bool:
        return all(len(rows) <= INITIAL_ROWS for rows in self.state.content.tables.values())

    def _send_unrequested(self) -> None:
        if not self._heard_page and (not self._fits_initial_state() or self.state.seq != self._initial_seq):
            self._resend(ALL_VIEWS)

    def _set_paused(self, *, paused: bool) -> None:
        self._paused = paused
        if not paused:
            self._over = ""
        self._set_priority()
        self._update(recompose=False, polled=False)
        if not paused:
            self._subscription.refresh()

    def _refresh(self) -> None:
        self._over = ""
        self._set_priority()
        self._subscription.refresh()

    def _set_priority(self) -> None:
        if self._paused or self._over:
            wanted = Priority.NONE
        elif self._visibility.is_seen():
            wanted = Priority.VISIBLE
        else:
            wanted = Priority.BACKGROUND if self._notify else Priority.NONE
        if self._subscription.priority is not wanted:
            self._subscription.priority = wanted
        if wanted is not Priority.NONE and not self._heartbeat_scheduled:
            self._heartbeat_scheduled = True
            self._later(HEARTBEAT_SECONDS, self._on_heartbeat)

    def _on_heartbeat(self) -> None:
        self._heartbeat_scheduled = False
        self._timers = [timer for timer in self._timers if timer.is_pending]
        # Where nothing is polled no page waits for a heartbeat: the timer starts again with the polling.
        self._set_priority()
        if self._subscription.priority is not Priority.NONE:
            if self.has_local_news():
                self._update(recompose=True, polled=False)
            self._send_health()
            self._send_heartbeat()

    def _seqs(self) -> Mapping[str, int]:
        return {ALL_VIEWS: self.state.seq}

    def _looked_at(self) -> float | None:
        return self.state.health.looked_at

    def _update(self, *, recompose: bool, polled: bool) -> None:
        """Make the next version and send its difference to the last one, or a heartbeat when there is none."""
        old, live_snapshot, now = self.state, self._live_snapshot, self._now()
        content, notices, ready = old.content, old.notices, old.ready
        if live_snapshot is not None and recompose:
            content = self.view.compose(live_snapshot, now)
            self._fault = None
            ready = all(live_snapshot.is_known(query) for query in self.view.queries)
            if ready:
                # Before that, a deployment whose listing arrives a moment later would look like one that has ended.
                notices = self._notifier.look(self.view.announcements(live_snapshot), now)
            if ready:
                was_over, self._over = bool(self._over), content.over
                if was_over and not content.over:
                    self._set_priority()
        health = self._health()
        if ready or health.state == "failing":
            self._ready.set()
        new = replace(old, content=content, health=health, notices=notices, commands=self._commands, ready=ready)
        change = difference(old, new, now)
        if has_changes(change):
            self._advance(new, change)
        else:
            # The time of the poll makes no new version, but a page that opens now shall have it.
            self.state = new
            if polled:
                self._send_heartbeat()
        if self._over:
            self._set_priority()

    def _advance(self, new: PanelState, change: PanelChange) -> None:
        wait = self._throttle.wait()
        # A report that waits for the newest state cannot wait for the pages as well.
        if wait and not self._waiting:
            # One message later has all of what is left out now.
            if not self._update_pending:
                self._update_pending = True
                self._later(wait, self._send_pending)
            return
        self._update_pending = False
        self._throttle.count()
        self.state = replace(new, seq=change.seq)
        self._send(change)
        if "checkpoints" in change.tables:
            self._plots.rows_changed()
        timeline = new.content.run.timeline if new.content.run else None
        reported = (new.notices, timeline, new.ready, new.health.state, new.content.facts)
        if reported != self._reported:
            self._reported = reported
            self.on_change()

    def _send_pending(self) -> None:
        if self._update_pending:
            # The timer may have fired a moment early: then it is set again.
            self._update_pending = False
            self._update(recompose=True, polled=False)

    def _health(self) -> Health:
        fault = self._fault or self._poller.current_fault
        if fault is not None:
            at = round(fault.at * 1000)
            return replace_fields(
                self.state.health, state="failing", since=at, next_at=None, reason=fault.reason, hint=faults.HINT
            )
        health = (
            Health(state="starting") if self._live_snapshot is None else self._live_snapshot.health(self.view.queries)
        )
        if "%loops login" in health.hint:
            # A panel keeps the key that it was opened with.
            health = replace_fields(health, hint=f"{health.hint} Then run this cell again.")
        if self._over:
            return replace_fields(health, state="over", reason=self._over, hint="", since=None, next_at=None)
        if self._paused:
            return replace_fields(health, state="paused", since=None, next_at=None)
        return health

    def _run_command(self, command: Command) -> None:
        if (command.id, command.what) in self._command_ids:
            return
        self._command_ids.add((command.id, command.what))
        status = CommandStatus(
            id=command.id, what=command.what, table=command.table, target=command.target, state="running"
        )

        def done(outcome: object) -> None:
            if self._closed:
                return
            if isinstance(outcome, FollowedDeployment):
                self._follow(status, outcome)
            else:
                self._set_command(status, _outcome_of(command, outcome))
            if command.what not in PLANS and (self._over or self._paused):
                # What was changed from here is seen here, although nothing is polled.
                self._refresh()

        try:
            start = self._starter(command)
        except LoopsError as error:
            done(error)
            return
        self._set_command(status, CommandOutcome("running", ""))
        start(done)

    def _starter(self, command: Command) -> Callable[[Callable[[object], None]], None]:
        """Return what starts a command on another thread and passes on its outcome; raise if it cannot be done."""
        match command.what:
            case "deactivate":
                return partial(self._poller.send_and_refresh, _deactivation(command))
            case "plan_deletion":
                plan = partial(self._deletions.plan, command.id, self._deleted_thing(command))
                return partial(self._poller.run_in_background, plan)
            case "delete":
                return partial(self._poller.run_and_refresh, partial(self._deletions.execute, command.id))
            case "plan_deployment":
                plan = partial(self._deployments.plan, command.id, self._listed_checkpoint(command))
                return partial(self._poller.run_in_background, plan)
            case "deploy":
                deploy = partial(self._deployments.execute, command.id, hardware=command.hardware, name=command.name)
                return partial(self._poller.run_in_background, deploy)

    def _follow(self, status: CommandStatus, followed: FollowedDeployment) -> None:
        """Show the states of a new model until it can be called, has failed, or the panel is closed."""

        def take_in(answer: ModelDeployment | LoopsError) -> None:
            seconds = followed.look(answer)
            self._set_command(status, followed.outcome)
            if seconds is not None:
                self._later(seconds, look)

        def look() -> None:
            self._poller.send(followed.request(), lambda answer: self._guarded(partial(take_in, answer)))

        self._set_command(status, followed.outcome)
        look()

    def _deleted_thing(self, command: Command) -> str | Checkpoint:
        """Return the id of a run, or the checkpoint that is shown with an id."""
        table, target = command.table, command.target
        if table == "runs":
            return checks.identifier("run_id", target)
        if table != "checkpoints":
            raise InvalidArgumentError("Only runs and checkpoints can be deleted.", argument="table")
        return self._listed_checkpoint(command)

    def _listed_checkpoint(self, command: Command) -> Checkpoint:
        if command.table != "checkpoints":
            raise InvalidArgumentError("Only checkpoints can be deployed.", argument="table")
        if self._live_snapshot is not None:
            for query in self.view.queries:
                found = self._live_snapshot.checkpoints(query).get(command.target)
                if found is not None:
                    return found
        raise InvalidArgumentError("This checkpoint is not listed any more.", argument="target")

    def _set_command(self, status: CommandStatus, outcome: CommandOutcome) -> None:
        status = replace_fields(status, **outcome._asdict())
        others = (other for other in self._commands if other.id != status.id)
        self._commands = (status, *others)[:_MOST_COMMANDS]
        self._update(recompose=False, polled=False)


def _deactivation(command: Command) -> Request[Any]:
    if command.table not in _DEACTIVATE:
        raise InvalidArgumentError("Checkpoints cannot be deactivated.", argument="table")
    return _DEACTIVATE[command.table](command.target)


def _outcome_of(command: Command, outcome: object) -> CommandOutcome:
    if isinstance(outcome, CommandOutcome):
        return outcome
    if isinstance(outcome, Exception):
        return CommandOutcome("failed", str(outcome), _unchanged(command, str(outcome)))
    return CommandOutcome("done", "Deactivation accepted; checkpoints stay.")


def _unchanged(command: Command, reason: str) -> str:
    """Return that a plan changed nothing, if its error does not say that itself."""
    remark = {"plan_deletion": "Nothing was deleted.", "plan_deployment": "Nothing was deployed."}.get(command.what, "")
    return "" if remark in reason else remark


def difference(old: PanelState, new: PanelState, now: float) -> PanelChange:
    """Return the message that turns one state into the next; heartbeats alone carry the time of the newest poll."""
    before = replace_fields(old.health, looked_at=new.health.looked_at)
    known = {notice.id for notice in old.notices}
    return PanelChange(
        base=old.seq,
        seq=old.seq + 1,
        now=now,
        tables=table_changes(old.content, new.content),
        facts=list(new.content.facts) if new.content.facts != old.content.facts else None,
        run=new.content.run if new.content.run != old.content.run else None,
        health=new.health if new.health != before else None,
        notices=[notice for notice in new.notices if notice.id not in known] or None,
        commands=list(new.commands) if new.commands != old.commands else None,
        ready=new.ready if new.ready != old.ready else None,
        selected_runs=_new_selection(old.content, new.content),
    )


def _new_selection(old: ViewModel, new: ViewModel) -> list[str] | None:
    if new.selected_runs is None or new.selected_runs == old.selected_runs:
        return None
    return list(new.selected_runs)


def has_changes(change: PanelChange) -> bool:
    """Return whether a change changes anything."""
    parts = (
        change.facts,
        change.run,
        change.health,
        change.notices,
        change.commands,
        change.ready,
        change.selected_runs,
    )
    return bool(change.tables) or any(part is not None for part in parts)
