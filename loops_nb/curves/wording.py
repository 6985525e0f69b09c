"""Numbers and names as a picture of curves says them."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

from loops_nb.errors import one_line
from loops_nb.plots.ticks import Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROUND = (1, 2, 5, 10)
_SMALL, _LARGE = 1e-4, 1e15
_THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MOST = 200
_A_FEW, _LONGEST_NAME = 5, 60
#: Likeness is measured letter by letter; of ten thousand names that would take a second.
_COMPARED = 500


def number(value: float) -> str:
    """Return a number with five digits; what is none by its name."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if value and not _SMALL <= abs(value) < _LARGE:
        return f"{value:.2e}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.5g}"


def value_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Return round values between two."""
    step = _round_step(high / most - low / most)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = min(math.floor(high / step + 1e-9), first + _MOST)
    size = max(abs(low), abs(high))
    plain = _SMALL <= size < _LARGE
    return [
        Tick(place * step, f"{place * step:,.{digits}f}" if plain or not place else f"{place * step:.2g}")
        for place in range(first, last + 1)
    ]


def amount(value: float) -> str:
    """Return a large number of tokens or steps: ``20k``, ``1.5M``."""
    for size, letter in _THOUSANDS:
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def nothing_of(words: Sequence[str], names: Sequence[str]) -> str:
    """Say what nothing was recorded of, and what there is instead: a few names, those like the first word first."""
    if not names:
        return "Nothing was recorded yet. To record a training: training_client = loops_nb.track(training_client)"
    alike = difflib.get_close_matches(words[0], names[:_COMPARED], n=_A_FEW)
    few = list(dict.fromkeys([*alike, *names]))[:_A_FEW]
    more = len(set(names)) - len(few)
    there_is = f"Recorded {'is' if len(few) == 1 else 'are'} {', '.join(map(_shown, few))}{f' and {more:,} more' if more else ''}."
    return f"Nothing was recorded yet of {', '.join(map(_shown, words))}. {there_is}"


def _shown(name: str) -> str:
    words = one_line(name)
    return words if len(words) <= _LONGEST_NAME else f"{words[: _LONGEST_NAME - 1]}…"


def _round_step(wanted: float) -> float:
    if wanted <= 0 or not math.isfinite(wanted):
        return 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next((factor * power for factor in _ROUND if factor * power >= wanted * (1 - 1e-9)), wanted)
