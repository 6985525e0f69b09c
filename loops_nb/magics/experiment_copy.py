"""``%loops experiments copy``: experiments from one store to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.frames.attributes import EMPTY_ATTR
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    import pandas as pd

#: The word that begins a copy, and the one for the file of this machine.
COPY, LOCAL = "copy", "local"
_FILTERS = ("tags", "where", "project", "author", "since", "sort", "limit")


def is_copy(values: Values) -> bool:
    """Return whether a line of ``%loops experiments`` copies."""
    return values.source is not None or values.target is not None or tuple(values.names or ())[:1] == (COPY,)


def copied(context: MagicContext, values: Values) -> pd.DataFrame:
    """Copy the named experiments, or all, and return those that are new in the target.

    Raises
    ------
    InvalidArgumentError
        If the line does not say ``copy``, or has options of a listing.
    TrackingError
        If a store cannot be used.
    """
    from loops_nb.resources.metrics import RecordedMetrics  # only for verbs about experiments

    example = "For example %loops experiments copy --from local --to postgresql://team@db.example.com/loops"
    first, *names = values.names or ("",)
    if first != COPY:
        raise InvalidArgumentError(
            "--from and --to belong to copy. Nothing was copied.", argument="names", hint=example
        )
    if values.source is None and values.target is None:
        raise InvalidArgumentError(
            "copy needs --from or --to. Nothing was copied.",
            argument="names",
            hint=f"{example}; %loops experiments '[c]opy' lists an experiment that is called copy",
        )
    if any(getattr(values, name) for name in _FILTERS):
        raise InvalidArgumentError(
            "copy takes names, ids and patterns of experiments, and no filters. Nothing was copied.",
            argument="names",
            hint=example,
        )
    source, target = RecordedMetrics(_path(values.source)), RecordedMetrics(_path(values.target))
    done = source.copy(target.store.location, names or None)
    where = target.store.location
    said = [f"{many(len(done.new), 'experiment')} copied to {where}."]
    if done.known:
        said.append(f"{many(len(done.known), 'experiment')} {_were(done.known)} there already.")
    if done.different:
        said.append(
            f"{many(len(done.different), 'experiment')} {_were(done.different)} there with another number of points,"
            f" and stay as they are: {', '.join(done.different[:5])}."
        )
    if done.running:
        said.append(f"{many(len(done.running), 'experiment')} still running: copy again when they have ended.")
    context.say(" ".join(said))
    frame = target.experiments(archived=True)
    new = frame[frame["id"].isin(done.new)].reset_index(drop=True)
    if new.empty:
        new.attrs = {EMPTY_ATTR: "Nothing new was copied."}
    return new


def _path(given: str | None) -> str | None:
    from loops_nb.tracking import store_path  # only for those who copy

    return str(store_path()) if given == LOCAL else given


def _were(ids: list[str]) -> str:
    return "was" if len(ids) == 1 else "were"
