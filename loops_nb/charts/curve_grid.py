"""Curves of several metrics in a grid of axes: mean lines with bands, a baseline, colors by a parameter."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from loops_nb.charts.curve_axes import AXIS_LABELS, AxisScale, with_dots, x_ticks
from loops_nb.charts.downsample import downsample
from loops_nb.charts.ema import MAX_WEIGHT, ExponentialMovingAverage
from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.number_format import value_ticks
from loops_nb.charts.parameter_colors import MISSING_COLOR, ParameterColors, parameter_colors, scale_color
from loops_nb.charts.plot import Plot, many_axes
from loops_nb.charts.style import CATEGORY_LINES, INK, SMALL, WIDTH, line_color, line_marker
from loops_nb.config.time_zone import display_zone
from loops_nb.errors import InvalidArgumentError, one_line
from loops_nb.render.formatting import MISSING, first_and_more, many, number
from loops_nb.render.tables import Field, Table
from loops_nb.tracking.bands import BAND_WORDS, CENTER_WORDS
from loops_nb.tracking.bands import band as band_of
from loops_nb.tracking.group_frames import group_curves_frame, group_results_frame
from loops_nb.tracking.groups import parameter_values, value_label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from loops_nb.charts.layout import Layout
    from loops_nb.charts.metric_source import Floats
    from loops_nb.charts.svg import Hovers
    from loops_nb.tracking.bands import Band
    from loops_nb.tracking.baseline import BaselineRow
    from loops_nb.tracking.curve_groups import GroupCurve, GroupedCurves, MetricGroups
    from loops_nb.tracking.metrics import Metrics

#: How the differences to a baseline are drawn.
Against = Literal["difference", "ratio"]
AGAINST = ("difference", "ratio")
_SIGN: dict[Against, str] = {"difference": "minus", "ratio": "/"}
#: Of one chart and of one of several, in points.
_ONE_HIGH, _HIGH, _LEFT, _RIGHT, _BELOW, _SECTION = 215.0, 104.0, 54.0, 12.0, 34.0, 18.0
_BAR_WIDTH, _BAR_HEIGHT = 190.0, 8.0
_BAND_ALPHA = 0.18
#: Of the grid of a group; more are not seen.
_PLACES = 400
#: Points of all lines of a picture; a notebook keeps each twice.
_MOST_POINTS, _FEWEST_POINTS = 30_000, 24
#: More lines than these are thin.
_THIN_FROM = 12
_MARKERS, _MANY_LINES, _MOST_HANDLES, _HANDLES_BESIDE_COLORS = 5, 24, 40, 8
_LONGEST_LABEL, _LONGEST_NAME = 200.0, 60
_MOST_NONFINITE = 40


class _Chart(NamedTuple):
    """One pair of axes: a metric, or its differences to the baseline."""

    metric: MetricGroups
    against: Against | None


class _Line(NamedTuple):
    """A line as it is drawn."""

    label: str
    color: str
    look: int
    is_baseline: bool
    x: Floats
    y: Floats
    #: Where not all members have values.
    partial: Floats
    band: Band | None
    nonfinite: Floats


def draw_curves(
    metrics: Metrics,
    what: str | Sequence[str] | None,
    metric: str | Sequence[str] | None,
    *,
    group_by: str | Sequence[str] | None,
    band: str,
    baseline: str | None,
    against: str,
    color_by: str | None,
    axis: str,
    smoothing: float,
    time_zone: str,
    title: str | None,
    ax: Axes | Sequence[Axes] | None,
) -> Plot:
    """Read the curves of experiments and draw them; parameters as of ``df.loops.plot.curves``."""
    if isinstance(smoothing, bool) or not isinstance(smoothing, (int, float)) or not 0 <= smoothing <= MAX_WEIGHT:
        raise InvalidArgumentError(f"smoothing is from 0 to {MAX_WEIGHT}, not {smoothing!r:.40}.", argument="smoothing")
    zone = display_zone(time_zone)
    found = metrics.grouped_curves(
        metric,
        what,
        group_by=group_by,
        band=band,
        axis=axis,
        baseline=baseline,
        places=_PLACES,
        smooth=(lambda values: ExponentialMovingAverage(smoothing).extend(values)) if smoothing else None,
    )
    return curve_grid(found, color_by=color_by, against=against, smoothing=smoothing, zone=zone, title=title, ax=ax)


@ignore_float_errors
def curve_grid(
    found: GroupedCurves,
    *,
    color_by: str | None = None,
    against: str = "difference",
    smoothing: float = 0.0,
    zone: tzinfo | None = None,
    title: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Plot:
    """Draw curves of several metrics, each in axes of its own; those with the same prefix (``eval/``) stand together.

    A group has the line of its mean or median with a band; the line is dotted where not all of its members have values.
    With a baseline, axes with the differences or ratios to it stand beside each metric.

    Parameters
    ----------
    found : GroupedCurves
        From ``loops.metrics.grouped_curves``.
    color_by : str, optional
        Parameter that colors the lines: a scale with a bar for numbers, otherwise a color for each value.  By default
        each line has its own color.
    against : {"difference", "ratio"}, default "difference"
        How curves are compared with the baseline.
    smoothing : float, default 0.0
        What the curves were smoothed with, for the words below.
    zone : tzinfo, optional
        Whose clock, on an axis of times; by default the machine's own.
    title : str, optional
        Another title.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Draw into these axes, one for each chart.

    Returns
    -------
    Plot
        Its table has a row per group and metric, as ``loops.metrics.results``; its data a row per place of each curve,
        as ``loops.metrics.groups``.

    Raises
    ------
    InvalidArgumentError
        If ``against`` is something else, none of the experiments has the parameter, or ``ax`` has not as many axes as
        are drawn.
    """
    if against not in AGAINST:
        raise InvalidArgumentError(f"against is one of {', '.join(AGAINST)}, not {against!r:.40}.", argument="against")
    how: Against = "ratio" if against == "ratio" else "difference"
    colors = None if color_by is None else _Colors.of(found, color_by)
    charts = [
        _Chart(metric, way)
        for metric in _by_prefix(found.metrics)
        for way in ((None, how) if metric.baseline is not None else (None,))
        if metric.groups or metric.baseline is not None
    ]
    table = group_results_frame(found)
    drawing = _Grid(found, charts, colors, zone) if any(metric.groups for metric in found.metrics) else None
    axes = many_axes("curves", ax, len(charts)) if drawing is not None else None
    if drawing is not None and axes is not None:
        drawing.paint(axes, None)
    notes = list(table.attrs.get("loops_notes", found.notes)) if len(table) else list(found.notes)
    if drawing is None:
        notes.append("Nothing was recorded yet for these experiments.")
    if smoothing:
        notes.append(f"Smoothed: exponential moving average with weight {smoothing:g}.")
    notes += [] if colors is None else colors.notes
    return Plot(
        title=title or _title(found),
        table=table,
        notes=notes,
        words=_words(found, table),
        things="line" if len(found.metrics) == 1 else "row",
        draw=None if drawing is None else drawing.draw,
        axes=None if axes is None else axes[0],
        data=lambda: group_curves_frame(found),
    )


def _title(found: GroupedCurves) -> str:
    keys = [one_line(metric.key, limit=_LONGEST_NAME) for metric in found.metrics]
    what = keys[0] if len(keys) == 1 else many(len(keys), "metric")
    by = f", grouped by {' and '.join(found.by)}".replace("seedless", "name without seed") if found.by else ""
    return f"{what} by {AXIS_LABELS[found.axis]}{by}"


def _prefix(key: str) -> str:
    return key.rpartition("/")[0]


def _by_prefix(metrics: Sequence[MetricGroups]) -> list[MetricGroups]:
    """Return metrics so that those with the same prefix stand together, otherwise in their order."""
    prefixes = list(dict.fromkeys(_prefix(metric.key) for metric in metrics))
    return sorted(metrics, key=lambda metric: prefixes.index(_prefix(metric.key)))


def _words(found: GroupedCurves, table: pd.DataFrame) -> Table:
    if not len(table):
        return Table([])
    rows = [
        (metric.key, group, row)
        for metric in found.metrics
        for group, row in zip(metric.groups, metric.table(), strict=True)
    ]
    fields = [Field("Group" if found.by else "Experiment", [one_line(row.label, limit=200) for _, _, row in rows])]
    if len(found.metrics) > 1:
        fields.insert(0, Field("Metric", [one_line(key, limit=_LONGEST_NAME) for key, _, _ in rows]))
    if found.by:
        fields.append(Field("Experiments", [f"{len(group.members):,}" for _, group, _ in rows], is_number=True))
    fields.append(Field("Last", [_word(row.last) for _, _, row in rows], is_number=True))
    fields.append(Field("Best", [_word(row.best) for _, _, row in rows], is_number=True, rank=1))
    if found.baseline is not None:
        fields.append(Field("Difference", [_signed(row) for _, _, row in rows], is_number=True))
        fields.append(Field("Ratio", [_word(row.ratio) for _, _, row in rows], is_number=True, rank=1))
    return Table(fields)


def _word(value: float) -> str:
    return MISSING if math.isnan(value) else number(value)


def _signed(row: BaselineRow) -> str:
    sign = "+" if row.difference > 0 else ""
    return f"{sign}{_word(row.difference)}"


class _Colors:
    """Colors of groups by the value of a parameter."""

    def __init__(self, name: str, scale: ParameterColors, color_of: dict[str, str], notes: list[str]) -> None:
        self.name = name
        self.scale = scale
        self.color_of = color_of
        self.notes = notes

    @classmethod
    def of(cls, found: GroupedCurves, name: str) -> _Colors:
        value_of = dict(zip((row.id for row in found.rows), parameter_values(found.rows, name), strict=True))
        shown = one_line(name, limit=_LONGEST_NAME)
        values, mixed = [], []
        for group in found.groups:
            own = [value_of[one] for one in group.ids]
            is_one = all(value_label(value) == value_label(own[0]) for value in own)
            values.append(own[0] if is_one else None)
            if not is_one:
                mixed.append(one_line(group.label, limit=_LONGEST_NAME))
        scale = parameter_colors(values)
        notes = [f"Colors: {shown}{' (logarithmic scale)' if scale.kind == 'log' else ''}."] if found.groups else []
        if mixed:
            notes.append(f"{shown} is not the same in all members of {first_and_more(mixed, 4)}: gray.")
        if scale.is_repeating:
            notes.append(f"{shown} has {len(scale.ticks)} values, more than there are colors: some share one.")
        labels = [group.label for group in found.groups]
        return cls(shown, scale, dict(zip(labels, scale.colors, strict=True)), notes)


class _Grid:
    """The axes of all charts."""

    def __init__(
        self, found: GroupedCurves, charts: Sequence[_Chart], colors: _Colors | None, zone: tzinfo | None
    ) -> None:
        self._found = found
        self._charts = charts
        self._colors = colors
        self._zone = zone
        labels = [group.label for group in found.groups]
        base = None if found.baseline is None else found.baseline.label
        #: Of lines without a color by a parameter; the baseline has ink.
        self._look = {label: place for place, label in enumerate(label for label in labels if label != base)}
        lines = max(1, sum(len(chart.metric.groups) for chart in charts))
        self._thickness = 1.3 if max((len(chart.metric.groups) for chart in charts), default=0) <= _THIN_FROM else 0.8
        self._most = max(_FEWEST_POINTS, min(400, _MOST_POINTS // lines))
        self._lines = [self._lines_of(chart) for chart in charts]
        known = [span for lines_of in self._lines for line in lines_of if (span := _span(line.x)) is not None]
        low, high = (min(first for first, _ in known), max(last for _, last in known)) if known else (0.0, 1.0)
        names = {line.label for lines_of in self._lines for line in lines_of if not line.is_baseline}
        #: The legend names the shapes, so where it does not name the lines there are none.
        self._has_markers = 1 < len(names) <= (_MANY_LINES if colors is None else _HANDLES_BESIDE_COLORS)
        self._x = AxisScale(low, high) if high > low else AxisScale(low - 0.5, low + 0.5)

    def _lines_of(self, chart: _Chart) -> list[_Line]:
        base = chart.metric.baseline
        lines = [self._line(group, chart) for group in chart.metric.groups if base is None or group.label != base.label]
        if base is not None:
            lines.append(self._line(base, chart, is_baseline=True))
        return lines

    def _line(self, group: GroupCurve, chart: _Chart, *, is_baseline: bool = False) -> _Line:
        look = self._look.get(group.label, 0)
        color = line_color(look % CATEGORY_LINES)
        if self._colors is not None:
            color = self._colors.color_of.get(group.label, MISSING_COLOR)
        if is_baseline:
            color = INK
        nothing = np.empty(0)
        if chart.against is not None:
            if is_baseline:
                # The ends of the curve; a baseline that was never finite has none.
                x = group.curve.x[np.isfinite(group.curve.y)]
                x = x[[0, -1]] if len(x) else nothing
                y = np.full(len(x), 1.0 if chart.against == "ratio" else 0.0)
            else:
                compared = group.against
                x = nothing if compared is None else compared.x
                y = (
                    nothing
                    if compared is None
                    else (compared.ratio if chart.against == "ratio" else compared.difference)
                )
            return _Line(
                group.label, color, look, is_baseline, *_fewer(x, y, self._most), np.full(0, np.nan), None, nothing
            )
        curve = group.curve
        nonfinite = np.concatenate([member.x[~np.isfinite(member.y)] for member in group.members])
        if len(group.members) == 1:
            x, y = _fewer(curve.x, curve.y, self._most)
            return _Line(group.label, color, look, is_baseline, x, y, np.full(len(x), np.nan), None, nonfinite)
        found = group.band
        if len(found.x) > self._most:
            found = band_of(group.members, kind=found.kind, most=self._most)
        is_full = found.counts == len(group.members)
        # A place at the edge belongs to both parts, so that the line is not interrupted.
        beside = np.r_[is_full[1:], False] | np.r_[False, is_full[:-1]]
        partial = np.where(~is_full | (beside & ~is_full), found.center, np.nan)
        partial = np.where(is_full & (np.r_[~is_full[1:], False] | np.r_[False, ~is_full[:-1]]), found.center, partial)
        full = np.where(is_full, found.center, np.nan)
        return _Line(group.label, color, look, is_baseline, found.x, full, partial, found, nonfinite)

    # A figure of its own.

    @ignore_float_errors
    def draw(self, title: str | None) -> tuple[Figure, Hovers]:
        """Draw into a figure of its own."""
        from loops_nb.charts.layout import LINE, PAD, Layout, fix_style, legend_height, style_axes
        from loops_nb.charts.text_metrics import text_width

        handles = self._handles()
        top = PAD + legend_height(handles, WIDTH - _LEFT)
        bar = self._colors is not None and self._colors.scale.kind != "categories"
        bar_top = top
        top += (_BAR_HEIGHT + 2 * LINE + 8) if bar else 0.0
        high = _ONE_HIGH if len(self._charts) == 1 else _HIGH
        places, bottom = self._places(top, high)
        page = Layout(bottom + PAD, title)
        page.legend(handles, _LEFT, PAD, WIDTH - _LEFT)
        if bar:
            self._color_bar(page, _LEFT, bar_top + LINE + 2)
        axes = []
        for heading, at in places[1]:
            page.text(6, at, heading, fontsize=SMALL + 1, fontweight="bold")
        for left, down, width in places[0]:
            ax = page.axes(left, down, width, high)
            style_axes(ax)
            axes.append(ax)
        hovers: Hovers = {}
        self.paint(axes, hovers)
        for ax, (_, _, width) in zip(axes, places[0], strict=True):
            ax.xaxis.set_label_coords(0.5, -(2.7 if self._found.axis == "clock" else 1.9) * LINE / high)
            widest = max((text_width(label.get_text(), SMALL) for label in ax.get_yticklabels()), default=0.0)
            ax.yaxis.set_label_coords(-min(_LEFT - 9, widest + 15) / width, 0.5)
        fix_style(page.figure)
        return page.figure, hovers

    def _places(
        self, top: float, high: float
    ) -> tuple[tuple[list[tuple[float, float, float]], list[tuple[str, float]]], float]:
        """Return where the axes and the headings of sections stand, and where the last of them ends."""
        count = len(self._charts)
        has_pairs = any(chart.against is not None for chart in self._charts)
        columns = min(count, 2 if has_pairs or count in {2, 4} else 3)
        width = WIDTH / columns - _LEFT - _RIGHT
        row_high = high + _BELOW + (10.0 if self._found.axis == "clock" else 0.0)
        prefixes = [_prefix(chart.metric.key) for chart in self._charts]
        has_headings = len(set(prefixes)) > 1
        axes: list[tuple[float, float, float]] = []
        headings: list[tuple[str, float]] = []
        column, down = 0, top + 6.0
        for place, prefix in enumerate(prefixes):
            is_new = place == 0 or prefix != prefixes[place - 1]
            if place and (column == columns or is_new):
                column, down = 0, down + row_high
            if is_new and has_headings:
                headings.append((one_line(prefix, limit=_LONGEST_NAME) or "other metrics", down + 8.0))
                down += _SECTION
            axes.append((column * (WIDTH / columns) + _LEFT, down, width))
            column += 1
        return (axes, headings), down + row_high

    def _color_bar(self, page: Layout, left: float, top: float) -> None:
        from matplotlib.colors import ListedColormap

        from loops_nb.charts.layout import set_ticks, style_axes
        from loops_nb.charts.text_metrics import cut_text
        from loops_nb.charts.ticks import Tick

        assert self._colors is not None  # noqa: S101 - asked before
        scale = self._colors.scale
        word = f"{self._colors.name} (logarithmic)" if scale.kind == "log" else self._colors.name
        page.text(left, top - 4, cut_text(word, SMALL, WIDTH - left - 12))
        ax = page.axes(left, top, _BAR_WIDTH, _BAR_HEIGHT)
        style_axes(ax, grid="none")
        steps = 64
        colors = ListedColormap([scale_color((step + 0.5) / steps) for step in range(steps)])
        ax.pcolormesh(
            np.linspace(0, 1, steps + 1), [0, 1], np.arange(steps)[None, :], cmap=colors, edgecolors="none", linewidth=0
        )
        ax.set_xlim(0, 1)
        ax.set_ylim(0, 1)
        set_ticks(ax.yaxis, [], is_own=True)
        kept: list[Tick] = []
        for tick in scale.ticks:
            if not kept or tick.at - kept[-1].at > 0.17:  # noqa: PLR2004 - room for a label
                kept.append(Tick(tick.at, tick.label))
        set_ticks(ax.xaxis, kept, is_own=True)
        if scale.has_missing:
            page.text(left + _BAR_WIDTH + 24, top + _BAR_HEIGHT, f"gray: no {self._colors.name}")

    # The legend.

    def _handles(self) -> list[Line2D]:
        from loops_nb.charts.layout import handle

        every = [line for lines in self._lines for line in lines]
        found = [*self._category_handles(), *self._group_handles()]
        if self._found.baseline is not None:
            label = f"baseline: {self._found.baseline.label}"
            found.append(_cut_handle(label, color=INK, linewidth=1.3, marker="none", linestyle="--"))
        if any(line.band is not None for line in every):
            butt = {"solid_capstyle": "butt"}
            words = f"band: {BAND_WORDS[self._found.kind]}"
            found.append(handle(words, color=INK, linestyle="-", linewidth=7, alpha=_BAND_ALPHA, marker="none", **butt))
        if any(np.isfinite(line.partial).any() for line in every):
            found.append(handle("dotted: not all members", color=INK, linestyle=":", linewidth=1.3, marker="none"))
        if any(len(line.nonfinite) for line in every):
            found.append(handle("NaN or infinite", color=INK, marker="v", markersize=5, markeredgewidth=0))
        return found

    def _category_handles(self) -> list[Line2D]:
        colors = self._colors
        if colors is None or colors.scale.kind != "categories":
            return []
        ticks = [(f"{colors.name}={tick.label}", tick.color) for tick in colors.scale.ticks]
        if colors.scale.has_missing:
            ticks.append((f"no {colors.name}", MISSING_COLOR))
        return [_cut_handle(label, color=color, linewidth=3.0, marker="none") for label, color in ticks]

    def _group_handles(self) -> list[Line2D]:
        from loops_nb.charts.layout import handle

        lines = {line.label: line for lines in self._lines for line in lines if not line.is_baseline}
        groups = [group for group in self._found.groups if group.label in lines]
        if self._colors is not None and len(groups) > _HANDLES_BESIDE_COLORS:
            return [_cut_handle(f"{many(len(groups), 'group' if self._found.by else 'experiment')}", color=INK)]
        found = [
            _cut_handle(
                self._group_label(group.label, len(group.ids)),
                color=lines[group.label].color,
                linewidth=1.3,
                marker=line_marker(lines[group.label].look) if self._has_markers else "none",
            )
            for group in groups[:_MOST_HANDLES]
        ]
        if len(groups) > _MOST_HANDLES:
            found.append(handle(f"and {len(groups) - _MOST_HANDLES:,} more, which plot.table has"))
        return found

    def _group_label(self, label: str, count: int) -> str:
        return f"{label}: {CENTER_WORDS[self._found.kind]} of {count:,}" if self._found.by and count > 1 else label

    # The charts.

    @ignore_float_errors
    def paint(self, axes: Sequence[Axes], hovers: Hovers | None) -> None:
        """Draw into axes, one for each chart; without ``hovers`` they are the user's own."""
        from loops_nb.charts.layout import axes_legend

        for ax, chart, lines in zip(axes, self._charts, self._lines, strict=True):
            self._paint(ax, chart, lines, hovers)
        if hovers is None:
            axes_legend(axes[0], self._handles())

    def _paint(self, ax: Axes, chart: _Chart, lines: Sequence[_Line], hovers: Hovers | None) -> None:
        from loops_nb.charts.layout import axis_label, fit_ticks, set_ticks, width_of
        from loops_nb.charts.text_metrics import cut_text, text_width

        is_own = hovers is not None
        is_small = len(self._charts) > 1
        y = _y_scale(lines)
        ax.set_xlim(*self._x.limits)
        ax.set_ylim(*y.limits)
        y_ticks = value_ticks(y.low, y.high, 4 if is_small else 6)
        set_ticks(ax.yaxis, y.ticks(y_ticks), is_own=is_own)
        ticks, label = x_ticks(self._found.axis, self._x, self._zone, 4 if is_small else 7)
        places = [float(self._x.share(tick.at)) for tick in ticks]
        set_ticks(ax.xaxis, self._x.ticks(fit_ticks(ticks, places, width_of(ax))), is_own=is_own)
        axis_label(ax.xaxis, label, is_own=is_own)
        suffix = "" if chart.against is None else f" {_SIGN[chart.against]} baseline"
        room = (_HIGH + 8 if is_small else _ONE_HIGH) - text_width(suffix, SMALL)
        axis_label(ax.yaxis, cut_text(chart.metric.key, SMALL, room) + suffix, is_own=is_own)
        for order, line in enumerate(lines):
            self._draw_line(ax, line, y, order)
        for order, line in enumerate(lines):
            self._mark(ax, line, y, order, hovers)

    def _draw_line(self, ax: Axes, line: _Line, y: AxisScale, order: int) -> None:
        if line.band is not None:
            ax.fill_between(
                self._x.place(line.band.x),
                y.place(line.band.low),
                y.place(line.band.high),
                color=line.color,
                alpha=_BAND_ALPHA,
                linewidth=0,
                zorder=1.5 + order / 1000,
            )
        style: dict[str, Any] = {
            "color": line.color,
            "marker": "none",
            "solid_capstyle": "round",
            "solid_joinstyle": "round",
            "clip_on": False,
            "zorder": (2.5 if line.is_baseline else 2) + order / 1000,
        }
        ax.plot(
            *with_dots(self._x.place(line.x), y.place(line.y)),
            linewidth=1.3 if line.is_baseline else self._thickness,
            linestyle=(0, (5, 2)) if line.is_baseline else "-",
            **style,
        )
        if np.isfinite(line.partial).any():
            ax.plot(
                *with_dots(self._x.place(line.x), y.place(line.partial)),
                linewidth=1.3,
                linestyle=(0, (1, 1.6)),
                **style,
            )

    def _mark(self, ax: Axes, line: _Line, y: AxisScale, order: int, hovers: Hovers | None) -> None:
        """Draw markers of the line's own shape, and where values are no numbers."""
        from loops_nb.charts.layout import add_hover

        style: dict[str, Any] = {
            "linestyle": "none", "clip_on": False, "color": line.color, "fillstyle": "full", "zorder": 3,
        }  # fmt: skip
        values = np.where(np.isfinite(line.y), line.y, line.partial) if len(line.partial) else line.y
        fine = np.flatnonzero(np.isfinite(values))
        if self._has_markers and not line.is_baseline and len(fine):
            shares = self._x.share(line.x[fine])
            wanted = [(place + 0.3 + 0.1 * (order % 7)) / _MARKERS for place in range(_MARKERS)]
            near = [int(np.argmin(np.abs(shares - at))) for at in wanted]
            chosen = [
                fine[at]
                for at, want in zip(near, wanted, strict=True)
                if abs(float(shares[at]) - want) <= 0.5 / _MARKERS
            ]
            chosen = list(dict.fromkeys(chosen))
            if chosen:
                (drawn,) = ax.plot(
                    [float(self._x.place(line.x[at])) for at in chosen],
                    [float(y.place(values[at])) for at in chosen],
                    marker=line_marker(line.look),
                    markersize=4.5,
                    markeredgewidth=0,
                    **style,
                )
                add_hover(hovers, drawn, [self._hover(line, at, float(values[at])) for at in chosen])
        seen = line.nonfinite[(line.nonfinite >= self._x.low) & (line.nonfinite <= self._x.high)]
        if len(seen):
            shares = np.round(self._x.share(seen) * _MOST_NONFINITE).astype(int)
            first = np.sort(np.unique(shares, return_index=True)[1])
            (drawn,) = ax.plot(
                [float(self._x.place(seen[at])) for at in first],
                [y.limits[1]] * len(first),
                marker="v",
                markersize=5,
                markeredgewidth=0,
                **style,
            )
            add_hover(hovers, drawn, [f"{line.label}: NaN or infinite"] * len(first))

    def _hover(self, line: _Line, at: int, value: float) -> str:
        text = f"{one_line(line.label, limit=_LONGEST_NAME)}: {number(value)}"
        if line.band is None:
            return text
        low, high = float(line.band.low[at]), float(line.band.high[at])
        return (
            f"{text} ({number(low)} to {number(high)}), {CENTER_WORDS[line.band.kind]} of {int(line.band.counts[at]):,}"
        )


def _cut_handle(label: str, **how: Any) -> Line2D:
    from loops_nb.charts.layout import handle
    from loops_nb.charts.text_metrics import cut_text

    style: dict[str, Any] = {"linestyle": "-", "markersize": 4.5, "markeredgewidth": 0, **how}
    return handle(cut_text(label, SMALL, _LONGEST_LABEL), **style)


def _y_scale(lines: Sequence[_Line]) -> AxisScale:
    parts = [
        part
        for line in lines
        for part in (line.y, line.partial, *((line.band.low, line.band.high) if line.band is not None else ()))
    ]
    values = np.concatenate([np.empty(0), *[part[np.isfinite(part)] for part in parts]])
    bottom, top = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = (top / 2 - bottom / 2) * 0.1 or abs(top) * 0.1 or 1.0
    largest = float(np.finfo(np.float64).max)
    return AxisScale(max(bottom - room, -largest), min(top + room, largest))


def _fewer(x: Floats, y: Floats, most: int) -> tuple[Floats, Floats]:
    if len(x) <= most:
        return x, y
    found = downsample(x, y, low=float(x[0]), high=float(x[-1]), most=most)
    return found.x, found.y


def _span(x: Floats) -> tuple[float, float] | None:
    return (float(x[0]), float(x[-1])) if len(x) else None
