"""A metric against each parameter of a sweep: one small scatter a parameter, all with the same metric axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.plot import Plot, many_axes
from loops_nb.charts.style import LINE_COLORS, OTHER_COLOR, WIDTH
from loops_nb.errors import one_line
from loops_nb.frames.params import param_cell
from loops_nb.render.formatting import MISSING, many
from loops_nb.render.tables import Field, Table
from loops_nb.tracking.sweep import SweepData, best_first, best_quarter, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from loops_nb.charts.svg import Hovers
    from loops_nb.tracking.sweep import ParameterEffect

_MOST_PANELS, _COLUMNS, _MOST_WORDS = 9, 3, 6
#: In points: the height of a panel, what is left of the first, below each and between two.
_HEIGHT, _LEFT, _BELOW, _GAP, _RIGHT = 118.0, 58.0, 44.0, 16.0, 14.0
#: From this ratio of the largest to the smallest value on an axis is logarithmic.
LOGARITHMIC = 30
_RADIUS = 4.5


@ignore_float_errors
def sweep(data: SweepData, *, title: str | None = None, ax: Axes | Sequence[Axes] | None = None) -> Plot:
    """Draw a metric against each parameter of a sweep, the most important parameter first.

    The best quarter of the experiments is filled. Pointing at a mark shows the experiment's name and values.

    Parameters
    ----------
    data : SweepData
        Parameters, values and names of the experiments.
    title : str, optional
        Another title.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Draw into these axes, one for each parameter.

    Returns
    -------
    Plot
        Its table has a row for each experiment, the best first: name (string), the metric (float64), and the
        parameters that differ.

    Raises
    ------
    InvalidArgumentError
        If ``ax`` has not as many axes as parameters are drawn.
    """
    metric = one_line(data.metric, limit=60)
    drawn = data.effects[:_MOST_PANELS]
    notes = [in_words(data.effects, data.metric, len(data.scores), highest=data.highest)]
    if len(data.effects) > len(drawn):
        notes.append(f"The {len(drawn)} most important parameters are drawn; plot.table has all.")
    diverged = int(np.count_nonzero(~np.isfinite(data.scores)))
    if diverged:
        notes.append(f"{many(diverged, 'experiment')} whose {metric} is not finite cannot be drawn.")
    chart = _SweepChart(data, drawn, metric) if drawn and diverged < len(data.scores) else None
    axes = many_axes("sweep", ax, len(drawn)) if chart is not None else None
    if chart is not None and axes is not None:
        chart.paint(axes, None)
    return Plot(
        title=title or f"{metric} by the parameters of {many(len(data.scores), 'experiment')}",
        table=sweep_table(data),
        notes=notes,
        words=words_of(data, drawn),
        things="experiment",
        draw=None if chart is None else chart.draw,
        axes=None if axes is None else axes[0],
    )


def sweep_table(data: SweepData) -> pd.DataFrame:
    """Return the experiments of a sweep, the best first: name, metric, and the parameters that differ."""
    order = best_first(data.scores, highest=data.highest)
    table = pd.DataFrame({"name": [data.names[row] for row in order], data.metric: data.scores[order]})
    for effect in data.effects:
        column = effect.name if effect.name not in table.columns else f"params.{effect.name}"
        table[column] = [data.params[row].get(effect.name) for row in order]
    return table


def words_of(data: SweepData, drawn: Sequence[ParameterEffect]) -> Table:
    """Return the same in words, with the parameters that are drawn."""
    order = best_first(data.scores, highest=data.highest)
    fields = [Field("Name", [one_line(str(data.names[row] or MISSING), limit=60) for row in order])]
    metric = one_line(data.metric, limit=60)
    fields.append(Field(metric, [f"{data.scores[row]:g}" for row in order], is_number=True))
    for effect in drawn:
        cells = [data.params[row].get(effect.name) for row in order]
        fields.append(Field(one_line(effect.name, limit=40), [param_text(cell) for cell in cells], rank=2))
    return Table(fields)


def param_text(cell: Any) -> str:
    """Return the value of a parameter in a line."""
    if cell is None:
        return MISSING
    if isinstance(cell, float):
        return f"{cell:g}"
    return one_line(str(param_cell(cell)), limit=40)


class _SweepChart:
    """The panels of a sweep, a parameter each."""

    def __init__(self, data: SweepData, effects: Sequence[ParameterEffect], metric: str) -> None:
        self._data = data
        self._effects = effects
        self._metric = metric
        finite = np.isfinite(data.scores)
        self._best = set(best_quarter(best_first(data.scores, highest=data.highest)))
        self._rows = np.flatnonzero(finite).tolist()

    @ignore_float_errors
    def draw(self, title: str | None) -> tuple[Figure, Hovers]:
        """Draw into a figure of its own."""
        from loops_nb.charts.layout import PAD, Layout, fix_style, handle, legend_height, style_axes

        handles = [
            handle("best quarter", **_look(is_best=True)),
            handle("other experiments", **_look(is_best=False)),
        ]
        top = PAD + legend_height(handles, WIDTH)
        columns = min(_COLUMNS, len(self._effects))
        lines = math.ceil(len(self._effects) / columns)
        width = (WIDTH - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
        page = Layout(top + lines * (_HEIGHT + _BELOW) + PAD, title)
        page.legend(handles, _LEFT, PAD, WIDTH - _LEFT)
        axes = []
        for place in range(len(self._effects)):
            line, column = divmod(place, columns)
            left = _LEFT + column * (width + _GAP)
            ax = page.axes(left, top + line * (_HEIGHT + _BELOW) + PAD, width, _HEIGHT)
            style_axes(ax, is_framed=True)
            axes.append(ax)
        hovers: Hovers = {}
        self.paint(axes, hovers)
        fix_style(page.figure)
        for place, ax in enumerate(axes):
            if place % columns:
                ax.tick_params(labelleft=False)
                ax.set_ylabel("")
        return page.figure, hovers

    @ignore_float_errors
    def paint(self, axes: Sequence[Axes], hovers: Hovers | None) -> None:
        """Draw into axes; without ``hovers`` they are the user's own."""
        from loops_nb.charts.layout import add_hover, axis_label

        scores = self._data.scores[self._rows]
        margin = 0.06 * (float(np.ptp(scores)) or abs(float(scores[0])) or 1.0)
        low, high = float(scores.min()) - margin, float(scores.max()) + margin
        for ax, effect in zip(axes, self._effects, strict=True):
            rows = [row for row in self._rows if self._data.params[row].get(effect.name) is not None]
            places = self._places(ax, effect, rows, is_own=hovers is not None)
            for is_best in (False, True):
                chosen = [index for index, row in enumerate(rows) if (row in self._best) == is_best]
                if not chosen:
                    continue
                (line,) = ax.plot(
                    [places[index] for index in chosen],
                    [float(self._data.scores[rows[index]]) for index in chosen],
                    linestyle="none",
                    zorder=3 if is_best else 2,
                    **_look(is_best=is_best),
                )
                add_hover(hovers, line, [self._hover(effect, rows[index]) for index in chosen])
            ax.set_ylim(low, high)
            axis_label(ax.xaxis, effect.name[:40], is_own=hovers is not None)
            axis_label(ax.yaxis, self._metric, is_own=hovers is not None)

    def _hover(self, effect: ParameterEffect, row: int) -> str:
        name = one_line(str(self._data.names[row] or "experiment"), limit=60)
        value = param_text(self._data.params[row].get(effect.name))
        return f"{name}: {self._metric} {self._data.scores[row]:g} with {one_line(effect.name, limit=40)} {value}"

    def _places(self, ax: Axes, effect: ParameterEffect, rows: Sequence[int], *, is_own: bool) -> list[float]:
        """Set up the axis of a parameter, and return where its experiments stand."""
        from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

        from loops_nb.charts.layout import set_ticks
        from loops_nb.charts.text_metrics import cut_text
        from loops_nb.charts.ticks import Tick

        cells = [self._data.params[row][effect.name] for row in rows]
        if not math.isnan(effect.correlation):
            numbers = [float(cell) for cell in cells]
            if min(numbers) > 0 and max(numbers) >= LOGARITHMIC * min(numbers):
                ax.set_xscale("log")
                ax.xaxis.set_major_locator(LogLocator(numticks=5))
                ax.xaxis.set_minor_formatter(NullFormatter())
            else:
                is_whole = all(number.is_integer() for number in numbers)
                ax.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=is_whole))
            ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            return numbers
        words = list(dict.fromkeys(map(param_text, cells)))
        shown = words[:_MOST_WORDS] if len(words) > _MOST_WORDS else words
        widest = WIDTH / _COLUMNS / max(1, len(shown)) - 8
        ticks = [Tick(float(place), cut_text(word, 8.0, max(24.0, widest))) for place, word in enumerate(shown)]
        set_ticks(ax.xaxis, ticks, is_own=is_own)
        ax.set_xlim(-0.5, len(words) - 0.5)
        return [float(words.index(param_text(cell))) for cell in cells]


def _look(*, is_best: bool) -> dict[str, Any]:
    color = LINE_COLORS[0] if is_best else OTHER_COLOR
    return {
        "marker": "o",
        "markersize": _RADIUS,
        "markerfacecolor": color if is_best else "none",
        "markeredgecolor": color,
        "markeredgewidth": 1.0,
        "fillstyle": "full",
    }
