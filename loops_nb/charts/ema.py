"""Bias-corrected exponential moving average, computed incrementally."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from loops_nb.charts.floats import ignore_float_errors

if TYPE_CHECKING:
    from loops_nb.charts.metric_source import Floats

#: Weights inside a block differ by at most this factor, so that sums keep eight digits and more.
_SPREAD = 1e7
MAX_WEIGHT = 0.999
#: Sums of values beyond this, each times at most the spread, could overflow; they are summed in units of ``_UNIT``.
_LARGE, _UNIT = 1e280, 2.0**200
_MOST = float(np.finfo(np.float64).max)


class ExponentialMovingAverage:
    """Smooths one series without reading earlier values again.

    The average at value ``i`` is the sum of ``weight ** (i - k) * value[k]`` over all finite values so far, divided by
    the sum of those weights.  Values that are not finite are skipped: the average stays.

    Parameters
    ----------
    weight : float
        The weight of the previous average at each value, from 0 (no smoothing) to `MAX_WEIGHT`.

    Examples
    --------
    >>> ExponentialMovingAverage(0.9).extend(np.array([1.0, 2.0, 3.0]))
    """

    def __init__(self, weight: float) -> None:
        self.weight: float = min(max(weight, 0.0), MAX_WEIGHT)
        #: Sum of the weights of all values so far.
        self._all = 0.0
        #: The average before the values that are being taken in; None before the first of all.
        self._before: float | None = None
        self._last: float | None = None

    @ignore_float_errors
    def extend(self, values: Floats) -> Floats:
        """Return the averages at the next values."""
        fine = np.isfinite(values)
        known = values if fine.all() else values[fine]
        averages = self._averages(known)
        if len(known) == len(values):
            return averages
        # Where there is no value the one before stands; before the first there is none.
        before = np.nan if self._before is None else self._before
        filled = np.concatenate([[before], averages])
        found: Floats = filled[np.cumsum(fine)]
        return found

    def _averages(self, values: Floats) -> Floats:
        self._before = self._last
        if not len(values):
            return values.astype(np.float64)
        if not self.weight:
            self._last = float(values[-1])
            return values.astype(np.float64)
        before = self._before or 0.0
        unit = _UNIT if max(float(np.abs(values).max()), abs(before)) > _LARGE else 1.0
        found = self._weighted(values / unit, before / unit)
        if unit != 1.0:
            # An average is never beyond the largest value, but its rounding may be.
            found = np.clip(found, -_MOST / unit, _MOST / unit) * unit
        self._last = float(found[-1])
        return found

    def _weighted(self, values: Floats, before: float) -> Floats:
        length = max(1, int(math.log(_SPREAD) / -math.log(self.weight)))
        blocks = -(-len(values) // length)
        padded = np.zeros(blocks * length)
        padded[: len(values)] = values
        growth = self.weight ** -np.arange(length, dtype=np.float64)
        ones = np.zeros(blocks * length)
        ones[: len(values)] = 1.0
        sums = np.cumsum(padded.reshape(blocks, length) * growth, axis=1) / growth
        alls = np.cumsum(ones.reshape(blocks, length) * growth, axis=1) / growth
        carried = self._carry(before * self._all, sums[:, -1], alls[:, -1], self.weight**length)
        fading = self.weight ** np.arange(1, length + 1, dtype=np.float64)
        top = (sums + carried[0][:, None] * fading).reshape(-1)[: len(values)]
        bottom = (alls + carried[1][:, None] * fading).reshape(-1)[: len(values)]
        self._all = float(bottom[-1])
        found: Floats = top / bottom
        return found

    def _carry(self, before: float, sums: Floats, alls: Floats, fading: float) -> tuple[Floats, Floats]:
        """Return the sums of weighted values and of weights that stand before each block."""
        top, bottom = np.empty(len(sums)), np.empty(len(sums))
        one, other = before, self._all
        for block in range(len(sums)):
            top[block], bottom[block] = one, other
            one, other = one * fading + float(sums[block]), other * fading + float(alls[block])
        return top, bottom
