"""Frames of money from listings and usage that say little, or say it in the other documented form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from loops_nb.api.costs import PriceList, dollars, price_list
from loops_nb.api.decoding import decode_many, decode_object
from loops_nb.api.models import (
    Checkpoint,
    Deployment,
    InstanceType,
    InstanceTypePrice,
    ModelDeployment,
    Run,
    Sampler,
    Status,
    UsageSummary,
)
from loops_nb.frames import prices_frame
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.costs import CostSources, DeployedHardware, checkpoint_sizes_frame, cost_frame, usage_frame
from loops_nb.render.formatting import money

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
H100 = InstanceType(id="h100-8", gpu_count=8)


def test_a_cost_frame_counts_a_shared_deployment_once_and_tells_unknown_prices() -> None:
    sampler = Sampler(id="s1", status=Status(name="ACTIVE"), deployment_id="m1", instance_type=InstanceType(id="l4"))
    host = Deployment(
        id="d1",
        status=Status(name="RUNNING"),
        active_run_id="new",
        instance_type=H100,
        node_count=2,
        sampler=sampler,
    )
    lone = Deployment(id="d2", status=Status(name="DEPLOYING"), active_run_id="hidden", instance_type=H100)
    ended = Deployment(id="d3", status=Status(name="STOPPED"), latest_run_id="gone", instance_type=H100)
    runs = [
        Run(id="old", deployment_id="d1", status=Status(name="INACTIVE"), created_at=NOW - timedelta(hours=9)),
        Run(id="new", deployment_id="d1", status=Status(name="ACTIVE"), created_at=NOW - timedelta(hours=3)),
        Run(id="gone", deployment_id="d3", status=Status(name="INACTIVE")),
        Run(id="shared", status=Status(name="ACTIVE"), sampler=Sampler(id="s9", status=Status(name="ACTIVE"))),
    ]
    sources = CostSources(runs, [host, lone, ended], [sampler], PriceList({"h100-8": 0.5, "l4": 0.01}), NOW)
    frame = cost_frame(sources).set_index("id")
    assert frame.index.tolist() == ["new", "d2", "old", "gone", "shared"]
    assert frame.usd_per_hour.tolist() == pytest.approx([60.6, 30.0, 0.0, 0.0, 0.0])
    assert frame.loc["new", "usd_at_most"] == pytest.approx(3 * 60.6)
    assert frame.usd_at_most.drop("new").isna().all()
    assert frame.gpu_count.isna()["new"], "the sampler's GPUs are not listed"
    assert frame.loc["d2", "gpu_count"] == 8
    assert "$90.60 an hour" in frame.attrs[NOTES_ATTR][0]
    assert "may not see the billed usage" in " ".join(frame.attrs[NOTES_ATTR])
    unknown = cost_frame(CostSources(runs, [host], [sampler], PriceList({}), NOW))
    assert "lists no prices for this key" in unknown.attrs[NOTES_ATTR][0]
    unpriced = cost_frame(CostSources(runs, [host], [sampler], PriceList({"other": 1.0}), NOW))
    assert unpriced.set_index("id").usd_per_hour.isna()["new"]
    assert "2 trainers, samplers or models on hardware without a listed price" in " ".join(unpriced.attrs[NOTES_ATTR])


def test_prices_that_cannot_be_read_are_none_and_deployed_models_are_counted() -> None:
    body = {
        "instance_types": [
            {"instance_type": {"id": "h1", "name": "H100", "gpu_count": 2}, "price": "0.5"},
            {"instance_type": {"id": "h2"}, "price": "on request"},
            {"instance_type": {"id": "h3"}, "price": None},
            {"instance_type": None, "price": 1},
            {},
        ]
    }
    raw = msgspec.json.encode(body)
    prices = price_list(decode_many(raw, "instance_types", InstanceTypePrice))
    assert prices.per_minute == {"h1": 0.5}
    assert prices_frame(raw).usd_per_hour.fillna(-1).tolist() == [30.0, -1, -1, 60.0, -1]
    models = [
        DeployedHardware(name, name, ModelDeployment(status, f"d-{name}", name, None, NOW, None, None, count, shape))
        for name, status, count, shape in (
            ("up", "ACTIVE", 3, "H100"),
            ("coming", "BUILDING", 0, "H100"),
            ("odd", "ACTIVE", 1, "T9"),
            ("asleep", "SCALED_TO_ZERO", 0, "H100"),
            ("over", "INACTIVE", 0, "H100"),
        )
    ]
    shapes = {"H100": InstanceType(id="h1", name="H100", gpu_count=2)}
    sources = CostSources([], [], [], prices, NOW, models=models, shapes=shapes, unread=["The usage is a poem."])
    frame = cost_frame(sources).set_index("name")
    assert frame.usd_per_hour.fillna(-1).to_dict() == {"up": 90.0, "coming": 30.0, "odd": -1, "asleep": 0, "over": 0}
    assert frame.gpu_count.fillna(-1).to_dict() == {"up": 6, "coming": 2, "odd": -1, "asleep": 0, "over": 0}
    notes = " ".join(frame.attrs[NOTES_ATTR])
    assert "at least 8 GPUs, $120.00 an hour." in notes
    assert "a trainer, sampler or model on hardware without a listed price" in notes
    assert "The usage is a poem." in notes
    assert "may not see" not in notes


def test_usage_reads_money_as_text_or_number_and_joins_any_part() -> None:
    item = {"billable_resource": {"id": "r1", "kind": "NEW_KIND", "is_deleted": True, "later": 1}, "subtotal": "1.50"}
    day = {"date": "2026-06-30", "subtotal": 0.5, "minutes": 7}
    body = {
        "training_usage": {"subtotal": 1, "credits_used": "0.25", "total": "1.75", "minutes": 90, "breakdown": [item]},
        "dedicated_usage": {"breakdown": [{**item, "subtotal": "odd", "daily": [day]}]},
        "model_apis_usage": {"total": 0, "breakdown": [{"model_name": "m", "subtotal": 2, "input_tokens": 5}]},
        "future_usage": {},
    }
    summary = decode_object(msgspec.json.encode(body), UsageSummary)
    frame = usage_frame(summary, daily=True)
    assert frame.part.tolist() == ["dedicated", "training", "model_apis"]
    assert frame.usd.tolist() == [0.5, 1.5, 2.0]
    assert frame.date.fillna("").tolist() == ["2026-06-30", "", ""]
    assert frame.name.fillna("").tolist() == ["", "", "m"]
    assert "training: $1.75, of which $0.25 were credits." in frame.attrs[NOTES_ATTR]
    assert usage_frame(summary).usd.fillna(0).tolist() == [2.0, 1.5, 0.0], "what cost most first"
    sources = CostSources([Run(id="r1")], [], [], PriceList({}), NOW, billed=summary)
    assert cost_frame(sources).usd_billed.tolist() == [1.5]
    assert [dollars("nan"), dollars("x"), dollars(None), dollars("3")] == [None, None, None, 3.0]
    assert [money(0), money(0.0042), money(1234.5)] == ["$0.00", "$0.0042", "$1,234.50"]


def test_checkpoint_sizes_group_by_run_and_age() -> None:
    def saved(key: str, run: str, days: float | None, size: int | None) -> Checkpoint:
        at = None if days is None else NOW - timedelta(days=days)
        return Checkpoint(id=key, run_id=run, checkpoint_id=key, created_at=at, size_bytes=size)

    listed = [saved("a", "r1", 40, 5), saved("b", "r2", 0.5, 10), saved("c", "r2", 8, None), saved("d", "r2", None, 1)]
    frame = checkpoint_sizes_frame(listed, {"r2": "two"}, NOW)
    assert frame.run_id.tolist() == ["r2", "r2", "r2", "r1"]
    assert frame.age.tolist() == ["under 1 day", "7 to 30 days", "unknown", "over 30 days"]
    assert frame.total_bytes.tolist() == [10, 0, 1, 5]
    assert frame.without_size.tolist() == [0, 1, 0, 0]
