"""Sparkline of one series: the mean of its values in at most 64 spans of steps, as one character each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loops_nb.charts.floats import ignore_float_errors

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.charts.metric_source import SeriesLike

_SPANS = 64
_LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GAP = " "
#: Steps that lie further apart cannot be counted in whole numbers of 64 bits.
_WIDEST = 2.0**62
#: Values are scaled down before they are added up: the largest floats have no sum.
_SCALE = 2.0**-64


class Sparkline:
    """The course of one series; new points cost as much as they are many.

    Examples
    --------
    >>> spark = Sparkline()
    >>> spark.extend(store.series("e1", "loss"))  # doctest: +SKIP
    >>> spark.text  # doctest: +SKIP
    'zodXRLH'
    """

    def __init__(self) -> None:
        #: Position up to which the series was read, as `ExperimentStore.series` takes it.
        self.mark: int = 0
        self._first = 0.0
        self._width = 1.0
        self._sums: npt.NDArray[np.float64] = np.zeros(_SPANS)
        self._counts: npt.NDArray[np.float64] = np.zeros(_SPANS)

    @ignore_float_errors
    def extend(self, series: SeriesLike) -> None:
        """Take in newer points."""
        is_first = not self._counts.any()
        self.mark = series.mark
        is_fine = np.isfinite(series.value)
        step, value = series.step[is_fine].astype(np.float64), series.value[is_fine] * _SCALE
        if not len(step):
            return
        if is_first:
            self._first = float(step.min())
        while (float(step.max()) - self._first) / self._width >= _SPANS and self._width < _WIDEST:
            self._halve()
        # Steps before the first: a training that went on from an earlier checkpoint.
        place = np.clip((step - self._first) / self._width, 0, _SPANS - 1).astype(np.int64)
        self._sums += np.bincount(place, value, _SPANS)
        self._counts += np.bincount(place, minlength=_SPANS)

    @property
    @ignore_float_errors
    def text(self) -> str:
        """A character for each span, from ``0`` for the lowest mean to ``z`` for the highest."""
        places = np.flatnonzero(self._counts)
        if not len(places):
            return ""
        means = self._sums[places] / self._counts[places]
        low, high = float(means.min()), float(means.max())
        shares = (means - low) / (high - low) if high > low else np.full(len(means), 0.5)
        letters = [_GAP] * (int(places[-1]) + 1)
        for place, share in zip(places.tolist(), shares.tolist(), strict=True):
            letters[place] = _LEVELS[round(share * (len(_LEVELS) - 1))]
        return "".join(letters)

    def _halve(self) -> None:
        self._width *= 2
        for values in (self._sums, self._counts):
            values[: _SPANS // 2] = values[0::2] + values[1::2]
            values[_SPANS // 2 :] = 0
