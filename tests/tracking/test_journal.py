"""The file of experiments on file systems that several machines share: a rollback journal in place of the WAL."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loops_nb import experiment
from loops_nb.errors import TrackingError
from loops_nb.tracking import ExperimentStore, TrackingWarning
from loops_nb.tracking import journal as journal_module
from loops_nb.tracking.schema import Transaction, open_store
from loops_nb.tracking.writers import writer_for
from tests.mounts import as_nfs, show_as, two_machines
from tests.tracking.processes import read_number, running

__all__ = ["as_nfs"]


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed: below a cell where this process has imported ipykernel, else to stderr."""
    return "".join(capsys.readouterr())


def mode_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    finally:
        connection.close()


def files(folder: Path) -> set[str]:
    return {path.name.removeprefix("experiments.sqlite") for path in folder.iterdir()}


def wait_for_change(store: ExperimentStore) -> None:
    """Wait until the store says that another process has written to it."""
    seen, until = store.version(), time.monotonic() + 30
    while store.version() == seen:
        assert time.monotonic() < until


def test_new_file_has_a_rollback_journal_and_says_so_once(
    as_nfs: Path, store: ExperimentStore, capsys: pytest.CaptureFixture[str]
) -> None:
    with experiment("first") as exp:
        exp.log(loss=1)
    experiment("second").close()
    assert len(store.experiments()) == 2
    assert "-wal" not in files(as_nfs)
    assert "-shm" not in files(as_nfs)
    said = printed(capsys).splitlines()
    assert len(said) == 1
    assert f"Other machines may share its file system (nfs4 at {as_nfs}), so it has a" in said[0]
    assert "rollback journal" in said[0]
    # On a disk of this machine it keeps its journal: another machine may have it open by its network.
    show_as(as_nfs, "ext4")
    store.close()
    writer_for(store.path).close()
    experiment("third").close()
    assert len(store.experiments()) == 3
    store.close()
    assert mode_of(store.path) != "wal"


def test_mount_without_locks_is_named(as_nfs: Path, store: ExperimentStore, capsys: pytest.CaptureFixture[str]) -> None:
    show_as(as_nfs, "nfs", options="rw,nolock")
    experiment("x").close()
    assert "mounted without locks between machines, so record from one machine at a time" in printed(capsys)


def test_file_in_wal_mode_is_changed_with_its_wal_or_refused_in_words(
    as_nfs: Path, store: ExperimentStore, capsys: pytest.CaptureFixture[str]
) -> None:
    show_as(as_nfs, "ext4")
    exp = experiment("local")
    exp.log(step=0, loss=1)
    exp.close()
    writer_for(store.path).close()
    # Another process has it open, and its newest values are in the WAL only.
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("UPDATE experiments SET name = 'in the WAL'")
    show_as(as_nfs, "nfs4")
    refusal = r"is in SQLite's WAL mode, which does not work on its file system \(nfs4 at .*another process has it open"
    with pytest.raises(TrackingError, match=refusal) as raised:
        store.experiments()
    assert "restart their kernels" in raised.value.hint
    with pytest.raises(TrackingError, match="opened for reading only"):
        ExperimentStore(read_only=True).experiments()
    with pytest.warns(TrackingWarning, match=refusal):
        later = experiment("later")
    later.log(step=0, loss=2)
    assert not later.flush()
    assert other.execute("SELECT name FROM experiments").fetchall() == [("in the WAL",)]
    other.close()
    assert later.flush()
    assert {row.name for row in store.experiments()} == {"in the WAL", "later"}
    assert {row.name for row in ExperimentStore(read_only=True).experiments()} == {"in the WAL", "later"}
    assert files(as_nfs) == {"", "-journal"}
    experiment("another").close()
    assert "so it was changed to a rollback journal" in printed(capsys)


def test_file_in_wal_mode_on_a_read_only_mount_is_read(
    as_nfs: Path, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    show_as(as_nfs, "ext4")
    experiment("kept").close()
    writer_for(store.path).close()
    assert mode_of(store.path) == "wal"
    connect = sqlite3.connect

    def connect_read_only(path: Any, **options: Any) -> Any:
        return connect(path if options.get("uri") else f"{path.as_uri()}?mode=ro", **{**options, "uri": True})

    monkeypatch.setattr(sqlite3, "connect", connect_read_only)
    monkeypatch.setattr(os, "access", lambda *_: False)
    show_as(as_nfs, "nfs4")
    assert [row.name for row in store.experiments()] == ["kept"]
    with pytest.raises(TrackingError, match="can be read but not written here"):
        store.tag(store.experiments()[0].id, "x")
    store.close()


def test_panels_see_the_writes_of_other_processes(as_nfs: Path, store: ExperimentStore) -> None:
    experiment("shared").close()
    seen = store.version()
    assert store.version() == seen
    with running("logging_process", "shared", "nfs4") as process:
        read_number(process)
        for _ in range(3):
            wait_for_change(store)


def test_killed_processes_on_two_machines_lose_no_written_values(tmp_path: Path) -> None:
    with two_machines(tmp_path) as (one, other):
        store = ExperimentStore(one / "experiments.sqlite")
        with (
            running("logging_process", "shared", home=one) as first,
            running("logging_process", "shared", home=other) as second,
        ):
            surely = [max(read_number(process) for _ in range(3)) for process in (first, second)]
            os.kill(first.pid, signal.SIGKILL)
            # The second goes on, and is seen from the other machine.
            wait_for_change(store)
            os.kill(second.pid, signal.SIGKILL)
        seen_by_other = ExperimentStore(other / "experiments.sqlite")
        points: dict[tuple[str, int], list[int]] = {}
        for row in seen_by_other.experiments():
            series = seen_by_other.series(row.id, "loss")
            for attempt, step in zip(series.attempt.tolist(), series.step.tolist(), strict=True):
                points.setdefault((row.id, attempt), []).append(step)
        # One attempt a process, with every step from the first on, once.
        assert len(points) == 2
        assert all(steps == list(range(len(steps))) for steps in points.values())
        assert sum(len(steps) for steps in points.values()) >= sum(surely)
        seen_by_other.close()
        store.close()
        connection = sqlite3.connect(other / "experiments.sqlite")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


def test_readers_do_not_starve_the_writer(as_nfs: Path) -> None:
    path = as_nfs / "experiments.sqlite"
    writing, *reading = [open_store(path, busy_seconds=0.0) for _ in range(4)]
    is_over = threading.Event()
    blocked = []

    def read(connection: sqlite3.Connection) -> None:
        # Always at least one of them is within a transaction.
        while not is_over.is_set():
            try:
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM experiments").fetchone()
                is_over.wait(0.03)
                connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                blocked.append(journal_module.is_busy(error))
                if connection.in_transaction:
                    connection.rollback()

    threads = [threading.Thread(target=read, args=(connection,)) for connection in reading]
    for number, thread in enumerate(threads):
        thread.start()
        time.sleep(0.01 * number)
    try:
        for number in range(5):
            with Transaction(writing, path):
                writing.execute("INSERT INTO followed (log, offset) VALUES (?, 0)", (str(number),))
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert all(blocked)
    for connection in (writing, *reading):
        connection.close()


class Faulty:
    """A connection whose statements fail when told to, before or after they are done."""

    def __init__(self, connection: sqlite3.Connection, fail: Callable[[str], None], *, after: bool) -> None:
        self._connection, self._fail, self._after = connection, fail, after

    def execute(self, sql: str, *values: Any) -> Any:
        if not self._after:
            self._fail(sql)
        done = self._connection.execute(sql, *values)
        if self._after:
            self._fail(sql)
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def failure(text: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("kind", "text", "code", "at", "after", "passes"),
    [
        ("nfs4", "locking protocol", sqlite3.SQLITE_PROTOCOL, "BEGIN", False, True),
        ("ext4", "locking protocol", sqlite3.SQLITE_PROTOCOL, "BEGIN", False, True),
        ("nfs4", "disk I/O error", sqlite3.SQLITE_IOERR_LOCK, "BEGIN", False, True),
        ("nfs4", "disk I/O error", sqlite3.SQLITE_IOERR_READ, "INSERT", False, True),
        ("nfs4", "disk I/O error", sqlite3.SQLITE_IOERR_FSYNC, "COMMIT", False, True),
        ("nfs4", "disk I/O error", sqlite3.SQLITE_IOERR_FSYNC, "COMMIT", True, True),
        # On a disk of this machine it does not pass by itself.
        ("ext4", "disk I/O error", sqlite3.SQLITE_IOERR_FSYNC, "COMMIT", False, False),
        ("ext4", "disk I/O error", sqlite3.SQLITE_IOERR_FSYNC, "COMMIT", True, False),
        ("ext4", "disk I/O error", sqlite3.SQLITE_IOERR_READ, "INSERT", False, False),
    ],
)
def test_passing_errors_are_tried_again_without_a_warning(
    as_nfs: Path,
    store: ExperimentStore,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    text: str,
    code: int,
    at: str,
    after: bool,
    passes: bool,
) -> None:
    exp = experiment("x")
    failures: list[str] = []

    def fail(sql: str) -> None:
        if len(failures) < 3 and sql.lstrip().startswith(at):
            failures.append(sql)
            raise failure(text, code)

    def open_faulty(path: Path, **options: Any) -> Any:
        return Faulty(open_store(path, **options), fail, after=after)

    writer_for(store.path).close()
    show_as(as_nfs, kind)
    monkeypatch.setattr("loops_nb.tracking.writer.open_store", open_faulty)
    exp.log({"loss": 1, "eval/loss": 2}, step=0)
    exp.note("once")
    if passes:
        # Warnings are errors in tests.
        assert exp.flush()
        assert len(failures) == 3
    else:
        with pytest.warns(TrackingWarning, match=text):
            assert not exp.flush()
        assert len(failures) == 1
        failures += failures * 3
        assert exp.flush()
    # Once, also where the commit was done although it failed.
    assert store.series(exp.id, "loss").step.tolist() == store.series(exp.id, "eval/loss").step.tolist() == [0]
    assert [mark.text for mark in store.marks(exp.id)] == ["once"]


def test_file_system_without_locks_is_named_in_the_warning(
    as_nfs: Path, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **options: Any) -> Any:
        raise failure("disk I/O error", sqlite3.SQLITE_IOERR_LOCK)

    show_as(as_nfs, "lustre", options="rw")
    monkeypatch.setattr("loops_nb.tracking.writer.BUSY_SECONDS", 0.1)
    monkeypatch.setattr("loops_nb.tracking.writer.open_store", refuse)
    with pytest.warns(TrackingWarning, match=r"its file system, lustre at .*, gives no lock \(disk I/O error\)"):
        experiment("x")
    monkeypatch.undo()
