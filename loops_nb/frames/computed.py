"""Frames that are computed, not listed by the service: kinds with columns and dtypes, without JSON sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from loops_nb.frames.arrays import array
from loops_nb.frames.attributes import KIND_ATTR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loops_nb.frames.columns import Kind

#: All kinds of computed frames by name, the value of ``df.loops.kind``.
COMPUTED_KINDS: dict[str, Kind] = {}


def register_kind(kind: Kind) -> Kind:
    """Register a kind of computed frame under its name, and return it."""
    COMPUTED_KINDS[kind.name] = kind
    return kind


def computed_frame(kind: Kind, values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return a computed frame.

    Parameters
    ----------
    kind : Kind
        A kind that was registered with `register_kind`.
    values : mapping of str to sequence
        By column the values, None where missing; all of the same length.

    Returns
    -------
    pandas.DataFrame
        The kind's columns in its order, with their dtypes also when there are no rows.
    """
    frame = pd.DataFrame(
        {column.name: array(list(values[column.name]), column, place=kind.name) for column in kind.columns}, copy=False
    )
    frame.attrs[KIND_ATTR] = kind.name
    return frame
