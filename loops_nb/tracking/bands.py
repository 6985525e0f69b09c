"""Mean curves of groups: members on a common grid, their mean or median, a band around it, and how many there are.

Members may be logged at different steps.  Each is interpolated linearly inside its own range, never beyond its first
and last point, nor across a value that is no number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from loops_nb.errors import InvalidArgumentError
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]
    Counts = npt.NDArray[np.int64]

#: Mean with one standard deviation on each side; mean, lowest and highest member; median and quartiles.
BandKind = Literal["std", "minmax", "quartiles"]
BAND_KINDS: tuple[BandKind, ...] = get_args(BandKind)
#: What the line and the band of each kind are, for legends.
CENTER_WORDS: dict[BandKind, str] = {"std": "mean", "minmax": "mean", "quartiles": "median"}
BAND_WORDS: dict[BandKind, str] = {
    "std": "± 1 standard deviation",
    "minmax": "lowest to highest",
    "quartiles": "first to third quartile",
}
#: Places of a grid.
MOST_PLACES = 1000
_LEAST_PLACES = 2
#: Up to it floats tell whole numbers apart.
_WHOLE = 2.0**52
#: Numbers beyond it are summed in a larger unit.
_LARGE, _UNIT = 1e280, 2.0**200


class MemberCurve(NamedTuple):
    """One curve in order: what `member_curve` returns.

    Parameters
    ----------
    x : numpy.ndarray of float64, shape (n,)
        Strictly ascending and finite.
    y : numpy.ndarray of float64, shape (n,)
        Values; NaN where what was recorded is no finite number.
    """

    x: Floats
    y: Floats


class Band(NamedTuple):
    """The curve of a group on a grid.

    Parameters
    ----------
    kind : {"std", "minmax", "quartiles"}
        What the center and the band are, as in `CENTER_WORDS` and `BAND_WORDS`.
    x : numpy.ndarray of float64, shape (n,)
        The grid, ascending.
    center : numpy.ndarray of float64, shape (n,)
        Mean or median of the members there; NaN where there is none.
    low, high : numpy.ndarray of float64, shape (n,)
        The band: ``low <= center <= high``, the same as ``center`` where there is one member; NaN where there is none.
    counts : numpy.ndarray of int64, shape (n,)
        Number of members at each place.
    members : int
        Number of members that have any value.
    """

    kind: BandKind
    x: Floats
    center: Floats
    low: Floats
    high: Floats
    counts: Counts
    members: int

    @property
    def curve(self) -> MemberCurve:
        """The center as a curve of its own, for a comparison with a baseline."""
        return MemberCurve(self.x, self.center)


def band_kind(kind: object) -> BandKind:
    """Return a kind of band that was checked.

    Raises
    ------
    InvalidArgumentError
        If there is no such kind.
    """
    for known in BAND_KINDS:
        if kind == known:
            return known
    raise InvalidArgumentError(
        f"band is one of {', '.join(BAND_KINDS)}, not {kind!r:.40}.", argument="band", hint='For example band="minmax"'
    )


def member_curve(x: Floats, y: Floats, breaks: Flags | None = None) -> MemberCurve:
    """Return one curve in order: one value per place, of what was recorded twice the newest.

    Where attempts overlap, all of an earlier one that lies in the range of a later one is left out; what it reached
    beyond stays.

    Parameters
    ----------
    x, y : numpy.ndarray of float64, shape (n,)
        Points in the order in which they came.  Points whose ``x`` is not finite are left out.
    breaks : numpy.ndarray of bool, shape (n,), optional
        True where a new attempt begins; one begins too where ``x`` goes back.

    Examples
    --------
    >>> member_curve(np.array([0.0, 1, 2, 1]), np.array([3.0, 2, 9, 1]))
    MemberCurve(x=array([0., 1., 2.]), y=array([3., 1., 9.]))
    """
    known = np.isfinite(x)
    starts = np.zeros(len(x), dtype=bool) if breaks is None else breaks.copy()
    if not known.all():
        # A break stays between the points around what is left out.
        piece = np.cumsum(starts)[known]
        x, y = x[known], y[known]
        starts = np.r_[False, piece[1:] != piece[:-1]] if len(x) else np.zeros(0, dtype=bool)
    if len(x):
        starts[0] = False
        starts[1:] |= x[1:] < x[:-1]
    if starts.any():
        newest = _newest(x, np.cumsum(starts))
        x, y = x[newest], y[newest]
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    if len(x) > 1:
        is_last = np.r_[x[1:] != x[:-1], True]
        if not is_last.all():
            x, y = x[is_last], y[is_last]
    y = y.astype(np.float64, copy=False)
    fine = np.isfinite(y)
    return MemberCurve(x.astype(np.float64, copy=False), y if fine.all() else np.where(fine, y, np.nan))


def _newest(x: Floats, piece: Counts) -> Flags:
    """Return which points are in no range of a later piece."""
    ends = np.flatnonzero(np.r_[piece[1:] != piece[:-1], True]) + 1
    begins = np.r_[0, ends[:-1]]
    kept = np.ones(len(x), dtype=bool)
    # Ranges of later pieces, merged and ascending.
    lows, highs = np.empty(0), np.empty(0)
    for begin, end in zip(begins[::-1], ends[::-1], strict=True):
        own = x[begin:end]
        place = np.searchsorted(lows, own, side="right") - 1
        inside = place >= 0
        inside[inside] = own[inside] <= highs[place[inside]]
        kept[begin:end] = ~inside
        low, high = own[0], own[-1]
        apart = (highs < low) | (lows > high)
        low, high = min([low, *lows[~apart]]), max([high, *highs[~apart]])
        lows, highs = lows[apart], highs[apart]
        at = int(np.searchsorted(lows, low))
        lows, highs = np.insert(lows, at, low), np.insert(highs, at, high)
    return kept


def common_grid(
    curves: Sequence[MemberCurve],
    *,
    low: float | None = None,
    high: float | None = None,
    most: int = MOST_PLACES,
    is_growing: bool = False,
) -> Floats:
    """Return places along the x axis that curves can be compared at.

    Parameters
    ----------
    curves : sequence of MemberCurve
        The curves.
    low, high : float, optional
        The range; by default from the first to the last finite point of any.
    most : int, default 1000
        Number of places at most; at least 2.
    is_growing : bool, default False
        Whether places other than the first and the last are to stay where they are while the curves grow, until there
        would be too many: their distance is then a power of 2, and they may be half as many.

    Returns
    -------
    numpy.ndarray of float64
        Ascending: every place at which a curve has a value, if they are not too many (no value is then interpolated
        where it was recorded), otherwise ``most`` evenly spaced ones.  Empty if there are no values in the range.
    """
    most = max(most, _LEAST_PLACES)
    parts = []
    for curve in curves:
        x = curve.x[np.isfinite(curve.y)]
        first = 0 if low is None else int(np.searchsorted(x, low))
        last = len(x) if high is None else int(np.searchsorted(x, high, side="right"))
        parts.append(x[first:last])
    if not any(map(len, parts)):
        return np.empty(0)
    if max(map(len, parts)) <= most:
        every = np.unique(np.concatenate(parts))
        if len(every) <= most:
            return every
    first, last = min(part[0] for part in parts if len(part)), max(part[-1] for part in parts if len(part))
    distance = _growing_distance(float(first), float(last), most) if is_growing else 0.0
    if distance:
        inside = np.arange(np.floor(first / distance) + 1, np.ceil(last / distance)) * distance
        return np.unique(np.r_[first, inside, last])
    # Halves: the difference of the largest floats would overflow.
    share = np.linspace(0.0, 1.0, most)
    return np.unique(first * (1 - share) + last * share)


def _growing_distance(first: float, last: float, most: int) -> float:
    """Return the power of 2 that is the distance of places which stay; 0 where floats are too coarse for one."""
    wanted = (last - first) / max(1, most - 3)
    # Places must be whole numbers of distances.
    if not 0 < wanted < math.inf or max(abs(first), abs(last)) / wanted > _WHOLE:
        return 0.0
    return 2.0 ** math.ceil(math.log2(wanted))


class GridValues(NamedTuple):
    """A curve on a grid.

    Parameters
    ----------
    mean : numpy.ndarray of float64, shape (n,)
        Its value at each place; NaN outside its range and where it has none.
    low, high : numpy.ndarray of float64, shape (n,)
        The lowest and the highest of its points that each place stands for; the same as ``mean`` where that is one.
    """

    mean: Floats
    low: Floats
    high: Floats


def on_grid(curve: MemberCurve, grid: Floats) -> GridValues:
    """Return a curve at the places of a grid.

    A place at which the curve has a point has its value.  Between two points it is interpolated.  Where the curve has
    more points than the grid places, a place stands for the points up to halfway to its neighbours, with their mean.

    Parameters
    ----------
    curve : MemberCurve
        The curve.
    grid : numpy.ndarray of float64, shape (n,)
        Ascending places.

    Returns
    -------
    GridValues
        Three arrays of shape (n,).
    """
    nothing = np.full(len(grid), np.nan)
    fine = np.isfinite(curve.y)
    if not len(grid) or not fine.any():
        return GridValues(nothing, nothing, nothing)
    with np.errstate(all="ignore"):
        return _on_grid(curve, grid, fine)


def _on_grid(curve: MemberCurve, grid: Floats, fine: Flags) -> GridValues:
    x, y = curve.x, curve.y
    first, last = x[int(np.argmax(fine))], x[len(x) - 1 - int(np.argmax(fine[::-1]))]
    # Each place stands for the points from halfway to the one before it; those outside of the grid belong to none.
    begin, end = int(np.searchsorted(x, grid[0])), int(np.searchsorted(x, grid[-1], side="right"))
    # Halves of the smallest floats are 0: a place itself is never behind the middle.
    middles = np.maximum(grid[:-1] / 2 + grid[1:] / 2, np.nextafter(grid[:-1], np.inf))
    edges = np.r_[begin, np.searchsorted(x, middles), end].clip(begin, end)
    filled = np.flatnonzero(edges[1:] > edges[:-1])
    number = np.zeros(len(grid), np.int64)
    mean, low, high = (np.full(len(grid), np.nan) for _ in range(3))
    if len(filled):
        _fill(y[:end], fine[:end], edges, filled, number, (mean, low, high))
    is_gap = (edges[1:] > edges[:-1]) & (number == 0)
    values = _interpolated(grid, x, y)
    # Several points have their mean.  One is interpolated with its neighbors to the place, unless these are missing.
    values = np.where((number > 1) | ((number == 1) & np.isnan(values)), mean, values)
    values[is_gap | (grid < first) | (grid > last)] = np.nan
    lowest, highest = np.fmin(low, values), np.fmax(high, values)
    is_missing = np.isnan(values)
    lowest[is_missing] = highest[is_missing] = np.nan
    return GridValues(values, lowest, highest)


def _fill(
    y: Floats, fine: Flags, edges: Counts, filled: Counts, number: Counts, found: tuple[Floats, Floats, Floats]
) -> None:
    """Set number, mean, lowest and highest of the finite points of each place that has points."""
    starts = edges[filled]
    is_whole = bool(fine[starts[0] :].all())
    number[filled] = np.diff(edges)[filled] if is_whole else np.add.reduceat(fine.astype(np.int64), starts)
    count = np.maximum(number[filled], 1)
    known = y if is_whole else np.where(fine, y, 0.0)
    low = np.minimum.reduceat(y if is_whole else np.where(fine, y, np.inf), starts)
    high = np.maximum.reduceat(y if is_whole else np.where(fine, y, -np.inf), starts)
    # Sums of numbers near the largest float would overflow.
    unit = _UNIT if max(float(np.abs(low).max()), float(np.abs(high).max())) > _LARGE else 1.0
    mean = np.add.reduceat(known / unit if unit != 1.0 else known, starts) / count * unit
    is_empty = number[filled] == 0
    # Rounding must not put a mean outside of its values.
    for array, values in zip(found, (np.clip(mean, low, high), low, high), strict=True):
        array[filled] = np.where(is_empty, np.nan, values)


def _interpolated(grid: Floats, x: Floats, y: Floats) -> Floats:
    """Return values between points; NaN beyond them and beside a NaN, but not at a point itself."""
    right = np.searchsorted(x, grid)
    here = np.minimum(right, len(x) - 1)
    is_exact = x[here] == grid
    left = np.maximum(right - 1, 0)
    share = (grid / 2 - x[left] / 2) / (x[here] / 2 - x[left] / 2)
    between = y[left] * (1 - share) + y[here] * share
    between = np.clip(between, np.minimum(y[left], y[here]), np.maximum(y[left], y[here]))
    between[(right == 0) | (right == len(x))] = np.nan
    found: Floats = np.where(is_exact, y[here], between)
    return found


def band(
    curves: Sequence[MemberCurve],
    *,
    kind: BandKind = "std",
    low: float | None = None,
    high: float | None = None,
    most: int = MOST_PLACES,
    grid: Floats | None = None,
) -> Band:
    """Return the mean (or median) of some curves with a band around it.

    The mean of ``std`` and ``minmax`` is the arithmetic one of the members that have a value at a place; the standard
    deviation is that of a sample (n - 1).  ``quartiles`` has the median and the linearly interpolated quartiles.
    ``minmax`` reaches to the extremes of all points that a place stands for, so that no spike is lost.

    Parameters
    ----------
    curves : sequence of MemberCurve
        The members.
    kind : {"std", "minmax", "quartiles"}, default "std"
        What the band is.
    low, high : float, optional
        The range of x; by default all of it.
    most : int, default 1000
        Number of places at most, as in `common_grid`.
    grid : numpy.ndarray of float64, optional
        The places, in place of ``low``, ``high`` and ``most``: for several groups on the same ones.

    Returns
    -------
    Band
        Empty arrays if no member has a value.

    Examples
    --------
    >>> one, other = (member_curve(np.arange(3.0), np.array(y)) for y in ([3.0, 2, 1], [5.0, 4, 3]))
    >>> band([one, other], kind="minmax").center
    array([4., 3., 2.])
    """
    places = common_grid(curves, low=low, high=high, most=most) if grid is None else grid
    members = sum(bool(np.isfinite(curve.y).any()) for curve in curves)
    if not curves or not len(places):
        nothing = np.full(len(places), np.nan)
        return Band(kind, places, nothing, nothing, nothing, np.zeros(len(places), np.int64), members)
    values = [on_grid(curve, places) for curve in curves]
    with np.errstate(all="ignore"):
        means = np.stack([one.mean for one in values])
        count = np.isfinite(means).sum(axis=0).astype(np.int64)
        if kind == "quartiles":
            bottom, center, top = _quartiles(means, count)
        else:
            center = _mean(means, count)
            bottom, top = center, center
        if kind == "std":
            spread = _standard_deviation(means, center, count)
            bottom, top = center - spread, center + spread
        if kind == "minmax":
            bottom = np.fmin.reduce([one.low for one in values])
            top = np.fmax.reduce([one.high for one in values])
    return Band(kind, places, center, np.fmin(bottom, center), np.fmax(top, center), count, members)


def _mean(values: Floats, count: Counts) -> Floats:
    known = np.isfinite(values)
    shares = np.where(known, values / np.maximum(count, 1), 0.0).sum(axis=0)
    lowest = np.where(known, values, np.inf).min(axis=0)
    highest = np.where(known, values, -np.inf).max(axis=0)
    found: Floats = np.where(count > 0, np.clip(shares, lowest, highest), np.nan)
    return found


def _standard_deviation(values: Floats, center: Floats, count: Counts) -> Floats:
    known = np.isfinite(values)
    apart = np.where(known, np.abs(values - center), 0.0)
    # Squares of large and of tiny numbers would overflow and vanish.
    unit = apart.max(axis=0)
    scaled = apart / np.where(unit > 0, unit, 1.0)
    found: Floats = np.where(count > 0, unit * np.sqrt((scaled**2).sum(axis=0) / np.maximum(count - 1, 1)), np.nan)
    return found


def _quartiles(values: Floats, count: Counts) -> tuple[Floats, Floats, Floats]:
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)  # NaN comes last
    columns = np.arange(values.shape[1])
    last = np.maximum(count - 1, 0)

    def quantile(share: float) -> Floats:
        place = last * share
        below = np.floor(place).astype(np.int64)
        above = np.minimum(below + 1, last)
        rest = place - below
        found: Floats = ordered[below, columns] * (1 - rest) + ordered[above, columns] * rest
        return np.clip(found, ordered[below, columns], ordered[above, columns])

    return quantile(0.25), quantile(0.5), quantile(0.75)


def count_words(found: Band) -> str:
    """Return the number of members of a band in words: ``3``, or ``1 to 3`` where not all have a value everywhere."""
    if not len(found.counts):
        return "0"
    fewest, most = int(found.counts.min()), int(found.counts.max())
    return f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"


def band_label(label: str, found: Band) -> str:
    """Return what a legend says of a group: ``lr=0.001: mean of 3``."""
    if found.members == 1:
        return f"{label}: {many(1, 'experiment')}"
    return f"{label}: {CENTER_WORDS[found.kind]} of {count_words(found)}"
