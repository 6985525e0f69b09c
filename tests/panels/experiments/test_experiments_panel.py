"""The panel of experiments: columns, rows, live changes, filters, choices, curves and its report."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pytest

import loops_nb
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.panels import ExperimentsPanel
from loops_nb.panels.controller import INITIAL_ROWS
from loops_nb.panels.experiments.columns import SPARK
from loops_nb.panels.experiments.sparkline import Sparkline
from loops_nb.resources.metrics import RecordedMetrics
from loops_nb.tracking import Experiment, ExperimentStore
from loops_nb.tracking.rows import Series
from tests.panels.experiments.conftest import OpenedPanel
from tests.panels.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")
Opener = Callable[..., OpenedPanel]
HOSTILE = '<script>alert("x")</script>'


def record(name: str, *, steps: int = 20, factor: float = 1.0, **params: Any) -> Experiment:
    exp = loops_nb.experiment(name, params={"model": "tiny", **params}, tags=["sweep"])
    for step in range(steps):
        exp.log(step=step, loss=factor * 2 / (step + 1), accuracy=step / steps)
    return exp


def sweep(count: int = 3) -> list[Experiment]:
    return [record(f"s{i}", factor=1 + i, lr=10.0**-i) for i in range(count)]


def shown(panel: OpenedPanel) -> list[str]:
    found = panel.now
    return [one.name for one in found.columns if found.choices.columns.get(one.name, one.shown)]


def test_columns_are_those_that_say_something_the_main_metric_first(opened: Opener) -> None:
    sweep()
    panel = opened()
    assert shown(panel) == [
        "name",
        "state",
        SPARK,
        "best.loss",
        "last.loss",
        "last_step",
        "duration",
        "params.lr",
        "best.accuracy",
        "created_at",
    ]
    # What all rows share is said in a line: the tag and the model.
    assert [(one.title, one.value) for one in panel.now.shared] == [("model", "tiny"), ("Tags", "sweep")]
    assert panel.cells("best.loss") == {"s0": 0.1, "s1": 0.2, "s2": pytest.approx(0.3)}
    assert panel.cells("params.lr") == {"s0": 1.0, "s1": 0.1, "s2": 0.01}
    assert set(panel.cells("state").values()) == {"running"}


def test_another_metric_can_be_the_main_one(opened: Opener) -> None:
    sweep()
    found = opened(metric="accuracy").now
    names = [one.name for one in found.columns]
    assert found.metric == "accuracy"
    assert names.index("best.accuracy") < names.index("best.loss")


def test_a_change_sends_the_rows_that_differ_and_no_others(opened: Opener) -> None:
    exps = sweep()
    panel = opened()
    before = len(panel.sent)
    exps[1].log(step=20, loss=0.001)
    until(lambda: panel.cells("last_step")["s1"] == 20)
    until(lambda: any(row[0] == exps[1].id for row in panel.page().values() if 20 in row))
    changed = {row[0] for message in panel.sent[before:] for row in message.get("rows", [])}
    assert changed == {exps[1].id}
    assert [list(row) for row in panel.now.rows] == [list(panel.page()[str(row[0])]) for row in panel.now.rows]


def test_an_experiment_that_begins_and_one_that_is_archived_come_and_go(opened: Opener) -> None:
    exps = sweep()
    panel = opened()
    record("new", lr=5.0)
    until(lambda: len(panel.page()) == 4)
    RecordedMetrics().archive(exps[0].id)
    until(lambda: exps[0].id not in panel.page())
    assert panel.now.total == 3


def test_an_end_is_seen_without_a_value(opened: Opener) -> None:
    exps = sweep()
    panel = opened()
    exps[0].close()
    until(lambda: panel.cells("state")["s0"] == "finished")


def test_nothing_recorded_is_no_error(opened: Opener, home: Path) -> None:
    panel = opened()
    assert panel.now.health.state == "live"
    assert panel.now.empty.startswith("No experiments yet.")
    assert not home.exists(), "looking makes no file"
    record("first").flush()
    until(lambda: panel.now.total == 1)
    assert panel.now.empty == ""


def test_a_file_that_cannot_be_read_any_more_is_an_error_and_the_rows_stay(opened: Opener, home: Path) -> None:
    for exp in sweep():
        exp.close()
    panel = opened()
    path = home / "experiments.sqlite"
    whole = path.read_bytes()
    for old in home.glob("experiments.sqlite*"):
        old.unlink()
    path.write_bytes(b"this is no database, and never was one" * 100)
    until(lambda: panel.now.health.state == "failing")
    assert "not a file of experiments" in panel.now.health.reason
    assert panel.now.total == 3
    assert [one["health"]["state"] for one in panel.of("change") if "health" in one] == ["failing"]
    path.unlink()
    path.write_bytes(whole)
    until(lambda: panel.now.health.state == "live")


def test_a_file_that_cannot_be_read_opens_no_panel(home: Path) -> None:
    home.mkdir()
    (home / "experiments.sqlite").write_bytes(b"this is no database, and never was one" * 100)
    threads = threading.active_count()
    with pytest.raises(TrackingError, match="not a file of experiments"):
        ExperimentsPanel()
    assert threading.active_count() == threads


def test_sparklines_are_sent_for_the_rows_on_the_screen(opened: Opener) -> None:
    exps = sweep(60)
    panel = opened()
    assert len(panel.now.sparks) == INITIAL_ROWS
    oldest = exps[0].id
    assert oldest not in panel.now.sparks
    panel.receive({"type": "show_rows", "view": "v", "ids": [oldest]})
    until(lambda: any(oldest in one.get("sparks", {}) for one in panel.of("change")))
    first = panel.now.sparks[oldest]
    assert first[0] == "z"
    assert first[-1] == "0"
    exps[0].log(step=20, loss=9.0)
    until(lambda: panel.now.sparks[oldest] != first)


def test_the_saved_state_has_the_first_rows_in_the_chosen_order(opened: Opener) -> None:
    sweep(60)
    panel = opened(sort="best.loss")
    state = panel.panel.get_state("snapshot")["snapshot"]
    assert state["total"] == 60
    name = state["sent"].index("name")
    assert [row[name] for row in state["rows"]] == [f"s{i}" for i in range(INITIAL_ROWS)]
    assert set(state["sparks"]) == {row[0] for row in state["rows"]}
    assert len(json.dumps(state)) < 20_000


@pytest.mark.parametrize(
    ("sort", "column", "down"),
    [("loss", "last.loss", False), ("-lr", "params.lr", True), ("-started", "created_at", True)],
)
def test_sort_takes_the_names_of_the_listing(sort: str, column: str, down: bool, opened: Opener) -> None:
    sweep()
    order = opened(sort=sort).now.choices.sort
    assert order is not None
    assert (order.column, order.down) == (column, down)


def test_filters_choose_the_experiments(opened: Opener) -> None:
    sweep()
    panel = opened(where="lr < 0.5", names="s[12]", limit=1, sort="best.loss")
    assert list(panel.cells("name")) == ["s1"]
    assert panel.now.notes == ["The first 1 of 2 experiments; --limit gives more."]
    assert panel.now.line == "%loops watch experiments 's[12]' --where 'lr < 0.5' --sort best.loss --limit 1"
    assert panel.panel.frame["name"].tolist() == ["s1"]
    nothing = opened(tags="none")
    assert "No experiment has the tag 'none'" in nothing.now.empty


def test_an_expression_of_a_view_is_answered_and_followed(opened: Opener) -> None:
    exps = sweep()
    panel = opened()
    panel.receive({"type": "filter", "view": "v", "text": "best.loss < 0.25"})
    until(lambda: panel.of("filtered"))
    assert set(panel.of("filtered")[-1]["ids"]) == {exps[0].id, exps[1].id}
    exps[2].log(step=20, loss=0.0)
    until(lambda: len(panel.of("filtered")[-1]["ids"]) == 3)
    panel.receive({"type": "filter", "view": "v", "text": "lrr < 1"})
    until(lambda: panel.of("filtered")[-1]["error"])
    error = panel.of("filtered")[-1]["error"]
    assert error.startswith("The filter names 'lrr'")
    assert "Did you mean lr?" in error


def test_choices_are_kept_for_the_next_panel(opened: Opener) -> None:
    sweep()
    first = opened()
    choices = {"columns": {"params.lr": False, "points": True}, "sort": {"column": "best.loss", "down": False}}
    first.receive({"type": "choose", "choices": choices})
    # The cell is run again at once: its panel is closed before its thread has taken the message.
    first.panel.close()
    second = opened()
    assert "params.lr" not in shown(second)
    assert "points" in second.now.sent
    assert second.now.choices.sort is not None
    # The last of several choices counts, and each is answered.
    for points in (True, False, True):
        second.receive({"type": "choose", "choices": {"columns": {"points": points}}})
    second.receive({"type": "choose", "choices": choices})
    until(lambda: choices in [message.get("choices") for message in list(second.sent)])
    assert opened().now.choices.columns == choices["columns"]
    # What is asked for on the line counts more than what was chosen.
    third = opened(sort="-lr").now.choices
    assert third.sort is not None
    assert third.sort.column == "params.lr"
    assert third.columns == choices["columns"]


def test_choices_that_cannot_be_read_are_none(opened: Opener, home: Path) -> None:
    sweep()
    loops_nb.experiment("x").close()
    (home / "experiments-panel.json").write_text('{"columns": 3}', "utf-8")
    assert opened().now.choices.columns == {}


def test_of_many_experiments_only_shown_columns_are_sent_and_others_when_they_are_chosen(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loops_nb.panels.experiments.model.MOST_CELLS", 0)
    sweep()
    panel = opened()
    assert "run_id" not in panel.now.sent
    panel.receive({"type": "choose", "choices": {"columns": {"run_id": True}, "sort": None}})
    until(lambda: "run_id" in panel.of("snapshot")[-1]["sent"])


def test_curves_open_as_a_widget_that_is_closed_with_the_panel(opened: Opener) -> None:
    exps = sweep()
    panel = opened()
    threads = threading.active_count()
    panel.receive({"type": "open_curves", "view": "v", "ids": [exps[1].id]})
    until(lambda: panel.of("curves"))
    [one] = panel.of("curves")
    assert one["widget"] in ipywidgets.widgets.widget._instances
    assert f"%loops curves {exps[1].id}" in one["text"]
    facts = {fact["title"]: fact["value"] for fact in one["facts"]}
    assert facts.pop("Author")
    assert facts == {"Id": exps[1].id, "Tags": "sweep", "model": "tiny", "lr": "0.1"}
    panel.receive({"type": "open_curves", "view": "v", "ids": [exp.id for exp in exps]})
    until(lambda: len(panel.of("curves")) == 2)
    assert panel.of("curves")[1]["facts"] == []
    widgets = [found["widget"] for found in panel.of("curves")]
    panel.panel.close()
    assert not set(widgets) & set(ipywidgets.widgets.widget._instances)
    until(lambda: threading.active_count() < threads)


def _has_more_curves(panel: OpenedPanel, before: int) -> bool:
    return len(panel.of("curves")) > before


def test_only_some_widgets_of_curves_stay_open(opened: Opener) -> None:
    exps = sweep(7)
    panel = opened()
    for exp in exps:
        before = len(panel.of("curves"))
        panel.receive({"type": "open_curves", "view": "v", "ids": [exp.id]})
        until(partial(_has_more_curves, panel, before))
    alive = [one for one in panel.of("curves") if one["widget"] in ipywidgets.widgets.widget._instances]
    assert len(alive) == 4


def test_the_report_is_a_table_with_what_all_share(opened: Opener) -> None:
    sweep(25)
    exp = record(HOSTILE, lr=HOSTILE)
    exp.log(step=21, loss=math.nan)
    report = opened().panel._report(live=True)
    assert "<script" not in report["text/html"]
    assert "26 experiments" in report["text/html"]
    assert "And 6 more." in report["text/plain"]
    assert "The same in all: model tiny" in report["text/plain"]
    assert "NaN" in report["text/plain"]
    assert "%loops watch experiments" in report["text/plain"]
    assert len(report["text/html"]) < 30_000


def test_hostile_texts_and_numbers_travel_as_data(opened: Opener) -> None:
    record("big", seed=2**60 + 1, lr=math.inf, text=HOSTILE).log(step=30, loss=math.inf)
    panel = opened()
    assert panel.cells("params.seed")["big"] == str(2**60 + 1)
    assert panel.cells("params.lr")["big"] == "Infinity"
    assert panel.cells("last.loss")["big"] == "Infinity"
    json.dumps(panel.sent, allow_nan=False)


def test_what_it_opens_it_closes() -> None:
    sweep()
    threads = threading.active_count()
    panel = ExperimentsPanel()
    assert threading.active_count() == threads + 1
    panel.close()
    panel.close()
    panel.freeze()
    assert threading.active_count() == threads
    assert panel.snapshot_now().health.state == "over"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"where": "lr <"}, "where"),
        ({"sort": 3}, "sort must be the name of a column"),
        ({"limit": 0}, "limit"),
        ({"metric": 3}, "metric must be a key"),
        ({"sort": "lrr"}, "sort names 'lrr'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(given: dict[str, Any], message: str) -> None:
    sweep()
    threads = threading.active_count()
    with pytest.raises(InvalidArgumentError, match=message):
        ExperimentsPanel(**given)
    assert threading.active_count() == threads


def test_messages_of_a_page_that_are_none_are_ignored(opened: Opener) -> None:
    exps = sweep()
    panel = opened()
    for message in (None, {"type": "open_curves"}, {"type": "choose", "choices": 3}, {"type": "filter", "view": 1}):
        panel.receive(message)  # type: ignore[arg-type]
    panel.receive({"type": "open_curves", "view": "v", "ids": ["unknown"]})
    until(lambda: panel.of("curves"))
    assert panel.of("curves")[0]["widget"] == ""
    exps[0].log(step=50, loss=1.0)
    until(lambda: panel.cells("last_step")["s0"] == 50)


def series(steps: Any, values: Any, mark: int = 0) -> Series:
    count = len(steps)
    whole = np.array(steps, np.int64)
    floats = np.array(values, np.float64)
    return Series(whole, whole, floats, floats, np.ones(count, np.int32), mark or count)


def test_a_sparkline_is_the_mean_of_spans_of_steps() -> None:
    spark = Sparkline()
    spark.extend(series(range(4), [3, 2, 1, 0]))
    assert spark.text == "zfK0"
    for start in range(4, 10_004, 1000):
        spark.extend(series(range(start, start + 1000), [math.nan] * 500 + [1.0] * 500))
    assert len(spark.text) <= 64
    # 1.5 at first, then 1 wherever there is a value.
    assert spark.text[0] == "z"
    assert set(spark.text[1:]) <= {"0", " "}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("steps", "values", "text"),
    [
        ([0, 1], [5, 5], None),
        ([0], [math.nan], ""),
        ([], [], ""),
        ([0, 1], [-1.7e308, 1.7e308], "0z"),
        ([-(2**62), 2**62], [1, 0], None),
        ([5, 3], [1, 0], "0 z"),
    ],
)
def test_sparklines_of_hard_series(steps: list[int], values: list[float], text: str | None) -> None:
    spark = Sparkline()
    spark.extend(series(steps, values))
    spark.extend(series(steps, values))
    assert len(spark.text) <= 64
    if text is not None:
        assert spark.text == text


def test_a_panel_of_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for exp in sweep():
        exp.close()
    with ExperimentStore() as store:
        source = store.path
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "elsewhere"))
    panel = RecordedMetrics(source).watch()
    try:
        assert panel.snapshot_now().total == 3
        assert len(panel.frame) == 3
    finally:
        panel.close()
