"""Tidy frames of system metrics: GPU, CPU, memory, disk and requests over time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.api.models import DeploymentMetrics, ModelMetrics
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind

if TYPE_CHECKING:
    import pandas as pd

SYSTEM_METRICS = register_kind(
    Kind(
        "system_metrics",
        many=(),
        one=(),
        columns=(
            Column("metric", Dtype.STRING, (), "What was measured, such as ``gpu_utilization``."),
            Column("half", Dtype.WORD, (), "Whose: the trainer's or the sampler's.", ("trainer", "sampler")),
            Column("node", Dtype.STRING, (), "Node; missing for what is of the whole deployment, such as requests."),
            Column("gpu", Dtype.COUNT, (), "Rank of the GPU on its node; missing for what is of no GPU."),
            Column("time", Dtype.TIME, (), "When."),
            Column("value", Dtype.NUMBER, (), "The value, as the service sent it."),
            Column(
                "unit",
                Dtype.STRING,
                (),
                "Unit: bytes, cores, ms, s, ratio, requests, requests/s; requests/60s with another divisor.",
            ),
        ),
    )
)
_COMPUTE = ("gpu_memory_usage_bytes", "gpu_utilization", "cpu_usage", "cpu_memory_usage_bytes", "ephemeral_storage")
_UNITS = {
    "gpu_memory_usage_bytes": "bytes",
    "gpu_utilization": "ratio",
    "cpu_usage": "cores",
    "cpu_memory_usage_bytes": "bytes",
    "usage_bytes": "bytes",
    "utilization": "ratio",
    "concurrent_requests": "requests",
}
_HINTS = {
    "PER_SECOND": "requests/s",
    "SECONDS": "s",
    "BYTES": "bytes",
    "MEBIBYTES": "MiB",
    "COUNT": "",
    "RATIO": "ratio",
    "CELSIUS": "°C",
    "WATTS": "W",
}
_MILLIS = 1000
#: Of the rank of a GPU.
_MOST_DIGITS = 9


class SystemPoint(NamedTuple):
    """One row of a frame of system metrics."""

    metric: str
    half: str
    node: str | None
    gpu: int | None
    time: datetime
    value: float
    unit: str


def system_frame(
    parts: Iterable[tuple[str, DeploymentMetrics | ModelMetrics]], *, time_divisor_seconds: int | None = None
) -> pd.DataFrame:
    """Return system metrics as a tidy frame, one row a value.

    Parameters
    ----------
    parts : iterable of (str, DeploymentMetrics or ModelMetrics)
        The half, and the answer of its route.
    time_divisor_seconds : int or None, default None
        Unit of the rates of requests that was asked for.

    Returns
    -------
    pandas.DataFrame
        Columns of `SYSTEM_METRICS`: metric, half (category), node, gpu (Int64), time (datetime64[us, UTC]), value
        (float64) and unit.  ``attrs`` has the remarks of the service.
    """
    found = list(parts)
    points = [point for half, metrics in found for point in system_points(half, metrics, time_divisor_seconds)]
    frame = computed_frame(
        SYSTEM_METRICS,
        {
            column.name: [
                point.time.isoformat() if column.name == "time" else getattr(point, column.name) for point in points
            ]
            for column in SYSTEM_METRICS.columns
        },
    )
    notes = list(dict.fromkeys(metrics.note for _, metrics in found if metrics.note))
    if notes:
        frame.attrs[NOTES_ATTR] = notes
    return frame


def system_points(
    half: str, metrics: DeploymentMetrics | ModelMetrics, time_divisor_seconds: int | None = None
) -> Iterator[SystemPoint]:
    """Return the points of one answer; what has no time or no number is left out."""
    if isinstance(metrics, ModelMetrics):
        yield from _of_model(half, metrics)
        return
    per = time_divisor_seconds or 1
    rate = "requests/s" if per == 1 else f"requests/{per}s"
    nodes = [(node.get("node_id"), node) for node in metrics.per_node_metrics]
    if not nodes:
        # Without nodes: those of the leader alone.
        nodes = [(None, {name: getattr(metrics, name) for name in _COMPUTE})]
    for node_id, node in nodes:
        name = node_id if isinstance(node_id, str) else None
        for metric in _COMPUTE:
            yield from _of_node(half, name, metric, node.get(metric))
    yield from _series(half, "request_rate", metrics.inference_volume, rate)
    yield from _series(half, "concurrent_requests", metrics.concurrent_requests, "requests")
    for quantile in ("p50", "p95", "p99"):
        yield from _series(half, f"response_time_{quantile}", metrics.response_time_stats, "ms", key=quantile)
    for status in ("2xx", "4xx", "5xx"):
        yield from _series(
            half, f"request_rate_{status}", metrics.inference_volume_by_status, rate, key=f"status_{status}"
        )


def _of_node(half: str, node: str | None, metric: str, series: Any) -> Iterator[SystemPoint]:
    if not isinstance(series, dict):
        yield from _series(half, metric, series, _UNITS.get(metric, ""), node=node)
        return
    for key, points in series.items():
        if metric == "ephemeral_storage":
            yield from _series(half, f"{metric}_{key}", points, _UNITS.get(key, ""), node=node)
        else:
            gpu = int(key) if key.isdecimal() and len(key) <= _MOST_DIGITS else None
            yield from _series(half, metric, points, _UNITS[metric], node=node, gpu=gpu)


def _series(
    half: str,
    metric: str,
    points: Any,
    unit: str,
    *,
    node: str | None = None,
    gpu: int | None = None,
    key: str = "value",
) -> Iterator[SystemPoint]:
    for point in points if isinstance(points, list) else ():
        if not isinstance(point, dict):
            continue
        value, at = point.get(key), _moment(point.get("timestamp"))
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            continue
        if at is not None:
            yield SystemPoint(metric, half, node, gpu, at, float(value), unit)


def _moment(text: Any) -> datetime | None:
    """Return a time; one without an offset is UTC.  None for what is none, or of no year that can be converted."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _of_model(half: str, metrics: ModelMetrics) -> Iterator[SystemPoint]:
    for step in metrics.metric_values:
        try:
            at = datetime.fromtimestamp(step.start_epoch_millis / _MILLIS, UTC)
        except (ValueError, OverflowError, OSError):
            continue
        for descriptor, values in zip(metrics.metric_descriptors, step.values, strict=False):
            hint = descriptor.unit_hint or ""
            unit = _UNITS.get(descriptor.name) or _HINTS.get(hint, hint.lower())
            for labels, value in zip(descriptor.label_sets or [{}], values, strict=False):
                if value is not None:
                    name = "_".join([descriptor.name, *map(_label, labels.items())])
                    yield SystemPoint(name, half, None, None, at, value, unit)


def _label(label: tuple[str, str]) -> str:
    name, value = label
    if name == "quantile":
        try:
            return f"p{float(value) * 100:g}"
        except ValueError:
            return value
    return value
