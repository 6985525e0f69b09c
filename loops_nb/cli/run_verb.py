"""Run a verb of ``%loops`` as a command."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from loops_nb import console
from loops_nb.cli import exit_status
from loops_nb.cli.form import Form
from loops_nb.cli.output import show
from loops_nb.cli.shell_verbs import OWN, defaults_of_left_out, shell_verb, take_form
from loops_nb.cli.streams import is_terminal
from loops_nb.cli.wording import in_shell
from loops_nb.errors import InvalidArgumentError, readable_interrupt
from loops_nb.magics.call import UNCHANGED, call_verb
from loops_nb.magics.help import verb_help
from loops_nb.magics.parser import find_verb, parse
from loops_nb.magics.suggest import safe_repr
from loops_nb.magics.verbs import verb_named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.magics.grammar import Verb


def run_verb(words: list[str]) -> int:
    """Run a verb, print its result, and return the exit status.

    Parameters
    ----------
    words : list of str
        The words after ``loops-nb``.

    Raises
    ------
    LoopsError
        If the words cannot be parsed, or the verb fails.
    Interrupted
        If the user interrupted it.
    """
    if words[0].startswith("-"):
        raise InvalidArgumentError(
            f"loops-nb has no option {safe_repr(words[0])}.",
            argument="verb",
            hint="Options come after the verb: loops-nb runs --json. loops-nb --help lists the verbs.",
        )
    found = verb_named(words[0])
    left_out: dict[str, Any] = {}
    if found is not None:
        left_out = defaults_of_left_out(*find_verb((found,), words))
    # All verbs only for what to suggest in place of an unknown word.
    parsed = parse((shell_verb(found),) if found is not None else _all_verbs(), words)
    verb, values = parsed.verb, parsed.values
    if verb.name == "status" and not parsed.wants_help:
        return _status()
    if parsed.wants_help or verb.run is None:
        console.say(in_shell(verb_help(verb)))
        return exit_status.DONE
    form = take_form(values)
    vars(values).update(left_out)
    if getattr(values, "follow", False) and form is Form.JSON:
        raise InvalidArgumentError("--follow has no end, and --json is one array.", hint="--jsonl prints lines.")
    if verb.shell.reads_text:
        values.cell = _text_of_input()

    from loops_nb.cli.context import ShellContext

    if "" not in sys.path:
        # The working folder, if it is still there, for module:name; last, so that no file of it hides an installed
        # package.
        sys.path.append("")
    is_quiet = form is Form.IDS
    context = ShellContext(form)
    try:
        # What writes by itself, such as the status line of a wait, is no result.
        with redirect_stdout(io.StringIO() if is_quiet else sys.stderr):
            result = call_verb(context, verb, values)
        show(result, form, context)
    finally:
        context.close()
    return exit_status.FAILED if context.found_problem else exit_status.DONE


def _all_verbs() -> Sequence[Verb]:
    from loops_nb.magics.verbs import VERBS

    return (*map(shell_verb, VERBS), *OWN)


def _status() -> int:
    from loops_nb.cli.context import ShellContext
    from loops_nb.magics.status import print_status

    context = ShellContext()
    try:
        with readable_interrupt("loops-nb status", UNCHANGED), context.explain_unreachable():
            print_status(context)
            return exit_status.DONE if context.connection.target() else exit_status.NOT_CONNECTED
    finally:
        context.close()


def _text_of_input() -> str:
    if is_terminal(sys.stdin):
        console.say("Type the text, then Ctrl-D on a line of its own:", out=sys.stderr, flush=True)
    return sys.stdin.read()
