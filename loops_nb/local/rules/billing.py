"""Billed usage: the recorded times in which something held hardware, times the made-up prices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from loops_nb.api.states import DEPLOYMENT_ALIVE, SAMPLER_ALIVE
from loops_nb.local import base_models
from loops_nb.local.http_errors import invalid
from loops_nb.local.rules.hardware import hardware_of
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.schemas import UsageQuery
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import DeploymentRecord, ModelDeploymentRecord, SamplerRecord, subject

_LONGEST = timedelta(days=31)
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTE_MS = 60_000
_DAY_MS = 24 * 60 * _MINUTE_MS


class _Billed(NamedTuple):
    """One resource, its price a minute, and the spans (epoch milliseconds) in which it held hardware."""

    resource: dict[str, Any]
    price: float
    spans: list[tuple[int, int]]
    requests: list[int]


def dates(query: UsageQuery) -> tuple[datetime, datetime]:
    """Return the range of a query.

    Raises
    ------
    HTTPError
        400, naming the date that cannot be used.
    """
    start, end = _date("start_date", query.start_date), _date("end_date", query.end_date)
    if start < _FIRST:
        raise invalid("start_date", f"start_date must not lie before {_FIRST:%Y-%m-%d}.")
    if end <= start:
        raise invalid("end_date", "end_date must lie after start_date.")
    if end - start > _LONGEST:
        raise invalid("end_date", f"end_date may lie {_LONGEST.days} days after start_date at most.")
    return start, end


def _date(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise invalid(name, f"{name} must be a date or a time in ISO 8601, such as 2026-07-01T00:00:00Z.") from None


def summary(store: RecordStore, statuses: Statuses, start: datetime, end: datetime) -> dict[str, Any]:
    """Return the usage of a range as the API answers it: trainers under training, all that serves under dedicated."""
    first = round(start.timestamp() * 1000)
    last = min(round(end.timestamp() * 1000), statuses.now())
    trainers = [_trainer(store, statuses, record, first, last) for record in store.find(DeploymentRecord)]
    served = [_sampler(store, statuses, found, first, last) for found in store.find(SamplerRecord) if found.model_id]
    served += [_model(store, statuses, record, first, last) for record in store.find(ModelDeploymentRecord)]
    return {
        "training_usage": _part(trainers, serving=False),
        "dedicated_usage": _part(served, serving=True),
        "model_apis_usage": None,
    }


def _part(billed: Iterable[_Billed], *, serving: bool) -> dict[str, Any]:
    items = [_item(found, serving=serving) for found in billed if found.spans]
    total = round(sum(item["subtotal"] for item in items), 4)
    return {
        "subtotal": total,
        "credits_used": 0,
        "total": total,
        "minutes": sum(item["minutes"] for item in items),
        "breakdown": items,
    }


def _item(found: _Billed, *, serving: bool) -> dict[str, Any]:
    days: dict[int, int] = {}
    for span in found.spans:
        for day, millis in _by_day(*span):
            days[day] = days.get(day, 0) + millis
    daily = [
        {
            "date": f"{datetime.fromtimestamp(day * _DAY_MS / 1000, UTC):%Y-%m-%d}",
            **_amounts(found, millis, sum(at // _DAY_MS == day for at in found.requests), serving=serving),
        }
        for day, millis in sorted(days.items())
    ]
    whole = _amounts(found, sum(days.values()), len(found.requests), serving=serving)
    return {"billable_resource": found.resource, **whole, "daily": daily}


def _amounts(found: _Billed, millis: int, requests: int, *, serving: bool) -> dict[str, Any]:
    cost = round(millis / _MINUTE_MS * found.price, 4)
    amounts = {"subtotal": cost, "minutes": millis // _MINUTE_MS}
    if serving:
        amounts |= {"compute_cost": cost, "surcharge_cost": 0, "inference_requests": requests}
    return amounts


def _by_day(start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        day = start // _DAY_MS
        until = min(end, (day + 1) * _DAY_MS)
        yield day, until - start
        start = until


def _trainer(store: RecordStore, statuses: Statuses, record: DeploymentRecord, first: int, last: int) -> _Billed:
    shape = hardware_of(store, record)
    resource = _resource(record.id, "LOOPS_TRAINER", shape.name, base_model=record.base_model)
    spans = _spans(statuses, record, DEPLOYMENT_ALIVE, first, last)
    return _Billed(resource, base_models.price(shape) * record.node_count, spans, [])


def _sampler(store: RecordStore, statuses: Statuses, record: SamplerRecord, first: int, last: int) -> _Billed:
    shape = hardware_of(store, record)
    resource = _resource(record.id, "LOOPS_SAMPLER", shape.name, base_model=record.base_model, model_id=record.model_id)
    spans = _spans(statuses, record, SAMPLER_ALIVE, first, last)
    return _Billed(resource, base_models.price(shape), spans, _requests(store, record, first, last))


def _model(store: RecordStore, statuses: Statuses, record: ModelDeploymentRecord, first: int, last: int) -> _Billed:
    shape = hardware_of(store, record)
    resource = _resource(record.id, "MODEL_DEPLOYMENT", shape.name, model_id=record.model_id)
    resource["name"] = record.model_name
    spans = _spans(statuses, record, SAMPLER_ALIVE, first, last)
    return _Billed(resource, base_models.price(shape), spans, _requests(store, record, first, last))


def _resource(key: str, kind: str, instance_type: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "kind": kind, "is_deleted": False, "instance_type": instance_type, **more}


def _spans(
    statuses: Statuses,
    record: DeploymentRecord | SamplerRecord | ModelDeploymentRecord,
    alive: frozenset[str],
    first: int,
    last: int,
) -> list[tuple[int, int]]:
    changes = statuses.history(record)
    ends = [*(change.at for change in changes[1:]), statuses.now()]
    spans = [
        (max(change.at, first), min(end, last))
        for change, end in zip(changes, ends, strict=True)
        if change.state in alive
    ]
    return [(start, end) for start, end in spans if start < end]


def _requests(store: RecordStore, record: SamplerRecord | ModelDeploymentRecord, first: int, last: int) -> list[int]:
    """Return when it was used: requests in quick succession are recorded as one."""
    return [
        event.at for event in store.events(subject(record)) if event.kind == "activity" and first <= event.at < last
    ]
