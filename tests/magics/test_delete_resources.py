"""``%loops delete run|checkpoint`` and ``%loops prune``, with a local service of their own."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import pytest

import loops_nb
from loops_nb import Loops
from tests.magics.conftest import Notebook
from tests.service import AnyService, running_service


@pytest.fixture
def own(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> Iterator[AnyService]:
    """A service whose runs may be deleted, which the shell talks to."""
    assert notebook is not None
    with running_service(in_process=True, sample=True, any_key=True) as running:
        monkeypatch.setenv("LOOPS_BASE_URL", running.url)
        monkeypatch.setenv("BASETEN_API_KEY", "sentinel-key-0123456789")
        yield running


@pytest.fixture
def loops(own: AnyService) -> Iterator[Loops]:
    with Loops("key", own.url) as made:
        yield made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions; each is answered by what the list begins with, else by y."""
    questions: list[str] = []

    def reply(text: str) -> str:
        questions.append(text)
        return "n" if questions[0] == "no" else "y"

    monkeypatch.setattr(builtins, "input", reply)
    return questions


def run_id(loops: Loops, name: str) -> str:
    (found,) = [run.id for run in loops.runs.list() if run.name == name]
    return found


def saved(loops: Loops, key: str, target: str = "") -> list[Any]:
    return [one for one in loops.checkpoints.list(run_id=key) if target in {"", one.target}]


def test_runs_are_deleted_after_a_plan_and_a_question(notebook: Notebook, loops: Loops, asked: list[str]) -> None:
    key = run_id(loops, "support-tone-r8")
    with loops_nb.experiment("numbers", run=key) as exp:
        exp.log({"loss": 1.0}, step=1)
    planned = notebook.run(f"%loops delete run {key} --dry-run").value
    assert planned.loops.delete(dry_run=True)["id"].tolist() == [key]
    assert planned["kind"].tolist() == ["run"]
    assert "Nothing was deleted. It would be 1 run and 15 checkpoints (" in notebook.html(planned)
    asked.append("no")
    said = notebook.run(f"%loops delete run {key}").out
    assert "15 checkpoints, " in said
    assert said.endswith("Nothing was deleted.\n")
    assert loops.runs.get(key).id == key
    asked.clear()
    done = notebook.run("%loops delete run support-tone-r8").value
    assert asked[0].startswith(f"Delete run {key} (support-tone-r8) with 15 checkpoints (")
    assert set(done["result"]) == {"deleted"}
    assert len(done) == 16
    assert "Deleted 1 run and 15 checkpoints (" in notebook.html(done)
    recorded = notebook.run("%loops experiments --tag run-deleted").value
    assert recorded[["name", "run_id", "points"]].to_numpy().tolist() == [["numbers", key, 1]]
    assert "no run" in notebook.run(f"%loops delete run {key} -y", fails=True).out.lower()


def test_checkpoints_are_deleted_by_name_and_run(notebook: Notebook, loops: Loops, asked: list[str]) -> None:
    key = run_id(loops, "gsm8k-grpo")
    before = len(saved(loops, key))
    assert "is the name of" in notebook.run(f"%loops delete checkpoint {key}/step-40", fails=True).out
    assert not asked
    done = notebook.run(f"%loops delete checkpoint {key}/step-40 --target trainer -y").value
    assert done["result"].tolist() == ["deleted"]
    assert not asked
    rest = notebook.run(f"%loops delete checkpoint --run {key} --target trainer").value
    assert rest["result"].value_counts()["kept"] == 1
    assert "started from it" in rest[rest["result"] == "kept"]["reason"].iloc[0]
    assert "usable while in use" in notebook.html(rest)
    assert len(saved(loops, key)) == before - 1 - (rest["result"] == "deleted").sum()


def test_delete_completes_ids_and_has_help(notebook: Notebook, loops: Loops) -> None:
    key = run_id(loops, "support-tone-r8")
    notebook.run("%loops runs")
    assert f"%loops delete run {key}" in notebook.completions(f"%loops delete run {key[:3]}")
    assert {"%loops delete run", "%loops delete checkpoint"} <= set(notebook.completions("%loops delete "))
    shown = notebook.run("%loops delete checkpoint --help").out
    assert "%loops delete checkpoint p2syas8/step-150 --target trainer" in shown
    assert "best:N" in notebook.run("%loops prune --help").out
    assert "%loops prune --keep last:2" in notebook.completions("%loops prune --keep l")


def test_prune_keeps_the_best_and_the_newest_by_recorded_values(
    notebook: Notebook, loops: Loops, asked: list[str]
) -> None:
    key = run_id(loops, "support-tone-r8")
    refused = notebook.run(f"%loops prune --keep best:2 --run {key}", fails=True).out
    assert f"Nothing is recorded of run {key} on this machine" in refused
    assert "Nothing says what to keep" in notebook.run(f"%loops prune --run {key}", fails=True).out
    assert "best:N or last:N" in notebook.run(f"%loops prune --keep most:2 --run {key}", fails=True).out
    assert "takes one rule" in notebook.run(f"%loops prune --keep best:2,last:1 --run {key}", fails=True).out
    assert "exactly one run; none" in notebook.run("%loops prune --keep last:1", fails=True).out
    assert "exactly one run; two" in notebook.run(f"%loops prune {key} --keep last:1 --run {key}", fails=True).out
    assert "a time to come" in notebook.run(f"%loops prune {key} --older-than 2999-01-01", fails=True).out
    twice = notebook.run(f"%loops prune --keep last:2 --keep last:5 --run {key}", fails=True).out
    assert "--keep last is given twice: last:2 and last:5" in twice
    assert "nowhere is in no listing of yours" in notebook.html(
        notebook.run("%loops delete checkpoint nowhere --dry-run").value
    )
    samplers = saved(loops, key, "sampler")
    names = [one.checkpoint_id for one in samplers]
    steps = sorted(int(name.removeprefix("step-")) for name in names if name != "final")
    assert names[0] == "final"
    with loops_nb.experiment("numbers", run=key) as exp:
        for index, step in enumerate(steps):
            exp.log({"loss": 1.0 + index, "odd": 2.0}, step=step)
    line = f"%loops prune --keep best:2 --keep last:1 --target sampler --run {key}"
    planned = notebook.run(line)
    table = planned.value
    kept = {"final", *(f"step-{step}" for step in steps[:2])}
    assert set(table["name"]) == set(names) - kept != set()
    text = notebook.html(table)
    assert "Kept as best by loss (lower is better, 2 of each target)" in text
    assert "This is a plan" in planned.out
    assert len(saved(loops, key, "sampler")) == len(samplers)
    assert "does not say whether lower" in notebook.run(f"{line} -m odd", fails=True).out
    assert "Recorded are loss, odd" in notebook.run(f"{line} -m reward", fails=True).out
    nothing = notebook.html(notebook.run(f"{line} --older-than 5000d").value)
    assert "There is nothing to delete." in nothing
    assert "planned_deletions" not in nothing
    # What is chosen of a plan is deleted as what is chosen of a listing.
    chosen = table.head(1).loops.delete(sure=True)
    assert chosen[["id", "result"]].to_numpy().tolist() == [[table["id"].iloc[0], "deleted"]]
    line = line.replace("--run ", "")
    asked.append("no")
    assert "Nothing was deleted." in notebook.run(f"{line} --ask").out
    done = notebook.run(f"{line} -y").value
    assert set(done["result"]) == {"deleted"}
    assert {one.checkpoint_id for one in saved(loops, key, "sampler")} == kept
    assert len(saved(loops, key, "trainer")) > 0
