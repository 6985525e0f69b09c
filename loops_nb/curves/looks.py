"""How lines are told apart: by a colour, and without one by the shape of their marks; as ``js/src/curves/looks.ts`` has them."""

from __future__ import annotations

#: Each has 3:1 against white and against #111; neighbours differ in lightness, too.
COLOURS = ("#2b7fd9", "#cf5f10", "#1f9d6b", "#b04fc4", "#a8860a", "#d6456f", "#0f97a8", "#7c7c80")
#: Drawn around 0,0 in a square of 8.
SHAPES = (
    "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0Z",
    "M-2.9-2.9h5.8v5.8h-5.8Z",
    "M0-3.8 3.7 2.9h-7.4Z",
    "M0-4 4 0 0 4-4 0Z",
    "M0 3.8 3.7-2.9h-7.4Z",
    "M-1.2-3.6h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4v-2.4h2.4Z",
    "M-3.4-2 -2-3.4 0-1.4 2-3.4 3.4-2 1.4 0 3.4 2 2 3.4 0 1.4-2 3.4-3.4 2-1.4 0Z",
)


def colour_of(look: int) -> str:
    """Return the colour of a line."""
    return COLOURS[look % len(COLOURS)]


def shape_of(look: int) -> str:
    """Return the shape of a line's marks, as the path of an SVG."""
    return SHAPES[look % len(SHAPES)]
