"""Run a line of ``%loops``: lex, parse, call the verb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, readable_interrupt
from loops_nb.magics.call import UNCHANGED, call_verb
from loops_nb.magics.help import general_help, verb_help
from loops_nb.magics.lexer import split_words
from loops_nb.magics.parser import parse, wants_general_help
from loops_nb.magics.status import print_status
from loops_nb.magics.verbs import verb_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loops_nb.magics.context import MagicContext
    from loops_nb.magics.grammar import Verb


def run_line(context: MagicContext, line: str, evaluate: Callable[[str], str], *, cell: str | None = None) -> Any:
    """Run a line, and return the verb's result.

    Parameters
    ----------
    context : MagicContext
        The shell's context.
    line : str
        The text after ``%loops``.
    evaluate : callable
        Returns the text of a Python expression on the line.
    cell : str or None, default None
        Body of the cell, for ``%%loops``.

    Returns
    -------
    Any
        A DataFrame, a `ListingRows` of which one is made, a resource, a panel, or None.

    Raises
    ------
    LoopsError
        If the line cannot be parsed, or the verb fails.
    """
    # A final semicolon hides the result, which IPython does itself.
    words = split_words(line.rstrip().removesuffix(";"), evaluate)
    if wants_general_help(words):
        context.say(whole_help())
        return None
    if words and words[0] == "help":
        words = [*words[1:], "--help"]
    if not words:
        if cell is not None:
            raise InvalidArgumentError(
                "%%loops needs a verb for the cell.", argument="cell", hint="See %%loops sample --help"
            )
        with readable_interrupt("%loops", UNCHANGED), context.explain_unreachable():
            print_status(context)
        return None
    named = verb_named(words[0])
    # All verbs only for what to suggest in place of an unknown word.
    parsed = parse((named,) if named is not None else _all_verbs(), words)
    verb = parsed.verb
    if parsed.wants_help or verb.run is None:
        context.say(verb_help(verb))
        return None
    _check_cell(verb, cell)
    if verb.cell:
        parsed.values.cell = cell
    return call_verb(context, verb, parsed.values)


def _check_cell(verb: Verb, cell: str | None) -> None:
    if verb.cell and cell is None:
        raise InvalidArgumentError(
            f"{verb.line} needs {verb.cell} in the cell: write %% with two percent signs, in the first line of a cell.",
            argument="cell",
            hint=f"See {verb.line} --help",
        )
    if cell is not None and not verb.cell:
        cells = ", ".join(other.line for other in _all_verbs() if other.cell)
        raise InvalidArgumentError(
            f"{verb.line} is a line magic, not a cell magic: nothing of the cell was run.",
            argument="cell",
            hint=f"Write one percent sign: {verb.line}. The only cell magic is {cells}.",
        )


def _all_verbs() -> Sequence[Verb]:
    from loops_nb.magics.verbs import VERBS

    return VERBS


def whole_help() -> str:
    """Return the help of ``%loops``."""
    from loops_nb.magics.verbs import GROUPS  # imports every verb

    return general_help(GROUPS)
