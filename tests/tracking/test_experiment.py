"""Experiments: every point is stored in order with step, time, tokens and attempt."""

from __future__ import annotations

import gc
import json
import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking import ExperimentMark, ExperimentStore, KeyRow
from loops_nb.tracking.schema import open_store
from loops_nb.tracking.warn import TrackingWarning
from loops_nb.tracking.writer import WriterThread
from loops_nb.tracking.writers import writer_for


def test_logged_values_steps_times_and_tokens_are_stored(store: ExperimentStore) -> None:
    before = time.time_ns() // 1_000_000
    with experiment("first", params={"lr": 1e-4, "layers": [1, 2]}, tags=["b", "a"]) as exp:
        exp.log(step=0, loss=2.5, tokens_seen=100)
        exp.log({"eval/loss": 3}, step=1, loss=1.5)
    after = time.time_ns() // 1_000_000
    loss = store.series(exp.id, "loss")
    assert (loss.step.tolist(), loss.value.tolist(), loss.attempt.tolist(), loss.mark) == (
        [0, 1],
        [2.5, 1.5],
        [1, 1],
        2,
    )
    assert loss.tokens[0] == 100
    assert math.isnan(loss.tokens[1])
    assert all(before <= at <= after for at in loss.at)
    assert [loss.step.dtype, loss.at.dtype, loss.tokens.dtype, loss.value.dtype, loss.attempt.dtype] == [
        np.int64,
        np.int64,
        np.float64,
        np.float64,
        np.int32,
    ]
    assert store.keys(exp.id) == [KeyRow("loss", 2, 0, 1), KeyRow("eval/loss", 1, 1, 1)]
    (row,) = store.experiments()
    assert (row.id, row.name, row.tags, row.params, row.archived) == (
        exp.id,
        "first",
        ("a", "b"),
        {"lr": 1e-4, "layers": [1, 2]},
        False,
    )
    assert before <= row.created_at <= row.last_at <= after


def test_series_after_a_mark_has_only_newer_points(store: ExperimentStore) -> None:
    exp = experiment("tail")
    for step in range(100):
        exp.log(step=step, loss=step)
    seen = store.series(exp.id, "loss")
    for step in range(100, 400):
        exp.log(step=step, loss=step)
        if step % 3 == 0:
            # Many small writes, so that chunks are merged between the two readings.
            exp.flush()
    newer = store.series(exp.id, "loss", after=seen.mark)
    assert newer.step.tolist() == list(range(100, 400))
    assert newer.mark == 400
    nothing = store.series(exp.id, "loss", after=newer.mark)
    assert (nothing.step.tolist(), nothing.mark) == ([], 400)
    assert store.series(exp.id, "loss").step.tolist() == list(range(400))
    assert store.series(exp.id, "no such key").step.tolist() == []


def test_default_steps_continue_from_the_given_one(store: ExperimentStore) -> None:
    exp = experiment("steps")
    exp.log(loss=1)
    exp.log(loss=1)
    exp.log(step=10, loss=1)
    exp.log(loss=1)
    assert store.series(exp.id, "loss").step.tolist() == [0, 1, 10, 11]


def test_backward_step_begins_an_attempt_and_repeated_step_keeps_both(
    store: ExperimentStore,
) -> None:
    exp = experiment("back")
    for step, loss in [(1, 1.0), (2, 2.0), (2, 2.5), (3, 3.0), (2, 9.0), (3, 9.5)]:
        exp.log(step=step, loss=loss)
        exp.log(step=step, other=loss)
    for key in ("loss", "other"):
        series = store.series(exp.id, key)
        assert series.step.tolist() == [1, 2, 2, 3, 2, 3]
        assert series.value.tolist() == [1.0, 2.0, 2.5, 3.0, 9.0, 9.5]
        assert series.attempt.tolist() == [1, 1, 1, 1, 2, 2]


def test_attempts_are_counted_per_series(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_wake", lambda _: None)
        exp = experiment("turns")
        for step, values in [(3, {"a": 1, "b": 1}), (2, {"b": 2}), (1, {"b": 3}), (0, {"a": 4})]:
            exp.log(values, step=step)
    assert store.series(exp.id, "a").attempt.tolist() == [1, 2]
    assert store.series(exp.id, "b").attempt.tolist() == [1, 2, 3]


def test_resumed_experiment_adds_an_attempt(store: ExperimentStore) -> None:
    with experiment("lr", run="abc1234", params={"lr": 1}, tags=["x"]) as first:
        first.log(step=5, loss=1)
    with experiment("lr", run="abc1234", params={"rank": 2}, tags=["y"]) as second:
        second.log(loss=2)
        second.log(step=3, loss=3)
    assert second.id == first.id
    with experiment("lr", resume=True) as third:
        third.log(step=0, loss=4)
    with experiment("lr", resume=first.id) as fourth:
        fourth.log(step=0, loss=5)
    series = store.series(first.id, "loss")
    assert series.step.tolist() == [5, 6, 3, 0, 0]
    assert series.attempt.tolist() == [1, 2, 3, 4, 5]
    (row,) = store.experiments()
    assert (row.params, row.tags, row.run_id) == ({"lr": 1, "rank": 2}, ("x", "y"), "abc1234")


def test_reused_name_is_another_experiment(store: ExperimentStore) -> None:
    assert experiment("same").id != experiment("same").id
    assert [row.name for row in store.experiments()] == ["same", "same"]
    with pytest.raises(TrackingError, match="no experiment 'unknown'"):
        experiment("same", resume="unknown")


def test_marks_have_saves_and_notes_at_their_steps(store: ExperimentStore) -> None:
    exp = experiment("marks")
    exp.saved("before any step")
    exp.log(step=7, loss=1)
    exp.saved("step-7", uri="bt://loops:abc1234/weights/step-7", target="trainer")
    exp.note("looks good", step=7)
    exp.note("as a whole")
    marks = store.marks(exp.id)
    assert [mark._replace(at=0) for mark in marks] == [
        ExperimentMark("save", None, 0, "before any step", None, None, 1),
        ExperimentMark("save", 7, 0, "step-7", "bt://loops:abc1234/weights/step-7", "trainer", 1),
        ExperimentMark("note", 7, 0, "looks good", None, None, 1),
        ExperimentMark("note", None, 0, "as a whole", None, None, 1),
    ]
    assert store.experiments()[0].notes == ("looks good", "as a whole")


def test_tags_notes_and_archive_flag_are_changed(store: ExperimentStore) -> None:
    exp = experiment("said", tags=["keep", "drop"])
    store.untag(exp.id, "drop")
    store.tag(exp.id, "new", "keep")
    store.note(exp.id, "later")
    store.set_params(exp.id, {"lr": 3})
    exp.log(loss=1)
    row = store.experiment(exp.id)
    assert (row.tags, row.notes, row.params) == (("keep", "new"), ("later",), {"lr": 3})
    store.archive(exp.id)
    assert store.experiments() == []
    assert [found.id for found in store.experiments(archived=True)] == [exp.id]
    store.archive(exp.id, archived=False)
    assert [found.id for found in store.experiments()] == [exp.id]
    with pytest.raises(TrackingError, match="no experiment 'x'"):
        store.note("x", "y")


def test_version_changes_with_every_write_only(store: ExperimentStore) -> None:
    nothing = store.version()
    assert nothing == store.version()
    exp = experiment("watched")
    other = ExperimentStore()
    made = store.version()
    assert made > nothing
    assert made == store.version()
    exp.log(loss=1)
    exp.flush()
    logged = store.version()
    assert logged > made
    other.tag(exp.id, "x")
    tagged = store.version()
    assert tagged > logged
    store.tag(exp.id, "y")
    assert store.version() > tagged
    other.close()


@pytest.mark.file_store
def test_version_includes_values_logged_just_before(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched live")
    before = store.version()
    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_wake", lambda _: None)
        exp.log(loss=1)
        assert store.version() > before
        other = sqlite3.connect(store.path)
        assert other.execute("SELECT sum(count) FROM series").fetchone() == (1,)
        other.close()
        exp.log(loss=2)
        with writer_for(store.path)._sqlite_lock:
            # Another thread writes; a reader does not wait for it.
            store.version()
    assert store.series(exp.id, "loss").value.tolist() == [1, 2]


def test_disk_problem_warns_the_code_that_logs_once(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched in trouble")
    tried = []

    def full(self: WriterThread) -> sqlite3.Connection:
        tried.append(self.path)
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_wake", lambda _: None)
        patch.setattr(WriterThread, "_open", full)
        exp.log(step=0, loss=0)
        for _ in range(5):
            store.version()
        # Frequent readers do not cause frequent retries.
        assert len(tried) == 1
        with pytest.warns(TrackingWarning, match="disk is full"):
            exp.log(step=1, loss=1)
        # Warnings are errors in tests, so a second one would fail.
        store.version()
        exp.log(step=2, loss=2)
        assert exp.trouble
    assert exp.flush()
    assert not exp.trouble
    assert store.series(exp.id, "loss").step.tolist() == [0, 1, 2]


@pytest.mark.file_store
def test_newer_file_version_warns_the_code_that_logs(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched and upgraded")
    store.version()
    monkeypatch.setattr(WriterThread, "_wake", lambda _: None)
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    exp.log(loss=1)
    store.version()
    with pytest.warns(TrackingWarning, match="newer version of loops_nb"):
        exp.log(loss=2)
    store.version()
    exp.log(loss=3)
    writer_for(store.path).drop()


def test_errors_of_writing_do_not_reach_readers(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched and faulty")
    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_wake", lambda _: None)
        patch.setattr(WriterThread, "_write", lambda _: json.loads("a fault of ours"))
        exp.log(loss=1)
        store.version()
        with pytest.warns(TrackingWarning, match="JSONDecodeError"):
            exp.log(loss=2)
    assert exp.flush()


@pytest.mark.parametrize("how", ["close", "with"])
def test_close_warns_of_unwritten_values(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    exp = experiment("closed in trouble")

    def full(_: WriterThread) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(WriterThread, "_wake", lambda _: None)
        patch.setattr(WriterThread, "_open", full)
        words = (
            r"^2 values are not on the disk yet\. What is logged cannot be written .* \(database or disk is "
            r"full\)\. It is kept in memory"
        )
        exp.log({"loss": 1, "acc": 2})
        with pytest.warns(TrackingWarning, match=words) as caught:
            exp.close() if how == "close" else exp.__exit__(None, None, None)
        assert [str(one.filename) for one in caught] == [__file__]
    exp.close()
    assert store.series(exp.id, "loss").value.tolist() == [1]


@pytest.mark.file_store
def test_read_only_folder_is_readable(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with experiment("kept", tags=["x"]) as exp:
        exp.log(step=1, loss=2)
    writer_for(store.path)._close_connection()

    def protected(path: Path, _: float) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            # The message of SQLite for such a file.
            connection.execute("CREATE TABLE x (y)")
        finally:
            connection.close()
        return connection

    with monkeypatch.context() as patch:
        patch.setattr("loops_nb.tracking.schema._writable", protected)
        assert [row.name for row in store.experiments()] == ["kept"]
        assert store.series(exp.id, "loss").value.tolist() == [2]
        assert store.version() == store.version()
        with pytest.raises(TrackingError, match=r"can be read but not written here .* Nothing was changed") as caught:
            store.tag(exp.id, "y")
        assert "LOOPS_NB_HOME" in caught.value.hint
        assert store.experiment(exp.id).tags == ("x",)
    # Written again once the folder is writable.
    store.tag(exp.id, "y")
    assert store.experiment(exp.id).tags == ("x", "y")


@pytest.mark.parametrize(
    ("name", "last", "step"),
    [("step-5", 9, 5), ("step-5", 5, 5), ("step-6", 5, 5), ("final", 5, 5), ("step-5", None, None), ("epoch-3", 9, 9)],
)
def test_save_without_step_uses_the_reached_step_in_its_name(
    store: ExperimentStore, name: str, last: int | None, step: int | None
) -> None:
    with experiment("saves") as exp:
        if last is not None:
            exp.log(step=last, loss=1)
        exp.saved(name)
        exp.saved("other", step=3)
    assert [mark.step for mark in store.marks(exp.id)] == [step, 3]


def _disk_is_full(*_: object, **__: object) -> sqlite3.Connection:
    raise sqlite3.OperationalError("disk is full")


def test_frame_of_an_unwritten_experiment_says_why(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "loops_nb.tracking.writer.open_store",
            lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("disk is full")),
        )
        with pytest.warns(TrackingWarning, match="disk is full"):
            exp = experiment("held in the hand")
        with pytest.raises(TrackingError, match=r"'held in the hand' is not on the disk yet\. .*\(disk is full\)"):
            exp.frame()
    assert len(exp.frame()) == 0
    with pytest.raises(TrackingError, match="no experiment 'x'"):
        store.experiment("x")


@pytest.mark.file_store
def test_reading_creates_no_file(store: ExperimentStore) -> None:
    assert store.experiments() == []
    assert store.keys("x") == []
    assert store.marks("x") == []
    assert not store.path.exists()


@pytest.mark.parametrize(
    "step",
    [0.5, "3", 1 << 70, float("nan"), float("inf"), object(), np.timedelta64(3, "ns"), np.str_("3"), 3j],
    ids=["half", "text", "huge", "nan", "inf", "object", "duration", "text array", "complex"],
)
def test_step_that_is_no_integer_is_refused(step: object) -> None:
    with pytest.raises(InvalidArgumentError, match="step must be an integer"):
        experiment("bad step").log(step=step, loss=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "  ", "x" * 501, None, 3])
def test_unusable_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidArgumentError, match="1 to 500"):
        experiment(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"params": 3}, {"params": ["lr"]}, {"tags": 3}, {"tags": None}], ids=str)
def test_unusable_parameters_and_tags_are_refused(store: ExperimentStore, given: dict[str, Any]) -> None:
    (wrong,) = given
    with pytest.raises(InvalidArgumentError, match=f"{wrong} must be .* not ") as caught:
        experiment("sweep", **given)
    assert "For example" in str(caught.value)
    assert store.experiments() == []


def test_single_tag_may_be_a_string(store: ExperimentStore) -> None:
    experiment("sweep", tags="baseline").close()
    (row,) = store.experiments()
    assert row.tags == ("baseline",)


@pytest.mark.parametrize("text", ["", None, 3])
def test_empty_note_is_refused(store: ExperimentStore, text: Any) -> None:
    recording = experiment("sweep")
    with pytest.raises(InvalidArgumentError, match="A note must be a string"):
        recording.note(text)
    recording.close()
    assert not store.marks(recording.id)


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_checkpoint_without_a_name_is_refused(store: ExperimentStore, name: Any) -> None:
    recording = experiment("sweep")
    with pytest.raises(InvalidArgumentError, match="name of a checkpoint must be a string"):
        recording.saved(name)
    recording.close()
    assert not store.marks(recording.id)


@pytest.mark.file_store
def test_message_at_process_end_promises_no_retry(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = WriterThread(store.path)
    writer.trouble = ""
    monkeypatch.setattr(writer, "flush", lambda: writer._set_trouble("the disk is full"))
    with pytest.warns(TrackingWarning, match=r"the disk is full\)\. 0 values are lost with this process\.$"):
        writer.close()


@pytest.mark.file_store
def test_deleted_store_closes_its_connection(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment("short").close()
    opened: list[sqlite3.Connection] = []

    def open_and_remember(path: Path, **options: Any) -> sqlite3.Connection:
        opened.append(open_store(path, **options))
        return opened[-1]

    monkeypatch.setattr("loops_nb.tracking.backend.open_store", open_and_remember)
    assert len(ExperimentStore().experiments()) == 1
    with ExperimentStore() as another:
        assert len(another.experiments()) == 1
    gc.collect()
    assert len(opened) == 2
    # Python 3.13 warns of unclosed connections, and warnings are errors in tests.
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
