"""What every rule and every route works with: the store, the clock, the signer, and the status of things."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

from loops_nb.errors import one_line
from loops_nb.local import lifecycle
from loops_nb.local.lifecycle import DEPLOYMENT, RUN, SAMPLER, SERVERLESS_SAMPLER, Change, Event, Machine
from loops_nb.local.presign import Signer
from loops_nb.local.problems import Problem, not_found
from loops_nb.local.records import DeploymentRecord, ModelDeploymentRecord, Record, RunRecord, SamplerRecord, SaveRecord, TeamRecord
from loops_nb.local.settings import Settings
from loops_nb.local.store import Store

#: Owner of everything that is created here.
LOCAL_USER = "you@localhost"
DEFAULT_TEAM = "default"
#: Calls in quick succession are one activity; how quick follows from the idle delay.
_RECENT_MS = 1_000

T = TypeVar("T", bound=Record)
Living = RunRecord | DeploymentRecord | SamplerRecord | ModelDeploymentRecord


class _Standing(NamedTuple):
    """A status as it was computed: after which event, and for which time it holds."""

    last: Event
    since: int
    until: float
    state: str
    idle_ms: float
    queued: bool


class Service:
    """One running service, without its HTTP.

    Parameters
    ----------
    settings
        How it was started.
    store
        Its records.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.signer = Signer(store.data_dir)
        #: When the next checkpoint settles or expires, in epoch milliseconds (0: nobody has looked), and those that will.
        self.due = 0
        self.under_way: dict[str, SaveRecord] = {}
        self._standing: dict[str, _Standing] = {}
        if store.get(TeamRecord, DEFAULT_TEAM) is None:
            with store.transaction():
                store.insert(TeamRecord(id=DEFAULT_TEAM, created_at=self.now(), owner=LOCAL_USER, name="Default team", is_default=True))

    def now(self) -> int:
        """Return the time in epoch milliseconds."""
        return self.settings.clock()

    def need(self, kind: type[T], key: str, what: str) -> T:
        """Return the record with an id.

        Raises
        ------
        Problem
            404, if there is none.
        """
        found = self.store.get(kind, key) if key else None
        if found is None:
            raise not_found(what, key[:200])
        return found

    def team(self, key: str) -> TeamRecord:
        """Return a team (see `need`)."""
        return self.need(TeamRecord, key, "team")

    def happened(self, thing: Living, kind: str, *, note: str = "", idle_after_seconds: int | None = None, at: int | None = None) -> None:
        """Record an event of a run, a deployment or a sampler; one of the past (``at``) ran at life's own speed."""
        event = Event(
            at=self.now() if at is None else at,
            kind=kind,
            pace=self.settings.speed if at is None else 1.0,
            idle_after_seconds=idle_after_seconds,
            note=one_line(note, limit=200),
        )
        self.store.record(subject(thing), event)

    def touch(self, thing: DeploymentRecord | SamplerRecord, note: str) -> str:
        """Count a call as activity, which wakes what sleeps and leaves alone what is queued; return the status afterwards."""
        events = self.store.events(subject(thing))
        state = self.status(thing)
        if self.is_queued(thing):
            return state
        recent = bool(events) and events[-1].kind == "activity" and self.now() - events[-1].at < self._recent_ms(thing)
        awake_already = state != machine(thing).asleep
        if state in machine(thing).terminal or (recent and awake_already):
            return state
        with self.store.transaction():
            self.happened(thing, "activity", note=note)
        return self.status(thing)

    def _recent_ms(self, thing: DeploymentRecord | SamplerRecord) -> float:
        """Return how long calls are one activity: a small part of the idle delay, so that hours of training are not thousands of events."""
        self.status(thing)
        delay = self._standing[subject(thing)].idle_ms
        return min(max(delay / 20, min(_RECENT_MS, delay / 4)), 30 * _RECENT_MS)

    def history(self, thing: Living) -> list[Change]:
        """Return every change of state up to now, oldest first."""
        return lifecycle.history(machine(thing), self.store.events(subject(thing)), self.now())

    def status(self, thing: Living) -> str:
        """Return the status now."""
        events, now = self.store.events(subject(thing)), self.now()
        known = self._standing.get(subject(thing))
        # A run that trains has thousands of events; walking through them for each line of a listing would take long.
        if known is None or not events or known.last is not events[-1] or not known.since <= now < known.until:
            found = lifecycle.standing(machine(thing), events, now)
            until = math.inf if found.until is None else found.until
            known = _Standing(events[-1], max(now, events[-1].at), until, found.state, found.idle_ms, found.queued)
            self._standing[subject(thing)] = known
        return known.state

    def is_queued(self, thing: Living) -> bool:
        """Tell whether it waits until the service has room for its process."""
        self.status(thing)
        return self._standing[subject(thing)].queued

    def ended(self, thing: Living) -> bool:
        """Tell whether nothing changes any more."""
        return self.status(thing) in machine(thing).terminal

    def runs_on(self, deployment: DeploymentRecord) -> list[RunRecord]:
        """Return the runs that a deployment has hosted, newest first."""
        return self.store.find(RunRecord, deployment_id=deployment.id)


def subject(thing: Living) -> str:
    """Return the key under which a thing's events are recorded."""
    return f"{thing.table}/{thing.id}"


def machine(thing: Living) -> Machine:
    """Return the states of a thing."""
    if isinstance(thing, RunRecord):
        return RUN
    if isinstance(thing, DeploymentRecord):
        return DEPLOYMENT
    if isinstance(thing, SamplerRecord) and thing.model_id is None:
        return SERVERLESS_SAMPLER
    return SAMPLER


def refuse_data_plane(what: str, key: str) -> Problem:
    """Return the answer of the data plane for an id that is not here.

    It is 422: clients take a 404 there as "still starting" and ask again for an hour.
    """
    return Problem(422, "UNKNOWN_ID", f"There is no {what} {key[:200]!r} here.", details={"resource": what})
