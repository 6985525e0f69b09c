"""A curve of any number of points, as the few that a picture of it can show: nothing that stands out is lost.

In each column of the picture the lowest and the highest point stay, as they are; so do the first and the last of all.  What is no number
is taken out of the curve, which has a gap there, and is told beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loops_nb.plots.floats import ignore_float_errors

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.curves.source import Floats

    Places = npt.NDArray[np.intp]
    Flags = npt.NDArray[np.bool_]

#: Values that are no numbers are told at most so often; those near each other are told as one.
MOST_ODD = 60
_LEAST = 4
_NAN, _UP, _DOWN = 0, 1, 2


class Odd(NamedTuple):
    """Values that are no numbers, close together.

    Parameters
    ----------
    x
        Where the first one is.
    kind
        0 for NaN, 1 and 2 for infinitely high and low.
    many
        How many.
    """

    x: float
    kind: int
    many: int


class Reduced(NamedTuple):
    """What is drawn of a curve: points, between which NaN stands for a gap, and what is no number."""

    x: Floats
    y: Floats
    odd: list[Odd]


@ignore_float_errors
def reduce(x: Floats, y: Floats, *, breaks: Flags | None = None, low: float, high: float, most: int) -> Reduced:
    """Return the points of a curve that a picture from ``low`` to ``high`` can show.

    Parameters
    ----------
    x, y
        The points, in the order in which they came.  Points whose ``x`` is no number are left out.
    breaks
        True where the curve begins anew; it does so too where ``x`` goes back.
    low, high
        The bounds; of the points beyond, the nearest on both sides stay, so that the line runs out of the picture.
    most
        How many points at most, gaps not counted; at least 4.

    Returns
    -------
    Reduced
        At most ``2 * most`` places in all.
    """
    fresh = np.zeros(len(x), dtype=bool) if breaks is None else breaks.copy()
    fresh[1:] |= x[1:] < x[:-1]
    # Nearly every curve is one piece from left to right, and may be a million points long: then no point is looked at twice.
    is_whole = not fresh.any() and bool(np.isfinite(x).all())
    if is_whole:
        seen = slice(max(0, int(np.searchsorted(x, low)) - 1), int(np.searchsorted(x, high, side="right")) + 1)
        x, y, part = x[seen], y[seen], None
    else:
        inside = _inside(x, fresh, low, high)
        x, y, part = x[inside], y[inside], np.cumsum(fresh)[inside]
    fine = np.isfinite(y)
    odd: list[Odd] = []
    pieces = part
    if not fine.all():
        odd = _odd(x[~fine], y[~fine], low, high)
        # A gap is between two numbers that stood side by side only because what was between them is gone.
        gaps = np.cumsum(~fine)[fine]
        x, y, part = x[fine], y[fine], part if part is None else part[fine]
        pieces = gaps if part is None else part + gaps
    if not len(x):
        return Reduced(x, y, odd)
    most = max(most, _LEAST)
    for cut in (pieces, part):
        found = _picked(x, y, cut, low, high, most)
        if found is not None:
            return Reduced(*found, odd)
    # So often broken that no picture shows it: one line from left to right.
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    found = _picked(x, y, None, low, high, most)
    assert found is not None  # noqa: S101 - of one piece there are never too many
    return Reduced(*found, odd)


def _inside(x: Floats, fresh: Flags, low: float, high: float) -> Flags:
    """Return which points are in the picture, with the neighbours that lines into it come from."""
    inside = (x >= low) & (x <= high)
    if inside.all():
        return inside
    known = np.isfinite(x)
    part = np.cumsum(fresh)
    # Neighbours in the same part; a line may also cross the whole picture between two points outside of it.
    same = (part[1:] == part[:-1]) & known[1:] & known[:-1]
    crossed = same & (x[:-1] <= high) & (x[1:] >= low)
    found = inside.copy()
    found[1:] |= crossed
    found[:-1] |= crossed
    return found


def _picked(x: Floats, y: Floats, pieces: Places | None, low: float, high: float, most: int) -> tuple[Floats, Floats] | None:
    """Return the points to draw; None if the curve is in too many pieces."""
    if len(x) <= most:
        kept = np.arange(len(x))
    else:
        kept = _extremes(x, y, pieces, low, high, max(1, (most - 2) // 2))
        if len(kept) > most:
            return None
    if pieces is None:
        return x[kept], y[kept]
    ends = np.flatnonzero(pieces[kept][1:] != pieces[kept][:-1]) + 1
    if len(ends) > most:
        return None
    return np.insert(x[kept], ends, x[kept][ends]), np.insert(y[kept], ends, np.nan)


def _extremes(x: Floats, y: Floats, pieces: Places | None, low: float, high: float, columns: int) -> Places:
    wide = high - low
    if wide <= 0:
        starts = np.zeros(1, dtype=np.intp)
    elif pieces is None:
        # From left to right: each column begins where its left edge is.
        starts = np.unique(np.searchsorted(x, low + wide / columns * np.arange(1, columns)))
        starts = np.concatenate([[0], starts[(starts > 0) & (starts < len(x))]])
    else:
        column = np.minimum((np.clip((x - low) / wide, 0, 1) * columns).astype(np.intp), columns - 1)
        starts = np.concatenate([[0], np.flatnonzero((column[1:] != column[:-1]) | (pieces[1:] != pieces[:-1])) + 1])
    sizes = np.diff(np.concatenate([starts, [len(x)]]))
    lowest = _first_of(y == np.repeat(np.minimum.reduceat(y, starts), sizes), starts)
    highest = _first_of(y == np.repeat(np.maximum.reduceat(y, starts), sizes), starts)
    return np.unique(np.concatenate([[0], lowest, highest, [len(x) - 1]]))


def _first_of(wanted: Flags, starts: Places) -> Places:
    """Return the first wanted place of each group; every group has one."""
    places = np.flatnonzero(wanted)
    found: Places = places[np.searchsorted(places, starts)]
    return found


def _odd(x: Floats, y: Floats, low: float, high: float) -> list[Odd]:
    """Return what is no number in the picture itself."""
    seen = (x >= low) & (x <= high)
    x, y = x[seen], y[seen]
    kinds = np.where(np.isnan(y), _NAN, np.where(y > 0, _UP, _DOWN))
    wide = high - low
    found = []
    for kind in (_NAN, _UP, _DOWN):
        ones = np.sort(x[kinds == kind])
        column = ((ones - low) / wide * (MOST_ODD // 3 - 1)).astype(np.intp) if wide > 0 else np.zeros(len(ones), dtype=np.intp)
        _, first, count = np.unique(column, return_index=True, return_counts=True)
        found += [Odd(float(ones[place]), kind, int(many)) for place, many in zip(first, count, strict=True)]
    return sorted(found)
