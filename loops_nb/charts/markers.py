"""Markers of checkpoints: color and shape tell the target, area the size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.charts.layout import add_hover, handle
from loops_nb.charts.style import INK, target_color, target_marker
from loops_nb.charts.ticks import round_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from loops_nb.charts.svg import Hovers

_SMALLEST, _LARGEST, _STEP = 1.5, 5.5, 0.5
_UNKNOWN = 2.5
_LEGEND = 3.5
_LEAST_SHARE = 0.03
_ROUND = (5, 2, 1)
#: Sides of shapes that have the area of a circle of the same radius.
_SIDES = {"o": 2.0, "D": math.sqrt(math.pi), "^": math.sqrt(2 * math.pi)}


class Mark(NamedTuple):
    """A checkpoint in a picture, or several close together.

    Parameters
    ----------
    x, y : float
        In the units of the axes.
    target : str
        Of the checkpoints.
    radius : float
        In points.
    is_sized : bool
        Whether the size is known.
    text : str
        Shown while the pointer rests on it.
    """

    x: float
    y: float
    target: str
    radius: float
    is_sized: bool
    text: str


def radius_of(size: float | None, largest: float | None) -> float:
    """Return the radius for a size in bytes: areas are in proportion to sizes, in half points."""
    if size is None:
        return _UNKNOWN
    share = math.sqrt(size / largest) if largest else 0.0
    return max(_SMALLEST, round(_LARGEST * share / _STEP) * _STEP)


def draw_marks(ax: Axes, marks: Sequence[Mark], hovers: Hovers | None) -> None:
    """Draw checkpoints, those that look the same as one artist."""
    alike: dict[tuple[str, float, bool], list[Mark]] = {}
    for mark in marks:
        alike.setdefault((mark.target, mark.radius, mark.is_sized), []).append(mark)
    for (target, radius, is_sized), group in alike.items():
        (line,) = ax.plot(
            [mark.x for mark in group],
            [mark.y for mark in group],
            linestyle="none",
            clip_on=False,
            zorder=3,
            **_look(target_marker(target), target_color(target), radius, is_filled=is_sized),
        )
        add_hover(hovers, line, [mark.text for mark in group])


def target_handles(targets: Sequence[str]) -> list[Line2D]:
    """Return the entries of a legend for targets."""
    return [handle(target, **_look(target_marker(target), target_color(target), _LEGEND)) for target in targets]


def size_handles(largest: float | None, *, has_unknown: bool) -> list[Line2D]:
    """Return the entries of a legend for one or two sizes, and for checkpoints without one."""
    found = [handle(round_size(size), **_look("o", INK, radius_of(size, largest))) for size in _round_sizes(largest)]
    if has_unknown:
        found.append(handle("size not known", **_look("o", INK, _UNKNOWN, is_filled=False)))
    return found


def _look(marker: str, color: str, radius: float, *, is_filled: bool = True) -> dict[str, Any]:
    return {
        "marker": marker,
        "markersize": radius * _SIDES[marker],
        "markerfacecolor": (color, 0.35) if is_filled else "none",
        "markeredgecolor": color,
        "markeredgewidth": 1.0,
        "fillstyle": "full",
    }


def _round_sizes(largest: float | None) -> list[float]:
    if not largest or largest < 1:
        return []
    power = 10.0 ** math.floor(math.log10(largest))
    rounds = [factor * scale for scale in (power, power / 10) for factor in _ROUND]
    fitting = [size for size in rounds if largest * _LEAST_SHARE <= size <= largest and size >= 1]
    return [fitting[0], *fitting[2:3]] if fitting else []
