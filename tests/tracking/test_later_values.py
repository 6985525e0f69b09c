"""Parameters and summary values that are set after the begin: queue, forks, pickles, attempts, lost files."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking import ExperimentRow, ExperimentStore, store_path
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.schema import SCHEMA_VERSION
from loops_nb.tracking.warn import TrackingWarning
from loops_nb.tracking.writer import WriterThread
from tests.tracking.old_files import downgrade


def stored(experiment_id: str) -> ExperimentRow:
    return ExperimentStore().experiment(experiment_id)


def state() -> str:
    return str(Metrics().experiments()["state"].iloc[0])


def test_values_are_set_while_it_runs_and_afterwards() -> None:
    with experiment("later", params={"lr": 1e-4, "optimizer": {"name": "adam"}}) as exp:
        exp.params["warmup"] = 100
        exp.params.update({"lr": 3e-4}, seed=np.int64(2**62 + 1))
        exp.params.update([("flag", np.True_)])
        exp.summary["best_accuracy"] = np.float32(0.5)
        assert dict(exp.params) == {
            "lr": 3e-4,
            "optimizer": {"name": "adam"},
            "warmup": 100,
            "seed": 2**62 + 1,
            "flag": True,
        }
        assert len(exp.params) == 5
        assert "warmup" in exp.params
        assert exp.summary["best_accuracy"] == 0.5
        assert repr(exp.summary) == "{'best_accuracy': 0.5}"
    exp.summary.update(test={"loss": 1.5, "words": "a b"})
    row = stored(exp.id)
    assert row.params == dict(exp.params)
    assert row.summary == {"best_accuracy": 0.5, "test": {"loss": 1.5, "words": "a b"}}
    assert state() == "finished"


@pytest.mark.file_store
def test_setting_a_value_does_not_wait_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("queued")
    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_wake", lambda _: None)
        exp.summary["best"] = 1
        with sqlite3.connect(store_path()) as connection:
            assert connection.execute("SELECT summary FROM experiments").fetchone() == ("{}",)
        connection.close()
    assert exp.flush()
    assert stored(exp.id).summary == {"best": 1}


def test_set_values_are_independent_of_the_object_that_was_given() -> None:
    exp = experiment("copied")
    given: dict[str, Any] = {"list": [1]}
    exp.params.update(given)
    given["list"].append(2)
    exp.params["list"].append(3)
    exp.close()
    assert stored(exp.id).params == {"list": [1]}


def test_secret_value_is_not_kept() -> None:
    exp = experiment("secrets")
    exp.params["api_key"] = "s3ntinel"
    exp.summary.update(login={"password": "s3ntinel"})
    exp.close()
    assert "s3ntinel" not in repr((exp.params, exp.summary, stored(exp.id)))
    for file in store_path().parent.iterdir():
        assert b"s3ntinel" not in file.read_bytes()


@pytest.mark.parametrize("values", [5, "text", [1, 2], {"": 1}, {1: 2}, {"x" * 501: 1}], ids=repr)
def test_wrong_values_are_refused_whole(values: Any) -> None:
    exp = experiment("refused")
    with pytest.raises(InvalidArgumentError, match="Nothing was recorded by this call"):
        exp.summary.update(values, good=1)
    assert dict(exp.summary) == {}


def test_latest_value_is_kept_over_attempts_and_processes() -> None:
    first = experiment("resumed", params={"lr": 1, "seed": 1})
    first.summary.update(best=1, first=1)
    first.close()
    second = experiment("resumed", params={"lr": 2}, resume=True)
    assert dict(second.summary) == {"best": 1, "first": 1}
    second.summary["best"] = 2
    second.params["seed"] = 2
    second.close()
    first.summary["best"] = 3
    assert stored(first.id).summary == {"best": 3, "first": 1}
    assert stored(first.id).params == {"lr": 2, "seed": 2}
    Metrics().set_params(first.id, {"seed": 4})
    assert stored(first.id).params == {"lr": 2, "seed": 4}


def test_forked_child_sets_values_of_its_own() -> None:
    exp = experiment("forked")
    exp.summary["parent"] = 1
    child = os.fork()
    if not child:
        exp.summary["child"] = 2
        exp.flush()
        os._exit(0)
    os.waitpid(child, 0)
    exp.close()
    assert stored(exp.id).summary == {"parent": 1, "child": 2}


def test_pickled_experiment_knows_and_sets_values() -> None:
    exp = experiment("pickled", params={"lr": 1}, project="games")
    exp.params["seed"] = 3
    exp.summary["best"] = 1
    exp.flush()
    code = (
        "import pickle, sys\nexp = pickle.loads(sys.stdin.buffer.read())\n"
        "assert exp.project == 'games' and dict(exp.params) == {'lr': 1, 'seed': 3} and exp.summary['best'] == 1\n"
        "exp.summary['copy'] = 2\nexp.params['copy'] = 2\nexp.close()"
    )
    subprocess.run([sys.executable, "-c", code], input=pickle.dumps(exp), check=True)
    assert stored(exp.id).summary == {"best": 1, "copy": 2}
    assert stored(exp.id).params == {"lr": 1, "seed": 3, "copy": 2}
    made, arguments = exp.__reduce__()
    where, token, row, last_step = arguments
    old = made(where, f"{token}-old", row[:7], last_step)
    assert old.project is None
    assert dict(old.params) == {"lr": 1, "seed": 3}


def test_killed_process_loses_at_most_a_second(home: Path) -> None:
    code = (
        "import time\nfrom loops_nb import experiment\nexp = experiment('killed')\n"
        "exp.summary['early'] = 1\ntime.sleep(1.5)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert home.is_dir()
    (row,) = ExperimentStore().experiments()
    assert row.summary == {"early": 1}


def test_removed_file_gets_everything_that_was_set() -> None:
    exp = experiment("removed", params={"lr": 1}, project="games")
    exp.params["seed"] = 2
    exp.summary["best"] = 3
    environment = exp.environment
    for file in store_path().parent.iterdir():
        file.unlink()
    exp.log(loss=1)
    assert exp.flush()
    row = stored(exp.id)
    assert (row.params, row.summary, row.project) == ({"lr": 1, "seed": 2}, {"best": 3}, "games")
    assert exp.environment == environment


def test_lost_values_make_flush_false(monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("lost")
    assert exp.flush()
    monkeypatch.setattr("loops_nb.tracking.writer.MAX_PENDING", 0)
    monkeypatch.setattr(exp._writer, "_capacity", 0)
    monkeypatch.setattr(exp._writer, "trouble", "The disk is full.")
    with pytest.warns(TrackingWarning, match="is lost"), pytest.warns(TrackingWarning, match="disk is full"):
        exp.summary.update(a=1, b=2)
    monkeypatch.undo()
    assert not exp.flush()
    assert exp._session.lost == 2


def test_setting_many_values_is_cheap() -> None:
    exp = experiment("cheap")
    began = time.perf_counter()
    for step in range(2_000):
        exp.summary["best"] = float(step)
    assert time.perf_counter() - began < 5
    exp.close()
    assert stored(exp.id).summary == {"best": 1999.0}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_file_of_each_earlier_version_gets_projects_and_summaries(version: int) -> None:
    exp = experiment("old", params={"lr": 1})
    exp.log(step=0, loss=2.0)
    exp.close()
    downgrade(store_path(), version)
    again = experiment("old", resume=True, project="games")
    again.summary["best"] = 1
    again.close()
    row = stored(exp.id)
    assert (row.params, row.summary, row.project) == ({"lr": 1}, {"best": 1}, "games")
    assert ExperimentStore().series(exp.id, "loss").value.tolist() == [2.0]
    assert again.environment["python"]


def test_project_limits_what_is_resumed() -> None:
    one = experiment("baseline", project="one")
    none = experiment("plain")
    two = experiment("baseline", project=" two ", resume=True)
    assert one.id != two.id
    assert (one.project, two.project) == ("one", "two")
    assert experiment("baseline", project="one", resume=True).id == one.id
    assert experiment("plain", project="one", resume=True).id == none.id
    assert stored(none.id).project == "one"
    assert experiment("baseline", resume=True).project == "two"


@pytest.mark.parametrize("project", ["", "  ", 5, "x" * 201])
def test_wrong_project_is_refused(project: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="project must be a string of 1 to 200 characters"):
        experiment("x", project=project)
