"""Grammar, parser, help and suggestions of all verbs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.magics.arguments import age_or_time
from loops_nb.magics.dispatch import run_line
from loops_nb.magics.grammar import Verb
from loops_nb.magics.help import verb_help
from loops_nb.magics.parser import parse
from loops_nb.magics.synonyms import _OPTIONS_BY_ANSWER, _VERBS, _VERBS_BY_ANSWER
from loops_nb.magics.verbs import VERBS
from tests.magics.conftest import Notebook


def all_verbs(verbs: tuple[Verb, ...] = VERBS) -> Iterator[Verb]:
    for verb in verbs:
        yield verb
        yield from all_verbs(verb.verbs)


FLAGS = sorted({flag for verb in all_verbs() for option in verb.options for flag in option.flags})
WORDS = sorted({verb.word for verb in all_verbs()})


def test_options_in_any_position_and_form() -> None:
    for line in (
        "checkpoints k1 --base-model M",
        "checkpoints --base-model M k1",
        "checkpoints --base-model=M k1",
        "checkpoints -m M k1",
    ):
        values = parse(VERBS, line.split()).values
        assert (values.what, values.base_model, values.path) == ("k1", "M", None)


def test_no_option_comes_after_two_hyphens() -> None:
    values = parse(VERBS, ["note", "k1", "--step", "4", "--", "-5", "dB", "--help"]).values
    assert (values.run, values.text, values.step) == ("k1", ("-5", "dB", "--help"), 4)


def test_group_runs_its_default_verb() -> None:
    assert parse(VERBS, ["local"]).verb.name == "local status"
    assert parse(VERBS, ["local", "start", "--speed", "10"]).values.speed == 10.0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rnus", "Did you mean runs?"),
        ("Runs", "Did you mean runs"),
        ("list", "%loops runs lists your runs"),
        ("create", "session, run or sampler"),
        ("create rnu", "Did you mean run?"),
        ("deactivate", "run, sampler or deployment"),
        ("deactivate k4q95w5", "It takes run, sampler or deployment, for example: %loops deactivate run p2syas8"),
        ("--verbose", "%loops has no option '--verbose'. %loops --help lists them."),
        ("runs --base-modle M", "Did you mean --base-model?"),
        ("runs --wat", "It has --base-model"),
        ("logout --all", "It has no options."),
        ("runs --base-model", "--base-model needs a value: --base-model MODEL"),
        ("runs --base-model --scope org", "--base-model needs a value"),
        ("runs --base-model=", "--base-model is empty"),
        ("runs --scope mine", "--scope must be org"),
        ("runs --scope org --scope org", "given twice"),
        ("runs extra", "takes no word after it"),
        ("run", "ID is missing (the run's id, as in %loops runs, or its name)"),
        ("run a b", "'b' is one too many"),
        ("create run --session s", "--base-model MODEL is missing"),
        ("create run --session s -m M --lora-rank many", "--lora-rank must be a whole number"),
        ("deployment d --level LOUD", "--level must be DEBUG, INFO, WARNING or ERROR"),
        ("find --newer-than yesterday", "90m, 36h, 2d"),
        ("deactivate run k1 -y=1", "-y takes no value"),
    ],
)
def test_parse_error_suggests_what_to_type(line: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        parse(VERBS, line.split())
    assert says in str(caught.value)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(WORDS),
            st.sampled_from(FLAGS),
            st.sampled_from(["--help", "-h", "=", "-", "--", "1"]),
            st.text(max_size=8),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_words_parse_or_fail_in_one_line(words: list[str]) -> None:
    said = "."
    try:
        order = parse(VERBS, words)
        assert order.wants_help or order.verb.run is not None
    except InvalidArgumentError as error:
        said = error.message
    assert said.endswith((".", ")"))
    assert len(said.splitlines()) == 1


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(FLAGS), st.text(max_size=8)), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_line_runs_or_raises_a_loops_error(notebook: Notebook, words: list[str]) -> None:
    # Not connected: a valid line fails at the connection.  Verbs that start a process or prompt are left out.
    line = " ".join(word for word in words if word not in {"start", "login"})
    said = ""
    try:
        run_line(notebook.context, line, lambda expression: expression)
    except LoopsError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1
    assert said.isprintable()


@pytest.mark.parametrize("verb", list(all_verbs()), ids=lambda verb: verb.name)
def test_help_of_every_verb_fits_and_its_examples_parse(verb: Verb) -> None:
    text = verb_help(verb)
    assert f"%loops {verb.name}" in text
    assert max(map(len, text.splitlines())) <= 120
    assert verb.examples
    assert not verb.summary.endswith(".")
    for option in verb.options:
        assert option.help
        assert option.flags[-1] in text
    for example in verb.examples:
        _, _, line = example.partition("%loops ")
        parse(VERBS, shlex.split(line))


@pytest.mark.parametrize("text", ["sk-1234567890abcdefghijklmnop", "A" * 70, "k7Jq2mVx.9ZtPq4LmWs8NbRf5Dc6Hy3Ge1"])
def test_errors_do_not_repeat_keys(text: str) -> None:
    for line in (
        [text],
        ["runs", text],
        ["runs", f"--{text}"],
        ["runs", "--scope", text],
        ["login", "x", text],
        ["login", f"--{text}"],
    ):
        with pytest.raises(InvalidArgumentError) as caught:
            parse(VERBS, line)
        assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", timedelta(minutes=90)),
        ("36h", timedelta(hours=36)),
        ("2d", timedelta(days=2)),
        ("1.5 h", timedelta(minutes=90)),
        ("2026-11-20T09:30+00:00", datetime(2026, 11, 20, 9, 30, tzinfo=UTC)),
    ],
)
def test_age_or_time_converts_both(text: str, expected: timedelta | datetime) -> None:
    assert age_or_time(text) == expected


@given(st.text(max_size=20))
def test_age_or_time_converts_or_rejects_any_text(text: str) -> None:
    try:
        found = age_or_time(text)
    except InvalidArgumentError:
        return
    assert isinstance(found, (timedelta, datetime))


@pytest.mark.parametrize(
    ("line", "taught"),
    [
        ("ls", "%loops runs lists your runs"),
        ("ps", "%loops runs lists your runs"),
        ("list", "%loops runs lists your runs"),
        ("stop k4q95w5", "%loops deactivate run k4q95w5 ends a run"),
        ("kill", "%loops deactivate run RUN ends a run"),
        ("cancel k4q95w5", "%loops deactivate run k4q95w5"),
        ("delete k4q95w5", "%loops delete run k4q95w5, %loops delete checkpoint k4q95w5"),
        ("delete experiments k4q95w5", "Did you mean experiment?"),
        ("RM k4q95w5", "%loops delete run k4q95w5 deletes a run"),
        ("journal dep_1", "%loops logs dep_1"),
        ("tail", "%loops logs RUN"),
        ("show k4q95w5", "%loops run k4q95w5 shows one run"),
        ("status", "%loops alone shows the connection"),
        ("start", "%loops create run"),
        ("pull", "%loops download CHECKPOINT"),
        ("--version", "%loops doctor"),
        ("Runs", "Did you mean runs?"),
        ("experiment", "Did you mean experiments?"),
        ("Checkpoint", "Did you mean checkpoints?"),
        ("smaple", "Did you mean sample?"),
        ("xyzzy", "%loops --help lists them."),
        ("deactivate k4q95w5", "%loops deactivate run k4q95w5"),
        ("deactivate runs k4q95w5", "Did you mean run?"),
        ("runs k4q95w5", "%loops run k4q95w5 shows one."),
        ("run", "%loops runs lists all."),
        ("sampler", "%loops samplers lists all."),
        ("checkpoints k4 --scope org", "--scope org, for the whole organisation, is an option of"),
        ("samplers --project p", "Runs belong to a session"),
        ("runs --project p", "Runs belong to a session"),
        ("runs --model M", "Did you mean --base-model?"),
        ("runs --all", "Did you mean --scope org?"),
        ("runs --json", "df = %loops runs, then"),
        ("runs --limit 5", "%config LoopsMagics.row_limit"),
        ("deactivate run k4 --force", "Did you mean --yes?"),
        ("runs --api-key x", "%loops login prompts for it"),
        ("runs --Scope org", "Did you mean --scope?"),
    ],
)
def test_word_of_another_tool_suggests_a_line(notebook: Notebook, line: str, taught: str) -> None:
    ran = notebook.run(f"%loops {line}", fails=True)
    assert isinstance(ran.error, InvalidArgumentError)
    assert taught in ran.out
    assert len(ran.out.splitlines()) == 1


@pytest.mark.parametrize("line", ["-h", "--help", "?", "-?", "help", "Help", "-help", "/?"])
def test_help_flags_of_other_tools_show_help(notebook: Notebook, line: str) -> None:
    assert "Usage:" in notebook.run(f"%loops {line}").out
    if line not in {"help", "Help", "/?"}:
        assert (
            "%loops checkpoints [RUN]" in notebook.run(f"%loops checkpoints{line if line == '?' else ' ' + line}").out
        )
    if line not in {"help", "Help"}:
        assert "%loops checkpoints [RUN]" in notebook.run(f"%loops checkpoints {line}").out


def test_suggested_lines_have_existing_verbs() -> None:
    lines = [
        line
        for text in (*_VERBS_BY_ANSWER, *_OPTIONS_BY_ANSWER)
        for line in re.findall(r"(?<![%\w])%%?loops (\w+)", text)
    ]
    known = {verb.word for verb in VERBS}
    assert len(lines) > 30
    assert set(lines) - {"alone"} <= known
    assert not known & set(_VERBS), "a verb of ours is never taught away"
