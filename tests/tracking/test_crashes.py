"""Acknowledged values survive: kill -9, several processes, any sequence of logs, crashes and reopenings."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb import experiment
from loops_nb.tracking import ExperimentStore, TrackingWarning
from loops_nb.tracking.entries import WriteSession
from loops_nb.tracking.writer import WriterThread
from loops_nb.tracking.writers import writer_for
from tests.frames.strategies import ANY_MACHINE
from tests.tracking.processes import read_number, running


def acknowledged(process: subprocess.Popen[str], times: int) -> int:
    found = 0
    for _ in range(times):
        found = read_number(process)
    return found


def test_killed_processes_lose_no_written_values(store: ExperimentStore) -> None:
    experiment("shared").close()
    rounds = 2
    total = 0
    for _ in range(rounds):
        with running("logging_process", "shared") as one, running("logging_process", "shared") as other:
            surely = [acknowledged(one, 3), acknowledged(other, 3)]
            os.kill(one.pid, signal.SIGKILL)
            surely[1] = acknowledged(other, 2)
            os.kill(other.pid, signal.SIGKILL)
        total += sum(surely)
    (row,) = store.experiments()
    loss, other_key = store.series(row.id, "loss"), store.series(row.id, "other")
    # A batch is there with all of its keys, or not at all.
    assert loss.step.tolist() == other_key.step.tolist()
    assert loss.value.tolist() == [-value for value in other_key.value.tolist()] == [float(step) for step in loss.step]
    assert len(loss.step) >= total
    of_attempt: dict[int, list[int]] = {}
    for attempt, step in zip(loss.attempt.tolist(), loss.step.tolist(), strict=True):
        of_attempt.setdefault(attempt, []).append(step)
    # One attempt per process, with every step from the first on.
    assert len(of_attempt) == 2 * rounds
    assert all(steps == list(range(len(steps))) for steps in of_attempt.values())
    connection = sqlite3.connect(store.path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_process_end_without_close_writes_everything(store: ExperimentStore) -> None:
    program = "from loops_nb import experiment\ne = experiment('short')\nfor i in range(100): e.log(loss=i)\n"
    subprocess.run([sys.executable, "-c", program], check=True)
    (row,) = store.experiments()
    assert store.series(row.id, "loss").value.tolist() == list(range(100))


def test_logged_values_reach_the_file_without_flush(store: ExperimentStore) -> None:
    exp = experiment("by itself")
    exp.log(loss=1)
    until = time.monotonic() + 30
    reader = sqlite3.connect(store.path)
    # Not through the store, which flushes first.
    while reader.execute("SELECT count(*) FROM series").fetchone()[0] == 0:
        assert time.monotonic() < until
        time.sleep(0.02)
    reader.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_and_parent_log_side_by_side(store: ExperimentStore) -> None:
    exp = experiment("forked")
    exp.log(step=1, parent=1)
    child = os.fork()
    if child == 0:
        try:
            exp.log(step=1, child=1)
            os._exit(0 if exp.flush() else 1)
        except BaseException:  # noqa: BLE001 - the child must not go on as a test
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    exp.log(step=2, parent=2)
    exp.close()
    assert store.series(exp.id, "child").step.tolist() == [1]
    assert store.series(exp.id, "parent").step.tolist() == [1, 2]


def test_full_disk_is_one_warning_and_values_are_written_later(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment("full")
    exp.log(step=0, loss=0)
    assert exp.flush()
    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_open", _full)
        exp.log(step=1, loss=1)
        with pytest.warns(TrackingWarning, match=r"cannot be written to .* for now \(database or disk is full\)"):
            exp.flush()
        # Warnings are errors in tests, so a second one would fail.
        for step in range(2, 100):
            exp.log(step=step, loss=step)
            assert not exp.flush()
    assert exp.flush()
    assert store.series(exp.id, "loss").step.tolist() == list(range(100))
    assert set(store.series(exp.id, "loss").attempt.tolist()) == {1}


def _full(self: WriterThread) -> sqlite3.Connection:
    raise sqlite3.OperationalError("database or disk is full")


def test_unwritable_folder_is_a_warning_and_raises_nothing(home: Path) -> None:
    home.parent.mkdir(exist_ok=True)
    # A file in place of the folder: even root cannot write below it.
    home.write_text("in the way")
    with pytest.warns(TrackingWarning, match="cannot be written"):
        exp = experiment("nowhere")
    # Warnings are errors in tests, so a second one would fail.
    for step in range(10):
        exp.log(step=step, loss=1)
    exp.note("x")
    home.unlink()
    assert exp.flush()
    assert ExperimentStore().series(exp.id, "loss").step.tolist() == list(range(10))


def test_removed_file_is_created_again(store: ExperimentStore) -> None:
    exp = experiment("removed", tags=["kept"])
    exp.log(step=0, loss=0)
    exp.flush()
    store.close()
    for file in store.path.parent.glob("experiments.sqlite*"):
        file.unlink()
    exp.log(step=1, loss=1)
    exp.flush()
    (row,) = store.experiments()
    assert (row.id, row.tags) == (exp.id, ("kept",))
    assert store.series(exp.id, "loss").step.tolist() == [1]


VALUES = st.floats(width=64) | st.integers(-(2**80), 2**80) | st.booleans()
KEYS = st.sampled_from(["loss", "'; DROP TABLE series; --", "\N{ROCKET}", "a\x00b", "eval/loss"])
LOGS = st.tuples(
    st.just("log"), st.integers(-(2**62), 2**62) | st.integers(0, 5), st.dictionaries(KEYS, VALUES, max_size=4)
)
DOES = st.lists(LOGS | st.tuples(st.sampled_from(["flush", "crash", "reopen"]), st.none(), st.none()), max_size=60)


@ANY_MACHINE
@given(does=DOES)
def test_acknowledged_values_survive_any_sequence_of_crashes(
    does: list[tuple[str, int, dict[str, float]]],
) -> None:
    # Writes happen only when the test triggers them.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(WriterThread, "_wake", lambda _: None)
        path = Path(folder) / "e.sqlite"
        first = experiment("any", path=path)
        recording = first
        sure: dict[str, list[tuple[int, float]]] = {}
        waiting: list[tuple[int, dict[str, float]]] = []

        def acknowledge() -> None:
            assert recording.flush()
            for step, values in waiting:
                for key, value in values.items():
                    sure.setdefault(key, []).append((step, float(value)))
            waiting.clear()

        for what, step, values in does:
            if what == "log":
                recording.log(values, step=step)
                waiting.append((step, values))
            elif what == "flush":
                acknowledge()
            elif what == "crash":
                # Like kill -9: entries in memory are lost, and another process continues.
                writer_for(path).drop()
                waiting.clear()
                recording = experiment("any", path=path, resume=first.id)
            else:
                acknowledge()
                recording = experiment("any", path=path, resume=first.id)
        acknowledge()
        store = ExperimentStore(path)
        assert {key.key for key in store.keys(first.id)} == set(sure)
        for key, points in sure.items():
            series = store.series(first.id, key)
            assert list(zip(series.step.tolist(), map(repr, series.value.tolist()), strict=True)) == [
                (s, repr(v)) for s, v in points
            ]
            # Neither attempts nor steps within an attempt go backwards.
            pairs = list(zip(series.attempt.tolist(), series.step.tolist(), strict=True))
            assert pairs == sorted(pairs)
        store.close()


def test_write_session_counts_attempts_per_series() -> None:
    session = WriteSession("i", "n", None, None, 0, "{}", "t")
    steps = [("a", 1), ("b", 1), ("a", 5), ("a", 2), ("b", 2), ("b", 1), ("a", 3)]
    assert [session.attempt_of(key, step) for key, step in steps] == [0, 0, 0, 1, 0, 1, 1]
