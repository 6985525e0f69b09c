"""Deletion of experiments: everything of one and nothing of another, no guesses, not while it is running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking import ExperimentStore
from loops_nb.tracking.experiment import Experiment
from loops_nb.tracking.metrics import Metrics


def recorded(name: str, *, count: int = 10, close: bool = True, **given: object) -> Experiment:
    exp = experiment(name, params={"lr": 1}, tags=["sweep", name], **given)  # type: ignore[arg-type]
    for step in range(count):
        exp.log(step=step, loss=1.0, kl=2.0)
    exp.note("look")
    exp.saved("step-1")
    exp.summary["best"] = 1
    if close:
        exp.close()
    return exp


def rows_by_table(store: ExperimentStore) -> dict[str, int]:
    with store._reading() as connection:
        assert connection is not None
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for (name,) in tables
            if not name.startswith("sqlite_")
        }


def names() -> list[str]:
    return [row.name for row in ExperimentStore().experiments(archived=True)]


@pytest.mark.file_store
def test_deletion_takes_everything_of_one_and_nothing_of_another(store: ExperimentStore) -> None:
    kept = recorded("kept")
    before = rows_by_table(store)
    environment = kept.environment
    gone = recorded("gone", count=500)
    (contents,) = Metrics().deletion_plan("gone")
    assert (contents.metrics, contents.points, contents.checkpoints) == (2, 1000, 1)
    assert contents.state == "finished"
    assert contents.row.id == gone.id
    assert Metrics().delete("gone") == [contents]
    assert rows_by_table(store) == before
    assert names() == ["kept"]
    assert kept.environment == environment
    assert store.series(kept.id, "loss").step.tolist() == list(range(10))
    again = recorded("gone")
    assert again.id != gone.id
    assert store.series(again.id, "loss").step.tolist() == list(range(10))


@pytest.mark.file_store
def test_deletion_of_all_leaves_no_rows(store: ExperimentStore) -> None:
    for number in range(3):
        recorded(f"sweep-{number}")
    deleted = Metrics().delete(["sweep-0", "sweep-*"])
    assert len(deleted) == 3
    assert set(rows_by_table(store).values()) == {0}
    assert len(Metrics().experiments()) == 0


@pytest.mark.file_store
def test_offsets_of_request_logs_stay(store: ExperimentStore) -> None:
    recorded("followed")
    with store._writing() as connection:
        assert connection is not None
        connection.execute("INSERT INTO followed (log, offset) VALUES ('abc', 17)")
    Metrics().delete("followed")
    assert store.followed("abc") == 17


def test_name_of_several_is_not_guessed() -> None:
    first, second = recorded("twice"), recorded("twice")
    other = recorded("other", run="run-1")
    recorded("another", run="run-1")
    Metrics().archive(first.id)
    for what in ("twice", "run-1"):
        with pytest.raises(InvalidArgumentError, match=r"of 2 experiments.*Nothing was deleted") as caught:
            Metrics().delete(["other", what])
    assert len(names()) == 4
    assert other.id in caught.value.hint
    with pytest.raises(InvalidArgumentError, match=r"of 2 experiments, 1 of them archived"):
        Metrics().delete("twice")
    Metrics().delete(second.id)
    Metrics().delete("twice")
    assert sorted(names()) == ["another", "other"]


def test_pattern_leaves_archived_experiments_alone() -> None:
    for name in ("debug-1", "debug-2", "x[1]"):
        recorded(name)
    Metrics().archive(["debug-1", "debug-2"])
    with pytest.raises(TrackingError, match=r"Nothing is recorded for 'debug-\*'.*add --archived"):
        Metrics().delete("debug-*")
    Metrics().delete("x[1]")
    Metrics().delete("debug-*", archived=True)
    assert names() == []


def test_unknown_name_deletes_nothing() -> None:
    recorded("sweep")
    with pytest.raises(TrackingError, match=r"Nothing was deleted\. Did you mean sweep"):
        Metrics().delete(["sweep", "sweap"])
    assert names() == ["sweep"]


def test_running_experiment_is_refused_unless_forced() -> None:
    closed = recorded("closed")
    exp = recorded("open", close=False)
    with pytest.raises(TrackingError, match=rf"'open' \({exp.id}, this process\) is running.*exp.close\(\) closes it"):
        Metrics().delete(["closed", "open"])
    assert len(names()) == 2
    assert Metrics().delete("open", force=True)[0].points == 20
    assert names() == ["closed"]
    # What it logs begins it again, under its id and with what was set.
    exp.log(step=100, loss=3.0)
    exp.close()
    assert ExperimentStore().series(exp.id, "loss").step.tolist() == [100]
    assert ExperimentStore().experiment(exp.id).summary == {"best": 1}
    Metrics().delete(exp.id)
    closed.close()
    exp.close()
    assert names() == ["closed"]


def test_experiment_of_another_process_is_refused_while_that_lives() -> None:
    code = (
        "from loops_nb import experiment\nexp = experiment('elsewhere')\nexp.log(loss=1)\nexp.flush()\n"
        "print('ready', flush=True)\ninput()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    with pytest.raises(TrackingError, match=f"process {process.pid}.*is running.*end its process"):
        Metrics().delete("elsewhere")
    process.communicate(b"\n")
    assert Metrics().delete("elsewhere")
    assert names() == []


def test_silent_process_still_has_its_experiment_open(store: ExperimentStore) -> None:
    exp = recorded("silent", close=False)
    exp.flush()
    with store._writing() as connection:
        assert connection is not None
        connection.execute("UPDATE experiments SET last_at = 0")
        connection.execute("UPDATE sessions SET at = 0")
    (contents,) = Metrics().deletion_plan("silent")
    assert (contents.state, contents.process) == ("stale", os.getpid())
    with pytest.raises(TrackingError, match="this process"):
        Metrics().delete("silent")
    exp.close()


def test_deletion_is_visible_to_other_readers(store: ExperimentStore) -> None:
    exp = recorded("watched")
    version = store.version()
    Metrics().delete(exp.id)
    assert store.version() > version
    assert store.experiments() == []


def test_read_only_file_and_missing_file(home: Path) -> None:
    with pytest.raises(TrackingError, match="Nothing is recorded"):
        Metrics().delete("x")
    exp = recorded("x")
    row = ExperimentStore().experiment(exp.id)
    with pytest.raises(TrackingError, match="for reading only"):
        ExperimentStore(read_only=True).delete([row])
    assert home.is_dir()


@pytest.mark.file_store
def test_a_large_experiment_is_deleted_fast(store: ExperimentStore) -> None:
    exp = experiment("large")
    for step in range(100_000):
        exp.log(step=step, loss=1.0)
    exp.close()
    began = time.perf_counter()
    Metrics().delete("large")
    assert time.perf_counter() - began < 5
    assert store.experiments() == []
