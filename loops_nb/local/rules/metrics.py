"""System metrics of deployments and samplers: what was measured of their processes, and their requests.

There is no GPU behind a local deployment, so there are no GPU series.  Nothing is made up: a step in which nothing was
measured (no process, or an earlier start of the service) has no point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from loops_nb.local.http_errors import invalid
from loops_nb.local.rules.logs import window
from loops_nb.local.schemas import ModelMetricsQuery, TimeRange
from loops_nb.local.store.records import DeploymentRecord, timestamp
from loops_nb.local.workers.measurements import Measurements, ProcessSample, RequestSample

DEFAULT_WINDOW_MS = 60 * 60 * 1000
MOST_POINTS = 2000
_USUAL_POINTS = 60
_QUANTILES = (0.5, 0.95, 0.99)
_STATUSES = ("2xx", "4xx", "5xx")
_MILLIS = 1000
T = TypeVar("T", ProcessSample, RequestSample)


class Step(NamedTuple):
    """One step of a window (epoch milliseconds) with what was measured in it."""

    start: int
    seconds: float
    processes: list[ProcessSample]
    requests: list[RequestSample]

    def rate(self, status: str = "") -> float:
        """Return the requests a second, of one class of status (``2xx``) or of all."""
        return sum(str(one.status)[:1] == status[:1] or not status for one in self.requests) / self.seconds

    def latency(self, share: float) -> float | None:
        """Return the seconds within which a share of the requests was answered."""
        found = sorted(one.seconds for one in self.requests)
        return found[min(len(found) - 1, math.ceil(share * len(found)) - 1)] if found else None

    def mean(self, value: Callable[[ProcessSample], float]) -> float | None:
        """Return the mean of a measured value."""
        found = [value(one) for one in self.processes]
        return sum(found) / len(found) if found else None


def steps(measured: Measurements, key: str, start: int, end: int, step: int) -> list[Step]:
    """Return the steps of a window in which the service ran."""
    processes = _grouped(measured.processes(key, start, end), start, step)
    requests = _grouped(measured.requests(key, start, end), start, step)
    return [
        Step(at, (min(at + step, end) - at) / _MILLIS, processes.get(number, []), requests.get(number, []))
        for number, at in enumerate(range(start, end, step))
        if at + step > measured.since
    ]


def _grouped(samples: Iterable[T], start: int, step: int) -> dict[int, list[T]]:
    groups: dict[int, list[T]] = {}
    for sample in samples:
        groups.setdefault((sample.at - start) // step, []).append(sample)
    return groups


def _window(query: TimeRange | ModelMetricsQuery, now: int) -> tuple[int, int, int]:
    start, end = window(query.start_epoch_millis, query.end_epoch_millis, now, DEFAULT_WINDOW_MS)
    wanted = query.step_seconds if isinstance(query, TimeRange) else None
    step = (wanted or max(1, round((end - start) / _MILLIS / _USUAL_POINTS))) * _MILLIS
    if (end - start) / step > MOST_POINTS:
        raise invalid(
            "step_seconds",
            f"step_seconds would give more than {MOST_POINTS} points; take a longer step or a shorter window.",
        )
    return start, end, step


def deployment_series(
    measured: Measurements, deployment: DeploymentRecord, query: TimeRange, now: int
) -> dict[str, Any]:
    """Return the metrics of a trainer as the API answers them, with a note on how they were made."""
    found = steps(measured, deployment.id, *_window(query, now))
    per = query.time_divisor_seconds or 1
    node = {
        "gpu_memory_usage_bytes": {},
        "gpu_utilization": {},
        "cpu_usage": _points(found, lambda one: one.cpu),
        "cpu_memory_usage_bytes": _points(found, lambda one: one.memory),
        "ephemeral_storage": {
            "usage_bytes": _points(found, lambda one: one.disk_used),
            "utilization": _points(found, lambda one: one.disk_used / one.disk_total),
        },
    }
    return {
        "inference_volume": [_point(step, step.rate() * per) for step in found],
        "concurrent_requests": [
            _point(step, sum(one.seconds for one in step.requests) / step.seconds) for step in found
        ],
        "response_time_stats": [
            {"timestamp": timestamp(step.start), **_percentiles(step, scale=_MILLIS)} for step in found
        ],
        "inference_volume_by_status": [
            {"timestamp": timestamp(step.start), **{f"status_{name}": step.rate(name) * per for name in _STATUSES}}
            for step in found
        ],
        **node,
        "per_node_metrics": [{"node_id": "this-machine", **node}],
        "note": measured.note,
    }


def _percentiles(step: Step, *, scale: float = 1.0) -> dict[str, float | None]:
    found = {f"p{share * 100:g}": step.latency(share) for share in _QUANTILES}
    return {name: None if value is None else value * scale for name, value in found.items()}


def _points(found: Iterable[Step], value: Callable[[ProcessSample], float]) -> list[dict[str, Any]]:
    means = ((step, step.mean(value)) for step in found)
    return [_point(step, mean) for step, mean in means if mean is not None]


def _point(step: Step, value: float) -> dict[str, Any]:
    return {"value": round(value, 6), "timestamp": timestamp(step.start)}


class _ModelMetric(NamedTuple):
    """A metric of a model deployment: descriptor, and the values of one step by label set."""

    unit: str
    kind: str
    labels: tuple[dict[str, str], ...]
    values: Callable[[Step], Sequence[float | None]]


#: The published names are not known; these are the local service's own.
MODEL_METRICS = {
    "replicas_active": _ModelMetric("COUNT", "GAUGE", ({},), lambda step: [float(bool(step.processes))]),
    "requests": _ModelMetric(
        "PER_SECOND",
        "COUNTER",
        tuple({"status": name} for name in _STATUSES),
        lambda step: [step.rate(name) for name in _STATUSES],
    ),
    "end_to_end_response_time": _ModelMetric(
        "SECONDS",
        "HISTOGRAM",
        tuple({"quantile": f"{share:g}"} for share in _QUANTILES),
        lambda step: [step.latency(share) for share in _QUANTILES],
    ),
    "cpu_usage": _ModelMetric("COUNT", "GAUGE", ({},), lambda step: [step.mean(lambda one: one.cpu)]),
    "cpu_memory_usage_bytes": _ModelMetric("BYTES", "GAUGE", ({},), lambda step: [step.mean(lambda one: one.memory)]),
}


def model_metrics(measured: Measurements, key: str, query: ModelMetricsQuery, now: int) -> dict[str, Any]:
    """Return the metrics of what serves a model, as the API answers them for model deployments.

    Parameters
    ----------
    measured : Measurements
        What was measured.
    key : str
        Id of the sampler or the model deployment.
    query : ModelMetricsQuery
        Mode, window and names.
    now : int
        Epoch milliseconds.
    """
    unknown = [name for name in query.metrics if name not in MODEL_METRICS]
    if unknown:
        raise invalid("metrics", f"There is no metric {unknown[0][:80]!r}; there are {', '.join(MODEL_METRICS)}.")
    wanted = {name: MODEL_METRICS[name] for name in dict.fromkeys(query.metrics or MODEL_METRICS)}
    if query.mode == "CURRENT":
        if query.start_epoch_millis is not None or query.end_epoch_millis is not None:
            raise invalid("mode", "mode CURRENT takes no start and no end; SUMMARY and SERIES do.")
        start, end, step = max(0, now - _CURRENT_MS), now, _CURRENT_MS
    else:
        start, end, step = _window(query, now)
        if query.mode == "SUMMARY":
            step = max(1, end - start)
    found = steps(measured, key, start, end, step)
    return {
        "start_epoch_millis": start,
        "end_epoch_millis": end,
        "mode": query.mode,
        "step_seconds": step // _MILLIS if query.mode == "SERIES" else None,
        "metric_descriptors": [
            {"name": name, "unit_hint": metric.unit, "kind": metric.kind, "label_sets": list(metric.labels)}
            for name, metric in wanted.items()
        ],
        "metric_values": [
            {
                "start_epoch_millis": one.start,
                "values": [[_rounded(value) for value in metric.values(one)] for metric in wanted.values()],
            }
            for one in found
        ],
        "note": measured.note,
    }


_CURRENT_MS = 60_000


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
