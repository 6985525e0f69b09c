"""Curves of training numbers as a picture for a saved notebook or a file."""

from __future__ import annotations

import math
import sys
from dataclasses import astuple
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loops_nb.charts.curve_axes import AXIS_LABELS, AxisScale, with_dots, x_ticks
from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.number_format import value_ticks
from loops_nb.charts.plot import Plot, one_axes
from loops_nb.charts.style import SMALL, WIDTH, line_color, line_marker
from loops_nb.errors import one_line
from loops_nb.render.formatting import MISSING, is_or_are, many, number
from loops_nb.render.tables import Field, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from loops_nb.charts.downsample import DownsampledCurve
    from loops_nb.charts.series import Axis, MetricHistory
    from loops_nb.charts.svg import Hovers

_LARGEST = sys.float_info.max
#: Of the axes, in points.
_HIGH, _LEFT, _RIGHT = 215.0, 42.0, 14.0
_TICKS_UP, _TICKS_ACROSS = 6, 7
#: Points of all lines together; a notebook keeps each twice.
_MOST_POINTS = 2400
#: Markers of its own shape on a line, and on each of many lines.
_MARKERS, _FEW_MARKERS, _MANY_LINES = 9, 2, 24
_LONGEST_LABEL = 200.0
_LONGEST_NAME = 200
_KINDS = ("NaN", "infinite", "minus infinite")


class CurvePoint(NamedTuple):
    """A checkpoint or a note on a line: where along the axis, and what it says."""

    at: float
    words: str


class CurveSeries(NamedTuple):
    """A line to draw.

    Parameters
    ----------
    name
        Of its experiment.
    look
        Its number among the looks of lines.
    history
        Its points.
    points
        Checkpoints and notes.
    """

    name: str
    look: int
    history: MetricHistory
    points: Sequence[CurvePoint] = ()


@ignore_float_errors
def curves(
    lines: Sequence[CurveSeries],
    *,
    key: str,
    axis: Axis,
    smoothing: float = 0.0,
    zone: tzinfo | None = None,
    notes: Sequence[str] = (),
    ax: Axes | None = None,
) -> Plot:
    """Draw curves over each other.

    Parameters
    ----------
    lines
        What is drawn.
    key
        What their values are.
    axis
        Along what.
    smoothing
        As in `loops_nb.panels.CurvesPanel`; the raw line stays behind.
    zone
        Whose clock, for the axis of that name; None is the machine's own.
    notes
        What else is to be said; where nothing is drawn, instead of that.

    Returns
    -------
    Plot
        Its table has a row for each line: experiment, key, points, not_finite, newest, newest_step, lowest,
        lowest_step, highest and highest_step.
    """
    import pandas as pd  # for the table alone

    axes = one_axes("curves", ax)
    # Lines grow while they are recorded: what is drawn later is what is there now.
    chart = _CurvesChart.of(lines, key, axis, smoothing, zone)
    if chart is not None and axes is not None:
        chart.paint(axes, None)
    rows = [(line.name, key, *_numbers(line.history)) for line in lines]
    names = ("points", "not_finite", "newest", "newest_step", "lowest", "lowest_step", "highest", "highest_step")
    return Plot(
        title=f"{key or 'Curves'} by {AXIS_LABELS[axis]}",
        table=pd.DataFrame(rows, columns=["experiment", "key", *names]),
        notes=[*(_notes(lines, key, axis) if lines or not notes else ()), *notes],
        words=_words(lines),
        things="experiment",
        draw=None if chart is None else chart.draw,
        axes=axes,
    )


def _numbers(history: MetricHistory) -> tuple[float, ...]:
    # Its fields are in the order of the table.
    return astuple(history.summary)


def _notes(lines: Sequence[CurveSeries], key: str, axis: Axis) -> list[str]:
    if not lines:
        return [f"Nothing was recorded of {key}." if key else "Nothing was recorded yet."]
    points = sum(line.history.summary.count for line in lines)
    odd = sum(line.history.summary.nonfinite for line in lines)
    notes = [f"{many(len(lines), 'experiment')}, {many(points, 'point')}."]
    if axis == "tokens":
        unknown = sum(line.history.span(axis) is None for line in lines)
        if unknown:
            notes.append(
                f"Of {many(unknown, 'experiment')} no tokens were recorded: exp.log(step=1, loss=0.5, "
                f"tokens_seen=4096)."
            )
    if odd:
        notes.append(f"{many(odd, 'value')} {is_or_are(odd)} no number: triangles at the edge show where.")
    return notes


def _words(lines: Sequence[CurveSeries]) -> Table:
    if not lines:
        return Table([])
    found = [line.history.summary for line in lines]
    fields = [
        Field("Experiment", [one_line(line.name, limit=_LONGEST_NAME) for line in lines]),
        Field("Newest", [f"{number(each.last)} @ {each.last_step:,}" for each in found], is_number=True),
        Field("Lowest", [_at(each.low, each.low_step) for each in found], is_number=True),
        Field("Highest", [_at(each.high, each.high_step) for each in found], is_number=True, rank=1),
        Field("Points", [f"{each.count:,}" for each in found], is_number=True, rank=2),
    ]
    if any(each.nonfinite for each in found):
        fields.append(Field("No number", [f"{each.nonfinite:,}" for each in found], is_number=True, rank=1))
    return Table(fields)


def _at(value: float, step: int) -> str:
    return MISSING if math.isnan(value) else f"{number(value)} @ {step:,}"


class _PlacedLine(NamedTuple):
    """A line as it is drawn: all its values, and those in front, which may be smoothed."""

    name: str
    look: int
    raw: DownsampledCurve
    front: DownsampledCurve
    points: list[CurvePoint]


class _CurvesChart:
    """Lines over each other, on one pair of axes."""

    def __init__(
        self, lines: list[_PlacedLine], key: str, axis: Axis, zone: tzinfo | None, x: AxisScale, *, is_smoothed: bool
    ) -> None:
        self._lines = lines
        self._key = key
        self._axis = axis
        self._zone = zone
        self._x = x
        self._is_smoothed = is_smoothed
        values = np.concatenate([line.raw.y[np.isfinite(line.raw.y)] for line in lines])
        bottom, top = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        room = (top / 2 - bottom / 2) * 0.1 or abs(top) * 0.1 or 1.0
        self._y = AxisScale(max(bottom - room, -_LARGEST), min(top + room, _LARGEST))
        self._y_ticks = value_ticks(self._y.low, self._y.high, _TICKS_UP) if len(values) else []

    @classmethod
    def of(
        cls, lines: Sequence[CurveSeries], key: str, axis: Axis, smoothing: float, zone: tzinfo | None
    ) -> _CurvesChart | None:
        """Return the chart of some lines as they are now; None if none has a place on the axis."""
        known = [span for line in lines if (span := line.history.span(axis)) is not None]
        if not known:
            return None
        low, high = min(first for first, _ in known), max(last for _, last in known)
        if high <= low:
            low, high = low - 0.5, low + 0.5
        most = max(60 if len(lines) <= _MANY_LINES else 24, _MOST_POINTS // len(lines))
        placed = []
        for line in lines:
            raw = line.history.reduced(axis, low=low, high=high, most=most)
            front = raw
            if smoothing:
                front = line.history.reduced(axis, low=low, high=high, most=most // 2, weight=smoothing)
            placed.append(_PlacedLine(line.name, line.look, raw, front, list(line.points)))
        return cls(placed, key, axis, zone, AxisScale(low, high), is_smoothed=bool(smoothing))

    @ignore_float_errors
    def draw(self, title: str | None) -> tuple[Figure, Hovers]:
        """Draw into a figure of its own."""
        from loops_nb.charts.layout import LINE, PAD, Layout, fix_style, legend_height, style_axes
        from loops_nb.charts.text_metrics import text_width

        widest = max((text_width(tick.label, SMALL) for tick in self._y_ticks), default=0.0)
        left = max(_LEFT, widest + 30)
        width = WIDTH - left - _RIGHT
        handles = self._handles()
        top = PAD + legend_height(handles, width) + 8
        has_days = self._axis == "clock"
        page = Layout(top + _HIGH + (3.3 if has_days else 2.4) * LINE + PAD, title)
        page.legend(handles, left, PAD, width)
        ax = page.axes(left, top, width, _HIGH)
        style_axes(ax)
        hovers: Hovers = {}
        self.paint(ax, hovers)
        ax.xaxis.set_label_coords(0.5, -(2.7 if has_days else 1.9) * LINE / _HIGH)
        ax.yaxis.set_label_coords(-(left - 14) / width, 0.5)
        fix_style(page.figure)
        return page.figure, hovers

    @ignore_float_errors
    def paint(self, ax: Axes, hovers: Hovers | None) -> None:
        """Draw into axes; without ``hovers`` they are the user's own."""
        from loops_nb.charts.layout import axes_legend, axis_label, fit_ticks, set_ticks, width_of
        from loops_nb.charts.text_metrics import cut_text

        is_own = hovers is not None
        ax.set_xlim(*self._x.limits)
        ax.set_ylim(*self._y.limits)
        set_ticks(ax.yaxis, self._y.ticks(self._y_ticks), is_own=is_own)
        ticks, label = x_ticks(self._axis, self._x, self._zone, _TICKS_ACROSS)
        places = [float(self._x.share(tick.at)) for tick in ticks]
        set_ticks(ax.xaxis, self._x.ticks(fit_ticks(ticks, places, width_of(ax))), is_own=is_own)
        axis_label(ax.xaxis, label, is_own=is_own)
        axis_label(ax.yaxis, cut_text(self._key, SMALL, _HIGH), is_own=is_own)
        for line in self._lines:
            if self._is_smoothed:
                self._plot(ax, line, line.raw, linewidth=0.8, alpha=0.35, zorder=2)
            self._plot(ax, line, line.front, linewidth=1.3, alpha=1.0, zorder=2.1)
        for order, line in enumerate(self._lines):
            self._mark(ax, line, order, hovers)
        if not is_own:
            axes_legend(ax, self._handles())

    def _handles(self) -> list[Any]:
        from loops_nb.charts.layout import handle
        from loops_nb.charts.text_metrics import cut_text

        return [
            handle(
                cut_text(line.name, SMALL, _LONGEST_LABEL),
                color=line_color(line.look),
                linestyle="-",
                linewidth=1.3,
                marker=line_marker(line.look),
                markersize=4.5,
                markeredgewidth=0,
            )
            for line in self._lines
        ]

    def _plot(self, ax: Axes, line: _PlacedLine, curve: DownsampledCurve, **style: Any) -> None:
        ax.plot(
            *with_dots(self._x.place(curve.x), self._y.place(curve.y)),
            color=line_color(line.look),
            linestyle="-",
            marker="none",
            solid_capstyle="round",
            solid_joinstyle="round",
            clip_on=False,
            **style,
        )

    def _mark(self, ax: Axes, line: _PlacedLine, order: int, hovers: Hovers | None) -> None:
        """Draw markers of the line's own shape, checkpoints, and where values are no numbers."""
        from loops_nb.charts.layout import add_hover

        color = line_color(line.look)
        style: dict[str, Any] = {
            "linestyle": "none",
            "clip_on": False,
            "color": color,
            "fillstyle": "full",
            "zorder": 3,
        }
        own_places = self._marker_places(line, order)
        if own_places:
            ax.plot(
                *zip(*own_places, strict=True),
                marker=line_marker(line.look),
                markersize=4.5,
                markeredgewidth=0,
                **style,
            )
        checkpoints = self._checkpoints(line)
        if checkpoints:
            places, texts = zip(*checkpoints, strict=True)
            look: dict[str, Any] = {
                "marker": "D",
                "markersize": 5.5,
                "markeredgewidth": 1.1,
                "markerfacecolor": (color, 0.35),
                "markeredgecolor": color,
            }
            (drawn,) = ax.plot(*zip(*places, strict=True), **look, **style)
            add_hover(hovers, drawn, texts)
        nonfinite = line.raw.nonfinite
        if nonfinite:
            x = [float(self._x.place(odd.x)) for odd in nonfinite]
            top = [self._y.limits[1]] * len(x)
            (drawn,) = ax.plot(x, top, marker="v", markersize=6, markeredgewidth=0, **style)
            add_hover(hovers, drawn, [f"{line.name}: {_KINDS[odd.kind]}, {odd.times} times" for odd in nonfinite])

    def _marker_places(self, line: _PlacedLine, order: int) -> list[tuple[float, float]]:
        """Return where a line has its own shape: at different places for neighbours, nowhere if it is alone."""
        fine = np.flatnonzero(np.isfinite(line.front.y))
        if len(self._lines) == 1 or not len(fine):
            return []
        count = _MARKERS if len(self._lines) <= _MANY_LINES else _FEW_MARKERS
        shares = self._x.share(line.front.x[fine])
        places = []
        for place in range(count):
            wanted = (place + 0.3 + 0.1 * (order % 7)) / count
            near = int(np.argmin(np.abs(shares - wanted)))
            if abs(float(shares[near]) - wanted) <= 1 / count / 2:
                places.append(self._at(line.front.x[fine[near]], line.front.y[fine[near]]))
        return places

    def _checkpoints(self, line: _PlacedLine) -> list[tuple[tuple[float, float], str]]:
        fine = np.flatnonzero(np.isfinite(line.front.y))
        if not len(fine):
            return []
        seen = [point for point in line.points if self._x.low <= point.at <= self._x.high]
        near = [fine[int(np.argmin(np.abs(line.front.x[fine] - point.at)))] for point in seen]
        return [(self._at(point.at, line.front.y[at]), point.words) for point, at in zip(seen, near, strict=True)]

    def _at(self, x: Any, y: Any) -> tuple[float, float]:
        return float(self._x.place(x)), float(self._y.place(y))
