"""Metrics series of a deployment, simulated from its recorded states.

There is no GPU behind a local deployment.  What the series show is the load profile of the states that the deployment
was in (`LOAD`): nothing while it is asleep, the base model's weights in memory while it runs, busy between two pieces
of activity that are no further apart than its idle delay.  Requests are those that were recorded.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from loops_nb.local import base_models
from loops_nb.local.http_errors import invalid
from loops_nb.local.rules.lifecycle import StateChange
from loops_nb.local.rules.logs import window
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.schemas import TimeRange
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import DeploymentRecord, Event, subject, timestamp

DEFAULT_WINDOW_MS = 60 * 60 * 1000
MOST_POINTS = 2000
_USUAL_POINTS = 60
_MIB = 1 << 20


class NodeLoad(NamedTuple):
    """Share of a node's GPU, CPU, memory and disk in use."""

    gpu: float
    cpu: float
    memory: float
    storage: float
    weights: float


#: What a state takes; "BUSY" is RUNNING with work to do, and ``weights`` the share of the base model that is loaded.
LOAD = {
    "CREATED": NodeLoad(0.0, 0.0, 0.0, 0.0, 0.0),
    "DEPLOYING": NodeLoad(0.0, 0.35, 0.10, 0.20, 0.5),
    "RUNNING": NodeLoad(0.0, 0.02, 0.15, 0.30, 1.0),
    "BUSY": NodeLoad(0.92, 0.40, 0.25, 0.30, 1.15),
}
_NOTHING = LOAD["CREATED"]
_STORAGE_BYTES = 500 * 1024 * _MIB


class LoadSpan(NamedTuple):
    """A stretch of time with one load."""

    start: int
    end: int
    load: NodeLoad


def series(store: RecordStore, statuses: Statuses, deployment: DeploymentRecord, query: TimeRange) -> dict[str, Any]:
    """Return the metrics of a window as the API answers them."""
    start, end = window(query.start_epoch_millis, query.end_epoch_millis, statuses.now(), DEFAULT_WINDOW_MS)
    step = (query.step_seconds or max(1, round((end - start) / 1000 / _USUAL_POINTS))) * 1000
    if (end - start) / step > MOST_POINTS:
        raise invalid(
            "step_seconds",
            f"step_seconds would give more than {MOST_POINTS} points; take a longer step or a shorter window.",
        )
    events = store.events(subject(deployment))
    spans = load_spans(statuses.history(deployment), events, statuses.now())
    points = [(at, _mean(spans, at, min(at + step, end))) for at in range(start, end, step)]
    calls = [_calls(events, at, min(at + step, end)) for at in range(start, end, step)]
    rate = (query.time_divisor_seconds or 1) * 1000 / step
    stamps = [timestamp(at) for at, _ in points]
    node = _node(deployment, points, stamps)
    return {
        "inference_volume": [_point(stamp, count * rate) for stamp, count in zip(stamps, calls, strict=True)],
        "concurrent_requests": [
            _point(stamp, float(min(count, 1))) for stamp, count in zip(stamps, calls, strict=True)
        ],
        "response_time_stats": [{"timestamp": stamp, "p50": None, "p95": None, "p99": None} for stamp in stamps],
        "inference_volume_by_status": [
            {"timestamp": stamp, "status_2xx": count * rate, "status_4xx": 0.0, "status_5xx": 0.0}
            for stamp, count in zip(stamps, calls, strict=True)
        ],
        **node,
        "per_node_metrics": [{"node_id": f"trainer-{rank}", **node} for rank in range(min(deployment.node_count, 64))],
    }


def load_spans(changes: list[StateChange], events: list[Event], now: int) -> list[LoadSpan]:
    """Return the load over time: each state's, and BUSY in a RUNNING stretch up to its last activity."""
    activity = [event.at for event in events if event.kind == "activity"]
    spans = []
    for change, after in zip(changes, [*(later.at for later in changes[1:]), now], strict=True):
        if change.state == "RUNNING":
            busy_until = max((at for at in activity if change.at <= at <= after), default=change.at)
            spans.append(LoadSpan(change.at, busy_until, LOAD["BUSY"]))
            spans.append(LoadSpan(busy_until, after, LOAD["RUNNING"]))
        else:
            spans.append(LoadSpan(change.at, after, LOAD.get(change.state, _NOTHING)))
    return spans


def _mean(spans: list[LoadSpan], start: int, end: int) -> NodeLoad:
    total = [0.0] * len(_NOTHING)
    for span in spans:
        shared = min(span.end, end) - max(span.start, start)
        if shared > 0:
            total = [sum_ + value * shared for sum_, value in zip(total, span.load, strict=True)]
    return NodeLoad(*(value / (end - start) for value in total))


def _node(deployment: DeploymentRecord, points: list[tuple[int, NodeLoad]], stamps: list[str]) -> dict[str, Any]:
    shape = base_models.hardware(deployment.base_model)
    weights = base_models.model(deployment.base_model)
    per_gpu = weights.weights_mib * _MIB / (max(shape.gpu_count, 1) * weights.nodes)
    loads = [load for _, load in points]
    gpus = [str(rank) for rank in range(shape.gpu_count)]

    def over(values: list[float]) -> list[dict[str, Any]]:
        return [_point(stamp, value) for stamp, value in zip(stamps, values, strict=True)]

    return {
        "gpu_memory_usage_bytes": {gpu: over([load.weights * per_gpu for load in loads]) for gpu in gpus},
        "gpu_utilization": {gpu: over([load.gpu for load in loads]) for gpu in gpus},
        "cpu_usage": over([load.cpu * shape.millicpu_limit / 1000 for load in loads]),
        "cpu_memory_usage_bytes": over([load.memory * shape.memory_limit_mib * _MIB for load in loads]),
        "ephemeral_storage": {
            "usage_bytes": over([load.storage * _STORAGE_BYTES for load in loads]),
            "utilization": over([load.storage for load in loads]),
        },
    }


def _calls(events: list[Event], start: int, end: int) -> int:
    return sum(1 for event in events if event.kind == "activity" and start <= event.at < end)


def _point(stamp: str, value: float) -> dict[str, Any]:
    return {"value": round(value, 6), "timestamp": stamp}
