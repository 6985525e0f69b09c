"""Runs by their names: the API takes ids only, and names need not be unique."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from loops_nb.models import Run

_MOST_LISTED = 6


def run_named(word: str, runs: Iterable[Run], *, argument: str = "run_id", exact: bool = False) -> Run | None:
    """Return the run that a word names.

    Parameters
    ----------
    word
        An id or a name.
    runs
        All runs that can be meant.
    argument
        For the error.
    exact
        Whether upper and lower case must be the same, as for what cannot be taken back.

    Returns
    -------
    Run or None
        The run with this id; else the only one with this name; else the only one whose name differs in upper and lower case alone.

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
        listed = ", ".join(map(described, named[:_MOST_LISTED]))
        more = f" and {len(named) - _MOST_LISTED} more" if len(named) > _MOST_LISTED else ""
        raise InvalidArgumentError(
            f"{len(named)} runs are named {word!r:.80}, so the name does not say which. Nothing was changed.",
            argument=argument,
            hint=f"Give the id of one: {listed}{more}",
        )
    return named[0] if named else None


def described(run: Run) -> str:
    """Return the id of a run, with its state and when it was created."""
    state = run.status.name if run.status is not None and run.status.name else None
    created = f"created {run.created_at:%Y-%m-%d %H:%M}" if run.created_at is not None else None
    about = ", ".join(part for part in (state, created) if part)
    return f"{run.id} ({about})" if about else run.id
