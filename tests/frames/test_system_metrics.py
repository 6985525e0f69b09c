"""Tidy frames of system metrics from both shapes of the API, also from answers that say little or nonsense."""

from __future__ import annotations

from typing import Any

import msgspec

from loops_nb.api.decoding import decode_object
from loops_nb.api.models import DeploymentMetrics, ModelMetrics
from loops_nb.frames.system_metrics import SYSTEM_METRICS, system_frame

AT = "2026-07-01T12:00:00Z"


def points(*values: Any) -> list[dict[str, Any]]:
    return [{"value": value, "timestamp": AT} for value in values]


def metrics(**fields: Any) -> DeploymentMetrics:
    return decode_object(msgspec.json.encode(fields), DeploymentMetrics)


def test_each_gpu_of_each_node_has_rows_with_unit_and_dtypes() -> None:
    node = {"gpu_utilization": {"0": points(0.5), "7": points(0.9)}, "cpu_usage": points(3), "later": {}}
    found = metrics(
        gpu_utilization={"0": points(0.5)},
        per_node_metrics=[{"node_id": "a", **node}, {"node_id": "b", "ephemeral_storage": {"usage_bytes": points(9)}}],
        inference_volume=points(1.5),
        response_time_stats=[{"timestamp": AT, "p50": 20, "p95": None}],
        future=[1],
        note="a remark",
    )
    frame = system_frame([("trainer", found)], time_divisor_seconds=60)
    shown = frame.drop(columns=["half", "time"]).astype(object)
    assert list(shown.where(shown.notna(), "").itertuples(index=False, name=None)) == [
        ("gpu_utilization", "a", 0, 0.5, "ratio"),
        ("gpu_utilization", "a", 7, 0.9, "ratio"),
        ("cpu_usage", "a", "", 3.0, "cores"),
        ("ephemeral_storage_usage_bytes", "b", "", 9.0, "bytes"),
        ("request_rate", "", "", 1.5, "requests/60s"),
        ("response_time_p50", "", "", 20.0, "ms"),
    ]
    assert frame.attrs["loops_notes"] == ["a remark"]
    dtypes = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert (dtypes["half"], dtypes["gpu"], dtypes["time"], dtypes["value"]) == (
        "category",
        "Int64",
        "datetime64[us, UTC]",
        "float64",
    )


def test_without_nodes_the_leader_counts_and_what_is_no_number_is_left_out() -> None:
    odd = [None, 3, {"value": True, "timestamp": AT}, {"value": 1}, {"value": "x", "timestamp": AT}]
    found = metrics(gpu_utilization={"first": points(1)}, per_node_metrics=[], cpu_usage=[*points(2)])
    frame = system_frame([("trainer", found)])
    assert frame.metric.tolist() == ["gpu_utilization", "cpu_usage"]
    assert frame.gpu.isna().all()
    junk = metrics(per_node_metrics=[{"node_id": 7, "cpu_usage": odd, "gpu_utilization": [1], "ephemeral_storage": 4}])
    assert len(system_frame([("trainer", junk)])) == 0
    assert list(system_frame([]).columns) == [column.name for column in SYSTEM_METRICS.columns]


def test_metrics_of_a_sampler_have_their_labels_in_the_name() -> None:
    body = {
        "metric_descriptors": [
            {"name": "requests", "unit_hint": "PER_SECOND", "label_sets": [{"status": "2xx"}, {"status": "5xx"}]},
            {"name": "latency", "unit_hint": "SECONDS", "label_sets": [{"quantile": "0.95"}, {"quantile": "odd"}]},
            {"name": "new", "unit_hint": "FURLONGS", "label_sets": []},
        ],
        "metric_values": [{"start_epoch_millis": 1_000, "values": [[2.0, None], [0.1, 0.2], [5.0]]}],
    }
    frame = system_frame([("sampler", decode_object(msgspec.json.encode(body), ModelMetrics))])
    assert list(zip(frame.metric, frame.value, frame.unit, strict=True)) == [
        ("requests_2xx", 2.0, "requests/s"),
        ("latency_p95", 0.1, "s"),
        ("latency_odd", 0.2, "s"),
        ("new", 5.0, "furlongs"),
    ]
    assert frame.time[0].timestamp() == 1


def test_times_without_offset_are_utc_and_what_is_no_time_or_rank_is_left_out() -> None:
    series = [
        {"value": value, "timestamp": at}
        for value, at in (
            (1, "2026-07-01T12:00:00"),
            (2, "2026-07-01T14:00:00+02:00"),
            (3, "noon"),
            (4, "9999-12-31T23:59:59-12:00"),
        )
    ]
    utilization = {"9" * 30: points(0.5), "1": points(0.25)}
    found = metrics(per_node_metrics=[{"node_id": "a", "cpu_usage": series, "gpu_utilization": utilization}])
    frame = system_frame([("trainer", found)])
    assert frame[frame.metric == "cpu_usage"].time.map(str).tolist() == 2 * ["2026-07-01 12:00:00+00:00"]
    assert frame[frame.metric == "gpu_utilization"].gpu.fillna(-1).tolist() == [-1, 1]
    late = {
        "metric_descriptors": [{"name": "n"}],
        "metric_values": [{"start_epoch_millis": 10**18, "values": [[1.0]]}],
    }
    assert system_frame([("sampler", decode_object(msgspec.json.encode(late), ModelMetrics))]).empty
