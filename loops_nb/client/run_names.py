"""Finds runs by name: the API takes ids only, and names need not be unique."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.render.formatting import first_and_more

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loops_nb.api.models import Run

_MOST_LISTED = 6


def run_named(word: str, runs: Iterable[Run], *, argument: str = "run_id", exact: bool = False) -> Run | None:
    """Return the run with an id or a name.

    Parameters
    ----------
    word : str
        An id or a name.
    runs : iterable of Run
        The runs to search.
    argument : str, default "run_id"
        Name of the argument for the error.
    exact : bool, default False
        Match names case-sensitively, for actions that cannot be undone.

    Returns
    -------
    Run or None
        The run with this id; else the only one with this name; else the only one with this name in another case.

    Raises
    ------
    InvalidArgumentError
        If several runs have the name; the text lists them with their ids.
    """
    known = list(runs)
    by_id = next((run for run in known if run.id == word), None)
    if by_id is not None:
        return by_id
    named = [run for run in known if run.name == word]
    if not named and not exact:
        named = [run for run in known if (run.name or "").casefold() == word.casefold()]
    if len(named) > 1:
        listed = first_and_more([described(run) for run in named], _MOST_LISTED)
        raise InvalidArgumentError(
            f"{len(named)} runs are named {word!r:.80}, so the name does not say which. Nothing was changed.",
            argument=argument,
            hint=f"Give the id of one: {listed}",
        )
    return named[0] if named else None


def described(run: Run) -> str:
    """Return the id of a run, with its state and when it was created."""
    about = [run.status.name] if run.status is not None and run.status.name else []
    if run.created_at is not None:
        about.append(f"created {run.created_at:%Y-%m-%d %H:%M}")
    return f"{run.id} ({', '.join(about)})" if about else run.id
