"""Sizes of checkpoints along the steps or along time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import pandas as pd

from loops_nb.charts.checkpoint_points import (
    CheckpointPoint,
    base_model_of,
    by_run,
    checkpoint_points,
    describe_run,
    table_of,
    targets_of,
)
from loops_nb.charts.columns import choice
from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.plot import Plot, many_axes
from loops_nb.charts.style import SIZE, SMALL, STRONG, WIDTH, target_color
from loops_nb.charts.ticks import Tick, byte_powers, byte_ticks, whole_ticks
from loops_nb.charts.time_axis import time_axis, zone_of
from loops_nb.config.time_zone import display_zone
from loops_nb.render.formatting import MISSING, is_or_are, many, size
from loops_nb.render.tables import Field, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from typing import Any

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from loops_nb.charts.svg import Hovers

Along = Literal["step", "time"]
_MOST_PANELS = 40
_MOST_TICKS = 7
#: In points: the more runs there are, the lower each one's panel, how many at most and its height; what stands above
#: one; the least distance of two labels; margins; the radius of a marker.
_HEIGHTS = ((1, 150.0), (3, 92.0), (8, 60.0))
_LOWEST = 38.0
_PANEL_LABEL = 22.0
_A_TICK = 28.0
_LEFT, _RIGHT = 66.0, 14.0
_RADIUS = 2.5
# From this ratio on the smaller ones would all lie on the ground.
_LOGARITHMIC = 200
_SPARE = 1.03


@ignore_float_errors
def sizes(
    frame: pd.DataFrame,
    *,
    along: Along | None = None,
    time_zone: str = "local",
    title: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Plot:
    """Draw the sizes of checkpoints: a panel a run on one scale, a line a target.

    Parameters
    ----------
    frame : pandas.DataFrame
        Checkpoints, with the columns run_id, target and size_bytes (bytes), and checkpoint_id (whose name contains the
        step) or created_at; base_model and uri are used where they are there.
    along : {"step", "time"}, optional
        What the x axis is; left out, the steps if most names have one.
    time_zone : str, default "local"
        Zone of all times, as in the setting of that name.
    title : str, optional
        Another title.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Draw into these axes, one for each run in the order of the table; without it into a figure of its own.

    Returns
    -------
    Plot
        Its table has a row for each checkpoint that is drawn, the run that began last first.  Columns: run_id,
        base_model, target, checkpoint_id, step (Int64), created_at, size_bytes and uri, as far as the frame has them.

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of checkpoints, has lost a column that is needed, or ``ax`` is not one for each run.
    ConfigError
        If there is no such time zone.

    Examples
    --------
    >>> loops.checkpoints.list(base_model="Qwen/Qwen3-8B").loops.plot.sizes(along="time")
    """
    zone = display_zone(time_zone)
    columns = frame.columns if isinstance(frame, pd.DataFrame) else ()
    has_times = along == "time" or "created_at" in columns
    needs = ["size_bytes"]
    if along == "time":
        needs.append("created_at")
    elif not has_times and "step" not in columns:
        needs.append("checkpoint_id")
    found = checkpoint_points(frame, "sizes", needs=tuple(needs), has_times=has_times)
    way = _way(found) if along is None else choice("sizes", "along", along, ("step", "time"))
    placed = [one for one in found if one.size is not None and _place(one, way) is not None]
    runs = {run: sorted(ones, key=lambda one: _place(one, way) or 0.0) for run, ones in by_run(placed).items()}
    ordered = [one for ones in runs.values() for one in ones]
    chart = _SizesChart(runs, way, zone, time_zone) if ordered else None
    axes = many_axes("sizes", ax, min(len(runs), _MOST_PANELS))
    notes = _notes(found, ordered, len(runs), way)
    if chart is not None:
        notes[1:1] = chart.axis_notes
        for number, each in enumerate(axes or ()):
            chart.paint(each, number, None)
    return Plot(
        title=title or f"Sizes of checkpoints along {'the steps' if way == 'step' else 'time'}",
        table=_table(frame, ordered),
        notes=notes,
        words=_words(ordered, way, zone, time_zone),
        things="checkpoint",
        draw=None if chart is None else chart.draw,
        axes=axes[0] if axes else None,
    )


def _way(found: list[CheckpointPoint]) -> str:
    with_step = sum(one.step is not None for one in found)
    with_time = sum(one.at is not None for one in found)
    return "step" if with_step * 2 >= len(found) or not with_time else "time"


def _place(one: CheckpointPoint, way: str) -> float | None:
    return one.at if way == "time" else one.step


def _table(frame: pd.DataFrame, ordered: list[CheckpointPoint]) -> pd.DataFrame:
    table = table_of(frame, ordered)
    behind = [name for name in ("created_at", "size_bytes", "uri") if name in table.columns]
    table.insert(len(table.columns) - len(behind), "step", [one.step for one in ordered])
    return table.astype({"step": "Int64"})


def _notes(found: list[CheckpointPoint], ordered: list[CheckpointPoint], runs: int, way: str) -> list[str]:
    notes = []
    unsized = sum(one.size is None for one in found)
    unplaced = len(found) - unsized - len(ordered)
    if ordered:
        known = [one.size for one in ordered if one.size is not None]
        low, high = size(int(min(known))), size(int(max(known)))
        span = low if low == high else f"{low} to {high}"
        notes.append(
            f"{many(len(ordered), 'checkpoint')} of {many(runs, 'run')}, {span} each, {size(int(sum(known)))} together."
        )
        if _is_logarithmic(known):
            notes.append("The scale is logarithmic: equal distances are equal ratios.")
    if runs > _MOST_PANELS:
        notes.append(f"The {_MOST_PANELS} runs that began last are drawn; plot.table has all {runs:,}.")
    if unsized:
        notes.append(f"{many(unsized, 'checkpoint')} without a size {is_or_are(unsized)} left out.")
    if unplaced:
        lacking, other = "without a time", ""
        if way == "step":
            lacking = "whose name tells no step"
            if any(one.step is None and one.at is not None for one in found):
                other = ' (along="time" shows them)'
        notes.append(f"{many(unplaced, 'checkpoint')} {lacking} {is_or_are(unplaced)} left out{other}.")
    if not ordered:
        notes.append("There are no checkpoints to draw.")
    return notes


def _words(ordered: list[CheckpointPoint], way: str, zone: tzinfo | None, time_zone: str) -> Table:
    if not ordered:
        return Table([])
    if way == "time":
        where = Field(f"Saved ({zone_of(ordered, zone, time_zone)})", [one.when(zone) for one in ordered])
    else:
        where = Field("Step", [f"{one.step:,}" for one in ordered], is_number=True)
    return Table(
        [
            Field("Run", [one.run_id for one in ordered]),
            Field("Target", [one.target for one in ordered]),
            Field("Name", [one.name or MISSING for one in ordered], rank=1),
            where,
            Field("Size", [one.sized() for one in ordered], is_number=True),
        ]
    )


class _SizesChart:
    """A panel a run, all on the same scales."""

    def __init__(self, runs: dict[str, list[CheckpointPoint]], way: str, zone: tzinfo | None, time_zone: str) -> None:
        self.runs = list(runs.items())[:_MOST_PANELS]
        self._way = way
        self._zone = zone
        shown = [point for _, points in self.runs for point in points]
        self._targets = targets_of(shown)
        self._sizes = [point.size for point in shown if point.size is not None]
        self._tall = next((height for most, height in _HEIGHTS if len(self.runs) <= most), _LOWEST)
        self._steps = [float(point.step) for point in shown if point.step is not None]
        #: Lines of text below the axis: its numbers and its label.
        self._axis, self._label, self._lines = None, "step", 1.9
        self.axis_notes: list[str] = []
        if way == "time":
            self._axis, self._label, self._lines = (
                time_axis(shown, zone),
                f"time ({zone_of(shown, zone, time_zone)})",
                2.7,
            )
            self.axis_notes = self._axis.notes()

    @ignore_float_errors
    def draw(self, title: str | None) -> tuple[Figure, Hovers]:
        """Draw into a figure of its own."""
        from loops_nb.charts.layout import LINE, PAD, Layout, fix_style, legend_height, style_axes
        from loops_nb.charts.markers import target_handles

        handles = target_handles(self._targets)
        width = WIDTH - _LEFT - _RIGHT
        top = PAD + legend_height(handles, width)
        panel = _PANEL_LABEL + self._tall
        foot = (self._lines + 0.6) * LINE
        page = Layout(top + panel * len(self.runs) + foot + PAD, title)
        page.legend(handles, _LEFT, PAD, width)
        hovers: Hovers = {}
        for place in range(len(self.runs)):
            down = top + place * panel + _PANEL_LABEL
            ax = page.axes(_LEFT, down, width, self._tall)
            style_axes(ax)
            self.paint(ax, place, hovers)
            self._name_panel(page, place, down - 6, hovers)
        middle = top + (panel * len(self.runs) + _PANEL_LABEL) / 2
        page.text(12, middle, "size", rotation=90, va="center", ha="center", alpha=0.85)
        fix_style(page.figure)
        return page.figure, hovers

    @ignore_float_errors
    def paint(self, ax: Axes, place: int, hovers: Hovers | None) -> None:
        """Draw a run into axes; without ``hovers`` they are the user's own."""
        from loops_nb.charts.layout import LINE, axes_legend, axis_label, set_ticks
        from loops_nb.charts.markers import draw_marks, target_handles

        is_own = hovers is not None
        run, points = self.runs[place]
        self._scale_sizes(ax, is_own=is_own)
        ticks = self._scale_x(ax)
        is_last = place == len(self.runs) - 1
        set_ticks(ax.xaxis, ticks, is_own=is_own)
        if is_own and not is_last:
            ax.tick_params(axis="x", labelbottom=False)
        for target in targets_of(points):
            line = [point for point in points if point.target == target]
            ax.plot(
                [self._x(point) for point in line],
                [point.size or 0.0 for point in line],
                color=target_color(target),
                alpha=0.7,
                linewidth=1.2,
                linestyle="-",
                solid_capstyle="butt",
                marker="none",
                clip_on=False,
            )
        draw_marks(ax, self._marks(points), hovers)
        if is_last or not is_own:
            axis_label(ax.xaxis, self._label, is_own=is_own)
        if is_own:
            ax.xaxis.set_label_coords(0.5, -self._lines * LINE / self._tall)
        else:
            axis_label(ax.yaxis, "size", is_own=False)
            ax.set_title(run).set_parse_math(False)
            axes_legend(ax, target_handles(targets_of(points)))

    def _name_panel(self, page: Any, place: int, down: float, hovers: Hovers) -> None:
        from loops_nb.charts.layout import add_hover
        from loops_nb.charts.text_metrics import cut_text, text_width

        run, points = self.runs[place]
        name = cut_text(run, SIZE, 300) or MISSING
        label = page.text(_LEFT, down, name, fontsize=SIZE)
        add_hover(hovers, label, ["\n".join(describe_run(run, points))])
        model = base_model_of(points)
        room = WIDTH - _LEFT - _RIGHT - text_width(name, SIZE) - 8
        if model:
            page.text(_LEFT + text_width(name, SIZE) + 8, down, cut_text(model, SMALL, room), alpha=STRONG)

    def _x(self, point: CheckpointPoint) -> float:
        if self._axis is not None:
            return float(self._axis.days(point.at))
        return float(point.step or 0)

    def _scale_x(self, ax: Axes) -> list[Tick]:
        from loops_nb.charts.layout import fit_ticks, width_of

        if self._axis is not None:
            self._axis.apply(ax)
            self._axis.shade_gaps(ax, has_labels=False)
            return self._axis.fitting_ticks(ax, _MOST_TICKS)
        steps = self._steps
        if len(set(steps)) > 1:
            low, high = min(0.0, *steps), max(steps) * _SPARE
        else:
            low, high = steps[0] - 1, steps[0] + 1
        ax.set_xlim(low, high)
        ticks = whole_ticks(low, high, _MOST_TICKS)
        return fit_ticks(ticks, [(tick.at - low) / (high - low) for tick in ticks], width_of(ax))

    def _scale_sizes(self, ax: Axes, *, is_own: bool) -> None:
        from loops_nb.charts.layout import set_ticks

        most = max(2, int(self._tall // _A_TICK))
        if _is_logarithmic(self._sizes):
            low, high = min(self._sizes) * 0.8, max(self._sizes) * 1.25
            ax.set_yscale("log")
            powers = byte_powers(low, high)
            ticks = powers[:: max(1, math.ceil(len(powers) / (most + 1)))]
        else:
            low, high = 0.0, max(self._sizes) * 1.08 or 1.0
            ticks = byte_ticks(high, most)
        ax.set_ylim(low, high)
        set_ticks(ax.yaxis, ticks, is_own=is_own)

    def _marks(self, points: list[CheckpointPoint]) -> list[Any]:
        from loops_nb.charts.markers import Mark

        marks = []
        for point in points:
            where = f"step {point.step:,}" if self._axis is None else point.when(self._zone)
            text = f"{point.called()}\n{where}\n{point.sized()}"
            marks.append(Mark(self._x(point), point.size or 0.0, point.target, _RADIUS, True, text))  # noqa: FBT003
        return marks


def _is_logarithmic(known: list[float]) -> bool:
    return min(known) >= 1 and max(known) / min(known) >= _LOGARITHMIC
