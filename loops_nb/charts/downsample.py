"""Min-max downsampling per pixel column; the first, the last and non-finite values are kept.

In each column the lowest and the highest point stay unchanged, and so do the first and the last of all.  Values that
are not finite leave a gap in the curve and are listed beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loops_nb.charts.floats import ignore_float_errors

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.charts.metric_source import Floats

    Places = npt.NDArray[np.intp]
    Flags = npt.NDArray[np.bool_]

#: Values that are not finite are listed at most so often; those near each other count as one.
MAX_NONFINITE = 60
_LEAST = 4
_NAN, _UP, _DOWN = 0, 1, 2


class NonFinite(NamedTuple):
    """Values that are not finite, close together.

    Parameters
    ----------
    x : float
        Where the first one is.
    kind : int
        0 for NaN, 1 for infinity, 2 for minus infinity.
    times : int
        Their number.
    """

    x: float
    kind: int
    times: int


class DownsampledCurve(NamedTuple):
    """The points to draw, with NaN for a gap, and the values that are not finite."""

    x: Floats
    y: Floats
    nonfinite: list[NonFinite]


@ignore_float_errors
def downsample(
    x: Floats, y: Floats, *, breaks: Flags | None = None, low: float, high: float, most: int
) -> DownsampledCurve:
    """Return the points of a curve that can be seen in a range.

    Parameters
    ----------
    x, y : ndarray of float64
        The points, in the order in which they came.  Points whose ``x`` is not finite are left out.
    breaks : ndarray of bool, optional
        True where a new piece of the curve begins; one begins too where ``x`` goes back.
    low, high : float
        The range.  The nearest points outside of it stay, so that the line leaves the picture.
    most : int
        The number of points at most, gaps not counted; at least 4.

    Returns
    -------
    DownsampledCurve
        At most ``2 * most`` places in all.

    Examples
    --------
    >>> found = downsample(steps, losses, low=0, high=1000, most=1200)
    >>> found.x, found.y
    """
    starts_piece = np.zeros(len(x), dtype=bool) if breaks is None else breaks.copy()
    starts_piece[1:] |= x[1:] < x[:-1]
    # Nearly every curve is one piece from left to right, and may be a million points long: then no point is looked at
    # twice.
    is_whole = not starts_piece.any() and bool(np.isfinite(x).all())
    if is_whole:
        seen = slice(max(0, int(np.searchsorted(x, low)) - 1), int(np.searchsorted(x, high, side="right")) + 1)
        x, y, part = x[seen], y[seen], None
    else:
        inside = _inside(x, starts_piece, low, high)
        x, y, part = x[inside], y[inside], np.cumsum(starts_piece)[inside]
    fine = np.isfinite(y)
    odd: list[NonFinite] = []
    pieces = part
    if not fine.all():
        odd = _odd(x[~fine], y[~fine], low, high)
        # A gap is between two numbers that stood side by side only because what was between them is gone.
        gaps = np.cumsum(~fine)[fine]
        x, y, part = x[fine], y[fine], part if part is None else part[fine]
        pieces = gaps if part is None else part + gaps
    if not len(x):
        return DownsampledCurve(x, y, odd)
    most = max(most, _LEAST)
    for cut in (pieces, part):
        found = _picked(x, y, cut, low, high, most)
        if found is not None:
            return DownsampledCurve(*found, odd)
    # So often broken that no picture shows it: one line from left to right.
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    found = _picked(x, y, None, low, high, most)
    assert found is not None  # noqa: S101 - of one piece there are never too many
    return DownsampledCurve(*found, odd)


def _inside(x: Floats, starts_piece: Flags, low: float, high: float) -> Flags:
    """Return which points are in the picture, with the neighbours that lines into it come from."""
    inside = (x >= low) & (x <= high)
    if inside.all():
        return inside
    known = np.isfinite(x)
    part = np.cumsum(starts_piece)
    # Neighbours in the same part; a line may also cross the whole picture between two points outside of it.
    same = (part[1:] == part[:-1]) & known[1:] & known[:-1]
    crossed = same & (x[:-1] <= high) & (x[1:] >= low)
    found = inside.copy()
    found[1:] |= crossed
    found[:-1] |= crossed
    return found


def _picked(
    x: Floats, y: Floats, pieces: Places | None, low: float, high: float, most: int
) -> tuple[Floats, Floats] | None:
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


def _odd(x: Floats, y: Floats, low: float, high: float) -> list[NonFinite]:
    """Return what is no number in the picture itself."""
    seen = (x >= low) & (x <= high)
    x, y = x[seen], y[seen]
    kinds = np.where(np.isnan(y), _NAN, np.where(y > 0, _UP, _DOWN))
    wide = high - low
    found = []
    for kind in (_NAN, _UP, _DOWN):
        ones = np.sort(x[kinds == kind])
        column = (
            ((ones - low) / wide * (MAX_NONFINITE // 3 - 1)).astype(np.intp)
            if wide > 0
            else np.zeros(len(ones), dtype=np.intp)
        )
        _, first, count = np.unique(column, return_index=True, return_counts=True)
        found += [NonFinite(float(ones[place]), kind, int(number)) for place, number in zip(first, count, strict=True)]
    return sorted(found)
