"""``%loops cost``: its tables, sums, and what it says is not known, against the real local service."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import loops_nb
from loops_nb import Loops
from tests.magics.conftest import Notebook


def test_cost_shows_what_is_held_now_and_says_what_is_not_known(live: Notebook, service: str) -> None:
    with Loops("key", service) as loops:
        runs, held = loops.runs.frame(), loops.deployments.frame()
        prices = loops.billing.prices_frame().set_index("id").usd_per_hour
    assert prices["local-cpu-1"] == 0
    assert prices["local-h100-8"] == pytest.approx(8 * prices["local-h100-1"])
    alive = held[held.status == "RUNNING"].iloc[0]
    with loops_nb.experiment("counted", run=alive.active_run_id) as exp:
        exp.log({"tokens": 1_500_000.0, "sample/tokens": 10.0}, step=1)
        exp.log({"tokens": 500_000.0}, step=1)
    before = datetime.now(UTC)
    found = live.run("%loops cost --train-rate 2")
    frame = found.value
    assert set(runs.id) <= set(frame.id)
    assert frame.usd_per_hour.dropna().is_monotonic_decreasing
    row = frame.set_index("id").loc[alive.active_run_id]
    assert row.usd_per_hour >= prices["local-h100-1"] * alive.node_count
    held_hours = [(now - row.created_at.to_pydatetime()) / timedelta(hours=1) for now in (before, datetime.now(UTC))]
    assert held_hours[0] <= row.usd_at_most / row.usd_per_hour <= held_hours[1]
    assert (row.tokens_trained, row.tokens_sampled, row.usd_tokens) == (2_000_000, 10, 4.0)
    over = frame[(frame.kind == "run") & (frame.status == "INACTIVE") & (frame.gpu_count == 0)]
    assert len(over)
    assert over.usd_at_most.isna().all()
    shown = live.html(frame)
    for words in ("an hour.", "Made-up prices of the local service", "usd_at_most is an upper bound"):
        assert words in shown
    assert "your rates" not in shown
    assert frame.usd_billed.sum() > 0, "the usage summary is joined by the ids of deployments and samplers"
    live.run("%config LoopsMagics.train_rate = 4")
    assert live.run("%loops cost").value.set_index("id").loc[alive.active_run_id, "usd_tokens"] == 8.0


def test_cost_has_checkpoints_by_age_prices_and_billed_usage(live: Notebook, service: str) -> None:
    sizes = live.run("%loops cost --checkpoints").value
    assert sizes.groupby("run_id").total_bytes.sum().max() > 0
    assert str(sizes.age.dtype) == "category"
    assert "note" in live.run("%loops cost --prices").value
    billed = live.run("%loops cost --billed --since 31d").value
    daily = live.run("%loops cost --billed --since 31d --daily").value
    assert set(billed.kind) >= {"LOOPS_TRAINER", "LOOPS_SAMPLER"}
    assert math.isclose(billed.usd.sum(), daily.usd.sum(), abs_tol=0.1)
    assert len(daily) > len(billed)
    assert pd.isna(billed.date).all()
    with Loops("key", service) as loops:
        part = loops.billing.usage(datetime.now(UTC) - timedelta(days=1)).training_usage
    assert part is not None
    assert part.breakdown
    for line, words in (
        ("%loops cost --daily", "--daily needs --billed"),
        ("%loops cost --prices --billed", "different tables"),
        ("%loops cost --prices --scope org", "does not go with --prices"),
        ("%loops cost --billed --since 40d", "at most 31 days"),
    ):
        assert words in live.run(line, fails=True).text, line
