"""Experiments as a leaderboard: states, last and best values, filters and order."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.tracking import ExperimentStore
from loops_nb.tracking.leaderboard import usable_names
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.schema import open_store, summary_of
from tests.tracking.old_files import downgrade

pytestmark = pytest.mark.once


def sweep(count: int = 4) -> Metrics:
    for number in range(count):
        params = {"lr": 10.0 ** -(number + 1), "lora": {"rank": 8 * (1 + number % 2)}, "seed": 2**62 + number}
        with experiment(f"sweep-{number}", params=params, tags=["even"] if number % 2 == 0 else ["odd", "new"]) as exp:
            for step, loss in enumerate((3.0, 1.0 + number, 2.0 + number)):
                exp.log(step=step, loss=loss, accuracy=step / 10, kl=step)
            if number == 1:
                exp.saved("step-2")
    return Metrics()


def states() -> dict[str, str]:
    frame = Metrics().experiments()
    return dict(zip(frame["name"], frame["state"], strict=True))


def test_last_and_best_values_follow_the_direction_of_the_key() -> None:
    frame = sweep().experiments()
    names = frame.columns.tolist()
    first = names.index("last.loss")
    assert names[first : first + 5] == ["last.loss", "best.loss", "last.accuracy", "best.accuracy", "last.kl"]
    assert frame["last.loss"].tolist() == [5.0, 4.0, 3.0, 2.0]
    assert frame["best.loss"].tolist() == [3.0, 3.0, 2.0, 1.0]
    assert frame["best.accuracy"].tolist() == [0.2] * 4
    assert "best.kl" not in frame
    assert frame["params.seed"].tolist() == [2**62 + number for number in (3, 2, 1, 0)]
    assert frame["params.seed"].dtype == "Int64"
    assert frame["checkpoints"].dropna().tolist() == [1]
    assert frame["duration"].dtype.kind == "m"
    assert frame.attrs[NOTES_ATTR] == [
        "last.KEY is the newest value, best.KEY the lowest of loss and the highest of accuracy."
    ]


def test_logged_nan_is_the_last_value_and_never_the_best() -> None:
    with experiment("nan") as exp:
        exp.log(step=0, loss=2.0)
        exp.flush()
        exp.log(step=1, loss=math.nan)
        exp.log(step=0, only_nan_loss=math.nan)
    frame = Metrics().experiments()
    assert math.isnan(frame["last.loss"][0])
    assert frame["best.loss"].tolist() == [2.0]
    assert math.isnan(frame["best.only_nan_loss"][0])


def test_state_tells_running_finished_and_crashed_apart() -> None:
    experiment("done").close()
    running = experiment("open")
    running.log(loss=1)
    with pytest.raises(ZeroDivisionError), experiment("raised"):
        _ = 1 / 0
    with pytest.raises(SystemExit), experiment("left"):
        sys.exit(0)
    assert states() == {"done": "finished", "open": "running", "raised": "crashed", "left": "finished"}
    running.close()
    assert states()["open"] == "finished"
    running.log(loss=2)
    assert states()["open"] == "running"


@pytest.mark.parametrize(
    ("end", "state"),
    [("", "finished"), ("raise ValueError", "crashed"), ("os.kill(os.getpid(), 9)", "crashed")],
)
def test_state_of_an_experiment_that_was_not_closed(end: str, state: str) -> None:
    script = f"import os, loops_nb\nexp = loops_nb.experiment('script')\nexp.log(loss=1)\nexp.flush()\n{end}"
    subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=60)
    assert states() == {"script": state}


@pytest.mark.file_store
def test_experiment_without_end_is_stale_after_half_an_hour() -> None:
    experiment("elsewhere").flush()
    store = ExperimentStore()
    store.experiments()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("UPDATE sessions SET host = 'another'")
        assert states() == {"elsewhere": "running"}
        connection.execute("UPDATE sessions SET at = 0")
        connection.execute("UPDATE experiments SET last_at = 1")
    assert states() == {"elsewhere": "stale"}


def test_filters_select_and_sort_orders() -> None:
    metrics = sweep()

    def names(**given: Any) -> list[str]:
        found: list[str] = metrics.experiments(**given)["name"].str.removeprefix("sweep-").tolist()
        return found

    assert names() == ["3", "2", "1", "0"]
    assert names(where="lr < 0.05 and lora.rank == 16") == ["3", "1"]
    assert names(where="params.lr < 0.05 or best.loss == 1") == ["3", "2", "1", "0"]
    assert names(where="min.kl == 0 and max.kl > 1 and state == 'finished'", limit=1) == ["3"]
    assert names(tags="even") == ["2", "0"]
    assert names(tags=["odd", "new"]) == ["3", "1"]
    assert names(names="*-[01]") == ["1", "0"]
    assert names(names=["sweep-3", "sweep-0"]) == ["3", "0"]
    assert names(since="1h") == names(since=timedelta(hours=1)) == ["3", "2", "1", "0"]
    assert names(since="0s") == []
    assert names(since=datetime(2100, 1, 1, tzinfo=UTC)) == []
    assert names(sort="best.loss") == ["0", "1", "3", "2"]
    assert names(sort="-last.loss", limit=2) == ["3", "2"]
    assert names(sort="started") == ["0", "1", "2", "3"]
    assert names(sort="checkpoints")[0] == "1" or names(sort="-checkpoints")[0] == "1"


def test_columns_without_values_are_left_out_with_a_note() -> None:
    metrics = sweep(1)
    with experiment("other", params={"beta": 1}) as exp:
        exp.log(reward=1)
    frame = metrics.experiments(names="other")
    assert "params.lr" not in frame
    assert "last.loss" not in frame
    assert frame.attrs[NOTES_ATTR][0] == (
        "Without a column, as none of these experiments has them: params.lr, params.lora.rank, params.seed, loss,"
        " accuracy, kl."
    )
    assert metrics.experiments(limit=1).attrs[NOTES_ATTR][1] == "The first 1 of 2 experiments; --limit gives more."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"where": "lr <"}, "where needs a name or a value at its end"),
        ({"where": 3}, "where must be a string"),
        ({"since": "yesterdayish"}, "since must be an age or a time, not 'yesterdayish'"),
        ({"since": 3}, "since must be an age or a time, not 3"),
        ({"sort": "-"}, "sort must be the name of a column"),
        ({"limit": 0}, "limit must be a whole number from 1, not 0"),
        ({"limit": True}, "limit must be a whole number from 1, not True"),
        ({"tags": [1]}, "tags must be a string or a list of strings"),
        ({"names": 1}, "names must be a string or a list of strings"),
    ],
)
def test_bad_argument_is_refused_before_anything_is_read(
    given: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExperimentStore, "experiments", lambda *_, **__: pytest.fail("was read"))
    with pytest.raises(InvalidArgumentError, match=message):
        Metrics().experiments(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"where": "lrr < 1"}, r"where names 'lrr', which is no column, parameter or metric here\. Did you mean lr"),
        ({"where": "rank == 8"}, "Did you mean lora.rank"),
        ({"sort": "best.los"}, r"sort names 'best.los'.*Did you mean best.loss"),
        ({"sort": "best.kl"}, r"'kl' does not tell whether lower or higher is better\. Use min.kl or max.kl"),
        ({"where": "lr < 'small'"}, r"compares the number .* with the text 'small' by <"),
    ],
)
def test_unknown_name_is_refused_with_the_nearest(given: dict[str, Any], message: str) -> None:
    metrics = sweep(1)
    with pytest.raises(InvalidArgumentError, match=message):
        metrics.experiments(**given)


def test_name_of_a_parameter_and_a_metric_must_be_exact() -> None:
    with experiment("both", params={"beta": 1}) as exp:
        exp.log(beta=2)
    with pytest.raises(InvalidArgumentError, match=r"'beta' is a parameter and a metric\. Use params\.beta"):
        Metrics().experiments(where="beta > 1")
    assert len(Metrics().experiments(where="params.beta == 1 and last.beta == 2")) == 1


def test_listing_without_match_names_the_filters() -> None:
    metrics = sweep(2)
    frame = metrics.experiments(where="lr > 5", tags="even", since="2d")
    assert frame.attrs["loops_empty"] == (
        'No experiment matches --tag even and --where "lr > 5" and --since 2d. %loops experiments lists all 2'
        " experiments."
    )
    assert len(frame.columns) > 10


def test_projects_and_summary_values_are_columns_filters_and_orders() -> None:
    for number, project in enumerate(["one", None, "two"]):
        with experiment(f"e{number}", params={"rank": number}, project=project) as exp:
            exp.log(step=0, accuracy=0.1 * number)
            exp.summary.update(test={"accuracy": 0.3 - 0.1 * number, "at": f"s{number}"}, rank=5, only=number or None)
    metrics = Metrics()
    frame = metrics.experiments(sort="name")
    assert frame["project"].isna().tolist() == [False, True, False]
    assert frame.columns.tolist()[1:3] == ["name", "project"]
    names = frame.columns.tolist()
    assert names[names.index("summary.test.accuracy") :][:5] == [
        "summary.test.accuracy",
        "summary.test.at",
        "summary.rank",
        "summary.only",
        "last.accuracy",
    ]
    assert frame["summary.test.accuracy"].dtype == "float64"
    assert frame["summary.rank"].dtype == "Int64"
    assert metrics.experiments(project="one")["name"].tolist() == ["e0"]
    assert "project" not in metrics.experiments(where="project == none")
    assert metrics.experiments(where="project in ('one', 'two')", sort="-summary.test.accuracy")["name"].tolist() == [
        "e0",
        "e2",
    ]
    assert metrics.experiments(where="test.accuracy < 0.25", sort="project")["name"].tolist() == ["e2", "e1"]
    assert metrics.experiments(where="rank == 1")["name"].tolist() == ["e1"]
    assert metrics.experiments(where="summary.rank == 5 and accuracy > 0")["name"].tolist() == ["e2", "e1"]
    missing = metrics.experiments(project="three")
    assert missing.attrs["loops_empty"] == (
        "No experiment matches --project three. %loops experiments lists all 3 experiments."
    )
    with pytest.raises(InvalidArgumentError, match="project must be a string"):
        metrics.experiments(project=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"Did you mean summary\.test\.accuracy"):
        metrics.experiments(sort="summary.test.accurcy")


def test_columns_of_the_leaderboard_are_all_usable_names() -> None:
    with experiment("one", params={"lr": 1, "loss": 2, "name": "x"}, project="p") as exp:
        exp.log(step=0, loss=1.0, kl=0.5)
        exp.summary["best"] = 1
    names = dict(usable_names(ExperimentStore()))
    assert names["lr"] == names["params.loss"] == names["params.name"] == "parameter"
    assert "best.kl" not in names
    metrics = Metrics()
    for name in names:
        assert len(metrics.experiments(sort=name)) == 1
    assert set(metrics.experiments().columns) <= {*names, "params.lr"}


def test_upgrade_fills_the_summaries_from_the_points(tmp_path: Path) -> None:
    exp = experiment("old", path=tmp_path / "old.sqlite")
    for step in range(40):
        exp.log(step=step, loss=math.nan if step % 3 == 0 else float((step * 7) % 11))
        if step % 5 == 0:
            exp.flush()
    exp.close()
    metrics = Metrics(tmp_path / "old.sqlite")
    columns = ["last.loss", "best.loss"]
    expected = metrics.experiments()[columns].to_numpy().tolist()
    metrics.store.close()
    downgrade(tmp_path / "old.sqlite", 2)
    open_store(tmp_path / "old.sqlite").close()
    np.testing.assert_array_equal(metrics.experiments()[columns].to_numpy(), expected)


@given(values=st.lists(st.floats(), min_size=1))
def test_summary_has_the_extremes_of_the_numbers(values: list[float]) -> None:
    last, lowest, highest = summary_of(values)
    numbers = [value for value in values if not math.isnan(value)]
    np.testing.assert_equal(
        [last, lowest, highest], [values[-1], min(numbers, default=math.nan), max(numbers, default=math.nan)]
    )


def test_forked_child_does_not_end_the_session_of_its_parent() -> None:
    exp = experiment("forked")
    exp.log(loss=1)
    exp.flush()
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert states() == {"forked": "running"}
    exp.close()


class CommitBetweenReads:
    """A connection at which another process begins an experiment after the first read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        if "FROM series" in sql and not self.begun:
            self.begun = True
            code = "from loops_nb import experiment\nwith experiment('other') as exp: exp.log(step=0, loss=1)"
            subprocess.run([sys.executable, "-c", code], check=True)
        return self._connection.execute(sql, *values)


@pytest.mark.file_store
def test_experiment_that_begins_during_a_listing_comes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep(2)
    with ExperimentStore(read_only=True) as store:
        open_ = store._backend.open
        made: list[CommitBetweenReads] = []

        def opened() -> Any:
            made.append(CommitBetweenReads(open_()))
            return made[-1]

        monkeypatch.setattr(store._backend, "open", opened)
        assert len(store.summaries().series) == 2
        assert any(one.begun for one in made)
        monkeypatch.undo()
        assert len(store.summaries().series) == 3
