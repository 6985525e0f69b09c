"""matplotlib figures with explicit sizes, colors and fonts: the user's ``rcParams`` change nothing in them.

Only the object API is used, and no process-wide setting is changed, so figures can be drawn on any thread while the
user works with pyplot.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matplotlib.axis import XAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter, NullLocator

from loops_nb.charts.style import FAINT, INK, LIGHT, SMALL, SOFT, TITLE, WIDTH
from loops_nb.charts.text_metrics import FONT, cut_text, text_width
from loops_nb.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis as MplAxis

    from loops_nb.charts.svg import Hovers
    from loops_nb.charts.ticks import Tick

#: matplotlib caches fonts and layouts for all figures; of ours one is drawn at a time.
DRAWING = threading.RLock()
#: What a line of text takes.
LINE = 12.0
#: Above the first and below the last thing in a figure.
PAD = 4.0
_HEADING = 22.0
_HANDLE, _HANDLE_GAP, _COLUMN_GAP, _LEGEND_LINE = 1.6, 0.5, 1.6, 13.0
_LABEL_GAP, _LABEL_PAD = 6.0, 4.0
#: How far a label may stand out at the right of an axis.
_BEYOND = 12.0
_DPI = 100


class Layout:
    """A figure of the usual width whose parts are placed in points from its top left corner.

    Parameters
    ----------
    height : float
        What the parts need, in points.
    title : str or None
        Written above them.
    """

    def __init__(self, height: float, title: str | None) -> None:
        self._top = _HEADING if title is not None else 0.0
        self._height = math.ceil(height + self._top)
        self.figure: Figure = Figure(
            figsize=(WIDTH / 72, self._height / 72),
            dpi=_DPI,
            facecolor=LIGHT,
            edgecolor=LIGHT,
            frameon=title is not None,
        )
        self.figure.set_layout_engine("none")
        FigureCanvasAgg(self.figure)
        if title is not None:
            shown = cut_text(title, TITLE, WIDTH - 12)
            self.text(6, 15 - self._top, shown, fontsize=TITLE, fontweight="bold")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes at a place."""
        down = self._height - self._top - top - height
        box = (left / WIDTH, down / self._height, width / WIDTH, height / self._height)
        return self.figure.add_axes(box)

    def text(self, left: float, down: float, text: str, **how: Any) -> Text:
        """Write a text whose baseline is so far down."""
        style = text_style(**{"va": "baseline", "parse_math": False, **how})
        return self.figure.text(left / WIDTH, 1 - (down + self._top) / self._height, text, **style)

    def legend(self, handles: Sequence[Line2D], left: float, top: float, width: float) -> None:
        """Add a legend in as many columns as there is room for."""
        if handles:
            self.figure.legend(
                handles=list(handles),
                loc="upper left",
                bbox_to_anchor=(left / WIDTH, 1 - (top + self._top) / self._height),
                ncols=legend_columns(handles, width),
                **_LEGEND,
            )


def text_style(**how: Any) -> dict[str, Any]:
    """Return the properties of a text; those given come in place of the usual ones."""
    return {"color": INK, "fontfamily": FONT, "fontsize": SMALL, "fontweight": "normal", **how}


_LEGEND: dict[str, Any] = {
    "frameon": False,
    "prop": {"family": FONT, "size": SMALL, "weight": "normal"},
    "labelcolor": INK,
    "borderpad": 0,
    "borderaxespad": 0,
    "handlelength": _HANDLE,
    "handletextpad": _HANDLE_GAP,
    "columnspacing": _COLUMN_GAP,
    "labelspacing": (_LEGEND_LINE - SMALL) / SMALL / 1.3,
    "numpoints": 1,
    "markerscale": 1,
    "alignment": "left",
}


def legend_columns(handles: Sequence[Line2D], width: float) -> int:
    """Return how many columns of a legend fit."""
    widest = max(text_width(str(handle.get_label()), SMALL) for handle in handles)
    column = widest + SMALL * (_HANDLE + _HANDLE_GAP + _COLUMN_GAP)
    return max(1, min(len(handles), int(width // column)))


def legend_height(handles: Sequence[Line2D], width: float) -> float:
    """Return the height of a legend in points; 0 where there is nothing in it."""
    return math.ceil(len(handles) / legend_columns(handles, width)) * _LEGEND_LINE + 5 if handles else 0.0


def axes_legend(ax: Axes, handles: Sequence[Line2D]) -> None:
    """Add a legend to the user's own axes."""
    if handles:
        for text in ax.legend(handles=list(handles)).get_texts():
            text.set_parse_math(False)


def handle(label: str, **how: Any) -> Line2D:
    """Return an entry of a legend."""
    style: dict[str, Any] = {"linestyle": "none", "markeredgewidth": 1.0, "fillstyle": "full", **how}
    return Line2D([], [], label=label, **style)


def style_axes(ax: Axes, *, grid: str = "both", is_framed: bool = False) -> None:
    """Give axes their colors, fonts and grid lines."""
    ax.set_facecolor("none")
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set(visible=is_framed or side == "bottom", color=INK, alpha=SOFT, linewidth=0.8, linestyle="-")
    ax.tick_params(
        axis="both",
        which="both",
        direction="out",
        bottom=False,
        top=False,
        left=False,
        right=False,
        labelbottom=True,
        labeltop=False,
        labelleft=True,
        labelright=False,
        labelsize=SMALL,
        labelcolor=INK,
        labelfontfamily=FONT,
        labelrotation=0,
        pad=_LABEL_GAP,
        grid_color=INK,
        grid_alpha=FAINT,
        grid_linewidth=0.6,
        grid_linestyle="-",
    )
    ax.grid(visible=False, which="both", axis="both")
    if grid != "none":
        ax.grid(visible=True, which="major", axis=grid, clip_on=False, solid_capstyle="butt")  # type: ignore[arg-type]


def set_ticks(axis: MplAxis, ticks: Sequence[Tick], *, is_own: bool) -> None:
    """Put labels at places of an axis; they are shown as they are."""
    # Labels of one line would stand a little higher than those of two.
    has_two_lines = any(tick.below for tick in ticks)
    axis.set_major_locator(FixedLocator([tick.at for tick in ticks]))
    axis.set_major_formatter(FixedFormatter([_label(tick, has_two_lines=has_two_lines) for tick in ticks]))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    is_x = isinstance(axis, XAxis)
    for label in axis.get_ticklabels():
        label.set_parse_math(False)
        if is_own:
            label.set(ha="center" if is_x else "right", va="top" if is_x else "center", fontweight="normal")


def _label(tick: Tick, *, has_two_lines: bool) -> str:
    label = one_line(tick.label)
    return f"{label}\n{one_line(tick.below) or ' '}" if has_two_lines else label


def width_of(ax: Axes) -> float:
    """Return the width of axes in points."""
    return float(ax.get_window_extent().width / ax.figure.dpi) * 72


def fit_ticks(ticks: Sequence[Tick], places: Sequence[float], width: float) -> list[Tick]:
    """Return the ticks whose labels have room beside each other.

    Parameters
    ----------
    ticks : sequence of Tick
        From left to right.
    places : sequence of float
        Where they stand, as shares of the axis.
    width : float
        Of the axis, in points.
    """
    fitting: list[Tick] = []
    taken, below = -math.inf, ""
    for tick, place in zip(ticks, places, strict=True):
        below = tick.below or below
        half = max(text_width(tick.label, SMALL), text_width(below, SMALL)) / 2 + 3
        centre = place * width
        if centre - half < taken or centre + half > width + _BEYOND:
            continue
        fitting.append(replace(tick, below=below))
        taken, below = centre + half, ""
    return fitting


def axis_label(axis: MplAxis, text: str, *, is_own: bool) -> None:
    """Write what an axis shows, and in which unit."""
    axis.set_label_text(one_line(text))
    axis.label.set_parse_math(False)
    if is_own:
        axis.labelpad = _LABEL_PAD
        axis.label.set(**text_style(alpha=0.85))


def fix_style(figure: Figure) -> None:
    """Take from all artists what they took from ``rcParams`` when they were made: sketched lines, effects, TeX."""
    for artist in figure.findobj():
        artist.set_sketch_params(None)
        artist.set_path_effects([])
        if isinstance(artist, Text):
            artist.set(usetex=False, parse_math=False, fontfamily=FONT)
            artist.set(fontstyle="normal", fontvariant="normal", fontstretch="normal")


def add_hover(hovers: Hovers | None, artist: Any, texts: Sequence[Any]) -> None:
    """Note what an artist says when it is pointed at; in the user's own axes (None) nothing can be."""
    if hovers is not None:
        name = f"hover{len(hovers)}"
        artist.set_gid(name)
        hovers[name] = texts
