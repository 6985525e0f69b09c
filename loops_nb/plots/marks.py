"""Marks of checkpoints: a shape and a colour for each target, an area for a size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loops_nb.plots.canvas import Sign
from loops_nb.plots.colours import FIRST, OTHERS, SECOND
from loops_nb.plots.markup import OWN, hover, number, tag
from loops_nb.plots.ticks import round_size

if TYPE_CHECKING:
    from loops_nb.plots.saved import Saved

_SMALLEST, _LARGEST = 2.0, 7.0
_UNSIZED = 3.0
_LEGEND = 5.0
_STEP = 0.5
_ROUND = (5, 2, 1)
_LEAST_SHARE = 0.15


class Marks:
    """Draws checkpoints.

    Parameters
    ----------
    targets
        Those that there are, in the order of the legend.
    largest
        Size of the largest checkpoint in bytes, which has the largest mark; None if no size is known.
    fixed
        Radius of all marks where their size says nothing.
    """

    def __init__(self, targets: list[str], largest: float | None, *, fixed: float | None = None) -> None:
        self._targets = targets
        self._largest = largest
        self._fixed = fixed
        self._has_unsized = False
        self._used: set[tuple[str, float]] = set()

    def mark(self, target: str, group: list[Saved], across: str, told: list[str], *, down: float | None = None) -> str:
        """Draw one or several checkpoints at a share of the width."""
        weight = max((one.size for one in group if one.size is not None), default=None)
        extra: dict[str, str | float] = {}
        if self._fixed is not None:
            radius = self._fixed
        elif weight is None:
            radius, self._has_unsized = _UNSIZED, True
            extra = {"fill": "none"}
        else:
            radius = self._radius(weight)
        return self._shape(target, radius, hover(told), across=across, down=down, **extra)

    @staticmethod
    def look() -> dict[str, str | float]:
        """Return the attributes that all marks share."""
        return {"fill_opacity": 0.35, "stroke_width": 1.25}

    @staticmethod
    def colour(target: str) -> dict[str, str | float]:
        """Return the attributes of the marks of a target."""
        colour = {"trainer": FIRST, "sampler": SECOND}.get(target, OTHERS)
        return {"fill": colour, "stroke": colour}

    def legend(self) -> list[Sign]:
        """Return the entries for the targets."""
        radius = self._fixed or _LEGEND
        return [
            Sign(tag("g", self._shape(target, radius, ""), **self.look(), **self.colour(target)), 2 * radius, target)
            for target in self._targets
        ]

    def sizes(self) -> list[Sign]:
        """Return the entries for two or three sizes, and for marks without one."""
        signs = []
        for size in _round_sizes(self._largest):
            radius = self._radius(size)
            ring = tag("circle", r=radius, fill="currentColor", fill_opacity=0.15, stroke="currentColor", stroke_opacity=0.6)
            signs.append(Sign(ring, 2 * radius, round_size(size)))
        if self._has_unsized:
            ring = tag("circle", r=_UNSIZED, fill="none", stroke="currentColor", stroke_opacity=0.6)
            signs.append(Sign(ring, 2 * _UNSIZED, "size not known"))
        return signs

    def shapes(self) -> str:
        """Return the definitions of all shapes that were drawn; they must stand in the same picture."""
        drawn = [tag("path", d=_outline(kind, radius), id=_id(kind, radius)) for kind, radius in sorted(self._used)]
        return tag("defs", *drawn) if drawn else ""

    def _radius(self, size: float) -> float:
        share = math.sqrt(size / self._largest) if self._largest else 0.0
        return max(_SMALLEST, round(_LARGEST * share / _STEP) * _STEP)

    def _shape(
        self, target: str, radius: float, inner: str, across: str | None = None, down: float | None = None, **extra: str | float
    ) -> str:
        if target == "trainer":
            return tag("circle", *filter(None, [inner]), cx=across, cy=down, r=radius, **extra)
        kind = "diamond" if target == "sampler" else "triangle"
        self._used.add((kind, radius))
        return tag("use", *filter(None, [inner]), href=f"#{_id(kind, radius)}", x=across, y=down, **extra)


def _id(kind: str, radius: float) -> str:
    return f"{OWN}-{kind[0]}{number(radius * 10)}"


def _outline(kind: str, radius: float) -> str:
    """Return a path of the same area as the circle of that radius."""
    if kind == "diamond":
        half = number(radius * math.sqrt(math.pi / 2))
        return f"M0-{half}L{half} 0 0 {half}-{half} 0z"
    side = radius * math.sqrt(4 * math.pi / math.sqrt(3))
    high = side * math.sqrt(3) / 2
    return f"M0 {number(-high * 2 / 3)}L{number(side / 2)} {number(high / 3)} {number(-side / 2)} {number(high / 3)}z"


def _round_sizes(largest: float | None) -> list[float]:
    """Return up to three round sizes, the largest first."""
    if not largest or largest < 1:
        return []
    power = 10.0 ** math.floor(math.log10(largest))
    rounds = [factor * scale for scale in (power, power / 10) for factor in _ROUND]
    fitting = [size for size in rounds if largest * _LEAST_SHARE / 5 <= size <= largest and size >= 1]
    return [fitting[0], *fitting[2:3]] if fitting else []
