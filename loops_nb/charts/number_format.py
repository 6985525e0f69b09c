"""Number formatting for curves, and messages about metrics that were not recorded."""

from __future__ import annotations

import difflib
import heapq
import math
from itertools import takewhile
from typing import TYPE_CHECKING

from loops_nb.charts.ticks import Tick, round_step
from loops_nb.errors import one_line
from loops_nb.render.formatting import LARGEST_PLAIN, SMALLEST_PLAIN, is_or_are

if TYPE_CHECKING:
    from collections.abc import Sequence

_FINEST = 1e-12
#: Written with the letter of its unit, or as a power, a number is understood at once only if that takes no more
#: letters.
_SHORT = 6
_THOUSANDS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_MOST = 200
_A_FEW, _LONGEST_NAME = 5, 60
#: Likeness is measured letter by letter; of ten thousand names that would take a second.
_COMPARED = 500


def value_ticks(low: float, high: float, most: int) -> list[Tick]:
    """Return round values between two."""
    step = round_step(high / most - low / most)
    first = math.ceil(low / step - 1e-9)
    last = min(math.floor(high / step + 1e-9), first + _MOST)
    return labelled([place * step for place in range(first, last + 1)], step)


def labelled(values: Sequence[float], step: float, most: int = 8) -> list[Tick]:
    """Return marks of an axis, all written in one way, as the page does.

    Parameters
    ----------
    values
        Where they are.
    step
        How far apart.
    most
        With so many letters numbers are written in full; with more only where every other way is long, too.
    """
    size = max(map(abs, values), default=0.0)
    found = powers = [_power(value, step) if _is_some(value, step) else "0" for value in values]
    if SMALLEST_PLAIN <= size < LARGEST_PLAIN and step >= _FINEST:
        found = plain = _fixed(values, step, 1.0, "")
        if _letters(plain) > most:
            unit, letter = next((unit for unit in _THOUSANDS if size >= unit[0]), (1.0, ""))
            found = next(
                (way for way in (_fixed(values, step, unit, letter), powers) if _letters(way) <= _SHORT), plain
            )
    return [Tick(value, word) for value, word in zip(values, found, strict=True)]


def _is_some(value: float, step: float) -> bool:
    return abs(value) >= step * 1e-6


def _letters(words: Sequence[str]) -> int:
    return max(map(len, words), default=0)


def _fixed(values: Sequence[float], step: float, unit: float, letter: str) -> list[str]:
    digits = min(15, max(0, -math.floor(math.log10(step / unit) + 1e-9)))
    return [f"{value / unit:,.{digits}f}{letter}" if _is_some(value, step) else "0" for value in values]


def _power(value: float, step: float) -> str:
    """Return a number as a power of ten, with as many digits as tell it from its neighbours: ``2e-5``."""
    digits = min(12, max(0, math.ceil(math.log10(abs(value) / step) - 1e-9))) if value else 0
    factor, power = f"{value:.{digits}e}".split("e")
    if digits:
        factor = factor.rstrip("0").rstrip(".")
    return f"{factor}e{int(power)}"


def nothing_recorded(words: Sequence[str], names: Sequence[str]) -> str:
    """Say what nothing was recorded of, and what there is instead: a few names, those like the first word first."""
    if not names:
        return "Nothing was recorded yet. To record a training: training_client = loops_nb.track(training_client)"
    alike = difflib.get_close_matches(words[0], _candidates(words[0], names), n=_A_FEW)
    few = list(dict.fromkeys([*alike, *names]))[:_A_FEW]
    more = len(set(names)) - len(few)
    there_is = f"Recorded {is_or_are(len(few))} {', '.join(map(_shown, few))}"
    if more:
        there_is += f" and {more:,} more"
    return f"Nothing was recorded yet of {', '.join(map(_shown, words))}. {there_is}."


def _candidates(word: str, names: Sequence[str]) -> Sequence[str]:
    """Return the names to compare letter by letter: of many, those that share most at their beginning and their end."""
    if len(names) <= _COMPARED:
        return names
    return heapq.nlargest(_COMPARED, names, key=lambda name: _shared(word, name) + _shared(word[::-1], name[::-1]))


def _shared(one: str, other: str) -> int:
    return sum(1 for _ in takewhile(lambda letters: letters[0] == letters[1], zip(one, other, strict=False)))


def _shown(name: str) -> str:
    words = one_line(name)
    return words if len(words) <= _LONGEST_NAME else f"{words[: _LONGEST_NAME - 1]}…"
