"""Run a line of ``%loops``: lex, parse, call the verb."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, LoopsError, readable_interrupt
from loops_nb.magics.context import preload_pandas
from loops_nb.magics.help import general_help, verb_help
from loops_nb.magics.lexer import split_words
from loops_nb.magics.parser import parse, wants_general_help
from loops_nb.magics.status import print_status
from loops_nb.magics.verbs import GROUPS, VERBS

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.context import MagicContext
    from loops_nb.magics.grammar import Verb

_UNCHANGED = "Nothing was changed."


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
        A DataFrame, a resource, a panel, or None.

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
        with readable_interrupt("%loops", _UNCHANGED), context.explain_unreachable():
            print_status(context)
        return None
    parsed = parse(VERBS, words)
    verb = parsed.verb
    if parsed.wants_help or verb.run is None:
        context.say(verb_help(verb))
        return None
    _check_cell(verb, cell)
    if verb.cell:
        parsed.values.cell = cell
    if verb.returns_frame:
        preload_pandas()
    try:
        with readable_interrupt(verb.line, verb.when_interrupted or _UNCHANGED), context.explain_unreachable():
            return verb.run(context, parsed.values)
    except LoopsError as error:
        # Without "During handling of the above exception": one line is enough.
        raise error.with_traceback(None) from None
    except Exception as error:
        _guard_key(error)
        raise


def _check_cell(verb: Verb, cell: str | None) -> None:
    if verb.cell and cell is None:
        raise InvalidArgumentError(
            f"{verb.line} needs {verb.cell} in the cell: write %% with two percent signs, in the first line of a cell.",
            argument="cell",
            hint=f"See {verb.line} --help",
        )
    if cell is not None and not verb.cell:
        cells = ", ".join(other.line for other in VERBS if other.cell)
        raise InvalidArgumentError(
            f"{verb.line} is a line magic, not a cell magic: nothing of the cell was run.",
            argument="cell",
            hint=f"Write one percent sign: {verb.line}. The only cell magic is {cells}.",
        )


def _guard_key(error: Exception) -> None:
    """Raise an error without details if the traceback contains the API key: the notebook would save it."""
    from loops_nb.config.credentials import resolve_key  # only after an error

    found = resolve_key()
    if found is not None and found.secret.reveal() in "".join(traceback.format_exception(error)):
        raise LoopsError(
            f"An unexpected {type(error).__name__}, not shown because its text contains the API key.",
            hint="This is a bug in loops_nb: please report the line that you typed.",
        ) from None


def whole_help() -> str:
    """Return the help of ``%loops``."""
    return general_help(GROUPS)
