"""The vertical axes of parallel coordinates: where values stand, and which of them are labelled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loops_nb.charts.sweep import LOGARITHMIC, param_text
from loops_nb.charts.ticks import Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Below and above the axis, where it has no value for an experiment: none, or one that is not finite.
BELOW, ABOVE = -0.13, 1.13
_MOST_LABELS = 6
_MOST_WORDS = 14
#: Two labels that are closer together would be on top of each other.
_CLOSEST = 0.055


@dataclass(frozen=True, slots=True)
class ParallelScale:
    """Where the values of one axis stand, from 0 at its lower end to 1.

    Parameters
    ----------
    places : list of float
        Of each experiment.
    ticks : list of Tick
        Labels of the axis.
    is_log : bool
        Whether equal ratios are equally far apart.
    low, high : float
        Values at the ends; NaN for words.
    """

    places: list[float]
    ticks: list[Tick]
    is_log: bool = False
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def of(cls, cells: Sequence[Any]) -> ParallelScale:
        """Return the scale of some values, None where one is missing."""
        known = [cell for cell in cells if cell is not None]
        if all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in known):
            return cls._of_numbers([None if cell is None else float(cell) for cell in cells])
        return cls._of_words(cells)

    @classmethod
    def _of_numbers(cls, cells: Sequence[float | None]) -> ParallelScale:
        finite = sorted({cell for cell in cells if cell is not None and math.isfinite(cell)})
        if not finite:
            return cls([_outside(cell) for cell in cells], _outside_ticks(cells))
        low, high = finite[0], finite[-1]
        is_log = low > 0 and high >= LOGARITHMIC * low

        def share(value: float) -> float:
            if low == high:
                return 0.5
            if is_log:
                return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
            # Halves, because the difference of two very large numbers may be none.
            span = high / 2 - low / 2
            return (value / 2 - low / 2) / span if span > 0 else 0.5

        places = [share(cell) if cell is not None and math.isfinite(cell) else _outside(cell) for cell in cells]
        labelled = finite if len(finite) <= _MOST_LABELS else _round_numbers(low, high, is_log=is_log)
        ticks = [Tick(share(value), f"{value:.4g}") for value in labelled]
        return cls(places, [*_apart(ticks), *_outside_ticks(cells)], is_log, low, high)

    @classmethod
    def _of_words(cls, cells: Sequence[Any]) -> ParallelScale:
        known = {param_text(cell) for cell in cells if cell is not None}
        words = sorted(known, key=_word_order)
        step = 1 / max(1, len(words) - 1)
        at = {word: 0.5 if len(words) == 1 else place * step for place, word in enumerate(words)}
        places = [BELOW if cell is None else at[param_text(cell)] for cell in cells]
        every = math.ceil(len(words) / _MOST_WORDS)
        ticks = [Tick(at[word], word) for word in words[::every]]
        return cls(places, [*ticks, *_outside_ticks(cells)])


def _outside(cell: float | None) -> float:
    return ABOVE if cell == math.inf or (cell is not None and math.isnan(cell)) else BELOW


def _outside_ticks(cells: Sequence[Any]) -> list[Tick]:
    """Return labels of what is not on the axis."""
    below = ["none"] if any(cell is None for cell in cells) else []
    if any(isinstance(cell, float) and cell == -math.inf for cell in cells):
        below.append("-infinite")
    ticks = [Tick(BELOW, ", ".join(below))] if below else []
    if any(isinstance(cell, float) and _outside(cell) == ABOVE for cell in cells):
        ticks.append(Tick(ABOVE, "not finite"))
    return ticks


def _word_order(word: str) -> tuple[bool, float, str]:
    """Numbers come first, by their value."""
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    return (math.isnan(number), 0.0 if math.isnan(number) else number, word)


def _round_numbers(low: float, high: float, *, is_log: bool) -> list[float]:
    if is_log:
        powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        every = math.ceil(len(powers) / _MOST_LABELS) or 1
        return [10.0**power for power in powers[::every]] or [low, high]
    from matplotlib.ticker import MaxNLocator

    return [float(value) for value in MaxNLocator(nbins=_MOST_LABELS).tick_values(low, high) if low <= value <= high]


def _apart(ticks: Sequence[Tick]) -> list[Tick]:
    """Return ticks whose labels do not stand on each other; the ends stay."""
    kept: list[Tick] = []
    for tick in ticks:
        if not kept or tick.at - kept[-1].at >= _CLOSEST:
            kept.append(tick)
        elif tick is ticks[-1] and len(kept) > 1:
            kept[-1] = tick
    return kept
