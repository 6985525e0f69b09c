"""Samples beside the metrics: what is kept, what is cut, and that nothing is lost on the way."""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking import ExperimentStore, TrackingWarning, samples
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.samples import MAX_FIELD, MAX_TEXT

_FORK = multiprocessing.get_context("fork")


def test_samples_come_back_as_a_frame_with_exact_dtypes(home: Path) -> None:
    exp = experiment("grpo-1", run="run-1")
    exp.log(loss=1.0, step=7)
    exp.sample(prompt="2 + 2 =", completion=" 4", reward=1, expected=4, ok=True)
    exp.sample(step=8, prompt="2 + 3 =", completion=" 6", reward=np.float32(0.5), expected=5, note="far off")
    exp.sample(step=8, prompt="2 + 4 =", completion="")
    frame = Metrics().samples("grpo-1")
    assert frame["step"].tolist() == [7, 8, 8]
    assert frame["prompt"].tolist() == ["2 + 2 =", "2 + 3 =", "2 + 4 ="]
    assert frame["completion"].tolist() == [" 4", " 6", ""]
    assert frame["reward"].tolist()[:2] == [1.0, 0.5]
    assert math.isnan(frame["reward"].iloc[2])
    assert frame["cut"].tolist() == [0, 0, 0]
    assert set(frame["run_id"]) == {"run-1"}
    kinds = {name: str(dtype) for name, dtype in frame.dtypes.items()}
    assert kinds["step"] == kinds["attempt"] == kinds["cut"] == kinds["fields.expected"] == "Int64"
    assert kinds["reward"] == "float64"
    assert kinds["fields.ok"] == "boolean"
    assert kinds["at"] == "datetime64[us, UTC]"
    assert Metrics().samples("grpo-1", step=7)["completion"].tolist() == [" 4"]
    assert len(Metrics().samples("grpo-1", step=[7, 8])) == 3
    assert len(Metrics().samples()) == 3
    assert home.is_dir()


def test_a_step_without_samples_says_where_there_are_some(home: Path) -> None:
    exp = experiment("grpo-1")
    assert "exp.sample" in Metrics().samples("grpo-1").attrs["loops_empty"]
    exp.sample(step=3, prompt="a", completion="b")
    assert "samples at 3" in Metrics().samples("grpo-1", step=4).attrs["loops_empty"]
    with pytest.raises(InvalidArgumentError, match="step"):
        Metrics().samples("grpo-1", step="last")  # type: ignore[arg-type]
    with pytest.raises(TrackingError, match="Nothing is recorded"):
        Metrics().samples("other")
    assert home.is_dir()


def test_rewards_keep_what_is_not_finite_and_skip_what_is_no_number(store: ExperimentStore) -> None:
    exp = experiment("odd")
    for reward in (math.nan, math.inf, -math.inf, None):
        exp.sample(step=0, prompt="p", completion="c", reward=reward)
    with pytest.warns(TrackingWarning, match="no number but str"):
        exp.sample(step=0, prompt="p", completion="c", reward="good")  # type: ignore[arg-type]
    assert [repr(one.reward) for one in store.samples(exp.id)] == ["nan", "inf", "-inf", "None", "None"]


def test_prompts_may_be_token_ids_or_messages(store: ExperimentStore) -> None:
    exp = experiment("kinds")
    exp.sample(step=0, prompt=[3, 4, 5], completion=np.array([6, 7]))
    exp.sample(step=0, prompt=[{"role": "user", "content": "Hello"}], completion="Hi")
    first, second = store.samples(exp.id)
    assert (first.prompt, first.completion) == ("token ids: 3 4 5", "token ids: 6 7")
    assert second.prompt == "user: Hello"
    for wrong in (3, None, [3, "x"], {"a": 1}):
        with pytest.raises(InvalidArgumentError, match="Nothing was recorded"):
            exp.sample(step=0, prompt=wrong, completion="c")
    assert len(store.samples(exp.id)) == 2


def test_long_texts_are_cut_and_that_is_said(store: ExperimentStore) -> None:
    exp = experiment("long")
    with pytest.warns(TrackingWarning, match="first 20,000 characters"):
        exp.sample(step=0, prompt="p" * (MAX_TEXT + 5), completion="c" * (MAX_TEXT + 7), note="n" * (MAX_FIELD + 1))
    exp.sample(step=0, prompt="p" * (MAX_TEXT + 5), completion="c")
    one, other = store.samples(exp.id)
    assert (len(one.prompt), len(one.completion), len(one.fields["note"])) == (MAX_TEXT, MAX_TEXT, MAX_FIELD)
    assert (one.cut, other.cut) == (13, 5)
    assert "2 samples are longer" in Metrics().samples("long").attrs["loops_notes"][0]


def test_an_experiment_with_many_samples_keeps_some_of_all_of_its_training(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "MAX_SAMPLES", 20)
    exp = experiment("many")
    for step in range(100):
        exp.sample(step=step, prompt="p", completion=str(step))
        if step % 10 == 9:
            exp.flush()
    steps = list(store.sample_steps(exp.id))
    assert len(steps) <= 20
    assert (steps[0], steps[-1]) == (0, 99)
    assert max(late - early for early, late in itertools.pairwise(steps)) <= 32
    assert store.samples_dropped(exp.id) == 100 - len(steps)
    assert "are not kept" in Metrics().samples("many").attrs["loops_notes"][0]
    # All at one step: the first ones stay.
    same = experiment("same step")
    for number in range(30):
        same.sample(step=0, prompt="p", completion=str(number))
    same.flush()
    assert [one.completion for one in store.samples(same.id)] == [str(number) for number in range(20)]


@pytest.mark.file_store
def test_samples_wait_in_memory_only_within_bounds(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("full disk")
    exp.flush()
    monkeypatch.setattr("loops_nb.tracking.entries.MAX_SAMPLES", 3)
    home.joinpath("experiments.sqlite").chmod(0o400)
    monkeypatch.setattr("loops_nb.tracking.writer.open_store", _full)
    exp._writer._connection = None  # type: ignore[attr-defined]
    for number in range(3):
        exp.sample(step=0, prompt="p", completion=str(number))
    with pytest.warns(TrackingWarning, match="Samples of 'full disk' are lost"):
        exp.sample(step=0, prompt="p", completion="too many")
    exp.sample(step=0, prompt="p", completion="too many, too")
    assert exp._session.lost == 2
    monkeypatch.undo()
    home.joinpath("experiments.sqlite").chmod(0o600)
    exp._writer.flush()
    assert not exp.flush()
    monkeypatch.setenv("LOOPS_NB_HOME", str(home))
    with ExperimentStore() as store:
        assert len(store.samples(exp.id)) == 3


def _full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.file_store
def test_secrets_are_not_kept(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", "a-secret-key-1234")
    exp = experiment("secrets")
    signed = "https://x.example/y?X-Amz-Signature=abc&z=1"
    exp.sample(step=0, prompt="my key is a-secret-key-1234", completion=signed, url=signed, api_key="hidden")
    exp.flush()
    exp.sample(step=1, prompt="p" * (MAX_TEXT - 5) + "a-secret-key-1234", completion="")
    exp.flush()
    everything = b"".join(path.read_bytes() for path in store.path.parent.glob("experiments.sqlite*"))
    assert b"a-secret" not in everything
    assert b"Signature=abc" not in everything
    assert b"hidden" not in everything
    assert "<api key>" in store.samples(exp.id)[0].prompt


def test_a_sample_of_a_resumed_experiment_belongs_to_a_later_attempt(store: ExperimentStore) -> None:
    first = experiment("again")
    first.sample(step=0, prompt="p", completion="1")
    first.close()
    second = experiment("again", resume=True)
    second.sample(step=0, prompt="p", completion="2")
    second.close()
    assert [(one.completion, one.attempt) for one in store.samples(first.id)] == [("1", 1), ("2", 2)]


def _sample_in_child(exp: object) -> None:
    exp.sample(step=1, prompt="p", completion="child")  # type: ignore[attr-defined]
    os._exit(0 if exp.flush() else 1)  # type: ignore[attr-defined]


def test_samples_survive_forks_and_pickles(store: ExperimentStore) -> None:
    exp = experiment("forked")
    exp.sample(step=0, prompt="p", completion="parent")
    process = _FORK.Process(target=_sample_in_child, args=(exp,))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    copied = pickle.loads(pickle.dumps(exp))  # noqa: S301 - our own
    copied.sample(step=2, prompt="p", completion="copy")
    assert [one.completion for one in store.samples(exp.id)] == ["parent", "child", "copy"]


_ENDLESS = """
import sys, time
from loops_nb import experiment
exp = experiment("killed")
for number in range(1_000_000):
    exp.sample(step=number, prompt="p", completion=str(number))
    if number % 100 == 99:
        exp.flush()
        print(number + 1, flush=True)
"""


def test_a_killed_process_loses_no_written_samples(store: ExperimentStore) -> None:
    with subprocess.Popen([sys.executable, "-c", _ENDLESS], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written = [int(process.stdout.readline()) for _ in range(3)][-1]
        os.kill(process.pid, signal.SIGKILL)
    (row,) = store.experiments()
    found = store.samples(row.id)
    assert [one.completion for one in found] == [str(number) for number in range(len(found))]
    assert len(found) >= written


def test_recording_a_sample_does_not_wait_for_the_disk(home: Path) -> None:
    exp = experiment("fast")
    text = "word " * 200
    began = time.perf_counter()
    for number in range(500):
        exp.sample(step=number, prompt=text, completion=text, reward=1.0)
    assert time.perf_counter() - began < 2.0
    assert home.is_dir()


@pytest.mark.file_store
def test_samples_are_deleted_with_their_experiment(store: ExperimentStore) -> None:
    for name in ("gone", "stays"):
        exp = experiment(name)
        exp.sample(step=0, prompt=f"prompt of {name}", completion="c")
        exp.close()
    (contents,) = Metrics().delete("gone")
    assert contents.samples == 1
    assert Metrics().samples()["prompt"].tolist() == ["prompt of stays"]
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT prompt FROM samples").fetchall() == [("prompt of stays",)]
    connection.close()


@pytest.mark.file_store
def test_json_lines_keep_all_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("out")
    exp.log(loss=1.0, step=0)
    for reward in (1.0, math.nan, math.inf, None):
        exp.sample(step=5, prompt="<b>&\u2028", completion="=1+1", reward=reward, deep={"a": [1, math.inf]})
    path = tmp_path / "out.jsonl"
    before = Metrics().store.samples(exp.id)
    Metrics().export(path, "out")
    for line in path.read_text("utf-8").split("\n"):
        assert not line or json.loads(line)["experiment"] == exp.id
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "elsewhere"))
    assert Metrics().import_(path).new == [exp.id]
    after = Metrics().store.samples(exp.id)
    assert [repr(one._replace(seq=0)) for one in after] == [repr(one._replace(seq=0)) for one in before]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_other_formats_say_that_they_have_no_samples(ending: str, tmp_path: Path) -> None:
    exp = experiment("out")
    exp.sample(step=5, prompt="p", completion="c")
    with pytest.warns(TrackingWarning, match=r"only files that end in \.jsonl have them"):
        Metrics().export(tmp_path / f"out{ending}", "out")
