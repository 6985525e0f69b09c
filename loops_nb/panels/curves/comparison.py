"""Lines of a chart that are computed from several experiments: groups with a band, and differences to a baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loops_nb.charts.downsample import downsample
from loops_nb.charts.series import MetricSummary
from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.bands import Band, MemberCurve, band, band_label, common_grid, member_curve, on_grid
from loops_nb.tracking.baseline import against_baseline
from loops_nb.tracking.groups import group_experiments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from loops_nb.charts.metric_source import Floats
    from loops_nb.charts.series import MetricHistory
    from loops_nb.panels.curves.messages import ChartSpec


class ComparedLine(NamedTuple):
    """A line that is not that of one experiment as it was recorded.

    Parameters
    ----------
    id, label : str
        What it stays known by while others come and go, and its name in the legend.
    style : int
        Index of its line style.
    members : list of str
        Ids of its experiments.
    x, y : numpy.ndarray of float64
        The line.
    low, high : numpy.ndarray of float64 or None
        The band around it.
    """

    id: str
    label: str
    style: int
    members: list[str]
    x: Floats
    y: Floats
    low: Floats | None
    high: Floats | None

    @property
    def summary(self) -> MetricSummary:
        """The line in numbers, at its places along the axis."""
        fine = np.flatnonzero(np.isfinite(self.y))
        if not len(fine):
            return MetricSummary(count=len(self.y), nonfinite=len(self.y))
        low, high = fine[int(np.argmin(self.y[fine]))], fine[int(np.argmax(self.y[fine]))]
        return MetricSummary(
            count=len(self.y),
            nonfinite=len(self.y) - len(fine),
            last=float(self.y[fine[-1]]),
            last_step=_step(self.x[fine[-1]]),
            low=float(self.y[low]),
            low_step=_step(self.x[low]),
            high=float(self.y[high]),
            high_step=_step(self.x[high]),
        )


class _Source(NamedTuple):
    """A line before it is compared with a baseline."""

    id: str
    label: str
    style: int
    members: list[str]
    band: Band | None
    curve: MemberCurve


def is_compared(spec: ChartSpec) -> bool:
    """Return whether a chart has groups, or differences to a baseline."""
    return bool(spec.group_by or spec.baseline)


def compared_lines(
    rows: Sequence[Any],
    styles: Mapping[str, int],
    spec: ChartSpec,
    history_of: Callable[[str], MetricHistory],
    most_of: Callable[[int], int],
) -> tuple[list[ComparedLine], list[str]]:
    """Return the lines of a chart of groups, or against a baseline, and sentences about them.

    Parameters
    ----------
    rows : sequence
        The experiments.
    styles : mapping of str to int
        The line style of each experiment, by its id.
    spec : ChartSpec
        What is plotted.
    history_of : callable
        Returns the points of an experiment by its id.
    most_of : callable
        Returns how many places a line has at most, by the number of lines.
    """
    curves = {row.id: found for row in rows if (found := _curve(history_of(row.id), spec)) is not None}
    notes: list[str] = []
    sources: list[_Source] = []
    if spec.group_by:
        try:
            grouped = group_experiments(rows, spec.group_by)
        except InvalidArgumentError as error:
            return [], [error.message]
        notes += grouped.notes
        known = [
            (style, group, [one for one in group.ids if one in curves]) for style, group in enumerate(grouped.groups)
        ]
        most = most_of(sum(bool(members) for _, _, members in known))
        for style, group, members in known:
            if members:
                ones = [curves[one] for one in members]
                # A new point of a member must not move all of the line, which would be sent whole.
                grid = common_grid(ones, low=spec.low, high=spec.high, most=most, is_growing=True)
                made = band(ones, kind=spec.band, grid=grid)
                label = band_label(group.label, made)
                sources.append(_Source(f"group:{group.label}", label, style, members, made, made.curve))
    else:
        most = most_of(len(curves))
        for row in rows:
            if row.id in curves:
                name = str(row.name or row.run_id or row.id)
                sources.append(_Source(row.id, name, styles[row.id], [row.id], None, curves[row.id]))
    base = next((one for one in sources if spec.baseline in one.members), None)
    if base is not None:
        what = "divided by" if spec.against == "ratio" else "minus"
        notes.append(f"Values {what} those of the baseline, {base.label}.")
        return [_against(one, base, spec, most) for one in sources], notes
    if spec.baseline:
        notes.append("The baseline has no values of this metric: the values are as they were recorded.")
    return [_as_it_is(one, spec, most) for one in sources], notes


def _as_it_is(source: _Source, spec: ChartSpec, most: int) -> ComparedLine:
    made = source.band
    if made is not None:
        return ComparedLine(
            source.id, source.label, source.style, source.members, made.x, made.center, made.low, made.high
        )
    x, y = source.curve
    low = x[0] if spec.low is None else spec.low
    high = x[-1] if spec.high is None else spec.high
    found = downsample(x, y, low=low, high=high, most=most)
    return ComparedLine(source.id, source.label, source.style, source.members, found.x, found.y, None, None)


def _against(source: _Source, base: _Source, spec: ChartSpec, most: int) -> ComparedLine:
    found = against_baseline(source.curve, base.curve, low=spec.low, high=spec.high, most=most, is_growing=True)
    is_ratio = spec.against == "ratio"
    low = high = None
    made = source.band
    if made is not None and len(found.x):
        values = on_grid(base.curve, found.x).mean
        low, high = (
            _shifted(on_grid(MemberCurve(made.x, edge), found.x).mean, values, is_ratio=is_ratio)
            for edge in (made.low, made.high)
        )
    return ComparedLine(
        source.id,
        f"{source.label} (baseline)" if source is base else source.label,
        source.style,
        source.members,
        found.x,
        found.ratio if is_ratio else found.difference,
        low,
        high,
    )


def _shifted(edge: Floats, base: Floats, *, is_ratio: bool) -> Floats:
    """Return an edge of a band against the baseline; a ratio to a value that is not above 0 has no order."""
    with np.errstate(all="ignore"):
        found: Floats = np.where(base > 0, edge / base, np.nan) if is_ratio else edge - base
    return found


def _curve(history: MetricHistory, spec: ChartSpec) -> MemberCurve | None:
    if not len(history):
        return None
    y = history.smoothed(spec.smoothing) if spec.smoothing else history.y()
    found = member_curve(history.x(spec.axis), y, history.breaks())
    return found if len(found.x) else None


def _step(at: float) -> int:
    return round(float(at)) if math.isfinite(at) else 0
