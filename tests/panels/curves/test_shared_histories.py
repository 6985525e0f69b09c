"""A panel that is opened again reads only what no panel of the process has read before."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import loops_nb
from loops_nb.charts.history_cache import HistoryCache
from loops_nb.charts.series import MetricHistory
from loops_nb.panels.curves.messages import ChartSpec
from loops_nb.panels.curves.model import ClientView, CurveModel
from loops_nb.tracking import ExperimentStore, Series


class _Counting(ExperimentStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.read: list[int] = []

    def series(self, experiment_id: str, key: str, *, after: int = 0) -> Series:
        found = super().series(experiment_id, key, after=after)
        self.read.append(len(found.value))
        return found


def test_a_second_panel_reads_only_newer_points(tmp_path: Path) -> None:
    path = tmp_path / "experiments.sqlite"
    store = _Counting(path)

    def drawn() -> list[int]:
        model = CurveModel(store, ["shared"])
        model.read()
        chart = model.draw(ClientView(ChartSpec(key="loss")))
        assert chart is not None
        return [round(y) for y in np.frombuffer(chart.lines[0].y, "<f4").tolist()]

    with loops_nb.experiment("shared", path=path) as exp:
        for step in range(20):
            exp.log(step=step, loss=step)
        assert drawn() == list(range(20))
        exp.log(step=20, loss=20)
        assert drawn() == list(range(21))
    assert store.read == [20, 1]
    store.delete(store.experiments(), force=True)
    with loops_nb.experiment("shared", path=path) as exp:
        exp.log(step=0, loss=5)
    assert drawn() == [5]
    assert store.read == [20, 1, 1]


def test_of_series_that_no_panel_shows_the_newest_are_kept() -> None:
    cache = HistoryCache(most=3 * 24 * 1000)
    ones = np.ones(1000)

    def history(value: float) -> MetricHistory:
        found = MetricHistory(0)
        found.extend(Series(ones.astype(int), ones.astype(int), ones, ones * value, ones.astype(np.int32), 1000))
        return found

    shown = history(0)
    cache.put("shown", shown)
    for number in range(1, 4):
        cache.put(number, history(number))
    known = {key: cache.get(key) for key in ("shown", 1, 2, 3, "other")}
    assert [key for key, found in known.items() if found is not None] == ["shown", 2, 3]
