"""Commands, their output and their exit status."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import httpx
import pytest

from loops_nb.cli.exit_status import MEANINGS
from loops_nb.cli.shell_verbs import shell_verb
from loops_nb.cli.wording import in_shell
from loops_nb.magics.parser import parse
from loops_nb.magics.verbs import VERBS, verb_named
from tests.cli.conftest import Run
from tests.cli.test_fields import PAGE, leaves
from tests.local.responses import good, new_run
from tests.service import ANY_KEY, running_service

#: What a shell has not.
NOTEBOOK = re.compile(r"%(?!loops in a notebook)|\bdf\b|DataFrame|\bcells?\b|\bpanels?\b|\bkernel\b|\bvariables?\b")


def test_help_of_every_verb_is_about_a_shell(alone: Run) -> None:
    general = alone("--help").out
    assert alone().out == alone("help").out == general
    for verb in VERBS:
        assert re.search(rf"^  {verb.word}\b", general, re.MULTILINE)
    for verb in [*VERBS, *leaves()]:
        ran = alone(*verb.name.split(), "--help")
        assert ran.status == 0
        assert ran.out.startswith(f"loops-nb {verb.name}: ")
        assert not NOTEBOOK.search(ran.out), (verb.name, NOTEBOOK.search(ran.out))
    assert not NOTEBOOK.search(general)
    assert alone("help", "runs").out == alone("runs", "--help").out


#: Verbs that read what the sample data has.
READING = {
    *("runs", "samplers", "checkpoints", "files", "deployments", "sessions", "teams", "capabilities", "find", "cost"),
    *("run", "sampler", "deployment", "wait", "logs", "system", "tensors", "compare", "drift", "doctor", "prune"),
}


def examples_of(text: str) -> list[list[str]]:
    """Return the words of each example of a help text, without what the shell itself reads."""
    lines = re.findall(r"^  .*?\bloops-nb (.*)$", text.partition("Examples:")[2], re.MULTILINE)
    return [list(takewhile("<".__ne__, shlex.split(line))) for line in lines]


def test_examples_of_every_verb_are_commands(alone: Run) -> None:
    for verb in VERBS:
        for inner in (verb, *verb.verbs):
            examples = examples_of(alone(*inner.name.split(), "--help").out)
            assert examples
            for words in examples:
                parse((shell_verb(verb_named(words[0]) or verb),), words)


@pytest.mark.parametrize(
    "verb",
    sorted(READING),
)
def test_examples_work_on_the_sample_data(run: Run, verb: str) -> None:
    for words in examples_of(run(verb, "--help").out):
        if not {"-y", "math-1", "lr-1", "my_module:client"} & set(words) and "best:3" not in words:
            ran = run(*words, "--limit", "1") if verb == "logs" else run(*words)
            assert ran.status == 0, (words, ran.err)


def test_a_listing_as_table_json_lines_and_ids(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = run("runs", "-q").out.split()
    rows = [json.loads(line) for line in run("runs", "--jsonl").out.splitlines()]
    assert [row["id"] for row in rows] == ids
    assert json.loads(run("runs", "--json").out) == rows
    table = run("runs")
    assert [line.split()[0] for line in table.out.splitlines()] == ["id", *ids]
    assert rows[0]["base_url"] in table.out, "a pipe gets every column"
    assert rows[0]["created_at"].endswith("Z")
    watched = run("watch")
    assert f"{rows[0]['base_model']}  " in watched.out
    assert "did not fit" not in watched.out
    assert watched.out.endswith("To see it live, in a terminal: loops-nb watch\n")
    monkeypatch.setenv("COLUMNS", "60")
    narrow = run("runs")
    assert max(map(len, narrow.out.splitlines())) <= 60
    assert "Columns that did not fit" in narrow.err
    active = {row["id"] for row in rows if row["status"] == "ACTIVE"}
    assert set(run("runs", "--status", "ACTIVE", "-q").out.split()) >= active > set()
    nothing = run("runs", "--base-model", "no/model")
    assert (nothing.status, nothing.out) == (0, "")
    assert "No runs match" in nothing.err
    assert run("runs", "--base-model", "no/model", "--json").out == "[]\n"
    assert json.loads(run("run", ids[0], "--json").out)["id"] == ids[0]
    assert run("run", ids[0], "-q").out == f"{ids[0]}\n"


def test_nothing_is_changed_without_a_terminal_or_a_yes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    session = run("create", "session", "-q").out.strip()
    made = run("create", "sampler", "--session", session, "-m", "Qwen/Qwen3-8B", "-q")
    assert made.err == ""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    asked = run("deactivate", "sampler", made.out.strip())
    assert (asked.status, asked.out) == (2, "")
    assert "nothing was changed. Add -y" in asked.err
    assert run("deactivate", "sampler", made.out.strip(), "-y", "-q").out == made.out


def test_exit_statuses(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    unknown = run("run", "nothing1")
    assert (unknown.status, unknown.out) == (1, "")
    assert unknown.err.startswith("loops-nb: ")
    for words in (["runz"], ["runs", "--foo"], ["run"], ["runs", "--json", "-q"], ["sample", "x", "-o", "df"]):
        refused = run(*words)
        assert (refused.status, refused.out) == (2, ""), words
        assert len(refused.err.splitlines()) == 1
        assert "%" not in refused.err
    assert "Did you mean runs?" in run("rnus").err
    assert "after the verb: loops-nb runs --json" in run("--json", "runs").err
    failed = run("runs", "-q", "--status", "FAILED").out.split()[0]
    assert run("wait", failed, "--timeout", "60").status == 1
    assert run("wait", "u8rkdjp", "-q").out == "u8rkdjp\n"
    late = run("wait", "u8rkdjp", "--until", "FAILED", "--timeout", "0.01")
    assert (late.status, late.out) == (4, "")
    assert "Wait on: loops-nb wait u8rkdjp --until FAILED" in late.err
    monkeypatch.setenv("LOOPS_BASE_URL", "http://127.0.0.1:9")
    assert run("create", "session").status == 3
    monkeypatch.delenv("LOOPS_BASE_URL")
    alone = run("runs")
    assert alone.status == 3
    assert "loops-nb local start" in alone.err
    assert run("status").status == 3
    listed = re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert list(map(int, listed)) == list(MEANINGS)


def test_texts_name_commands() -> None:
    assert in_shell("Type %loops login, or %%loops sample RUN. Next: %loops") == (
        "Type loops-nb login, or loops-nb sample RUN. Next: loops-nb status"
    )
    assert in_shell("wait longer with %config LoopsMagics.timeout (timeout= in Python)") == (
        "wait longer with timeout in [tool.loops_nb] of pyproject.toml (timeout= in Python)"
    )
    assert in_shell("100% of %pip install x") == "100% of pip install x"


LIGHT = {
    "IPython",
    "pandas",
    "numpy",
    "httpx",
    "httpcore",
    "ipywidgets",
    "anywidget",
    "matplotlib",
    "prompt_toolkit",
    "sqlite3",
    "urllib3",
}


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        (["--help"], set()),
        (["runs", "--foo"], set()),
        (["runs"], {"httpx", "httpcore"}),
        (["runs", "--json"], {"httpx", "httpcore"}),
        (["status"], {"httpx", "httpcore"}),
    ],
)
def test_a_command_imports_what_it_needs(words: list[str], needed: set[str], service: str, home: Path) -> None:
    del home
    program = f"import sys; from loops_nb.cli import main; main({words!r}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"LOOPS_BASE_URL": service, "PATH": ""},
    )
    modules = set(done.stdout.splitlines()[-1].split())
    assert modules & LIGHT == needed


def test_a_reader_that_ends_first_is_no_error(service: str, home: Path) -> None:
    del home
    line = f"set -o pipefail; {sys.executable} -m loops_nb runs --jsonl | head -c 20"
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"LOOPS_BASE_URL": service, "PATH": "/usr/bin:/bin"},
    )
    assert len(done.stdout) == 20
    assert done.stderr == ""


def test_a_working_folder_that_was_deleted_is_no_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    done = run("runs", "-q")
    assert (done.status, done.err) == (0, "")
    assert done.out


def test_control_characters_of_the_service_reach_no_terminal(run: Run, service: str) -> None:
    name = "\x1b]0;owned\x07\x1b[31m\u202ered\u009b2J\nline"
    # Our client refuses such a name.
    with httpx.Client(base_url=service, headers={"Authorization": f"Bearer {ANY_KEY}"}) as api:
        made = new_run(api, good(api.post("/v1/loops/sessions"))["session"]["id"], name=name)["id"]
    try:
        for words in (
            ["runs", "--run", made],
            ["runs", "--run", made, "--json"],
            ["runs", "--run", made, "--jsonl"],
            ["run", made],
            ["run", made, "--json"],
            ["watch", made],
            ["doctor", made],
            ["wait", made, "--until", "FAILED", "--timeout", "0.01"],
        ):
            ran = run(*words)
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", ran.out + ran.err), words
        (row,) = json.loads(run("runs", "--run", made, "--json").out)
        assert row["name"] == name, "JSON keeps every character"
    finally:
        run("delete", "run", made, "-y")


def test_what_makes_no_sense_in_a_shell_says_so(alone: Run) -> None:
    for line, words in (
        ("curves --static", "--save loss.pdf"),
        ("curves -m loss -m accuracy", "--save loss.pdf"),
        ("watch --notify", "loops-nb wait RUN"),
        ("sample r --messages talk", "A shell has no variables"),
        ("evaluate p.jsonl r --score exact", "a shell has no variables"),
        ("track --stop", "Ctrl-C"),
        ("watch --json", "loops-nb runs --jsonl"),
        ("runs --limit 3", "loops-nb runs | head -20"),
        ("generate r", "the prompt on the standard input"),
        ("where --json", "loops-nb where has no option or argument '--json'"),
    ):
        refused = alone(*line.split())
        assert (refused.status, refused.out) == (2, ""), line
        assert words in refused.err, line
        assert not {"DataFrame", "cell"} & set(re.findall(r"\w+", refused.err)), line


def test_the_only_served_service_is_found(alone: Run, home: Path, tmp_path: Path) -> None:
    with running_service(data_dir=tmp_path / "one", any_key=False) as first:
        assert f"Connected to {first.url} (the local service" in alone("connect").out
        with running_service(data_dir=tmp_path / "two", any_key=False) as second:
            several = alone("runs")
            assert several.status == 3
            assert "2 local services are running." in several.err
            assert first.url in several.err
            assert second.url in several.err
            assert "choose one: export LOOPS_BASE_URL=http://127.0.0.1:" in several.err
    assert "local start" in alone("runs").err
    del home
