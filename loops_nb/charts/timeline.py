"""Checkpoints of runs over time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loops_nb.charts.checkpoint_points import (
    CheckpointPoint,
    base_model_of,
    by_run,
    checkpoint_points,
    describe_run,
    table_of,
    targets_of,
)
from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.plot import Plot, one_axes
from loops_nb.charts.style import SIZE, SMALL, STRONG, WIDTH, target_color
from loops_nb.charts.time_axis import TimeAxis, period, time_axis, zone_of
from loops_nb.config.time_zone import display_zone
from loops_nb.render.formatting import MISSING, is_or_are, many, size
from loops_nb.render.tables import Field, Table

if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from loops_nb.charts.svg import Hovers

_MOST_LANES = 60
_MOST_MARKS = 2000
# Shares of the width within which checkpoints of one run and target are drawn as one, tried until there are few enough.
_GRAINS = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02)
_MOST_TICKS = 7
#: In points: a lane, a line of marks in it, the widest name of a run, the margin at the right.
_LANE, _TRACK, _WIDEST_NAME, _RIGHT = 24.0, 10.0, 150.0, 14.0


@ignore_float_errors
def timeline(
    frame: pd.DataFrame, *, time_zone: str = "local", title: str | None = None, ax: Axes | None = None
) -> Plot:
    """Draw the checkpoints of runs over time: a line a run, a marker a checkpoint.

    Markers of different targets have different shapes and colors, and the area of a marker is the size of the
    checkpoint.  Pointing at one shows its URI, time and size.  Where runs lie far apart the gaps between them are
    shortened, shaded, and named in the notes.

    Parameters
    ----------
    frame : pandas.DataFrame
        Checkpoints, with the columns run_id, target and created_at; base_model, size_bytes (bytes), checkpoint_id and
        uri are used where they are there.
    time_zone : str, default "local"
        Zone of all times, as in the setting of that name: ``local``, ``UTC`` or a name such as ``Europe/Berlin``.
    title : str, optional
        Another title.
    ax : matplotlib.axes.Axes, optional
        Draw into these axes; without it into a figure of its own.

    Returns
    -------
    Plot
        Its table has a row for each checkpoint with a time, the run that began last first, oldest first in a run.
        Columns: run_id, base_model, target, checkpoint_id, created_at, size_bytes and uri, as far as the frame has
        them.

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of checkpoints, or has lost a column that is needed.
    ConfigError
        If there is no such time zone.

    Examples
    --------
    >>> loops.checkpoints.list(run_id="k4q95w5").loops.plot.timeline(time_zone="UTC").save("timeline.pdf")
    """
    zone = display_zone(time_zone)
    found = checkpoint_points(frame, "timeline", needs=("created_at",), has_times=True)
    timed = [one for one in found if one.at is not None]
    runs = {run: sorted(ones, key=lambda one: one.at or 0.0) for run, ones in by_run(timed).items()}
    ordered = [one for ones in runs.values() for one in ones]
    whose = f" of {many(len(runs), 'run')}" if runs else ""
    notes = _notes(found, ordered, runs, zone)
    axes = one_axes("timeline", ax)
    chart = _TimelineChart(runs, zone, f"time ({zone_of(ordered, zone, time_zone)})") if ordered else None
    if chart is not None:
        notes[1:1] = chart.axis.notes()
        if axes is not None:
            chart.paint(axes, None)
    return Plot(
        title=title or f"Checkpoints{whose} over time",
        table=table_of(frame, ordered),
        notes=notes,
        words=_words(ordered, zone, time_zone),
        things="checkpoint",
        draw=None if chart is None else chart.draw,
        axes=axes,
    )


def _notes(
    found: list[CheckpointPoint],
    timed: list[CheckpointPoint],
    runs: dict[str, list[CheckpointPoint]],
    zone: tzinfo | None,
) -> list[str]:
    gone = len(found) - len(timed)
    left_out = [f"{many(gone, 'checkpoint')} without a time {is_or_are(gone)} left out."] if gone else []
    if not timed:
        return [*left_out, "There are no checkpoints to draw."]
    known = [one.size for one in timed if one.size is not None]
    weight = f", {size(int(sum(known)))} together" if known else ""
    notes = [f"{many(len(timed), 'checkpoint')}{weight}, {period(timed, zone)}."]
    if len(runs) > _MOST_LANES:
        notes.append(f"The {_MOST_LANES} runs that began last are drawn; plot.table has all {len(runs):,}.")
    return [*notes, *left_out]


def _words(ordered: list[CheckpointPoint], zone: tzinfo | None, time_zone: str) -> Table:
    if not ordered:
        return Table([])
    return Table(
        [
            Field("Run", [one.run_id for one in ordered]),
            Field("Base model", [one.base_model or MISSING for one in ordered], rank=3),
            Field("Target", [one.target for one in ordered]),
            Field("Name", [one.name or MISSING for one in ordered]),
            Field(f"Saved ({zone_of(ordered, zone, time_zone)})", [one.when(zone) for one in ordered], rank=1),
            Field("Size", [one.sized() for one in ordered], is_number=True, rank=2),
        ]
    )


class _TimelineChart:
    """Lanes of runs, the last one to begin on top; down are points from the top of the axes."""

    def __init__(self, runs: dict[str, list[CheckpointPoint]], zone: tzinfo | None, label: str) -> None:
        self._lanes = list(runs.items())[:_MOST_LANES]
        self._zone = zone
        self._label = label
        self._shown = [point for _, points in self._lanes for point in points]
        self._targets = targets_of(self._shown)
        self._largest = max((point.size for point in self._shown if point.size is not None), default=None)
        self._lane = max(_LANE, _TRACK * (len(self._targets) + 0.5))
        self.axis = time_axis(self._shown, zone)

    @ignore_float_errors
    def draw(self, title: str | None) -> tuple[Figure, Hovers]:
        """Draw into a figure of its own."""
        from loops_nb.charts.layout import LINE, PAD, Layout, fix_style, legend_height, style_axes
        from loops_nb.charts.text_metrics import cut_text, text_width

        names = [cut_text(run, SIZE, _WIDEST_NAME) or MISSING for run, _ in self._lanes]
        models = [cut_text(base_model_of(points), SMALL, _WIDEST_NAME) for _, points in self._lanes]
        widest = max(text_width(name, size) for texts, size in ((names, SIZE), (models, SMALL)) for name in texts)
        left = widest + 24
        width, height = WIDTH - left - _RIGHT, self._lane * len(self._lanes)
        handles = self._handles()
        top = PAD + legend_height(handles, width) + (LINE if self.axis.gaps else 0)
        page = Layout(top + height + 3.3 * LINE + PAD, title)
        page.legend(handles, left, PAD, width)
        ax = page.axes(left, top, width, height)
        style_axes(ax, grid="x")
        hovers: Hovers = {}
        self.paint(ax, hovers)
        self._name_lanes(ax, names, models, hovers)
        fix_style(page.figure)
        return page.figure, hovers

    @ignore_float_errors
    def paint(self, ax: Axes, hovers: Hovers | None) -> None:
        """Draw into axes; without ``hovers`` they are the user's own."""
        from loops_nb.charts.layout import LINE, axes_legend, axis_label, set_ticks
        from loops_nb.charts.markers import draw_marks
        from loops_nb.charts.ticks import Tick

        is_own = hovers is not None
        self.axis.apply(ax)
        self.axis.shade_gaps(ax, has_labels=is_own)
        for target in self._targets:
            ax.plot(
                *self._tracks(target),
                color=target_color(target),
                alpha=0.5,
                linewidth=1.0,
                linestyle="-",
                solid_capstyle="butt",
                marker="none",
                zorder=2,
            )
        draw_marks(ax, self._marks(), hovers)
        set_ticks(ax.xaxis, self.axis.fitting_ticks(ax, _MOST_TICKS), is_own=is_own)
        lanes = [Tick((lane + 0.5) * self._lane, "" if is_own else run) for lane, (run, _) in enumerate(self._lanes)]
        set_ticks(ax.yaxis, lanes, is_own=is_own)
        ax.set_ylim(self._lane * len(self._lanes), 0)
        axis_label(ax.xaxis, self._label, is_own=is_own)
        if is_own:
            ax.xaxis.set_label_coords(0.5, -2.7 * LINE / (self._lane * len(self._lanes)))
        else:
            axis_label(ax.yaxis, "run", is_own=False)
            axes_legend(ax, self._handles())

    def _handles(self) -> list[Any]:
        from loops_nb.charts.markers import size_handles, target_handles

        has_unknown = any(point.size is None for point in self._shown)
        return [*target_handles(self._targets), *size_handles(self._largest, has_unknown=has_unknown)]

    def _tracks(self, target: str) -> tuple[list[float], list[float]]:
        """Return lines from the first to the last checkpoint of each run, with gaps between them."""
        x: list[float] = []
        y: list[float] = []
        for lane, (_, points) in enumerate(self._lanes):
            moments = [point.at for point in points if point.target == target and point.at is not None]
            if len(moments) > 1:
                x += [*self.axis.days([moments[0], moments[-1]]).tolist(), math.nan]
                y += [self._down(lane, target)] * 3
        return x, y

    def _down(self, lane: int, target: str) -> float:
        # Each target has its own line in a lane: what is saved at the same time stands one above the other.
        offset = self._targets.index(target) - (len(self._targets) - 1) / 2
        return (lane + 0.5) * self._lane + offset * _TRACK

    def _marks(self) -> list[Any]:
        from loops_nb.charts.markers import Mark, radius_of

        groups = self._groups()
        days = self.axis.days([group[-1].at for _, _, group in groups]).tolist()
        marks = []
        for x, (lane, target, group) in zip(days, groups, strict=True):
            weight = max((point.size for point in group if point.size is not None), default=None)
            radius = radius_of(weight, self._largest)
            text = "\n".join(_describe(group, self._zone))
            marks.append(Mark(x, self._down(lane, target), target, radius, weight is not None, text))
        return marks

    def _groups(self) -> list[tuple[int, str, list[CheckpointPoint]]]:
        """Return what is drawn as one marker: single checkpoints, or where those are too many, those close together."""
        grains = _GRAINS if len(self._shown) > _MOST_MARKS else _GRAINS[:1]
        found: list[tuple[int, str, list[CheckpointPoint]]] = []
        for grain in grains:
            found = [
                (lane, target, group)
                for lane, (_, points) in enumerate(self._lanes)
                for target, group in _together(points, self.axis, grain)
            ]
            if len(found) <= _MOST_MARKS:
                break
        return found

    def _name_lanes(self, ax: Axes, names: list[str], models: list[str], hovers: Hovers) -> None:
        from loops_nb.charts.layout import add_hover, text_style

        for lane, ((run, points), name, model) in enumerate(zip(self._lanes, names, models, strict=True)):
            lines = [(name, SIZE, 1.0, 5.0 if model else 0.0)]
            if model:
                lines.append((model, SMALL, STRONG, -5.5))
            for text, points_high, alpha, up in lines:
                label = ax.annotate(
                    text,
                    (0, (lane + 0.5) * self._lane),
                    xycoords=("axes fraction", "data"),
                    xytext=(-10, up),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    annotation_clip=False,
                    **text_style(alpha=alpha, fontsize=points_high),
                )
                if text == name:
                    add_hover(hovers, label, ["\n".join(describe_run(run, points))])


def _together(points: list[CheckpointPoint], axis: TimeAxis, grain: float) -> list[tuple[str, list[CheckpointPoint]]]:
    if not grain:
        return [(point.target, [point]) for point in points]
    places = axis.share([point.at for point in points])
    groups: dict[tuple[str, int], list[CheckpointPoint]] = {}
    for point, place in zip(points, places.tolist(), strict=True):
        groups.setdefault((point.target, math.floor(place / grain)), []).append(point)
    return [(target, group) for (target, _), group in groups.items()]


def _describe(group: list[CheckpointPoint], zone: tzinfo | None) -> list[str]:
    last = group[-1]
    if len(group) == 1:
        return [last.called(), last.when(zone), last.sized()]
    known = [one.size for one in group if one.size is not None]
    return [
        f"{many(len(group), 'checkpoint')} close together",
        f"{group[0].called()} {group[0].when(zone)}",
        f"to {last.called()} {last.when(zone)}",
        f"{size(int(max(known)))} the largest" if known else MISSING,
    ]
