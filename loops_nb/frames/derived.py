"""Frames that are computed here, not listed by the service: the same table of columns and dtypes, without sources in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from loops_nb.frames.arrays import KIND_ATTR, array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loops_nb.frames.columns import Kind

#: Key of ``DataFrame.attrs`` for sentences about how a frame was made; they are shown below it.
NOTES_ATTR = "loops_notes"
#: Key of ``DataFrame.attrs`` for what to say of a frame when it has no rows.
EMPTY_ATTR = "loops_empty"
#: Every kind of computed frame by its name; ``df.loops.kind`` tells them too.
DERIVED: dict[str, Kind] = {}


def derived(kind: Kind) -> Kind:
    """Make a kind of computed frame known under its name, and return it."""
    DERIVED[kind.name] = kind
    return kind


def derived_frame(kind: Kind, values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return a computed frame.

    Parameters
    ----------
    kind
        Its kind: one that `derived` made known.
    values
        For each of its columns the values, None where missing; all of the same length.

    Returns
    -------
    pandas.DataFrame
        The kind's columns in its order, with their dtypes also when there are no rows.
    """
    frame = pd.DataFrame({column.name: array(list(values[column.name]), column, place=kind.name) for column in kind.columns}, copy=False)
    frame.attrs[KIND_ATTR] = kind.name
    return frame


# What `loops_nb.track` keeps beside the numbers of training itself.
_ASIDE = ("sample/", "forward_backward/", "optim_step/")


def is_aside(name: str) -> bool:
    """Tell whether a key, or a column of it, is about how the work went, not about what was learned."""
    return name.endswith("_seconds") or name.startswith(_ASIDE)
