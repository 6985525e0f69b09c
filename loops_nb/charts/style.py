"""Colors, markers and sizes of all charts; nothing here imports matplotlib."""

from __future__ import annotations

#: Text, axes and grid lines; in SVG it becomes ``currentColor``.
INK = "#111213"
LIGHT, DARK = "#ffffff", "#111111"
#: Text of a picture that cannot know the color of its page.
MIDDLE = "#767676"
#: Blue and orange stay apart with every kind of color blindness; each has 3:1 against white and against #111.
TARGET_COLORS = {"trainer": "#2b7fd9", "sampler": "#cf5f10"}
OTHER_COLOR = "#7c7c80"
TARGET_MARKERS = {"trainer": "o", "sampler": "D"}
OTHER_MARKER = "^"
#: Dark is little, light is much; also for eyes that see fewer colors.
COLOR_MAP = "viridis"

#: Lines of curves, as ``js/src/curves/line-styles.tsx`` has them: each has 3:1 against white and against #111, and
#: neighbours differ in lightness.
LINE_COLORS = ("#2b7fd9", "#cf5f10", "#1f9d6b", "#b04fc4", "#a8860a", "#d6456f", "#0f97a8", "#7c7c80")
#: So many of them are of lines; the last one stands for what is missing.
CATEGORY_LINES = len(LINE_COLORS) - 1
#: Circle, square, triangle, diamond, triangle upside down, plus, cross: in the order of that file.
LINE_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

#: Of all figures, in points.
WIDTH = 576.0
SIZE, SMALL, TITLE = 9.0, 8.0, 11.0
FAINT, SOFT, STRONG = 0.16, 0.45, 0.75


def target_color(target: str) -> str:
    """Return the color of the marks of a target."""
    return TARGET_COLORS.get(target, OTHER_COLOR)


def target_marker(target: str) -> str:
    """Return matplotlib's marker for a target."""
    return TARGET_MARKERS.get(target, OTHER_MARKER)


def line_color(look: int) -> str:
    """Return the color of a line."""
    return LINE_COLORS[look % len(LINE_COLORS)]


def line_marker(look: int) -> str:
    """Return matplotlib's marker of a line."""
    return LINE_MARKERS[look % len(LINE_MARKERS)]
