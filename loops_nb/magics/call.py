"""Call a verb with its parsed values: an interruption and an error are one line, and never show the API key."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from loops_nb.errors import LoopsError, readable_interrupt

if TYPE_CHECKING:
    from loops_nb.magics.context import MagicContext
    from loops_nb.magics.grammar import Values, Verb

UNCHANGED = "Nothing was changed."


def call_verb(context: MagicContext, verb: Verb, values: Values) -> Any:
    """Return the result of a verb.

    Parameters
    ----------
    context : MagicContext
        Of the notebook or the shell.
    verb : Verb
        A verb that can be run, not a group.
    values : Values
        What `loops_nb.magics.parser.parse` made of the line.

    Raises
    ------
    LoopsError
        If the verb fails.
    Interrupted
        If the user interrupted it.
    """
    run = verb.run
    if run is None:
        raise TypeError(f"{verb.line} is a group of verbs.")
    context.preload_with_request = verb.returns_frame or (verb.returns_listing and not context.is_shell)
    try:
        with readable_interrupt(verb.line, verb.when_interrupted or UNCHANGED), context.explain_unreachable():
            return run(context, values)
    except LoopsError as error:
        # Without "During handling of the above exception": one line is enough.
        raise error.with_traceback(None) from None
    except Exception as error:
        _guard_key(error)
        raise


def _guard_key(error: Exception) -> None:
    """Raise an error without details if the traceback contains the API key: the notebook would save it."""
    from loops_nb.config.credentials import resolve_key  # only after an error

    found = resolve_key()
    if found is not None and found.secret.reveal() in "".join(traceback.format_exception(error)):
        raise LoopsError(
            f"An unexpected {type(error).__name__}, not shown because its text contains the API key.",
            hint="This is a bug in loops_nb: please report the line that you typed.",
        ) from None
