"""Parallel coordinates of a sweep: an axis for each parameter and one for the metric, a line for each experiment."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.parallel_scale import ABOVE, BELOW, ParallelScale
from loops_nb.charts.plot import Plot, one_axes
from loops_nb.charts.style import INK, OTHER_COLOR, SMALL, SOFT, STRONG, TARGET_COLORS, WIDTH
from loops_nb.charts.sweep import param_text, sweep_table, words_of
from loops_nb.errors import one_line
from loops_nb.render.formatting import many
from loops_nb.tracking.sweep import SweepData, best_first, best_quarter, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from loops_nb.charts.svg import Hovers

_MOST_AXES, _MOST_LINES = 7, 500
#: In points: height, and what is left of the first axis, right of the last and below them.
_HEIGHT, _LEFT, _RIGHT, _BELOW = 250.0, 62.0, 26.0, 12.0
#: Width of the bar of colors beside the metric's axis, as a share of the distance between two axes.
_BAR = 0.09
#: From so many experiments on lines are thinner and let each other shine through.
_MANY = 60
#: Points of a line between two axes: it leaves them level, so that labels stand above it.
_SEGMENT = 17


@ignore_float_errors
def parallel(data: SweepData, *, at: str = "best", title: str | None = None, ax: Axes | None = None) -> Plot:
    """Draw the parameters of a sweep and its metric as parallel axes, and each experiment as a line through its values.

    The most important parameter is at the left, the metric at the right.  Values that span decades are on a logarithmic
    axis, words are spread evenly.  A line has the color of its metric: blue is good, orange is bad.  The best quarter
    is thick.  Where an experiment has no value of a parameter, its line passes below the axis.

    Parameters
    ----------
    data : SweepData
        Parameters, values and names of the experiments.
    at : {"best", "last"}, default "best"
        Which value of the metric ``data`` has, for its label.
    title : str, optional
        Another title.
    ax : matplotlib.axes.Axes, optional
        Draw into these axes.

    Returns
    -------
    Plot
        Its table has a row for each experiment, the best first: name (string), the metric (float64), and the
        parameters that differ.

    Raises
    ------
    InvalidArgumentError
        If ``ax`` is something else.
    """
    metric = one_line(data.metric, limit=60)
    drawn = data.effects[:_MOST_AXES]
    notes = [in_words(data.effects, data.metric, len(data.scores), highest=data.highest)]
    if len(data.effects) > len(drawn):
        notes.append(f"The {len(drawn)} most important parameters are drawn; plot.table has all.")
    chart = None
    axes = one_axes("parallel", ax)
    if drawn:
        chart = _ParallelChart(data, [effect.name for effect in drawn], f"{_kind_of_value(data, at)} {metric}")
        notes += chart.notes
        if axes is not None:
            chart.paint(axes, None)
    return Plot(
        title=title or f"{metric} and the parameters of {many(len(data.scores), 'experiment')}",
        table=sweep_table(data),
        notes=notes,
        words=words_of(data, drawn),
        things="experiment",
        draw=None if chart is None else chart.draw,
        axes=axes if chart is not None else None,
    )


def _kind_of_value(data: SweepData, at: str) -> str:
    if at == "last":
        return "last"
    return "highest" if data.highest else "lowest"


def good_to_bad() -> Colormap:
    """Return the colors of a metric from good to bad: each has 3:1 against white and against #111."""
    from matplotlib.colors import LinearSegmentedColormap

    colors = [TARGET_COLORS["trainer"], OTHER_COLOR, TARGET_COLORS["sampler"]]
    return LinearSegmentedColormap.from_list("good to bad", colors)


class _ParallelChart:
    """Axes beside each other, and lines through them."""

    def __init__(self, data: SweepData, names: Sequence[str], label: str) -> None:
        self._data = data
        self._names = names
        self._label = label
        order = best_first(data.scores, highest=data.highest)
        self._best = set(best_quarter(order))
        #: The best is drawn last, above the others.
        self._rows = order[:_MOST_LINES][::-1]
        cells = [[data.params[row].get(name) for row in self._rows] for name in names]
        self._scales = [ParallelScale.of(column) for column in cells]
        self._metric = ParallelScale.of([float(data.scores[row]) for row in self._rows])
        self.notes = []
        if len(order) > len(self._rows):
            self.notes.append(f"The best {len(self._rows):,} of {len(order):,} experiments are drawn.")
        logarithmic = [
            one_line(name, limit=40)
            for name, scale in zip([*names, data.metric], [*self._scales, self._metric], strict=True)
            if scale.is_log
        ]
        if logarithmic:
            self.notes.append(f"Logarithmic axes: {', '.join(logarithmic)}.")

    @ignore_float_errors
    def draw(self, title: str | None) -> tuple[Figure, Hovers]:
        """Draw into a figure of its own."""
        from loops_nb.charts.layout import PAD, Layout, fix_style, handle, legend_height

        look = {"color": INK, "linestyle": "-", "marker": "none"}
        handles = [
            handle("best quarter", **look, linewidth=self._width(is_best=True)),
            handle("other experiments", **look, linewidth=self._width(is_best=False)),
        ]
        top = PAD + legend_height(handles, WIDTH)
        page = Layout(top + _HEIGHT + _BELOW + PAD, title)
        page.legend(handles, _LEFT, PAD, WIDTH - _LEFT)
        hovers: Hovers = {}
        self.paint(page.axes(_LEFT, top, WIDTH - _LEFT - _RIGHT, _HEIGHT), hovers)
        fix_style(page.figure)
        return page.figure, hovers

    @ignore_float_errors
    def paint(self, ax: Axes, hovers: Hovers | None) -> None:
        """Draw into axes; without ``hovers`` they are the user's own."""
        from matplotlib.collections import LineCollection

        from loops_nb.charts.layout import add_hover

        scales = [*self._scales, self._metric]
        last = len(scales) - 1
        ax.set_axis_off()
        ax.set_xlim(0, last + _BAR)
        ax.set_ylim(BELOW - 0.05, ABOVE + 0.11)
        colors = [good_to_bad()(self._badness(place)) for place in self._metric.places]
        lines = LineCollection(
            [_line([scale.places[index] for scale in scales]) for index in range(len(self._rows))],
            colors=colors,
            linewidths=[self._width(is_best=row in self._best) for row in self._rows],
            linestyles="solid",
            alpha=None if len(self._rows) < _MANY else 0.7,
            capstyle="round",
            clip_on=False,
            zorder=2,
        )
        ax.add_collection(lines, autolim=False)
        for at, (scale, name) in enumerate(zip(scales, [*self._names, self._label], strict=True)):
            self._paint_axis(ax, at, scale, name, is_own=hovers is not None)
        self._paint_color_bar(ax, last)
        (dots,) = ax.plot(
            [last] * len(self._rows),
            self._metric.places,
            linestyle="none",
            marker="o",
            markersize=4.0,
            markerfacecolor=INK,
            markeredgecolor="none",
            clip_on=False,
            zorder=5,
        )
        add_hover(hovers, dots, [self._hover(row) for row in self._rows])

    def _badness(self, place: float) -> float:
        share = min(1.0, max(0.0, place))
        return 1 - share if self._data.highest else share

    def _width(self, *, is_best: bool) -> float:
        if len(self._rows) < _MANY:
            return 2.2 if is_best else 1.0
        return 1.5 if is_best else 0.6

    def _paint_axis(self, ax: Axes, at: int, scale: ParallelScale, name: str, *, is_own: bool) -> None:
        from loops_nb.charts.layout import text_style
        from loops_nb.charts.text_metrics import cut_text

        count = len(self._scales)
        room = (WIDTH - _LEFT - _RIGHT) / max(1, count)
        ax.vlines(at, 0, 1, colors=[(INK, STRONG)], linewidth=1.0, zorder=4)
        style = text_style() if is_own else {"fontsize": "small"}
        is_metric = at == count
        # In the middle the last name would stand out of the picture.
        side = "right" if is_metric else "center"
        where = at + _BAR if is_metric else at
        most = min(room * 0.94, 1.9 * _LEFT)
        ax.text(
            where,
            ABOVE + 0.06,
            cut_text(name, SMALL, most),
            **{**style, "fontweight": "bold"},
            ha=side,
            va="bottom",
            parse_math=False,
            zorder=6,
        )
        for tick in scale.ticks:
            outside = tick.at in {BELOW, ABOVE}
            ax.hlines(tick.at, at - 0.03, at, colors=[(INK, SOFT if outside else STRONG)], linewidth=0.8, zorder=4)
            ax.text(
                at - 0.04,
                tick.at + 0.006,
                cut_text(tick.label, SMALL, min(_LEFT, room) * 0.86),
                **style,
                ha="right",
                va="bottom" if not outside else "center",
                parse_math=False,
                zorder=6,
            )

    def _paint_color_bar(self, ax: Axes, last: int) -> None:
        """Draw the colors of the metric along its axis, which has the numbers."""
        places = self._metric.places
        if not any(0 <= place <= 1 for place in places):
            return
        shades = np.linspace(0, 1, 65)
        values = np.array([[self._badness((low + high) / 2)] for low, high in itertools.pairwise(shades)])
        ax.pcolormesh(
            np.array([last, last + _BAR]),
            shades,
            values,
            cmap=good_to_bad(),
            vmin=0,
            vmax=1,
            shading="flat",
            edgecolors="none",
            zorder=3,
        )
        ax.set_xlim(0, last + _BAR)
        ax.set_ylim(BELOW - 0.05, ABOVE + 0.11)

    def _hover(self, row: int) -> str:
        name = one_line(str(self._data.names[row] or "experiment"), limit=60)
        params = self._data.params[row]
        given = ", ".join(f"{one_line(of, limit=40)} {param_text(params.get(of))}" for of in self._names)
        return f"{name}: {one_line(self._data.metric, limit=60)} {self._data.scores[row]:g} with {given}"


def _line(places: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the points of a line through the axes, which leaves each of them level."""
    across = np.linspace(0, 1, _SEGMENT)
    rise = across**2 * (3 - 2 * across)
    points = [
        np.column_stack([at + across, left + (right - left) * rise])
        for at, (left, right) in enumerate(itertools.pairwise(places))
    ]
    return np.concatenate(points) if points else np.array([[0.0, places[0]]])
