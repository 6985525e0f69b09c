"""Listings that are polled: the cache of decoded objects, and the state of the requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from loops_nb.api.decoding import decode_object, split_listing
from loops_nb.api.models import APIObject, Checkpoint, Deployment, Run, Sampler
from loops_nb.api.states import is_in_transition, status_name
from loops_nb.client.request import Request
from loops_nb.errors import LoopsError
from loops_nb.live.queries import Kind, Query

MODELS: dict[Kind, type[APIObject]] = {
    "runs": Run,
    "deployments": Deployment,
    "samplers": Sampler,
    "checkpoints": Checkpoint,
}
_NEVER = float("-inf")
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def created_at(checkpoint: Checkpoint) -> datetime:
    """Return when a checkpoint was created; one without a time comes first."""
    return checkpoint.created_at or _EARLIEST


@dataclass(slots=True)
class ListingCache:
    """The decoded objects of a listing; an object that did not change stays the same object across polls.

    Parameters
    ----------
    kind : str
        Which listing.

    Attributes
    ----------
    items : dict
        Objects by id, in the service's order.  Replaced by each change, never modified, so that it is a snapshot.
    version : int
        Counts the changes.
    changed : list
        Objects that are new or different since the previous version.
    removed : list of str
        Ids that the previous version had.
    """

    kind: Kind
    items: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    changed: list[Any] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    _body: bytes | None = None
    _by_json: dict[bytes, Any] = field(default_factory=dict)

    def update(self, body: bytes) -> bool:
        """Decode a response; return whether anything differs from the previous one.

        Raises
        ------
        UnreadableAnswerError
            If it is not the documented listing; the cache stays as it was.
        """
        if body == self._body:
            return False
        model: type[Any] = MODELS[self.kind]
        by_json: dict[bytes, Any] = {}
        changed = []
        for raw in split_listing(body, self.kind):
            # A copy: the objects that are kept must not keep whole responses in memory.
            sent = bytes(raw)
            item = self._by_json.get(sent)
            if item is None:
                item = decode_object(sent, model)
                changed.append(item)
            by_json[sent] = item
        items = {item.id: item for item in by_json.values()}
        is_first = self._body is None
        self._body, self._by_json = body, by_json
        if not changed and not is_first and list(items) == list(self.items):
            return False
        self.removed = [key for key in self.items if key not in items]
        self.items, self.changed = items, changed
        self.version += 1
        return True

    def forget_response(self) -> None:
        """Decode the next response from scratch, even if it equals the last one; the items stay."""
        self._body, self._by_json = None, {}

    def clear(self) -> bool:
        """Remove all items; return whether that is a change."""
        was_changed = bool(self.items) or self.version == 0
        self.forget_response()
        self.removed, self.items, self.changed = list(self.items), {}, []
        self.version += int(was_changed)
        return was_changed


class CheckpointsByRun:
    """The checkpoints of one response, grouped by run when they are first needed."""

    def __init__(self, items: Mapping[str, Checkpoint]) -> None:
        self.items = items

    @cached_property
    def groups(self) -> dict[str, dict[str, Checkpoint]]:
        """The checkpoints of each run, by run id and checkpoint id."""
        groups: dict[str, dict[str, Checkpoint]] = {}
        for key, item in self.items.items():
            groups.setdefault(item.run_id, {})[key] = item
        return groups

    @cached_property
    def newest(self) -> dict[str, Checkpoint]:
        """The newest checkpoint of each run; of several created at once the one that is listed first."""
        return {run_id: max(group.values(), key=created_at) for run_id, group in self.groups.items()}


@dataclass(slots=True, eq=False)
class Listing:
    """One listing that is polled, and the state of its requests.

    Times are those of `Clock.now` unless they are named ``_ms``, epoch milliseconds; minus infinity is never.

    Parameters
    ----------
    query : Query
        A canonical query.

    Attributes
    ----------
    request : Request
        Its request.
    cache : ListingCache
        Its objects.
    checkpoints : CheckpointsByRun
        The same, by run; only of a listing of checkpoints.
    requested_at, responded_at : float
        When it was last requested, and when the last response came.
    in_flight, overdue : bool
        Whether a response is awaited, and whether for too long.
    refresh_requested : bool
        Whether it is requested as soon as possible, whatever its interval.
    not_before : float
        It is not requested before this time.
    failures : int
        Failed requests in a row.
    error : LoopsError or None
        Why the last request failed.
    failing_since_ms : float or None
        Since when it has been failing.
    is_refused : bool
        The service has no such listing for this key: it is empty, and that is known.
    succeeded_at_ms : float or None
        When the newest successful response came.
    succeeded_request_at : float
        When that one was requested.
    changed_at : float
        When something last differed.
    run_counts : Counter
        Runs by base model and state; only of a listing of runs.
    """

    query: Query
    request: Request[bytes]
    cache: ListingCache
    checkpoints: CheckpointsByRun = field(default_factory=lambda: CheckpointsByRun({}))
    run_counts: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    requested_at: float = _NEVER
    responded_at: float = _NEVER
    in_flight: bool = False
    overdue: bool = False
    refresh_requested: bool = False
    not_before: float = _NEVER
    failures: int = 0
    error: LoopsError | None = None
    failing_since_ms: float | None = None
    is_refused: bool = False
    succeeded_at_ms: float | None = None
    succeeded_request_at: float = _NEVER
    changed_at: float = _NEVER
    has_transitions: bool = False

    @classmethod
    def of(cls, query: Query) -> Listing:
        """Return the listing of a canonical query."""
        return cls(query, query.request(), ListingCache(query.kind))

    @property
    def is_known(self) -> bool:
        """Whether a request has ever succeeded."""
        return self.succeeded_at_ms is not None

    @property
    def is_new(self) -> bool:
        """Whether it was never requested, or counts as such after `forget_request`."""
        return self.requested_at == _NEVER

    def forget_request(self) -> None:
        """Count the last request as not made: it failed for a reason that has nothing to do with this listing."""
        self.requested_at = self.responded_at = _NEVER

    def record_success(self, *, at_ms: float) -> None:
        """Record a successful response."""
        self.succeeded_at_ms, self.succeeded_request_at = at_ms, self.requested_at
        self.error, self.failing_since_ms, self.failures = None, None, 0

    def record_failure(self, error: LoopsError, *, at_ms: float, not_before: float) -> None:
        """Record a failed request; the objects stay."""
        self.error, self.failures, self.not_before = error, self.failures + 1, not_before
        if self.failing_since_ms is None:
            self.failing_since_ms = at_ms

    def record_change(self, now: float) -> None:
        """Bring what is derived from the cache up to date."""
        self.changed_at = now
        items = self.cache.items
        self.has_transitions = any(map(_is_in_transition, items.values()))
        if self.query.kind == "checkpoints":
            self.checkpoints = CheckpointsByRun(items)
        elif self.query.kind == "runs":
            self.run_counts = Counter((run.base_model, status_name(run)) for run in items.values())


def _is_in_transition(item: Any) -> bool:
    if isinstance(item, Checkpoint):
        return is_in_transition(item.sync_status)
    if is_in_transition(status_name(item)):
        return True
    return isinstance(item, Run | Deployment) and is_in_transition(status_name(item.sampler))
