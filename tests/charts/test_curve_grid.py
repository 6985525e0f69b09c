"""The picture of curves: axes for each metric, mean lines with bands, a baseline, colors, and its legend."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from loops_nb import experiment
from loops_nb.charts.parameter_colors import SCALE_COLORS
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking.metrics import Metrics


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three learning rates with three seeds each, one of which ended early and one of which diverged."""
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    for lr in (1e-4, 1e-3, 1e-2):
        for seed in range(3):
            params = {"lr": lr, "seed": seed, "optimizer": "adam" if lr < 1e-2 else "sgd"}
            with experiment(f"sft-{lr:g}-s{seed}", params=params) as exp:
                for step in range(15 if (lr, seed) == (1e-2, 2) else 30):
                    loss = 3 - step * lr + seed / 10
                    is_odd = (lr, seed, step) == (1e-3, 0, 20)
                    exp.log(step=step, **{"train/loss": math.nan if is_odd else loss, "eval/<b>": 1.0})
    return Metrics().experiments(sort="created_at")


def legend_of(plot: Any) -> list[str]:
    return [text.get_text() for text in plot.figure.legends[0].get_texts()]


def test_each_metric_has_axes_with_labels_and_each_prefix_a_heading(recorded: Any) -> None:
    plot = recorded.loops.plot.curves()
    assert [ax.get_ylabel() for ax in plot.figure.axes] == ["train/loss", "eval/<b>"]
    assert [ax.get_xlabel() for ax in plot.figure.axes] == ["step", "step"]
    assert {"train", "eval"} <= {text.get_text() for text in plot.figure.texts}
    assert "<b>" not in plot.svg
    assert len(legend_of(plot)) == 9 + 1
    assert legend_of(plot)[-1] == "NaN or infinite"
    assert len(plot.table) == 18


def test_groups_have_a_band_and_a_legend_for_every_mark(recorded: Any) -> None:
    plot = recorded.loops.plot.curves("train/loss", group_by="lr")
    (ax,) = plot.figure.axes
    assert len(ax.collections) == 3
    assert legend_of(plot) == [
        "lr=0.0001: mean of 3",
        "lr=0.001: mean of 3",
        "lr=0.01: mean of 3",
        "band: ± 1 standard deviation",
        "dotted: not all members",
        "NaN or infinite",
    ]
    assert "Grouped by lr: 3 groups of 3 experiments each." in plot.notes
    assert any("lr=0.01 (2 of 3)" in note for note in plot.notes)
    assert legend_of(recorded.loops.plot.curves("train/loss", group_by="lr", band="quartiles"))[:1] == [
        "lr=0.0001: median of 3"
    ]


def test_a_color_bar_names_the_parameter(recorded: Any) -> None:
    plot = recorded.loops.plot.curves("train/loss", color_by="lr")
    ax, bar = plot.figure.axes[1], plot.figure.axes[0]
    assert "lr (logarithmic)" in {text.get_text() for text in plot.figure.texts}
    assert [label.get_text() for label in bar.get_xticklabels()] == ["0.0001", "0.001", "0.01"]
    colors = {line.get_color() for line in ax.lines if line.get_linestyle() == "-"}
    assert colors == {SCALE_COLORS[0], SCALE_COLORS[4], SCALE_COLORS[-1]}
    assert "9 experiments" in legend_of(plot)
    words = recorded.loops.plot.curves("train/loss", group_by="lr", color_by="optimizer")
    assert legend_of(words)[:2] == ["optimizer=adam", "optimizer=sgd"]
    mixed = recorded.loops.plot.curves("train/loss", group_by="optimizer", color_by="lr")
    assert "lr is not the same in all members of optimizer=adam: gray." in mixed.notes


def test_a_baseline_is_dashed_and_has_axes_of_differences(recorded: Any) -> None:
    plot = recorded.loops.plot.curves("train/loss", group_by="lr", baseline="lr=0.0001")
    values, differences = plot.figure.axes
    assert differences.get_ylabel() == "train/loss minus baseline"
    assert "baseline: lr=0.0001" in legend_of(plot)
    assert any(line.get_linestyle() == "--" and set(line.get_ydata()) == {0.0} for line in differences.lines)
    assert plot.table.set_index("group").loc["lr=0.0001", "difference"] == 0
    ratio = recorded.loops.plot.curves("train/loss", baseline="sft-0.001-s0", against="ratio")
    assert ratio.figure.axes[1].get_ylabel() == "train/loss / baseline"
    assert len(values.lines) >= 3


def test_the_points_are_a_frame(recorded: Any) -> None:
    plot = recorded.loops.plot.curves("train/loss", group_by="lr")
    assert plot.data.loops.kind == "group_curves"
    assert plot.data.groupby("group", observed=True)["members"].max().tolist() == [3, 3, 3]
    sweep = recorded.loops.plot.sweep("train/loss")
    assert sweep.data is sweep.table


def test_smoothing_and_axes_are_said(recorded: Any) -> None:
    plot = recorded.loops.plot.curves("train/loss", axis="elapsed", smoothing=0.9)
    assert plot.figure.axes[0].get_xlabel().startswith("time since the start (")
    assert "Smoothed: exponential moving average with weight 0.9." in plot.notes
    clock = recorded.loops.plot.curves("train/loss", axis="clock", time_zone="UTC")
    assert clock.figure.axes[0].get_xlabel() == "time (UTC)"


def test_axes_of_the_user(recorded: Any) -> None:
    axes = Figure().subplots(1, 2)
    plot = recorded.loops.plot.curves(group_by="seedless", ax=axes)
    assert plot.figure is axes[0].figure
    assert all(ax.lines for ax in axes)
    assert axes[0].get_legend() is not None
    with pytest.raises(InvalidArgumentError, match="draws 2 panels"):
        recorded.loops.plot.curves(ax=axes[0])


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg", "html"])
def test_it_is_saved_in_every_format(suffix: str, recorded: Any, tmp_path: Path) -> None:
    plot = recorded.loops.plot.curves(group_by="lr", color_by="lr", baseline="lr=0.001")
    assert plot.save(tmp_path / f"curves.{suffix}").stat().st_size > 5000


def test_hundreds_of_lines_stay_a_small_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    for place in range(200):
        with experiment(f"e{place}x") as exp:
            for step in range(60):
                exp.log(step=step, loss=place + step % 7)
    frame: Any = Metrics().experiments()
    plot = frame.loops.plot.curves("loss")
    assert len(legend_of(plot)) == 41
    assert legend_of(plot)[-1] == "and 160 more, which plot.table has"
    assert len(plot.svg) < 1_000_000


def test_extreme_values_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    for seed in (0, 1):
        with experiment(f"odd-s{seed}") as exp:
            for step, value in enumerate([1.7e308, -1.7e308, 5e-324, math.inf]):
                exp.log(step=step, loss=value)
    frame: Any = Metrics().experiments()
    assert frame.loops.plot.curves(group_by="seedless", baseline="odd-s0").svg
    assert frame.loops.plot.curves().svg


def test_wrong_arguments_and_nothing_recorded(recorded: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="against is one of"):
        recorded.loops.plot.curves(against="percent")
    with pytest.raises(InvalidArgumentError, match="smoothing is from 0"):
        recorded.loops.plot.curves(smoothing=2)
    with pytest.raises(InvalidArgumentError, match="has a parameter 'rank'"):
        recorded.loops.plot.curves(color_by="rank")
    with pytest.raises(TrackingError, match="Nothing was logged as 'loss'"):
        recorded.loops.plot.curves("loss")
    with pytest.raises(InvalidArgumentError, match="the column 'id'"):
        recorded.drop(columns="id").loops.plot.curves()
    with experiment("empty"):
        pass
    frame: Any = Metrics().experiments(names="empty")
    plot = frame.loops.plot.curves()
    assert plot.svg == ""
    assert "Nothing was recorded yet for these experiments." in plot.notes
