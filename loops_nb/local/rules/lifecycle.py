"""State machines of runs, deployments and samplers: the status follows from recorded events and the clock.

A run, a deployment and a sampler each have a list of events ("created", "activity", "deactivated", ...).  What they are
now, and what they were at any earlier time, is computed from that list, so a restart of the service continues where it
was.

Each event carries the pace at which time ran when it was recorded (``--speed``).  The steps that it starts take
``seconds / pace``, so that a restart with another speed never rewrites the past.  "held" stops what is planned (waiting
for capacity, for instance) until the next event; so does "queued", which the service itself ends when a trainer is
free.

Delays before scaling to zero last as long as was asked for up to the default speed, so that a quick start does not mean
that a training loop falls asleep between two steps; at a higher pace they shrink in proportion.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct

from loops_nb.api.states import DEPLOYMENT_TERMINAL, RUN_TERMINAL, SAMPLER_TERMINAL
from loops_nb.local.settings import DEFAULT_SPEED
from loops_nb.local.store.records import DeploymentRecord, Event, RunRecord, SamplerRecord, StatefulRecord

Step = tuple[str, float]
#: Events that say something and change nothing.
REMARKS = frozenset({"remark", "trouble"})


class StateChange(NamedTuple):
    """From ``at`` (epoch milliseconds) on, the subject has this state; ``note`` is that of the event behind it."""

    at: int
    state: str
    note: str


class StateMachine(Struct, frozen=True, kw_only=True):
    """The states of one kind of subject, and how long each step takes in seconds.

    Parameters
    ----------
    boot : tuple
        Steps from creation to ``up``.
    up : str
        The state of being ready.
    asleep : str, optional
        The state after the idle delay; None for what never sleeps.
    waking : tuple, optional
        Steps from ``asleep`` to ``up`` when there is activity.
    updating : tuple, optional
        Steps that an "updated" event takes ``up`` through.
    broken : str, optional
        The recoverable state of an "unhealthy" event; "recovered" ends it.
    ends : mapping
        Event kind to the steps it takes and the last state.
    terminal : set of str
        States that no event leaves but "started".
    """

    boot: tuple[Step, ...]
    up: str
    asleep: str | None = None
    waking: tuple[Step, ...] = ()
    updating: tuple[Step, ...] = ()
    broken: str | None = None
    ends: Mapping[str, tuple[tuple[Step, ...], str]]
    terminal: frozenset[str]


RUN = StateMachine(
    boot=(),
    up="ACTIVE",
    ends=dict.fromkeys(("deactivated", "replaced", "failed", "preempted"), ((), "INACTIVE")),
    terminal=RUN_TERMINAL,
)
DEPLOYMENT = StateMachine(
    boot=(("CREATED", 2.0), ("DEPLOYING", 20.0)),
    up="RUNNING",
    asleep="SCALED_TO_ZERO",
    waking=(("DEPLOYING", 10.0),),
    ends={"deactivated": ((), "STOPPED"), "failed": ((), "FAILED"), "preempted": ((), "PREEMPTED")},
    terminal=DEPLOYMENT_TERMINAL,
)
SAMPLER = StateMachine(
    boot=(("BUILDING", 4.0), ("DEPLOYING", 6.0), ("LOADING_MODEL", 10.0)),
    up="ACTIVE",
    asleep="SCALED_TO_ZERO",
    waking=(("WAKING_UP", 8.0),),
    updating=(("UPDATING", 4.0),),
    broken="UNHEALTHY",
    ends={
        "deactivated": ((("DEACTIVATING", 3.0),), "INACTIVE"),
        "build_failed": ((), "BUILD_FAILED"),
        "build_stopped": ((), "BUILD_STOPPED"),
        "deploy_failed": ((), "DEPLOY_FAILED"),
        "failed": ((), "FAILED"),
    },
    terminal=SAMPLER_TERMINAL,
)
#: Shared capacity: there at once, never idle.
SERVERLESS_SAMPLER = StateMachine(boot=(), up="ACTIVE", ends=SAMPLER.ends, terminal=SAMPLER_TERMINAL)


def state_machine(record: StatefulRecord) -> StateMachine:
    """Return the states that a record can have."""
    if isinstance(record, RunRecord):
        return RUN
    if isinstance(record, DeploymentRecord):
        return DEPLOYMENT
    if isinstance(record, SamplerRecord) and record.model_id is None:
        return SERVERLESS_SAMPLER
    return SAMPLER


def history(machine: StateMachine, events: Iterable[Event], now: int) -> list[StateChange]:
    """Return every change of state up to now, oldest first.

    Parameters
    ----------
    machine : StateMachine
        The kind of the subject.
    events : iterable of Event
        Its events in the order in which they were recorded.
    now : int
        Epoch milliseconds; a clock that went back behind the last event counts as standing at that event.
    """
    return _replay(machine, events, now).changes


class ComputedState(NamedTuple):
    """A computed state.

    It holds until ``until`` (epoch milliseconds, None for good) if nothing else happens.  ``queued`` tells that it
    waits until the service has room.
    """

    state: str
    until: int | None
    idle_ms: float
    queued: bool


def compute_state(machine: StateMachine, events: Iterable[Event], now: int) -> ComputedState:
    """Return the status now, and what is known of its end.

    Raises
    ------
    ValueError
        If there is no event at all.
    """
    replay = _replay(machine, events, now)
    if not replay.changes:
        raise ValueError("without an event there is no status")
    until = None
    if replay.planned:
        until = replay.planned[0].at
    return ComputedState(replay.state, until, _idle_ms(replay.idle_after or 0, replay.pace), replay.queued)


def status(machine: StateMachine, events: Iterable[Event], now: int) -> str:
    """Return the state now (see `history`).

    Raises
    ------
    ValueError
        If there is no event at all.
    """
    return compute_state(machine, events, now).state


def _idle_ms(seconds: int, pace: float) -> float:
    if pace >= 1:
        pace = max(1.0, pace / DEFAULT_SPEED)
    return seconds * 1000 / pace


def _replay(machine: StateMachine, events: Iterable[Event], now: int) -> _Replay:
    replay = _Replay(machine)
    for event in events:
        replay.pass_time(event.at)
        replay.take(event)
        now = max(now, event.at)
    replay.pass_time(now)
    return replay


class _Replay:
    def __init__(self, machine: StateMachine) -> None:
        self.machine = machine
        self.queued = False
        self.changes: list[StateChange] = []
        self.planned: list[StateChange] = []
        self.idle_after: int | None = None
        self.pace = 1.0

    @property
    def state(self) -> str:
        if not self.changes:
            return ""
        return self.changes[-1].state

    @property
    def under_way(self) -> dict[str, tuple[Step, ...]]:
        """What follows each state on the way up."""
        ways = (self.machine.updating, self.machine.waking, self.machine.boot)
        return {way[index][0]: way[index + 1 :] for way in ways for index in range(len(way))}

    def pass_time(self, until: int) -> None:
        while self.planned and self.planned[0].at <= until:
            change = self.planned.pop(0)
            self.enter(change)

    def enter(self, change: StateChange) -> None:
        self.changes.append(change)
        if change.state == self.machine.up:
            self.plan_sleep(change.at)

    def plan_sleep(self, since: int) -> None:
        if self.machine.asleep is not None and self.idle_after is not None:
            at = since + round(_idle_ms(self.idle_after, self.pace))
            self.planned = [StateChange(at, self.machine.asleep, "no activity")]

    def plan(self, at: int, steps: tuple[Step, ...], last: str, note: str) -> None:
        self.planned = []
        for state, seconds in steps:
            self.planned.append(StateChange(at, state, note))
            at += round(seconds * 1000 / self.pace)
        self.planned.append(StateChange(at, last, note))

    def take(self, event: Event) -> None:
        machine = self.machine
        if self.state in machine.terminal and event.kind == "started":
            self.pace = event.pace
            self.plan(event.at, machine.boot, machine.up, event.note)
            self.pass_time(event.at)
            return
        if self.state in machine.terminal or event.kind in REMARKS:
            return
        self.queued = event.kind == "queued"
        if event.kind in {"held", "queued"}:
            self.planned = []
            return
        if event.kind in machine.ends:
            steps, last = machine.ends[event.kind]
            if steps and self.state == steps[0][0]:
                return  # already on its way there
            self.pace = event.pace
            self.plan(event.at, steps, last, event.note)
        elif any(self.state == steps[0][0] for steps, _ in machine.ends.values() if steps):
            return
        else:
            self.pace = event.pace
            if event.idle_after_seconds is not None:
                self.idle_after = event.idle_after_seconds
            self.live_on(event)
        self.pass_time(event.at)

    def live_on(self, event: Event) -> None:
        machine = self.machine
        if event.kind == "created":
            self.plan(event.at, machine.boot, machine.up, event.note)
        elif event.kind == "unhealthy" and machine.broken is not None:
            self.plan(event.at, (), machine.broken, event.note)
        elif event.kind == "recovered" and self.state == machine.broken:
            self.plan(event.at, (), machine.up, event.note)
        elif not self.planned and self.state in self.under_way:
            self.plan(event.at, self.under_way[self.state], machine.up, event.note)
        elif self.state == machine.asleep:
            self.plan(event.at, machine.waking, machine.up, event.note)
        elif self.state == machine.up and event.kind == "updated" and machine.updating:
            self.plan(event.at, machine.updating, machine.up, event.note)
        elif self.state == machine.up:
            self.plan_sleep(event.at)
