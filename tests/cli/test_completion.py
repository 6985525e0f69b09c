"""Completion in real shells, and its parts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import loops_nb
from loops_nb.cli.completion import SHELLS, bash_word, offers, split_bash
from loops_nb.cli.context import ShellContext
from loops_nb.magics.completion import LineCompleter
from loops_nb.magics.lexer import split_words
from tests.cli.conftest import Run
from tests.cli.terminal import terminal

BREAKS = " \t\n\"'><=;|&(:"
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SET_UP = {
    "bash": 'PS1="> "; eval "$(loops-nb completion bash)"',
    "zsh": 'PS1="> "; autoload -U compinit; compinit -u -D; eval "$(loops-nb completion zsh)"',
    "fish": "function fish_prompt; echo '> '; end; loops-nb completion fish | source",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_in_a_real_shell(shell: str, service: str, home: Path, run: Run) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} on this machine")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {"LOOPS_BASE_URL": service, "PATH": path, "HOME": str(home.parent)}
    with terminal(environment=environment, command=START[shell]) as tty:
        tty.type(
            f"{SET_UP[shell]}; echo ready$((1+1))\n" if shell != "fish" else f"{SET_UP[shell]}; echo ready(math 1+1)\n"
        )
        tty.read_until("ready2")
        # A run and its checkpoint, a URI, and the value of an option.
        tty.type("loops-nb download p2sy\t")
        tty.read_until("loops-nb download p2syas8/")
        tty.type("step-52\t")
        tty.read_until("loops-nb download p2syas8/step-525")
        tty.type("\x15loops-nb checkpoints --path bt://loops:p2syas8/weights/step-52\t")
        tty.read_until("loops-nb checkpoints --path bt://loops:p2syas8/weights/step-525")
        # What was completed is one word of the line.
        tty.type("\x15loops-nb runs --base-model Qwen/Qwen3-235\t -q\n")
        expected = json.loads(run("runs", "--base-model", "Qwen/Qwen3-235B-A22B-Instruct-2507", "--json").out)
        tty.read_until(expected[0]["id"])


def test_candidates_are_those_of_a_notebook(run: Run) -> None:
    del run
    with loops_nb.experiment("first try", params={"lr": 1e-3}) as experiment:
        experiment.log(loss=1.0)
    context = ShellContext()
    context.cache.refresh_in_background(context.loops)
    context.cache.wait(30)
    notebook = LineCompleter(SimpleNamespace(context=context))
    for line in (
        "wait ",
        "runs --base-model Qwen/",
        "metrics ",
        "curves -m ",
        "delete ",
        "cost --",
        "logs ",
        "runs --team ",
    ):
        *words, fragment = line.split(" ")
        here = dict(offers(words, fragment))
        there = {split_words(text, str)[0] for text, _ in notebook.complete(line)[1] if text.isprintable()}
        assert here.keys() - {"--json", "--jsonl", "--quiet"} == there, line
        assert here, line
    context.close()
    assert "first try" in dict(offers(["metrics"], ""))


def test_words_of_bash_are_split_and_quoted() -> None:
    assert split_bash("loops-nb note r 'a b' c\\ d \"e\\\"") == (["loops-nb", "note", "r", "a b", "c d", 'e"'], '"')
    assert split_bash("loops-nb runs ") == (["loops-nb", "runs", ""], "")
    assert split_bash("loops-nb metrics 'first t") == (["loops-nb", "metrics", "first t"], "'")
    assert bash_word("first try", "fi", "", BREAKS) == "first\\ try"
    assert bash_word("first try", "fi", "'", BREAKS) == "first try"
    assert bash_word("bt://loops:a/b", "bt://loops:a", "", BREAKS) == "a/b"
    assert bash_word("bt://loops:a/b", "bt://loops:a", "", " ") == "bt://loops:a/b"
    assert bash_word("--status=ACTIVE", "--status=A", "", BREAKS) == "ACTIVE"


def test_completion_needs_a_shell_that_it_knows(alone: Run) -> None:
    for words in ([], ["tcsh"], ["bsh"]):
        refused = alone("completion", *words)
        assert (refused.status, refused.out) == (2, "")
        assert "bash, zsh or fish" in refused.err
    assert "Did you mean bash" in alone("completion", "bsh").err
    assert alone("completion", "--help").out.startswith("loops-nb completion: ")
    assert offers(["runs", "--team"], "x") == [], "no service, no candidates, no error"
