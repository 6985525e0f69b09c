"""Points of one metric of one experiment in memory, and their summary statistics."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from loops_nb.charts.downsample import DownsampledCurve, downsample
from loops_nb.charts.ema import ExponentialMovingAverage
from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.growing_array import GrowingArray
from loops_nb.tracking.curve_groups import AXES, Axis

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.charts.metric_source import Floats, SeriesLike

__all__ = ["AXES", "Axis", "MetricHistory", "MetricSummary", "span_of"]


#: Series of so many points are reduced once for each picture, of which so many are kept.
_LONG, _MOST_REDUCED = 20_000, 4


def span_of(x: Floats) -> tuple[float, float] | None:
    """Return the lowest and the highest coordinate; None where there is none."""
    if not len(x):
        return None
    low, high = float(x.min()), float(x.max())
    if not math.isfinite(low + high):
        known = x[np.isfinite(x)]
        return (float(known.min()), float(known.max())) if len(known) else None
    return low, high


@dataclass(slots=True)
class MetricSummary:
    """Summary statistics of a series.

    Parameters
    ----------
    count : int
        The number of points.
    nonfinite : int
        How many of them are NaN or infinite.
    last, last_step : float, int
        The newest value, also NaN and infinity, and its step.
    low, low_step, high, high_step : float, int
        The lowest and the highest finite value, and the steps at which each came first; NaN while there is none.
    """

    count: int = 0
    nonfinite: int = 0
    last: float = math.nan
    last_step: int = 0
    low: float = math.nan
    low_step: int = 0
    high: float = math.nan
    high_step: int = 0


class MetricHistory:
    """The points of one series, in the order in which they came.

    Parameters
    ----------
    began : int
        The start of its experiment, in epoch milliseconds.
    """

    def __init__(self, began: int) -> None:
        self.summary: MetricSummary = MetricSummary()
        self.mark: int = 0
        self._began = began
        self._step, self._at = GrowingArray(np.int64), GrowingArray(np.int64)
        self._tokens, self._value = GrowingArray(np.float64), GrowingArray(np.float64)
        self._attempt = GrowingArray(np.int32)
        self._smoothed: tuple[ExponentialMovingAverage, GrowingArray] | None = None
        #: By axis, each with the number of points that it is of; and what was drawn last.
        self._spans: dict[Axis, tuple[int, tuple[float, float] | None]] = {}
        self._reduced: dict[tuple[Axis, float, float, int, float], tuple[int, DownsampledCurve]] = {}
        # Another panel may take a copy while the thread of this one adds points.
        self._lock = threading.Lock()

    def fork(self) -> MetricHistory:
        """Return a copy that shares the memory of the points so far; what is added to one is not in the other."""
        found = MetricHistory(self._began)
        with self._lock:
            found.summary, found.mark = replace(self.summary), self.mark
            found._step, found._at, found._tokens = self._step.fork(), self._at.fork(), self._tokens.fork()
            found._value, found._attempt = self._value.fork(), self._attempt.fork()
            found._spans, found._reduced = dict(self._spans), dict(self._reduced)
        return found

    @property
    def nbytes(self) -> int:
        """The memory of the points, in bytes."""
        return sum(each.nbytes for each in (self._step, self._at, self._tokens, self._value, self._attempt))

    def __len__(self) -> int:
        return len(self._value)

    @ignore_float_errors
    def extend(self, series: SeriesLike) -> int:
        """Add newer points, and return their number."""
        count = len(series.value)
        with self._lock:
            self.mark = series.mark
            if count:
                self._step.extend(series.step)
                self._at.extend(series.at)
                self._tokens.extend(series.tokens)
                self._value.extend(series.value)
                self._attempt.extend(series.attempt)
                self._sum_up(series.step, series.value)
        return count

    @ignore_float_errors
    def x(self, axis: Axis, first: int = 0) -> Floats:
        """Return the coordinates of the points on an axis, from one of them on."""
        if axis == "tokens":
            found: Floats = self._tokens.all[first:]
            return found
        if axis == "step":
            return self._step.all[first:].astype(np.float64)
        at = self._at.all[first:]
        return (at - self._began if axis == "elapsed" else at) / 1000.0

    def span(self, axis: Axis) -> tuple[float, float] | None:
        """Return the lowest and the highest coordinate on an axis; None if no point has one."""
        count, found = self._spans.get(axis, (-1, None))
        if count != len(self):
            found = span_of(self.x(axis))
            self._spans[axis] = len(self), found
        return found

    def reduced(self, axis: Axis, *, low: float, high: float, most: int, weight: float = 0.0) -> DownsampledCurve:
        """Return the points to draw, or those of the smoothed line; of a long series it is kept.

        Parameters
        ----------
        axis : str
            The x axis.
        low, high, most
            As in `downsample`.
        weight : float, default 0.0
            Of the moving average; 0 for the values themselves.
        """
        key = axis, low, high, most, weight
        count, known = self._reduced.pop(key, (0, None))
        if known is None or count != len(self):
            values = self.smoothed(weight) if weight else self.y()
            known = downsample(self.x(axis), values, breaks=self.breaks(), low=low, high=high, most=most)
        if len(self) >= _LONG:
            self._reduced[key] = len(self), known
            while len(self._reduced) > _MOST_REDUCED:
                del self._reduced[next(iter(self._reduced))]
        return known

    def y(self, first: int = 0) -> Floats:
        """Return the values, from one of them on."""
        found: Floats = self._value.all[first:]
        return found

    def breaks(self, first: int = 0) -> npt.NDArray[np.bool_]:
        """Return where a new attempt begins."""
        attempt = self._attempt.all[first:]
        found = np.zeros(len(attempt), dtype=bool)
        if attempt.strides != (0,):
            found[1:] = attempt[1:] != attempt[:-1]
        return found

    def smoothed(self, weight: float, first: int = 0) -> Floats:
        """Return the smoothed values, from one of them on; only new ones are computed."""
        if self._smoothed is None or self._smoothed[0].weight != weight:
            self._smoothed = ExponentialMovingAverage(weight), GrowingArray(np.float64)
        smoother, made = self._smoothed
        if len(made) < len(self):
            made.extend(smoother.extend(self._value.all[len(made) :]))
        found: Floats = made.all[first:]
        return found

    def tokens_at(self, at: float) -> float | None:
        """Return how many tokens there were at a time, in epoch milliseconds; None if that is not known."""
        place = int(np.searchsorted(self._at.all, at, side="right")) - 1
        tokens = float(self._tokens.all[max(place, 0)]) if len(self) else math.nan
        return tokens if math.isfinite(tokens) else None

    def tokens_at_step(self, step: int) -> float | None:
        """Return the number of tokens when a step, or the nearest one before it, was recorded last; None if unknown.

        Points come in any order, where checkpoints are evaluated afterwards: the last that came is not that of the
        step.
        """
        steps = self._step.all
        places = np.flatnonzero(steps <= step)
        nearest = places[steps[places] == steps[places].max()] if len(places) else places
        tokens = float(self._tokens.all[nearest[-1]]) if len(nearest) else math.nan
        return tokens if math.isfinite(tokens) else None

    def _sum_up(self, step: npt.NDArray[np.int64], value: Floats) -> None:
        found = self.summary
        found.count += len(value)
        found.last, found.last_step = float(value[-1]), int(step[-1])
        # Both are no numbers where any value is NaN.
        low, high = int(np.argmin(value)), int(np.argmax(value))
        if not (math.isfinite(value[low]) and math.isfinite(value[high])):
            fine = np.flatnonzero(np.isfinite(value))
            found.nonfinite += len(value) - len(fine)
            if not len(fine):
                return
            low, high = int(fine[np.argmin(value[fine])]), int(fine[np.argmax(value[fine])])
        if not value[low] >= found.low:
            found.low, found.low_step = float(value[low]), int(step[low])
        if not value[high] <= found.high:
            found.high, found.high_step = float(value[high]), int(step[high])
