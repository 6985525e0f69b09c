"""The plot of a sweep: a panel a parameter, every experiment in each, words and numbers beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.metrics import Metrics


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    for index in range(12):
        lr = 10.0 ** -(1 + index % 4)
        with experiment(f"<b>{index}</b>", params={"lr": lr, "kind": "ab"[index % 2], "rank": 8 * (index % 3)}) as exp:
            exp.log(step=0, loss=math.inf if index == 5 else index % 4 + 0.01 * index)
    return Metrics().experiments()


def test_each_parameter_has_a_panel_with_labels(recorded: Any, tmp_path: Path) -> None:
    plot = recorded.loops.plot.sweep("loss")
    axes = plot.figure.axes
    assert [ax.get_xlabel() for ax in axes] == [str(name) for name in plot.table.columns[2:]]
    assert axes[0].get_ylabel() == "loss"
    assert axes[0].get_xlabel() == "lr"
    assert axes[0].get_xscale() == "log"
    assert sum(len(line.get_xdata()) for line in axes[0].lines) == 11
    assert "1 experiment whose loss is not finite cannot be drawn." in plot.notes
    assert len(plot.table) == 12
    assert "<b>" not in plot.svg
    for suffix in ("svg", "png", "pdf"):
        assert plot.save(tmp_path / f"sweep.{suffix}").stat().st_size > 1000


def test_axes_of_the_user(recorded: Any) -> None:
    axes = Figure().subplots(1, 3)
    plot = recorded.loops.plot.sweep("loss", ax=axes)
    assert plot.figure is axes[0].figure
    assert all(ax.lines for ax in axes)
    with pytest.raises(InvalidArgumentError, match="draws 3 panels"):
        recorded.loops.plot.sweep("loss", ax=axes[:2])


def test_nothing_to_draw_is_said(recorded: Any) -> None:
    plot = recorded.head(1).loops.plot.sweep("loss")
    assert plot.svg == ""
    assert "No parameter differs" in plot.notes[0]


def test_other_frames_are_refused(recorded: Any) -> None:
    other: Any = recorded.drop(columns="id")
    with pytest.raises(InvalidArgumentError, match="the column 'id'"):
        other.loops.plot.sweep("loss")
