"""Parallel coordinates of a sweep: an axis a parameter, a line an experiment, whatever the values are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from loops_nb import experiment
from loops_nb.charts.parallel import good_to_bad
from loops_nb.charts.parallel_scale import ABOVE, BELOW, ParallelScale
from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.metrics import Metrics


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    for index in range(12):
        params: dict[str, Any] = {"lr": 10.0 ** -(1 + index % 4), "kind": "ab"[index % 2], "rank": 8 * (index % 3)}
        if index % 5 == 0:
            del params["rank"]
        with experiment(f"<b>{index}</b>", params=params) as exp:
            exp.log(step=0, loss=math.inf if index == 5 else index % 4 + 0.01 * index)
    return Metrics().experiments()


def texts(plot: Any) -> list[str]:
    return [text.get_text() for text in plot.figure.axes[0].texts]


def test_each_parameter_and_the_metric_has_an_axis_with_labels(recorded: Any, tmp_path: Path) -> None:
    plot = recorded.loops.plot.parallel("loss")
    shown = texts(plot)
    for label in ("lr", "kind", "rank", "lowest loss", "none", "not finite", "a", "b", "0.0001", "0.1", "8"):
        assert label in shown
    (lines,) = plot.figure.axes[0].collections[:1]
    assert len(lines.get_segments()) == 12
    assert "Logarithmic axes: lr." in plot.notes
    assert "<b>" not in plot.svg
    assert "&lt;b&gt;1&lt;/b&gt;: loss 1.01 with" in plot.svg
    assert len(plot.table) == 12
    for suffix in ("svg", "png", "pdf", "html"):
        assert plot.save(tmp_path / f"parallel.{suffix}").stat().st_size > 1000
    assert "last loss" in texts(recorded.loops.plot.parallel("loss", at="last"))


def test_axes_of_the_user_and_one_experiment(recorded: Any) -> None:
    ax = Figure().subplots()
    plot = recorded.loops.plot.parallel("loss", ax=ax)
    assert plot.figure is ax.figure
    assert ax.texts
    with pytest.raises(InvalidArgumentError, match="ax is the axes of matplotlib"):
        recorded.loops.plot.parallel("loss", ax=3)
    alone = recorded.head(1).loops.plot.parallel("loss")
    assert alone.svg == ""
    assert "No parameter differs" in alone.notes[0]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-5, 5), st.booleans(), st.text(max_size=5)), max_size=12))
def test_every_value_has_a_place(cells: list[Any]) -> None:
    scale = ParallelScale.of(cells)
    assert len(scale.places) == len(cells)
    for place in [*scale.places, *(tick.at for tick in scale.ticks)]:
        assert place in {BELOW, ABOVE} or -1e-9 <= place <= 1 + 1e-9


def test_colors_can_be_seen_on_light_and_on_dark() -> None:
    def luminance(color: Any) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for share in range(11):
        found = luminance(good_to_bad()(share / 10))
        assert 1.05 / (found + 0.05) >= 3
        assert (found + 0.05) / (luminance("#111111") + 0.05) >= 3
