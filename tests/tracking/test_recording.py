"""What is logged is read again: every point, in order, with its step, time, tokens and attempt."""

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
from loops_nb.tracking import KeyRow, Mark, Store
from loops_nb.tracking.recorder import Recorder, TrackingWarning, recorder_for
from loops_nb.tracking.schema import open_store


def test_values_steps_times_and_tokens_come_back(store: Store) -> None:
    before = time.time_ns() // 1_000_000
    with experiment("first", params={"lr": 1e-4, "layers": [1, 2]}, tags=["b", "a"]) as exp:
        exp.log(step=0, loss=2.5, tokens_seen=100)
        exp.log({"eval/loss": 3}, step=1, loss=1.5)
    after = time.time_ns() // 1_000_000
    loss = store.series(exp.id, "loss")
    assert (loss.step.tolist(), loss.value.tolist(), loss.attempt.tolist(), loss.mark) == ([0, 1], [2.5, 1.5], [1, 1], 2)
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
    assert (row.id, row.name, row.tags, row.params, row.archived) == (exp.id, "first", ("a", "b"), {"lr": 1e-4, "layers": [1, 2]}, False)
    assert before <= row.created_at <= row.last_at <= after


def test_reading_goes_on_where_it_ended(store: Store) -> None:
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


def test_steps_count_by_themselves_and_go_on_from_what_is_given(store: Store) -> None:
    exp = experiment("steps")
    exp.log(loss=1)
    exp.log(loss=1)
    exp.log(step=10, loss=1)
    exp.log(loss=1)
    assert store.series(exp.id, "loss").step.tolist() == [0, 1, 10, 11]


def test_a_step_that_goes_backwards_begins_a_new_attempt_and_one_that_comes_again_keeps_both(store: Store) -> None:
    exp = experiment("back")
    for step, loss in [(1, 1.0), (2, 2.0), (2, 2.5), (3, 3.0), (2, 9.0), (3, 9.5)]:
        exp.log(step=step, loss=loss)
        exp.log(step=step, other=loss)
    for key in ("loss", "other"):
        series = store.series(exp.id, key)
        assert series.step.tolist() == [1, 2, 2, 3, 2, 3]
        assert series.value.tolist() == [1.0, 2.0, 2.5, 3.0, 9.0, 9.5]
        assert series.attempt.tolist() == [1, 1, 1, 1, 2, 2]


def test_attempts_of_a_series_rise_with_its_own_steps_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_wake", lambda _: None)
        exp = experiment("turns")
        for step, values in [(3, {"a": 1, "b": 1}), (2, {"b": 2}), (1, {"b": 3}), (0, {"a": 4})]:
            exp.log(values, step=step)
    assert store.series(exp.id, "a").attempt.tolist() == [1, 2]
    assert store.series(exp.id, "b").attempt.tolist() == [1, 2, 3]


def test_a_resumed_experiment_keeps_all_and_counts_a_new_attempt(store: Store) -> None:
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


def test_a_name_that_is_used_again_is_another_experiment(store: Store) -> None:
    assert experiment("same").id != experiment("same").id
    assert [row.name for row in store.experiments()] == ["same", "same"]
    with pytest.raises(TrackingError, match="no experiment 'nobody'"):
        experiment("same", resume="nobody")


def test_marks_tell_saves_and_notes_at_their_steps(store: Store) -> None:
    exp = experiment("marks")
    exp.saved("before any step")
    exp.log(step=7, loss=1)
    exp.saved("step-7", uri="bt://loops:abc1234/weights/step-7", target="trainer")
    exp.note("looks good", step=7)
    exp.note("as a whole")
    marks = store.marks(exp.id)
    assert [mark._replace(at=0) for mark in marks] == [
        Mark("save", None, 0, "before any step", None, None, 1),
        Mark("save", 7, 0, "step-7", "bt://loops:abc1234/weights/step-7", "trainer", 1),
        Mark("note", 7, 0, "looks good", None, None, 1),
        Mark("note", None, 0, "as a whole", None, None, 1),
    ]
    assert store.experiments()[0].notes == ("looks good", "as a whole")


def test_what_people_say_is_kept_and_taken_back(store: Store) -> None:
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


def test_the_version_changes_with_every_writer_and_only_then(store: Store) -> None:
    nothing = store.version()
    assert nothing == store.version()
    exp = experiment("watched")
    other = Store()
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


def test_who_asks_for_the_version_sees_what_was_logged_a_moment_ago(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched live")
    before = store.version()
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_wake", lambda _: None)
        exp.log(loss=1)
        assert store.version() > before
        other = sqlite3.connect(store.path)
        assert other.execute("SELECT sum(count) FROM series").fetchone() == (1,)
        other.close()
        exp.log(loss=2)
        with recorder_for(store.path)._lock:
            # Another thread writes: whoever looks does not wait for it.
            store.version()
    assert store.series(exp.id, "loss").value.tolist() == [1, 2]


def test_a_disk_trouble_is_not_told_to_who_looks_and_told_once_to_who_logs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched in trouble")
    tried = []

    def full(self: Recorder) -> sqlite3.Connection:
        tried.append(self.path)
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_wake", lambda _: None)
        patch.setattr(Recorder, "_open", full)
        exp.log(step=0, loss=0)
        for _ in range(5):
            store.version()
        # Who looks five times a second does not try five times a second.
        assert len(tried) == 1
        with pytest.warns(TrackingWarning, match="disk is full"):
            exp.log(step=1, loss=1)
        # Warnings are errors here: a second one would be one.
        store.version()
        exp.log(step=2, loss=2)
        assert exp.trouble
    assert exp.flush()
    assert not exp.trouble
    assert store.series(exp.id, "loss").step.tolist() == [0, 1, 2]


def test_a_file_that_a_newer_version_took_over_is_told_to_who_logs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched and upgraded")
    store.version()
    monkeypatch.setattr(Recorder, "_wake", lambda _: None)
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    exp.log(loss=1)
    store.version()
    with pytest.warns(TrackingWarning, match="newer version of loops_nb"):
        exp.log(loss=2)
    store.version()
    exp.log(loss=3)
    recorder_for(store.path).drop()


def test_whatever_goes_wrong_in_writing_does_not_reach_who_looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("watched and faulty")
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_wake", lambda _: None)
        patch.setattr(Recorder, "_write", lambda _: json.loads("a fault of ours"))
        exp.log(loss=1)
        store.version()
        with pytest.warns(TrackingWarning, match="JSONDecodeError"):
            exp.log(loss=2)
    assert exp.flush()


@pytest.mark.parametrize("how", ["close", "with"])
def test_who_closes_is_told_what_is_not_on_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    exp = experiment("closed in trouble")

    def full(_: Recorder) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "_wake", lambda _: None)
        patch.setattr(Recorder, "_open", full)
        words = (
            r"^2 values are not on the disk yet\. What is logged cannot be written .* \(database or disk is full\)\. It is kept in memory"
        )
        exp.log({"loss": 1, "acc": 2})
        with pytest.warns(TrackingWarning, match=words) as told:
            exp.close() if how == "close" else exp.__exit__(None, None, None)
        assert [str(one.filename) for one in told] == [__file__]
    exp.close()
    assert store.series(exp.id, "loss").value.tolist() == [1]


def test_a_folder_that_nobody_may_write_is_read_all_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with experiment("kept", tags=["x"]) as exp:
        exp.log(step=1, loss=2)
    recorder_for(store.path)._forget()

    def protected(path: Path, _: float) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            # What SQLite itself says of such a file.
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
    # It may be written again as soon as the folder may.
    store.tag(exp.id, "y")
    assert store.experiment(exp.id).tags == ("x", "y")


@pytest.mark.parametrize(
    ("name", "last", "step"),
    [("step-5", 9, 5), ("step-5", 5, 5), ("step-6", 5, 5), ("final", 5, 5), ("step-5", None, None), ("epoch-3", 9, 9)],
)
def test_a_checkpoint_without_a_step_has_that_of_its_name_where_training_was_there(
    store: Store, name: str, last: int | None, step: int | None
) -> None:
    with experiment("saves") as exp:
        if last is not None:
            exp.log(step=last, loss=1)
        exp.saved(name)
        exp.saved("other", step=3)
    assert [mark.step for mark in store.marks(exp.id)] == [step, 3]


def _disk_is_full(*_: object, **__: object) -> sqlite3.Connection:
    raise sqlite3.OperationalError("disk is full")


def test_an_experiment_that_is_not_on_the_disk_yet_says_so_and_why(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "loops_nb.tracking.recorder.open_store", lambda *_, **__: (_ for _ in ()).throw(sqlite3.OperationalError("disk is full"))
        )
        with pytest.warns(TrackingWarning, match="disk is full"):
            exp = experiment("held in the hand")
        with pytest.raises(TrackingError, match=r"'held in the hand' is not on the disk yet\. .*\(disk is full\)"):
            exp.frame()
    assert len(exp.frame()) == 0
    with pytest.raises(TrackingError, match="no experiment 'x'"):
        store.experiment("x")


def test_reading_makes_no_file(store: Store) -> None:
    assert store.experiments() == []
    assert store.keys("x") == []
    assert store.marks("x") == []
    assert not store.path.exists()


@pytest.mark.parametrize(
    "step",
    [0.5, "3", 1 << 70, float("nan"), float("inf"), object(), np.timedelta64(3, "ns"), np.str_("3"), 3j],
    ids=["half", "text", "huge", "nan", "inf", "object", "duration", "text array", "complex"],
)
def test_a_step_that_is_no_whole_number_is_refused(step: object) -> None:
    with pytest.raises(InvalidArgumentError, match="whole number"):
        experiment("bad step").log(step=step, loss=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "  ", "x" * 501, None, 3])
def test_a_name_that_cannot_be_one_is_refused(name: object) -> None:
    with pytest.raises(InvalidArgumentError, match="1 to 500"):
        experiment(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"params": 3}, {"params": ["lr"]}, {"tags": 3}, {"tags": None}], ids=str)
def test_parameters_and_tags_that_cannot_be_some_are_refused_in_words(store: Store, given: dict[str, Any]) -> None:
    (wrong,) = given
    with pytest.raises(InvalidArgumentError, match=f"{wrong} must be .* not ") as caught:
        experiment("sweep", **given)
    assert "For example" in str(caught.value)
    assert store.experiments() == []


def test_one_tag_may_stand_alone(store: Store) -> None:
    experiment("sweep", tags="baseline").close()
    (row,) = store.experiments()
    assert row.tags == ("baseline",)


@pytest.mark.parametrize("text", ["", None, 3])
def test_a_note_that_says_nothing_is_refused(store: Store, text: Any) -> None:
    recording = experiment("sweep")
    with pytest.raises(InvalidArgumentError, match="A note must be a text"):
        recording.note(text)
    recording.close()
    assert not store.marks(recording.id)


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_checkpoint_without_a_name_is_refused(store: Store, name: Any) -> None:
    recording = experiment("sweep")
    with pytest.raises(InvalidArgumentError, match="name of a checkpoint must be a text"):
        recording.saved(name)
    recording.close()
    assert not store.marks(recording.id)


def test_at_the_end_nothing_is_said_to_be_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(store.path)
    recorder.trouble = ""
    monkeypatch.setattr(recorder, "flush", lambda: recorder._troubled("the disk is full"))
    with pytest.warns(TrackingWarning, match=r"the disk is full\)\. 0 values are lost with this process\.$"):
        recorder.close()


def test_a_store_that_is_dropped_closes_what_it_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment("short").close()
    opened: list[sqlite3.Connection] = []

    def open_and_remember(path: Path, **options: Any) -> sqlite3.Connection:
        opened.append(open_store(path, **options))
        return opened[-1]

    monkeypatch.setattr("loops_nb.tracking.store.open_store", open_and_remember)
    assert len(Store().experiments()) == 1
    with Store() as another:
        assert len(another.experiments()) == 1
    gc.collect()
    assert len(opened) == 2
    # Python 3.13 warns of what is left open, and warnings are errors here.
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
