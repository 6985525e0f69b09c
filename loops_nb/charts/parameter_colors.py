"""Colors of lines by the value of a parameter: a scale for numbers, categories for everything else.

Every color has a contrast of 3:1 against white and against #111, so that lines are seen in both themes.  The scale goes
from dark blue to light orange: blue and orange stay apart with every kind of color blindness, and lightness rises too.
Nothing here imports matplotlib; it takes the same hex colors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from loops_nb.charts.style import CATEGORY_LINES, LINE_COLORS, OTHER_COLOR
from loops_nb.tracking.groups import value_label

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The scale at equal distances, from the lowest to the highest value.
SCALE_COLORS = (
    "#275bd2",
    "#585dc6",
    "#775eb8",
    "#8f5fa9",
    "#a36198",
    "#b46585",
    "#c2696f",
    "#ce7052",
    "#d67820",
)
#: Categories; the last of the colors of lines is that of a missing value.
CATEGORY_COLORS = LINE_COLORS[:CATEGORY_LINES]
MISSING_COLOR = OTHER_COLOR
#: From this ratio of the highest to the lowest value on, a scale of positive numbers is logarithmic.
LOGARITHMIC_FROM = 10.0
_MOST_TICKS = 5


class ColorTick(NamedTuple):
    """One entry of a legend of colors.

    Parameters
    ----------
    at : float
        Where it stands on the scale, from 0 to 1; of a category its number.
    label : str
        Its value in words.
    color : str
        Its color as ``#rrggbb``.
    """

    at: float
    label: str
    color: str


@dataclass(frozen=True, slots=True)
class ParameterColors:
    """Colors of the values of a parameter.

    Parameters
    ----------
    kind : {"linear", "log", "categories"}
        A scale of numbers, one of their logarithms, or a color for each value.
    colors : tuple of str
        The color of each value given, as ``#rrggbb``; `MISSING_COLOR` where it is missing.
    low, high : float
        Ends of a scale of numbers; NaN for categories.
    ticks : tuple of ColorTick
        The legend.
    has_missing : bool
        Whether a value is missing, which the legend must say.
    is_repeating : bool
        Whether there are more categories than colors, so that some share one.
    """

    kind: Literal["linear", "log", "categories"]
    colors: tuple[str, ...]
    low: float
    high: float
    ticks: tuple[ColorTick, ...]
    has_missing: bool
    is_repeating: bool

    @property
    def gradient(self) -> tuple[str, ...]:
        """The colors of a scale of numbers from low to high, evenly spaced; empty for categories."""
        return () if self.kind == "categories" else SCALE_COLORS


def parameter_colors(values: Sequence[Any]) -> ParameterColors:
    """Return the colors of the values of a parameter.

    Parameters
    ----------
    values : sequence
        A value for each line; None where it is missing.  If all are numbers (no flags) it is a scale, logarithmic if
        they are positive and the highest is at least ten times the lowest; otherwise each value is a category.

    Returns
    -------
    ParameterColors
        With a color for each value.

    Examples
    --------
    >>> parameter_colors([1e-4, 1e-3, 1e-2]).kind
    'log'
    >>> parameter_colors(["adam", None]).colors
    ('#2b7fd9', '#7c7c80')
    """
    known = [value for value in values if not _is_missing(value)]
    has_missing = len(known) < len(values)
    if known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return _numbers([None if _is_missing(value) else _as_float(value) for value in values], has_missing=has_missing)
    words = [None if _is_missing(value) else value_label(value) for value in values]
    categories = list(dict.fromkeys(word for word in words if word is not None))
    color_of: dict[str | None, str] = {
        word: CATEGORY_COLORS[place % len(CATEGORY_COLORS)] for place, word in enumerate(categories)
    }
    ticks = tuple(ColorTick(float(place), word, color_of[word]) for place, word in enumerate(categories))
    return ParameterColors(
        "categories",
        tuple(color_of.get(word, MISSING_COLOR) for word in words),
        math.nan,
        math.nan,
        ticks,
        has_missing=has_missing,
        is_repeating=len(categories) > len(CATEGORY_COLORS),
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(1.7e308, value)


def _numbers(values: Sequence[float | None], *, has_missing: bool) -> ParameterColors:
    different = sorted({value for value in values if value is not None})
    low, high = different[0], different[-1]
    is_log = low > 0 and high / low >= LOGARITHMIC_FROM

    def share(value: float) -> float:
        if high <= low:
            return 0.5
        if is_log:
            return math.log(value / low) / math.log(high / low)
        return (value / 2 - low / 2) / (high / 2 - low / 2)

    shown = different
    if len(different) > _MOST_TICKS:
        # The ends, and of the values between them those that are nearest to even distances.
        wanted = [place / (_MOST_TICKS - 1) for place in range(_MOST_TICKS)]
        shown = sorted({min(different, key=lambda value: abs(share(value) - at)) for at in wanted})
    return ParameterColors(
        "log" if is_log else "linear",
        tuple(MISSING_COLOR if value is None else scale_color(share(value)) for value in values),
        low,
        high,
        tuple(ColorTick(share(value), value_label(_plain(value)), scale_color(share(value))) for value in shown),
        has_missing=has_missing,
        is_repeating=False,
    )


def _plain(value: float) -> float:
    return int(value) if value.is_integer() and abs(value) < 1e6 else value  # noqa: PLR2004 - longer ones as a power


def scale_color(share: float) -> str:
    """Return the color at a share of the scale, from 0 (low) to 1 (high), as ``#rrggbb``."""
    place = min(max(share, 0.0), 1.0) * (len(SCALE_COLORS) - 1)
    below = min(int(place), len(SCALE_COLORS) - 2)
    rest = place - below
    parts = [
        round(
            int(SCALE_COLORS[below][at : at + 2], 16) * (1 - rest)
            + int(SCALE_COLORS[below + 1][at : at + 2], 16) * rest
        )
        for at in (1, 3, 5)
    ]
    return "#" + "".join(f"{part:02x}" for part in parts)
