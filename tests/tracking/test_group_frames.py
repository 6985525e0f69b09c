"""``loops.metrics.groups`` and ``results``: curves of groups and a baseline as frames."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.tracking.metrics import Metrics


@pytest.fixture
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Two learning rates with two seeds each; one seed of the second ended early."""
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    for lr in (1e-3, 1e-4):
        for seed in (0, 1):
            with experiment(f"sft-{lr:g}-s{seed}", params={"lr": lr, "seed": seed}, tags=["sweep"]) as exp:
                for step in range(5 if (lr, seed) == (1e-4, 1) else 10):
                    values = {"train/loss": 10 - step + seed + (lr < 1e-3), "forward_backward/seconds": 0.1}
                    exp.log(step=step, tokens_seen=step * 100, **values)
    return Metrics()


def test_groups_have_a_row_for_each_place(metrics: Metrics) -> None:
    found = metrics.groups("train/loss", group_by="lr")
    assert list(found) == [
        "key", "group", "axis", "x", "center", "low", "high", "members", "difference", "ratio",
    ]  # fmt: skip
    assert [str(dtype) for dtype in found.dtypes] == ["category"] * 3 + ["float64"] * 4 + ["Int64"] + ["float64"] * 2
    first = found[found["group"] == "lr=0.001"]
    assert first["x"].tolist() == list(range(10))
    assert first["center"].tolist() == [10.5 - step for step in range(10)]
    assert (first["high"] - first["low"]).tolist() == pytest.approx([2 * math.sqrt(0.5)] * 10)
    second = found[found["group"] == "lr=0.0001"]
    assert second["members"].tolist() == [2] * 5 + [1] * 5
    assert found["difference"].isna().all()
    notes = " ".join(found.attrs[NOTES_ATTR])
    assert "Grouped by lr: 2 groups of 2 experiments each." in notes
    assert "Not all members have the last places of train/loss: lr=0.0001 (1 of 2)." in notes
    assert "center is the mean, low and high are ± 1 standard deviation." in notes
    assert found.loops.kind == "group_curves"


def test_groups_are_by_name_without_seed_unless_said_otherwise(metrics: Metrics) -> None:
    found = metrics.groups()
    assert found["group"].cat.categories.tolist() == ["sft-0.0001", "sft-0.001"]
    assert found["key"].cat.categories.tolist() == ["train/loss"]
    assert "Durations are left out unless they are named: forward_backward/seconds." in found.attrs[NOTES_ATTR]
    alone = metrics.groups("*/loss", group_by=None)
    assert len(alone["group"].cat.categories) == 4
    assert (alone["center"] == alone["low"]).all()


def test_groups_along_tokens_and_with_a_baseline(metrics: Metrics) -> None:
    found = metrics.groups("train/loss", group_by="lr", axis="tokens", baseline="lr=0.001", band="quartiles")
    assert found["axis"].unique().tolist() == ["tokens"]
    own = found[found["group"] == "lr=0.001"]
    assert own["x"].tolist() == [step * 100 for step in range(10)]
    assert own["difference"].tolist() == [0] * 10
    assert own["ratio"].tolist() == [1] * 10
    other = found[found["group"] == "lr=0.0001"]
    assert other["difference"].iloc[0] == 1


def test_results_compare_where_both_have_values(metrics: Metrics) -> None:
    found: Any = metrics.results("train/loss", baseline="sft-0.001-s0").set_index("group")
    assert found.loc["sft-0.001-s0", ["difference", "ratio", "best_ratio"]].tolist() == [0, 1, 1]
    short = found.loc["sft-0.0001-s1"]
    assert (short["last"], short["at"], short["difference"]) == (8, 4, 2)
    assert short["best_difference"] == 8 - 1
    assert metrics.results("train/loss")["difference"].isna().all()
    grouped = metrics.results("train/loss", group_by="lr", baseline="lr=0.001")
    assert grouped["experiments"].tolist() == [2, 2]


def test_the_baseline_may_be_any_experiment(metrics: Metrics) -> None:
    found = metrics.results("train/loss", "sft-0.0001-*", baseline="sft-0.001-s0")
    assert len(found) == 2
    with pytest.raises(TrackingError, match="neither a group here nor an experiment"):
        metrics.results("train/loss", baseline="sft")


def test_wrong_arguments_are_refused(metrics: Metrics) -> None:
    with pytest.raises(InvalidArgumentError, match="band is one of"):
        metrics.groups(band="iqr")
    with pytest.raises(InvalidArgumentError, match="axis is one of"):
        metrics.groups(axis="time")
    with pytest.raises(InvalidArgumentError, match="has a parameter 'rank'"):
        metrics.groups(group_by="rank")
    with pytest.raises(InvalidArgumentError, match="mode must be"):
        metrics.results("train/loss", mode="low")
    with pytest.raises(TrackingError, match="Nothing was logged as 'eval/loss'") as refused:
        metrics.groups("eval/loss")
    assert "There is train/loss" in refused.value.hint


def test_nothing_recorded_is_an_empty_frame(tmp_path: Path) -> None:
    found = Metrics(tmp_path / "empty.sqlite").groups("loss")
    assert len(found) == 0
    assert found["members"].dtype == "Int64"
    assert len(Metrics(tmp_path / "empty.sqlite").results("loss")) == 0


def test_values_that_are_no_numbers_are_no_members(metrics: Metrics) -> None:
    with experiment("odd-s1") as exp:
        for step, value in enumerate([1.0, math.nan, 3.0, math.inf]):
            exp.log(step=step, odd=value)
    found = metrics.groups("odd", "odd*", group_by="name")
    assert found["x"].tolist() == [0, 2]
    assert np.isfinite(found["center"]).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_experiment_without_finite_values_stops_no_frame_and_no_picture(metrics: Metrics, value: float) -> None:
    with experiment("diverged-s1") as exp:
        exp.log(step=0, **{"train/loss": value})
    frame: Any = metrics.experiments()
    words = "Every value of train/loss is NaN or infinite, so there is no curve: diverged-s1."
    for baseline in (None, "sft-0.001", "diverged-s1"):
        assert words in metrics.groups("train/loss", baseline=baseline).attrs[NOTES_ATTR]
        last = metrics.results("train/loss", group_by="seedless", baseline=baseline).set_index("group")["last"]
        assert np.isnan(last["diverged-s1"])
        assert last["sft-0.001"] == 1.5
        plot = frame.loops.plot.curves("train/loss", group_by="seedless", baseline=baseline)
        assert set(plot.table["group"]) == {"sft-0.001", "sft-0.0001", "diverged-s1"}
    with pytest.raises(InvalidArgumentError, match="it has no rows"):
        frame[:0].loops.sweep()
