"""The verbs of ``%loops`` as commands: the same table, with options for the form of the output."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loops_nb.cli.form import Form
from loops_nb.cli.output import IDENTITIES
from loops_nb.cli.wording import commands, without_notebook
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Argument, Option, Values, Verb, switch

if TYPE_CHECKING:
    from collections.abc import Sequence

_FORMS = {Form.JSON: "json_form", Form.JSON_LINES: "json_lines_form", Form.IDS: "ids_form"}
_JSON = switch("--json", "print JSON: an array of rows, or one object", name=_FORMS[Form.JSON])
_JSON_LINES = switch("--jsonl", "print JSON lines: an object for each row", name=_FORMS[Form.JSON_LINES])
_IDS = switch("-q --quiet", "print ids only, one on each line, and no messages", name=_FORMS[Form.IDS])

#: Commands that are no verbs, for the help, for Tab, and for suggestions after an unknown word.
OWN = (
    Verb(name="status", summary="connection, active runs and samplers, next steps"),
    Verb(name="serve", summary="run the local service in this terminal, until Ctrl-C"),
    Verb(name="mcp", summary="serve tools for coding agents over stdio (MCP)"),
    Verb(name="token", summary="print the token of the local service, for other programs"),
    Verb(name="where", summary="print the folder in which loops_nb keeps things"),
    Verb(
        name="completion",
        summary="print the script that makes Tab complete commands in a shell",
        arguments=(Argument("shell", "bash|zsh|fish", "the shell", required=True),),
        notes='For bash, add eval "$(loops-nb completion bash)" to ~/.bashrc; for zsh, add the same with zsh to'
        " ~/.zshrc after compinit; for fish, write it to ~/.config/fish/completions/loops-nb.fish. Tab completes"
        " verbs, options, ids, names, checkpoints after RUN/, metric keys and files; it asks the service that the"
        " command would use.",
        examples=('eval "$(loops-nb completion bash)"',),
    ),
)


def shell_verb(verb: Verb) -> Verb:
    """Return a verb as a command has it; its texts still name the lines of a notebook, for `in_shell`."""
    shell = verb.shell
    options = tuple(
        replace(option, help=shell.helps.get(option.flags[-1], option.help))
        for option in verb.options
        if option.flags[-1] not in shell.left_out
    )
    if verb.run is not None:
        options += _output_options(verb)
    return replace(
        verb,
        summary=shell.summary or verb.summary,
        options=options,
        verbs=tuple(map(shell_verb, verb.verbs)),
        notes=shell.notes or without_notebook(verb.notes),
        examples=(*shell.examples, *commands(verb.examples, shell.left_out)) or (f"%loops {verb.name}",),
        cell="",
    )


def defaults_of_left_out(verb: Verb, words: Sequence[str]) -> dict[str, Any]:
    """Return the values that the options have which make no sense in a shell.

    Raises
    ------
    InvalidArgumentError
        If the line has one; the hint says what to do instead.
    """
    for word in words:
        option = verb.option(word.partition("=")[0])
        if option is not None and option.flags[-1] in verb.shell.left_out:
            raise InvalidArgumentError(
                f"%loops {verb.name}: {word.partition('=')[0]} is for notebooks.",
                argument=option.name,
                hint=verb.shell.left_out[option.flags[-1]],
            )
    return {one.name: one.default for one in verb.options if one.flags[-1] in verb.shell.left_out}


def take_form(values: Values) -> Form:
    """Return the form of the output that the line asks for, and remove its options from the values.

    Raises
    ------
    InvalidArgumentError
        If it asks for two.
    """
    given = [form for form, name in _FORMS.items() if vars(values).pop(name, False)]
    if len(given) > 1:
        flags = {Form.JSON: "--json", Form.JSON_LINES: "--jsonl", Form.IDS: "-q"}
        raise InvalidArgumentError(f"Give either {flags[given[0]]} or {flags[given[1]]}, not both.")
    return given[0] if given else Form.TEXT


def _output_options(verb: Verb) -> tuple[Option, ...]:
    found: list[Option] = []
    if verb.kinds or verb.returns_object:
        found.append(_JSON)
    if verb.kinds:
        found.append(_JSON_LINES)
    if verb.returns_object or IDENTITIES.keys() & set(verb.kinds):
        found.append(_IDS)
    return tuple(found)
