"""Evaluation of checkpoints on the local sampler: scores, resumption, interrupts, the user's function."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loops_nb import AsyncLoops, Loops
from loops_nb.errors import ExecutorError, InvalidArgumentError, LoopsError, NotFoundError
from loops_nb.panels.samples.model import prompt_rows
from loops_nb.sampling.evaluation.prompts import prompt_set
from loops_nb.sampling.evaluation.score import ScoreFunction, imported_object
from loops_nb.sampling.executor import execute
from loops_nb.tracking import ExperimentStore
from tests.processes import process_pool
from tests.sampling.conftest import EARLY, LATE, NAME, Trained

PROMPTS = [{"prompt": "the quick ", "answer": "brown"}, {"prompt": "over the ", "answer": "lazy"}, {"prompt": "fox "}]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Trained) -> Path:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BASETEN_API_KEY", trained.service.key)
    return tmp_path / "home"


@pytest.fixture
def loops(trained: Trained) -> Iterator[Loops]:
    with Loops(base_url=trained.url) as client:
        yield client


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "words.jsonl"
    path.write_text("\n".join(map(json.dumps, PROMPTS)) + "\n", "utf-8")
    return path


class CountedScore:
    """A score function that counts its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str | None]] = []

    def __call__(self, prompt: str, completion: str, answer: str | None = None) -> float:
        self.calls.append((prompt, completion, answer))
        return float(len(completion))


def test_checkpoints_become_points_marks_and_samples(loops: Loops, trained: Trained, prompts: Path) -> None:
    score = CountedScore()
    frame = loops.evaluate(prompts, NAME, score=score, max_tokens=5, quiet=True)
    assert frame["checkpoint"].tolist() == [f"step-{EARLY}", f"step-{LATE}"]
    assert frame["step"].tolist() == [EARLY, LATE]
    assert frame["score"].tolist() == [5.0, 5.0]
    assert frame["scored"].tolist() == [3, 3]
    assert set(frame["run_id"]) == {trained.run_id}
    assert {str(dtype) for dtype in frame[["step", "scored"]].dtypes} == {"Int64"}
    assert [(prompt, answer) for prompt, _, answer in sorted(score.calls)[:2]] == [("fox ", None), ("fox ", None)]
    assert "%loops watch samples" in frame.attrs["loops_notes"][-1]
    name = f"eval-words-{NAME}"
    with ExperimentStore() as store:
        (row,) = store.experiments()
        assert (row.name, row.run_id, row.tags) == (name, trained.run_id, ("evaluation",))
        assert row.params["max_tokens"] == 5
        series = store.series(row.id, "score")
        assert (series.step.tolist(), series.value.tolist()) == ([EARLY, LATE], [5.0, 5.0])
        assert [(mark.text, mark.step) for mark in store.marks(row.id)] == [("step-10", EARLY), ("step-40", LATE)]
        samples = store.samples(row.id)
    assert len(samples) == 6
    assert {sample.fields["checkpoint"] for sample in samples} == set(frame["uri"])
    assert {sample.fields.get("answer") for sample in samples} == {"brown", "lazy", None}
    # In the panel the prompts are in their own order, whichever was answered first.
    with ExperimentStore() as store:
        rows = prompt_rows([store.samples(row.id, steps=[step])[::-1] for step in (EARLY, LATE)])
    assert [one.prompt for one in rows] == [str(one["prompt"]) for one in PROMPTS]
    # The early and the late weights answer differently.
    assert len({sample.completion for sample in samples if sample.prompt == "over the "}) == 2


def test_what_is_scored_is_not_asked_again(loops: Loops, prompts: Path) -> None:
    first, second, third = CountedScore(), CountedScore(), CountedScore()
    early = loops.evaluate(prompts, NAME, score=first, max_tokens=4, checkpoints=f"step-{EARLY}", quiet=True)
    assert len(first.calls) == 3
    both = loops.evaluate(prompts, NAME, score=second, max_tokens=4, quiet=True)
    assert len(second.calls) == 3
    assert both["experiment"].tolist() == early["experiment"].tolist() * 2
    assert loops.evaluate(prompts, NAME, score=third, max_tokens=4, quiet=True).equals(both)
    assert third.calls == []
    # Other settings are another curve.
    other = loops.evaluate(prompts, NAME, score=third, max_tokens=3, quiet=True)
    assert len(third.calls) == 6
    assert set(other["name"]) == {f"eval-words-{NAME} (2)"}


def test_the_base_model_is_the_point_at_step_0(loops: Loops, trained: Trained, prompts: Path) -> None:
    score = CountedScore()
    frame = loops.evaluate(prompts, NAME, score=score, checkpoints=["base", "all"], max_tokens=4, quiet=True)
    assert frame["checkpoint"].tolist() == ["base model", f"step-{EARLY}", f"step-{LATE}"]
    assert frame["step"].tolist() == [0, EARLY, LATE]
    assert frame["uri"].isna().tolist() == [True, False, False]
    assert len(score.calls) == 9
    with ExperimentStore() as store:
        (row,) = store.experiments()
        answers = {one.completion for one in store.samples(row.id, steps=[0]) if one.prompt == "fox "}
    with Loops(base_url=trained.url) as client:
        (base,) = client.samplers.sample(
            trained.run_id, "fox ", min_policy_version=0, temperature=0.0, max_tokens=4
        ).texts
    assert answers == {base}
    again = loops.evaluate(prompts, NAME, score=score, checkpoints="base", max_tokens=4, quiet=True)
    assert again["step"].tolist() == [0]
    assert len(score.calls) == 9


def test_an_error_of_the_function_keeps_what_was_scored(loops: Loops, prompts: Path) -> None:
    def fails(prompt: str, completion: str) -> float:
        if prompt == "fox ":
            raise ValueError("no fox")
        return float(len(completion))

    with pytest.raises(LoopsError, match=r"raised ValueError \(no fox\)") as caught:
        loops.evaluate(prompts, NAME, score=fails, max_tokens=4, parallel=1, quiet=True)
    assert "is kept" in caught.value.hint
    with ExperimentStore() as store:
        (row,) = store.experiments()
        assert {sample.prompt for sample in store.samples(row.id)} == {"the quick ", "over the "}
        assert store.marks(row.id) == []

    asked: list[str] = []

    def mended(prompt: str, completion: str) -> float:
        asked.append(prompt)
        return float(len(completion))

    mended.__qualname__ = fails.__qualname__
    frame = loops.evaluate(prompts, NAME, score=mended, max_tokens=4, quiet=True)
    assert sorted(asked) == ["fox ", "fox ", "over the ", "the quick "]
    assert frame["score"].tolist() == [4.0, 4.0]
    assert frame["scored"].tolist() == [3, 3]


def test_an_error_before_the_first_score_leaves_no_empty_experiment(loops: Loops, prompts: Path) -> None:
    def fails(completion: str) -> float:
        raise ValueError(completion)

    with pytest.raises(LoopsError, match="raised ValueError"):
        loops.evaluate(prompts, NAME, score=fails, max_tokens=2, quiet=True)
    with ExperimentStore() as store:
        assert store.experiments(archived=True) == []


def test_an_interrupt_loses_no_answer(loops: Loops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(json.dumps(f"the {number} ") for number in range(30)), "utf-8")
    calls: list[str] = []

    def score(prompt: str, completion: str) -> float:
        calls.append(prompt)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return float(len(completion))

    with pytest.raises(KeyboardInterrupt):
        loops.evaluate(path, NAME, score=score, max_tokens=3, checkpoints=f"step-{LATE}", parallel=2, quiet=True)
    with ExperimentStore() as store:
        (row,) = store.experiments()
        kept = {sample.prompt for sample in store.samples(row.id)}
    assert 4 <= len(kept) <= 8
    before = len(calls)
    frame = loops.evaluate(path, NAME, score=score, max_tokens=3, checkpoints=f"step-{LATE}", quiet=True)
    assert frame["scored"].tolist() == [30]
    assert len(calls) - before == 30 - len(kept)
    assert not kept & set(calls[before:])


def test_requests_at_a_time_are_bounded(loops: Loops, prompts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, most = 0, 0
    lock = threading.Lock()
    module = "loops_nb.sampling.evaluation.evaluation"

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        try:
            return execute(*arguments, **named)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(f"{module}.execute", counted)
    loops.evaluate(prompts, NAME, score=len, max_tokens=3, parallel=2, quiet=True)
    assert most == 2


def test_several_completions_are_scored_by_themselves(loops: Loops) -> None:
    frame = loops.evaluate(
        ["the ", [111, 118]], NAME, score=len, n=3, temperature=1.0, seed=1, max_tokens=3, quiet=True
    )
    assert frame["scored"].tolist() == [6, 6]
    assert set(frame["name"]) == {f"eval-prompts-{NAME}"}


def test_the_async_client_evaluates_beside_the_event_loop(trained: Trained, prompts: Path) -> None:
    async def run() -> Any:
        async with AsyncLoops(base_url=trained.url) as client:
            ticks = 0
            task = asyncio.ensure_future(client.evaluate(prompts, NAME, score=len, max_tokens=3, quiet=True))
            while not task.done():
                ticks += 1
                await asyncio.sleep(0.005)
            return ticks, await task

    ticks, frame = asyncio.run(run())
    assert ticks > 3
    assert frame["score"].tolist() == [3.0, 3.0]


def test_wrong_arguments_are_refused_before_anything_is_asked(loops: Loops, prompts: Path, home: Path) -> None:
    def needs(completion: str, solution: str) -> float:
        return float(completion == solution)

    with pytest.raises(InvalidArgumentError, match="needs solution, which prompt 1 does not have"):
        loops.evaluate(prompts, NAME, score=needs)
    with pytest.raises(InvalidArgumentError, match="score must be a function"):
        loops.evaluate(prompts, NAME, score="len")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="temperature"):
        loops.evaluate(prompts, NAME, score=len, temperature=-1)
    with pytest.raises(InvalidArgumentError, match="parallel"):
        loops.evaluate(prompts, NAME, score=len, parallel=0)
    with pytest.raises(InvalidArgumentError, match="No run was named"):
        loops.evaluate(prompts, [], score=len)
    with pytest.raises(NotFoundError, match="no run with the id or name"):
        loops.evaluate(prompts, "no such run", score=len)
    with pytest.raises(NotFoundError, match="step-99"):
        loops.evaluate(prompts, NAME, score=len, checkpoints="step-99")
    assert not home.joinpath("experiments.sqlite").exists() or not ExperimentStore().experiments()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There are no prompts"),
        ("\n\n", "There are no prompts"),
        ("{", "line 1 of x.jsonl is not JSON"),
        ('{"prompt": "a"}\n{"text": "b"}', "line 2 of x.jsonl has no prompt"),
        ('""', "line 1 of x.jsonl has no prompt"),
        ("[1, true]", "line 1 of x.jsonl has no prompt"),
    ],
)
def test_files_without_prompts_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidArgumentError, match=said):
        prompt_set(path)
    with pytest.raises(InvalidArgumentError, match="cannot be read"):
        prompt_set(tmp_path / "missing.jsonl")


def test_functions_get_what_they_have_parameters_for() -> None:
    def with_defaults(completion: str, answer: str = "5", other: int = 0) -> bool:
        return answer == "4" and other == 0 and completion == " 4"

    def unscored(completion: str) -> None:
        assert completion

    row = {"answer": "4"}
    functions: list[tuple[Any, Any]] = [
        (len, 2.0),
        (lambda text: 2 * len(text), 4.0),
        (lambda first, second: len(first) + len(second), 5.0),
        (lambda answer, completion: answer in completion, 1.0),
        (lambda **fields: len(fields), 3.0),
        (with_defaults, 1.0),
        (unscored, None),
        (len, 2.0),
    ]
    for function, expected in functions:
        score = ScoreFunction(function)
        score.check([row])
        assert score("2+2", " 4", row) == expected
    worded = ScoreFunction(repr)
    worded.check([row])
    with pytest.raises(LoopsError, match="returned str, not a number"):
        worded("p", "c", row)
    assert imported_object("math:sqrt")(4) == 2
    for word in ("no_such_module:f", "math:no_such", "math:"):
        with pytest.raises(InvalidArgumentError, match="cannot be imported"):
            imported_object(word)


def test_processes_score_what_is_asked_here(loops: Loops, prompts: Path, trained: Trained, tmp_path: Path) -> None:
    def letters(completion: str, answer: str = "") -> float:
        # Of this test, so that it can only be sent by value.
        (tmp_path / f"scored-by-{os.getpid()}").touch()
        return float(len(completion) + len(answer))

    def broken(completion: str) -> float:
        return 1 / len(completion[:0])

    with process_pool(1) as pool:
        frame = loops.evaluate(prompts, NAME, score=letters, n=2, max_tokens=4, executor=pool, quiet=True)
        assert frame["scored"].tolist() == [6, 6]
        assert [path.name == f"scored-by-{os.getpid()}" for path in tmp_path.glob("scored-by-*")] == [False]
        threads = ThreadPoolExecutor(2)
        again = loops.evaluate(prompts, NAME, score=letters, n=2, max_tokens=4, executor=threads, quiet=True)
        assert again["score"].tolist() == frame["score"].tolist()
        with pytest.raises(LoopsError, match="broken raised ZeroDivisionError") as caught:
            loops.evaluate(prompts, NAME, score=broken, max_tokens=4, executor=pool, quiet=True)
        assert "mend the function" in caught.value.hint
        assert "worker of the executor" in caught.value.hint
        locked = threading.Lock().locked
        with pytest.raises(InvalidArgumentError, match=r"cannot be sent to workers .* Nothing was asked"):
            loops.evaluate(prompts, NAME, score=lambda _completion: locked(), executor=pool)
    with pytest.raises(ExecutorError, match="after shutdown"):
        loops.evaluate(prompts, "no such run", score=letters, executor=pool)
