"""From a line to what it does."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, LoopsError, readable_interrupt
from loops_nb.magics.grammar import asks_for_help, understand
from loops_nb.magics.help import general_help, verb_help
from loops_nb.magics.verbs import GROUPS, VERBS, status
from loops_nb.magics.warming import warm_up
from loops_nb.magics.words import split_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.desk import Desk
    from loops_nb.magics.grammar import Verb

_UNTOUCHED = "Nothing was changed."


def run_line(desk: Desk, line: str, evaluate: Callable[[str], str], *, cell: str | None = None) -> Any:
    """Do what a line says, and return what it gives.

    Parameters
    ----------
    desk
        The shell's desk.
    line
        The text behind ``%loops``.
    evaluate
        Returns the text of an expression of the line.
    cell
        What stands below the line, for ``%%loops``.

    Raises
    ------
    LoopsError
        If the line cannot be understood, or the service could not do it.
    """
    # As everywhere in a notebook, a last semicolon means: do it, and do not show it.
    words = split_words(line.rstrip().removesuffix(";"), evaluate)
    if asks_for_help(words):
        desk.say(whole_help())
        return None
    if words and words[0] == "help":
        words = [*words[1:], "--help"]
    if not words:
        if cell is not None:
            raise InvalidArgumentError("%%loops needs to know what to do with the cell.", argument="cell", hint="See %%loops sample --help")
        with readable_interrupt("%loops", _UNTOUCHED), desk.local_hint():
            status.run(desk)
        return None
    order = understand(VERBS, words)
    if order.wants_help or order.verb.run is None:
        desk.say(verb_help(order.verb))
        return None
    _check_cell(order.verb, cell)
    if order.verb.cell:
        order.values.cell = cell
    if order.verb.gives_frames:
        warm_up()
    try:
        with readable_interrupt(order.verb.line, order.verb.when_interrupted or _UNTOUCHED), desk.local_hint():
            return order.verb.run(desk, order.values)
    except LoopsError as error:
        # Python would show "During handling of the above exception": one line is enough here.
        raise error.with_traceback(None) from None
    except Exception as error:
        _guard_key(error)
        raise


def _check_cell(verb: Verb, cell: str | None) -> None:
    if verb.cell and cell is None:
        raise InvalidArgumentError(
            f"{verb.line} needs {verb.cell} in the cell below it: write %% with two percent signs, in the first line of a cell.",
            argument="cell",
            hint=f"See {verb.line} --help",
        )
    if cell is not None and not verb.cell:
        cells = ", ".join(other.line for other in VERBS if other.cell)
        raise InvalidArgumentError(
            f"{verb.line} is a line, not a whole cell: nothing of the cell was run.",
            argument="cell",
            hint=f"Write one percent sign: {verb.line}. What takes a cell is {cells}.",
        )


def _guard_key(error: Exception) -> None:
    """Let a fault of ours show its traceback, but not one whose text holds the API key: a notebook would save it."""
    from loops_nb.credentials import resolve_key  # noqa: PLC0415 - only after a fault

    found = resolve_key()
    if found is not None and found.secret.reveal() in "".join(traceback.format_exception(error)):
        raise LoopsError(
            f"An unexpected {type(error).__name__}, whose text holds the API key and is therefore not shown.",
            hint="It is a fault of loops_nb: please report the line that you typed.",
        ) from None


def whole_help() -> str:
    """Return the help of ``%loops``."""
    return general_help(GROUPS)
