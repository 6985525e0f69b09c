"""Run names in place of ids, on lines of ``%loops`` and in Python."""

from __future__ import annotations

from typing import Any

import pytest

from loops_nb.errors import InvalidArgumentError, NotFoundError
from tests.magics.conftest import Notebook

NAME = "support-tone-r8"


@pytest.fixture
def known(live: Notebook) -> tuple[Notebook, Any]:
    """Return a connected notebook and the run that alone has its name."""
    run = next(run for run in live.context.loops.runs.list() if run.name == NAME)
    live.context.cache.clear()
    return live, run


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ("run {name}", lambda run, shown: shown.id == run.id),
        ("run {name!u}", lambda run, shown: shown.id == run.id),
        ("checkpoints {name}", lambda run, shown: set(shown["run_id"]) == {run.id}),
        ("checkpoints --run {name}", lambda run, shown: set(shown["run_id"]) == {run.id}),
        ("runs --run {name}", lambda run, shown: shown["id"].tolist() == [run.id]),
        ("sampler {name}", lambda run, shown: shown.id == run.sampler.id),
        ("download {name}/{saved} --target trainer --dry-run", lambda _, shown: len(shown) > 0),
        ("download {name}/weights/{saved} --dry-run", lambda _, shown: len(shown) > 0),
        ("download --run {name} {saved} --target trainer --dry-run", lambda _, shown: len(shown) > 0),
        ("tensors {name}/sampler_weights/{saved}", lambda _, shown: len(shown) > 0),
        ("files {name}/weights/{saved}", lambda _, shown: len(shown) > 0),
        ("find --name {name}", lambda run, shown: shown["id"].tolist() == [run.id]),
    ],
)
def test_unique_run_name_works_in_every_verb(known: tuple[Notebook, Any], line: str, ids: Any) -> None:
    notebook, run = known
    saved = next(
        c for c in notebook.context.loops.checkpoints.list(run_id=run.id) if c.target == "trainer"
    ).checkpoint_id
    typed = line.replace("{name!u}", NAME.upper()).format(name=NAME, saved=saved)
    shown = notebook.run(f"%loops {typed}").value
    assert ids(run, shown)


def test_watch_takes_a_run_name(known: tuple[Notebook, Any]) -> None:
    notebook, run = known
    assert run.id in notebook.run(f"%loops watch {NAME}").out
    assert run.id in notebook.run(f"%loops watch checkpoints {NAME}").out


def test_checkpoint_resolver_takes_run_names(known: tuple[Notebook, Any]) -> None:
    loops, run = known[0].context.loops, known[1]
    refs = loops.checkpoints.choose(run_id=NAME, target="trainer")
    assert {ref.run_id for ref in refs} == {run.id}
    assert loops.checkpoints.choose(f"{NAME}/{refs[0].name}", target="trainer") == [refs[0]]
    with pytest.raises(NotFoundError):
        loops.runs.get(NAME)


@pytest.mark.parametrize(("word", "hint"), [("support-tone-r9", NAME), ("'no such run'", "%loops runs lists")])
def test_unknown_run_name_suggests_similar_ones(known: tuple[Notebook, Any], word: str, hint: str) -> None:
    ran = known[0].run(f"%loops run {word}", fails=True)
    assert isinstance(ran.error, NotFoundError)
    assert hint in ran.out
    assert len(ran.out.splitlines()) == 1


@pytest.fixture
def twins(live: Notebook) -> tuple[Notebook, list[str]]:
    """Return a notebook connected to a service where two runs have one name, and the names hold a space."""
    loops = live.context.loops
    session = loops.sessions.create()
    made = [loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", name="twin run").id for _ in range(2)]
    return live, made


def test_ambiguous_run_name_error_lists_ids(twins: tuple[Notebook, list[str]]) -> None:
    notebook, made = twins
    for line in (
        "run 'twin run'",
        "checkpoints --run 'twin run'",
        "deactivate run 'twin run' -y",
        "watch 'twin run'",
        "files 'twin run/step-1'",
    ):
        ran = notebook.run(f"%loops {line}", fails=True)
        assert isinstance(ran.error, InvalidArgumentError), line
        assert "runs are named 'twin run'" in ran.out
        assert all(identity in ran.out for identity in made)
    assert {run.status.name for run in notebook.context.loops.runs.list() if run.id in made and run.status} == {
        "ACTIVE"
    }
    for identity in made:
        notebook.run(f"%loops deactivate run {identity} -y")


def test_deactivate_requires_the_exact_name(live: Notebook) -> None:
    loops = live.context.loops
    session = loops.sessions.create()
    run = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", name="One Of Its Kind")
    assert isinstance(live.run("%loops deactivate run 'one of its kind' -y", fails=True).error, NotFoundError)
    assert live.run("%loops deactivate run 'One Of Its Kind' -y").value.id == run.id


def test_run_id_takes_precedence_over_name(live: Notebook) -> None:
    loops = live.context.loops
    session = loops.sessions.create()
    first = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", name="first-of-two")
    second = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", name=first.id)
    assert live.run(f"%loops run {first.id}").value.id == first.id
    assert live.run(f"%loops deactivate run {first.id} -y").value.id == first.id
    live.run(f"%loops deactivate run {second.id} -y")


def test_a_run_that_was_created_since_the_last_listing_is_found_by_its_name(known: tuple[Notebook, Any]) -> None:
    notebook, _ = known
    notebook.run(f"%loops run {NAME}")
    loops = notebook.context.loops
    run = loops.runs.create(session_id=loops.sessions.create().id, base_model="Qwen/Qwen3-8B", name="just-made")
    assert notebook.run("%loops run just-made").value.id == run.id
