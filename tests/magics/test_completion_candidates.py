"""Candidates for every argument of every verb."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import loops_nb
from loops_nb.magics.completion_candidates import KINDS
from loops_nb.magics.grammar import Argument, Option, Verb
from loops_nb.magics.lexer import quoted, split_words, unquoted
from loops_nb.magics.verbs import VERBS
from tests.client.scripted_server import Answer, ScriptedServer
from tests.magics.conftest import Notebook

NAME = "support-tone-r8"


def everything_taken(verbs: tuple[Verb, ...] = VERBS) -> Iterator[tuple[Verb, Argument]]:
    for verb in verbs:
        yield from ((verb, taken) for taken in (*verb.arguments, *verb.options))
        yield from everything_taken(verb.verbs)


@pytest.mark.parametrize(
    ("verb", "taken"), [pytest.param(verb, taken, id=f"{verb.name} {taken.name}") for verb, taken in everything_taken()]
)
def test_every_argument_has_candidates_or_is_free_text(verb: Verb, taken: Argument) -> None:
    is_switch = isinstance(taken, Option) and taken.is_switch
    assert is_switch or taken.choices or taken.keywords or taken.free_text or taken.completes in KINDS, (
        f"{verb.line}: {taken.name} completes nothing"
    )
    assert not taken.completes or taken.completes in KINDS
    assert not (taken.free_text and taken.completes)


@pytest.fixture
def known(live: Notebook) -> tuple[Notebook, Any]:
    """Return a notebook that has listed its runs, and the run that alone has its name."""
    live.run("%loops runs")
    run = next(run for run in live.context.loops.runs.list() if run.name == NAME)
    return live, run


def types(notebook: Notebook, line: str) -> dict[str, str]:
    """Return what is offered at the end of a line, each with what a front end shows beside it."""
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        return {c.text: c.type for c in notebook.shell.Completer.completions(line, len(line))}


def test_candidates_have_name_and_state(known: tuple[Notebook, Any]) -> None:
    notebook, run = known
    offered = types(notebook, "%loops run ")
    assert NAME in offered[run.id]
    assert run.status.name in offered[run.id]
    assert offered[NAME] == f"run {run.id}"
    assert types(notebook, "%loops run support-tone-r8") == {NAME: f"run {run.id}"}


@pytest.mark.parametrize("verb", ["download", "files", "tensors", "compare", "df = %loops download"])
@pytest.mark.parametrize("by", ["id", "name"])
def test_candidates_after_a_run_are_its_checkpoints(known: tuple[Notebook, Any], verb: str, by: str) -> None:
    notebook, run = known
    word = getattr(run, by)
    line = f"{verb} {word}/" if "%" in verb else f"%loops {verb} {word}/"
    saved = {listed.checkpoint_id for listed in notebook.context.loops.checkpoints.list(run_id=run.id)}
    offered = types(notebook, line)
    assert {f"{word}/{name}" for name in saved} <= set(offered)
    assert any(text.startswith(f"{word}/weights/") for text in offered), "one name that was saved for both targets"
    first = min(saved)
    assert f"{word}/{first}" in types(notebook, f"{line}{first[:3]}")


def test_candidates_after_the_run_option_are_checkpoint_names(known: tuple[Notebook, Any]) -> None:
    notebook, run = known
    saved = {listed.checkpoint_id for listed in notebook.context.loops.checkpoints.list(run_id=run.id)}
    assert saved <= set(types(notebook, f"%loops download --run {run.id} "))
    assert saved <= set(types(notebook, f"%loops drift {run.id} ; x = 1\ndf = %loops tensors --run={NAME} "))
    uris = types(notebook, f"%loops create sampler --session s --path bt://loops:{run.id}/")
    assert f"bt://loops:{run.id}/weights/{min(saved)}" in uris


def test_candidates_include_experiments_metrics_and_tags(notebook: Notebook) -> None:
    with loops_nb.experiment("lr sweep", tags=["baseline"]) as exp:
        exp.log(step=0, loss=1.0, grad_norm=2.0)
    with loops_nb.experiment("other") as exp:
        exp.log(step=0, reward=1.0)
    assert "'lr sweep'" in types(notebook, "%loops best ")
    assert "'lr sweep'" in types(notebook, "%loops curves lr")
    assert "'lr sweep'" in types(notebook, "%loops curves 'lr s")
    assert '"lr sweep"' in types(notebook, '%loops tag "lr')
    assert {"loss", "grad_norm"} <= set(types(notebook, "%loops best 'lr sweep' -m "))
    assert "reward" not in types(notebook, "%loops best 'lr sweep' -m ")
    assert "reward" in types(notebook, "%loops curves --metric=")
    assert list(types(notebook, "df = %loops metrics --metric loss,gr")) == ["loss,grad_norm"]
    assert list(types(notebook, "%loops experiments --tag ")) == ["baseline"]
    assert "baseline" in types(notebook, "%loops tag other ba")


def test_candidates_include_files_and_folders(notebook: Notebook) -> None:
    Path("my data").mkdir()
    Path("sweep.jsonl").touch()
    Path(".hidden").touch()
    assert types(notebook, "%loops import ") == {"'my data/": "folder", "sweep.jsonl": "file", "--help": "option"}
    assert list(types(notebook, "%loops download x -o ")) == ["'my data/"]
    assert list(types(notebook, "%loops verify my")) == ["'my data/"]
    assert "sweep.jsonl" in types(notebook, "%loops track --request-log sw")


@pytest.mark.parametrize(
    "line",
    [
        "%loops create run --name ",
        "%loops create run --name pri",
        "%loops runs --base-model pri",
        "df = %loops runs --run pri",
        "%loops run abs",
        "%loops xyzzy ",
        "%loops runs print",
        "%%loops sample x --n ",
        "%loops deployment x --since ",
        "%loops import prin",
    ],
)
def test_no_candidates_suppress_python_names(notebook: Notebook, line: str) -> None:
    assert notebook.completions(line) == []


def test_prompt_of_a_cell_completes_as_python(notebook: Notebook) -> None:
    notebook.shell.user_ns["prompt_of_mine"] = 1
    assert any("prompt_of_mine" in text for text in notebook.completions("%%loops sample x\nprompt_of"))


def test_completion_waits_once_for_a_slow_service(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    gate = threading.Event()
    asked: list[str] = []

    def script(request: object) -> Answer:
        asked.append(str(getattr(request, "target", "")))
        if len(asked) > 1:
            gate.wait(20)
        return Answer({"supported_models": [], "runs": [], "checkpoints": []})

    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        notebook.run("%loops connect")
        started = time.perf_counter()
        assert notebook.completions("%loops run ") == ["%loops run --help"]
        assert notebook.completions("%loops download k4q95w5/") == []
        assert time.perf_counter() - started < 2.5
        before = len(asked)
        started = time.perf_counter()
        for _ in range(5):
            notebook.completions("%loops run ")
            notebook.completions("%loops download k4q95w5/")
        assert time.perf_counter() - started < 0.5
        assert len(asked) <= before + 1
        gate.set()


@pytest.mark.parametrize(
    "word", ["plain", "two words", "it's", 'a "b"', 'it\'s "both"', "$x", "{y}", "back\\slash", "#tag", "a}b's"]
)
def test_quoted_word_round_trips(word: str) -> None:
    def fails(expression: str) -> str:
        raise AssertionError(expression)

    assert split_words(quoted(word), fails) == [word]
    assert split_words(quoted(word, '"'), fails) == [word]
    assert unquoted("'two wo") == ("'", "two wo")


def test_candidates_include_projects_columns_and_names_in_filters(notebook: Notebook) -> None:
    with loops_nb.experiment("lr-1", params={"lora": {"rank": 8}, "my lr": 1}, project="support bot") as exp:
        exp.log(step=0, loss=1.0, kl=2.0)
    exp.summary["test_accuracy"] = 0.5
    assert list(types(notebook, "%loops experiments --project ")) == ["'support bot'"]
    assert "'support bot'" in types(notebook, "%loops curves --project sup")
    offered = types(notebook, "%loops experiments --sort ")
    assert offered["lora.rank"] == "parameter"
    assert offered["best.loss"] == offered["last.kl"] == "metric"
    assert offered["summary.test_accuracy"] == "summary value"
    assert offered["project"] == offered["duration"] == offered["created_at"] == "column"
    assert "'my lr'" in offered
    assert list(types(notebook, "%loops experiments --sort -best.l")) == ["-best.loss"]
    assert list(types(notebook, "%loops experiments --sort=loss")) == ["best.loss", "last.loss"]
    assert list(types(notebook, "%loops experiments --where lor")) == ["lora.rank"]
    line = '%loops experiments --where "best.loss < 1e-3 and lor'
    assert notebook.completions(line) == ['%loops experiments --where "best.loss < 1e-3 and lora.rank']
    line = "%loops experiments --where '(not sum"
    assert notebook.completions(line) == ["%loops experiments --where '(not summary.test_accuracy"]
    assert "%loops experiments --where '`my lr`" in notebook.completions("%loops experiments --where '`my")
    assert "%loops experiments --where 'lora.rank or best.loss" in notebook.completions(
        "%loops experiments --where 'lora.rank or "
    )
    for complete in ("'lora.rank == 8 ", "'lora.rank == 1e", "\"name == 'lo", "'lora.rank < "):
        assert notebook.completions(f"%loops experiments --where {complete}") == []
