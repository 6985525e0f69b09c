"""Locked files, full disks and fast loops: no long waits, and no silent loss."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from loops_nb import experiment
from loops_nb.config.paths import cache_dir, home_dir
from loops_nb.errors import ConfigError, LoopsError, TrackingError
from loops_nb.tracking import ExperimentStore, TrackingWarning
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.writer import WriterThread
from loops_nb.tracking.writers import writer_for


@contextmanager
def write_lock(path: Path) -> Iterator[None]:
    """Hold the write lock of the file, as another process would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def test_read_under_a_write_lock_returns_at_once_with_a_warning(store: ExperimentStore) -> None:
    exps = [experiment(f"e{number}") for number in range(5)]
    for exp in exps:
        exp.log(step=0, loss=1)
    assert exps[0].flush()
    with write_lock(store.path):
        exps[0].log({"loss": 2, "acc": 3}, step=1)
        began = time.monotonic()
        with pytest.warns(TrackingWarning, match="^2 values that were logged in this process are not in the file yet"):
            frame = Metrics().experiments()
        assert time.monotonic() - began < 4
        assert set(frame["points"]) == {1}
        # Warned of at each read, and reads return at once from now on.
        began = time.monotonic()
        with pytest.warns(TrackingWarning, match="not in what is shown here"):
            assert len(exps[0].frame()) == 1
        assert time.monotonic() - began < 2
        # A panel reads by itself, without warnings.
        store.version()
        exps[0].log(step=2, loss=3)
    assert exps[0].flush()
    assert len(exps[0].frame()) == 3


def test_change_under_a_write_lock_is_refused_after_a_short_wait(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loops_nb.tracking.backend.BUSY_SECONDS", 0.2)
    exp = experiment("held", tags=["before"])
    store.tag(exp.id, "x")
    store.close()
    with write_lock(store.path):
        changes: list[Callable[[], None]] = [
            lambda: store.tag(exp.id, "y"),
            lambda: store.note(exp.id, "y"),
            lambda: store.set_params(exp.id, {"lr": 1}),
            lambda: store.archive(exp.id),
        ]
        for change in changes:
            with pytest.raises(
                TrackingError, match=r"Another process is writing to .* Nothing was changed\. Try again"
            ):
                change()
        assert store.experiment(exp.id).tags == ("before", "x")


def test_experiment_begins_and_resumes_under_a_write_lock(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loops_nb.tracking.experiment._BEGIN_SECONDS", 0.1)
    first = experiment("first", params={"lr": 1}, tags=["a"])
    with write_lock(store.path):
        second = experiment("second")
        again = experiment("first", resume=True, params={"rank": 8}, tags=["b"])
        second.log(step=0, loss=1)
        again.log(step=0, loss=1)
    assert second.flush()
    assert again.flush()
    rows = {row.name: row for row in store.experiments()}
    assert (rows["first"].params, rows["first"].tags) == ({"lr": 1, "rank": 8}, ("a", "b"))
    assert rows["first"].id == first.id == again.id
    assert [store.series(exp.id, "loss").step.tolist() for exp in (second, again)] == [[0], [0]]


def test_opening_for_reading_takes_no_write_lock(store: ExperimentStore) -> None:
    experiment("there").close()
    writer_for(store.path)._close_connection()
    with write_lock(store.path):
        began = time.monotonic()
        for read_only in (True, False):
            with ExperimentStore(read_only=read_only) as other:
                assert [row.name for row in other.experiments()] == ["there"]
        assert time.monotonic() - began < 1


def test_dropped_values_are_warned_of_and_flush_stays_false(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp, other = experiment("drops"), experiment("keeps")
    other.log(step=0, loss=1)
    assert other.flush()
    monkeypatch.setattr("loops_nb.tracking.writer.MAX_PENDING", 50)
    monkeypatch.setattr(writer_for(store.path), "_capacity", 50)

    def full(_: WriterThread) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_open", full)
        exp.log(step=0, loss=0)
        with pytest.warns(TrackingWarning, match="disk is full"):
            assert not exp.flush()
        for step in range(1, 51):
            exp.log(step=step, loss=step)
        with pytest.warns(TrackingWarning, match="What is logged from now on is lost: 50 calls of log wait"):
            exp.log(step=51, loss=51)
        for step in range(52, 71):
            exp.log(step=step, loss=step)
    assert writer_for(store.path).flush()
    assert not exp.flush()
    with pytest.warns(TrackingWarning, match="^20 values of 'drops' are lost"):
        exp.close()
    assert store.series(exp.id, "loss").step.tolist() == list(range(51))
    other.log(step=1, loss=1)
    assert other.flush()


def test_unwritable_experiment_does_not_hold_up_others(store: ExperimentStore) -> None:
    bad, good = experiment("bad"), experiment("good")
    writer = writer_for(store.path)
    with writer._sqlite_lock:
        good.log(step=0, loss=1)
        bad._session.session_id = object()  # type: ignore[assignment]
        bad.log(step=0, loss=1)
        good.log(step=1, loss=2)
    with pytest.warns(TrackingWarning, match="values of 'bad' are lost: they cannot be written"):
        good.flush()
    assert not bad.flush()
    assert good.flush()
    assert store.series(good.id, "loss").step.tolist() == [0, 1]


FAST = """
import time
import loops_nb
exp = loops_nb.experiment("fast")
step, said = 0, 0.0
while True:
    exp.log(step=step, loss=float(step), other=1.0, third=2.0)
    step += 1
    if time.monotonic() - said > 0.05:
        said = time.monotonic()
        print(said, step, flush=True)
"""


def test_kill_of_a_fast_loop_loses_about_a_second(store: ExperimentStore) -> None:
    with subprocess.Popen([sys.executable, "-c", FAST], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(2.5)
        killed = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        lines = process.communicate()[0].splitlines()
    # The monotonic clock is shared by all processes of a machine; the second second is for a busy machine.
    sure = max(int(step) for said, step in (line.split() for line in lines[:-1]) if float(said) < killed - 2)
    (row,) = store.experiments()
    steps = store.series(row.id, "loss").step.tolist()
    assert steps == list(range(len(steps)))
    assert len(steps) >= sure > 1000


def test_fast_loop_is_slowed_down_and_loses_nothing(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("replayed")
    writer = writer_for(store.path)
    monkeypatch.setattr("loops_nb.tracking.writer.MAX_PENDING", 2_000)
    monkeypatch.setattr("loops_nb.tracking.writer._MAX_BATCH", 1_000)
    writer._capacity = 1_000
    most = 0
    for step in range(30_000):
        exp.log(step=step, loss=step)
        most = max(most, len(writer._entries))
    assert most <= 1_001
    assert exp.flush()
    assert store.series(exp.id, "loss").step.tolist() == list(range(30_000))


@pytest.mark.parametrize("place", ["~no-such-user-here/loops", "~no-such-user-here"])
def test_missing_home_folder_is_reported_and_training_continues(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOPS_NB_HOME", place)
    with pytest.warns(
        TrackingWarning,
        match=r"Nothing that is logged to 'away' is kept: LOOPS_NB_HOME is .* no such home folder\. Set",
    ):
        exp = experiment("away", params={"lr": 1}, tags=["x"], run="abc1234", resume=True)
    exp.log(step=0, loss=1)
    exp.note("x")
    exp.saved("step-0")
    assert not exp.flush()
    with pytest.warns(TrackingWarning, match="^3 values of 'away' are lost"):
        exp.close()
    for read in (ExperimentStore, Metrics().experiments, exp.frame, lambda: exp.path):
        with pytest.raises(TrackingError, match="no such home folder"):
            read()
    for named in (home_dir, cache_dir):
        with pytest.raises(ConfigError, match="no such home folder"):
            named()
    assert list(tmp_path.iterdir()) == []


def test_missing_home_folder_creates_no_folder_named_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOOPS_NB_HOME")
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: "~/.local/share/loops-nb")
    with pytest.raises(LoopsError, match=r"This user has no home folder .* Set LOOPS_NB_HOME"):
        home_dir()


def test_path_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    exp = experiment("x", path="~/mine.sqlite")  # type: ignore[arg-type]
    exp.log(step=0, loss=1)
    assert len(exp.frame()) == 1
    assert exp.path == tmp_path / "mine.sqlite"
