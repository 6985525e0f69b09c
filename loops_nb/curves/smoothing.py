"""Smoothing that does not lag at the start: a moving average in which older values weigh less, made piece by piece as values come."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from loops_nb.curves.source import Floats

#: Weights inside a block differ by at most this factor, so that sums keep eight digits and more.
_SPREAD = 1e7
HEAVIEST = 0.999


class Smoother:
    """Smooths one series; what came before is not looked at again.

    The average of value ``i`` is the sum of ``weight ** (i - k) * value[k]`` over all finite values so far, divided by the sum of those
    weights.  Values that are not finite are passed over: the average stays.

    Parameters
    ----------
    weight
        How much of the former average stays at each value: 0 smooths nothing; at most `HEAVIEST`.
    """

    def __init__(self, weight: float) -> None:
        self.weight = min(max(weight, 0.0), HEAVIEST)
        # Both of the former average: sum of weighted values, and of weights.
        self._sum = self._all = 0.0
        #: The average before the values that are being taken in; None before the first of all.
        self._before: float | None = None

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
        self._before = self._sum / self._all if self._all else None
        if not self.weight or not len(values):
            if len(values):
                self._sum, self._all = float(values[-1]), 1.0
            return values.astype(np.float64)
        length = max(1, int(math.log(_SPREAD) / -math.log(self.weight)))
        blocks = -(-len(values) // length)
        padded = np.zeros(blocks * length)
        padded[: len(values)] = values
        growth = self.weight ** -np.arange(length, dtype=np.float64)
        ones = np.zeros(blocks * length)
        ones[: len(values)] = 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.cumsum(padded.reshape(blocks, length) * growth, axis=1) / growth
            alls = np.cumsum(ones.reshape(blocks, length) * growth, axis=1) / growth
        carried = self._carry(sums[:, -1], alls[:, -1], self.weight**length)
        fading = self.weight ** np.arange(1, length + 1, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            top = (sums + carried[0][:, None] * fading).reshape(-1)[: len(values)]
            bottom = (alls + carried[1][:, None] * fading).reshape(-1)[: len(values)]
            found: Floats = top / bottom
        self._sum, self._all = float(top[-1]), float(bottom[-1])
        return found

    def _carry(self, sums: Floats, alls: Floats, fading: float) -> tuple[Floats, Floats]:
        """Return what stands before each block."""
        top, bottom = np.empty(len(sums)), np.empty(len(sums))
        one, other = self._sum, self._all
        for block in range(len(sums)):
            top[block], bottom[block] = one, other
            one, other = one * fading + float(sums[block]), other * fading + float(alls[block])
        return top, bottom
