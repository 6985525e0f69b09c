"""Options that name an object: a variable of the notebook, or ``module:name``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Values, option, switch
from loops_nb.magics.suggest import did_you_mean, safe_repr

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.context import MagicContext

EXECUTOR = option(
    "--executor",
    "NAME",
    "variable with a concurrent.futures.Executor, or a client of Dask or ipyparallel, whose workers do the work; or "
    "module:name",
    completes="executor",
)
SHARE_URLS = switch(
    "--share-urls",
    "hand presigned URLs of the files to the executor's workers, for workers without an API key",
)
#: What to say of `EXECUTOR` in a shell.
EXECUTOR_IN_SHELL = {
    "--executor": "module:name of a concurrent.futures.Executor, or of a client of Dask or ipyparallel, whose workers "
    "do the work"
}
_NO_EXECUTOR = "Make one in a cell: from dask.distributed import Client; client = Client(), and then --executor client"


def named_object(
    context: MagicContext, word: str, *, argument: str, what: str, fits: Callable[[Any], bool], otherwise: str
) -> Any:
    """Return the object with a name in the notebook, or of ``module:name``.

    Parameters
    ----------
    context : MagicContext
        The shell's context.
    word : str
        The word on the line; with dots, attributes of a variable.
    argument : str
        Name of the argument, for errors.
    what : str
        What the object has to be, in one word.
    fits : callable
        Whether an object is that.
    otherwise : str
        Hint if no name is similar.

    Raises
    ------
    InvalidArgumentError
        If there is no such object, or it is something else.
    """
    from loops_nb.sampling.evaluation.score import imported_object

    if ":" in word:
        found = imported_object(word, argument=argument, what=what)
        if fits(found):
            return found
        raise InvalidArgumentError(f"{safe_repr(word)} is no {what}.", argument=argument, hint=otherwise)
    if context.is_shell:
        raise InvalidArgumentError(
            f"{safe_repr(word)} is not module:name, and a shell has no variables.",
            argument=argument,
            hint="For example my_module:name, of my_module.py in this folder or of an installed package.",
        )
    first, *rest = word.split(".")
    space = context.shell.user_ns
    found = space.get(first)
    for name in rest:
        found = getattr(found, name, None)
    if fits(found):
        return found
    known = [name for name, value in space.items() if not name.startswith("_") and fits(value)]
    problem = f"is no {what}" if found is not None else "is not defined in this notebook"
    raise InvalidArgumentError(
        f"{safe_repr(word)} {problem}.", argument=argument, hint=did_you_mean(word, known, otherwise=otherwise)
    )


def executor_options(context: MagicContext, values: Values) -> dict[str, Any]:
    """Return the keyword arguments for `EXECUTOR`, and for `SHARE_URLS` if the verb has it.

    Raises
    ------
    InvalidArgumentError
        If the name is that of no executor.
    """
    from loops_nb.checkpoints.executors import is_executor  # only where the option is given

    options: dict[str, Any] = {}
    if values.executor is not None:
        options["executor"] = named_object(
            context, values.executor, argument="executor", what="executor", fits=is_executor, otherwise=_NO_EXECUTOR
        )
    if getattr(values, "share_urls", False):
        options["share_urls"] = True
    return options
