"""Curves and results against a baseline: differences and ratios on a common grid, and a table of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from loops_nb.tracking.bands import MOST_PLACES, MemberCurve, common_grid, on_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.tracking.bands import Floats

_TAIL = 64


class BaselineCurve(NamedTuple):
    """A curve against a baseline.

    Parameters
    ----------
    x : numpy.ndarray of float64, shape (n,)
        Ascending places where both have values.
    difference : numpy.ndarray of float64, shape (n,)
        Value minus that of the baseline; NaN in gaps, and 0 where both are the same.
    ratio : numpy.ndarray of float64, shape (n,)
        Value divided by that of the baseline; NaN in gaps, where the baseline is 0, and where the two have different
        signs: a ratio means nothing there.
    """

    x: Floats
    difference: Floats
    ratio: Floats


def against_baseline(
    curve: MemberCurve,
    baseline: MemberCurve,
    *,
    low: float | None = None,
    high: float | None = None,
    most: int = MOST_PLACES,
    is_growing: bool = False,
    grid: Floats | None = None,
) -> BaselineCurve:
    """Return the differences and ratios of a curve to a baseline, in the range that both have.

    Parameters
    ----------
    curve, baseline : MemberCurve
        From `loops_nb.tracking.bands.member_curve`, or ``Band.curve`` of a group.
    low, high : float, optional
        The range of x; by default all that both have.
    most : int, default 1000
        Number of places at most, as in `loops_nb.tracking.bands.common_grid`.
    is_growing : bool, default False
        As in `loops_nb.tracking.bands.common_grid`.
    grid : numpy.ndarray of float64, optional
        The places, in place of ``low``, ``high`` and ``most``: places outside the range of either are NaN.

    Returns
    -------
    BaselineCurve
        Empty arrays if the ranges do not overlap.

    Examples
    --------
    >>> steps = np.arange(3.0)
    >>> found = against_baseline(MemberCurve(steps, steps + 2), MemberCurve(steps, steps + 1))
    >>> found.difference, found.ratio
    (array([1., 1., 1.]), array([2.  , 1.5 , 1.33333333]))
    """
    if grid is None:
        both = _overlap(curve, baseline)
        if both is None:
            return BaselineCurve(np.empty(0), np.empty(0), np.empty(0))
        first = both[0] if low is None else max(low, both[0])
        last = both[1] if high is None else min(high, both[1])
        grid = common_grid([curve, baseline], low=first, high=last, most=most, is_growing=is_growing)
    with np.errstate(all="ignore"):
        return _compared(on_grid(curve, grid).mean, on_grid(baseline, grid).mean, grid)


def _compared(values: Floats, base: Floats, grid: Floats) -> BaselineCurve:
    ratio = values / base
    ratio[(base == 0) | ~np.isfinite(ratio) | (ratio < 0)] = np.nan
    return BaselineCurve(grid, values - base, ratio)


def _overlap(one: MemberCurve, other: MemberCurve) -> tuple[float, float] | None:
    """Return the range in which both curves have values."""
    spans = [_span(curve) for curve in (one, other)]
    low, high = max(span[0] for span in spans), min(span[1] for span in spans)
    return (low, high) if low <= high else None


def _span(curve: MemberCurve) -> tuple[float, float]:
    """Return the first and the last place of a curve with a value; an empty range if it has none."""
    fine = np.isfinite(curve.y)
    if not fine.any():
        return math.inf, -math.inf
    return float(curve.x[int(np.argmax(fine))]), float(curve.x[len(fine) - 1 - int(np.argmax(fine[::-1]))])


class BaselineRow(NamedTuple):
    """The result of one curve beside that of the baseline; NaN where a value is missing.

    Parameters
    ----------
    label : str
        What it is.
    last, last_x : float
        Its last value and where it is.
    best, best_x : float
        Its best value and where it first is; NaN if it is unknown whether lower or higher is better.
    at : float
        The last place where both have values: there ``difference`` and ``ratio`` are taken, because runs of different
        lengths cannot be compared at their ends.
    difference, ratio : float
        Value minus, and divided by, that of the baseline at ``at``.
    best_difference, best_ratio : float
        The same of the best values, wherever they are.
    """

    label: str
    last: float
    last_x: float
    best: float
    best_x: float
    at: float
    difference: float
    ratio: float
    best_difference: float
    best_ratio: float


def baseline_table(
    curves: Sequence[tuple[str, MemberCurve]], baseline: MemberCurve, *, mode: Literal["min", "max"] | None
) -> list[BaselineRow]:
    """Return the results of curves beside those of a baseline, in their order.

    Parameters
    ----------
    curves : sequence of (str, MemberCurve)
        Labels and curves; the baseline may be one of them (its differences are 0 and its ratios 1).
    baseline : MemberCurve
        The baseline.
    mode : {"min", "max"} or None
        Which values are better, as `loops_nb.tracking.metric_mode.infer_mode` has it.

    Examples
    --------
    >>> steps = np.arange(3.0)
    >>> row, = baseline_table([("a", MemberCurve(steps, 3 - steps))], MemberCurve(steps, 4 - steps), mode="min")
    >>> row.last, row.best, row.difference, row.ratio
    (1.0, 1.0, -1.0, 0.5)
    """
    base_best = _best(baseline, mode)[0]
    rows = []
    for label, curve in curves:
        last, last_x = _last(curve)
        best, best_x = _best(curve, mode)
        at, difference, ratio = _at_end(curve, baseline)
        best_ratio = _ratio(best, base_best)
        rows.append(BaselineRow(label, last, last_x, best, best_x, at, difference, ratio, best - base_best, best_ratio))
    return rows


def _at_end(curve: MemberCurve, baseline: MemberCurve) -> tuple[float, float, float]:
    """Return the last place where both curves have values, with the difference and the ratio there."""
    both = _overlap(curve, baseline)
    if both is None:
        return math.nan, math.nan, math.nan
    # Nearly always the end is the place; only where one has a gap there are earlier ones looked at.
    for most in (_TAIL, None):
        tail = np.union1d(*(_until(each, both, most) for each in (curve, baseline)))
        values, base = on_grid(curve, tail).mean, on_grid(baseline, tail).mean
        known = np.flatnonzero(np.isfinite(values) & np.isfinite(base))
        if len(known):
            value, other = float(values[known[-1]]), float(base[known[-1]])
            return float(tail[known[-1]]), value - other, _ratio(value, other)
    return math.nan, math.nan, math.nan


def _until(curve: MemberCurve, both: tuple[float, float], most: int | None) -> Floats:
    """Return the last places of a curve in a range; None for all."""
    end = int(np.searchsorted(curve.x, both[1], side="right"))
    begin = int(np.searchsorted(curve.x, both[0]))
    return curve.x[begin if most is None else max(begin, end - most) : end]


def _last(curve: MemberCurve) -> tuple[float, float]:
    known = np.flatnonzero(np.isfinite(curve.y))
    return (float(curve.y[known[-1]]), float(curve.x[known[-1]])) if len(known) else (math.nan, math.nan)


def _best(curve: MemberCurve, mode: Literal["min", "max"] | None) -> tuple[float, float]:
    known = np.flatnonzero(np.isfinite(curve.y))
    if mode is None or not len(known):
        return math.nan, math.nan
    place = known[int((np.argmin if mode == "min" else np.argmax)(curve.y[known]))]
    return float(curve.y[place]), float(curve.x[place])


def _ratio(value: float, base: float) -> float:
    ratio = value / base if base else math.nan
    return ratio if math.isfinite(ratio) and ratio >= 0 else math.nan
