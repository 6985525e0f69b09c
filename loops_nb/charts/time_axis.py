"""A time axis on which long gaps between runs are shortened."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from loops_nb.charts.style import FAINT, INK, SMALL, STRONG
from loops_nb.charts.ticks import EARLIEST, LATEST, Tick, day_words, time_ticks
from loops_nb.render.formatting import moment, roughly, zone_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo
    from typing import Any

    from matplotlib.axes import Axes

    from loops_nb.charts.checkpoint_points import CheckpointPoint

_DAY = 86_400.0
#: Around a single moment, in seconds.
_AROUND = 1800.0
#: A gap is shortened when it is so many times as long as the usual run, or the usual gap where runs have one moment
#: each.
_LONGER_THAN_RUNS, _LONGER_THAN_GAPS = 3.0, 10.0
#: Gaps are shortened only where they would take this share of the axis or more.
_LEAST_SHARE = 0.5
#: Shares of the axis: each shortened gap, all of them together, and beyond the first and the last moment.
_GAP, _ALL_GAPS, _MARGIN = 0.06, 0.4, 0.02


class Gap(NamedTuple):
    """A shortened part of the axis without checkpoints, from and until seconds since 1970."""

    start: float
    end: float


class TimeAxis:
    """Maps seconds since 1970 to shares of the axis, from 0 to 1.

    Parameters
    ----------
    runs : sequence of sequence of float
        The moments of each run, in seconds since 1970.
    zone : tzinfo or None
        Of the labels; None is the machine's own.
    """

    def __init__(self, runs: Sequence[Sequence[float]], zone: tzinfo | None) -> None:
        self._zone = zone
        spans = _united((min(moments), max(moments)) for moments in runs if moments)
        low, high = spans[0][0], spans[-1][1]
        if high - low < 1:
            low, high = max(low - _AROUND, EARLIEST - _AROUND), min(high + _AROUND, LATEST + _AROUND)
            spans = [(low, high)]
        self.low: float = low
        self.high: float = high
        self.gaps: list[Gap] = _long_gaps(spans)
        self._seconds, self._shares = self._map()

    def _map(self) -> tuple[Any, Any]:
        gap = min(_GAP, _ALL_GAPS / max(len(self.gaps), 1))
        seconds = [self.low, *(moment for gap in self.gaps for moment in gap), self.high]
        lengths = np.diff(seconds)
        shares = np.full(len(lengths), gap)
        busy = lengths[::2].sum()
        free = 1 - 2 * _MARGIN - gap * len(self.gaps)
        # A part that is one moment long still has its place.
        least = free * 0.2 / len(lengths[::2])
        shares[::2] = least + (free - least * len(lengths[::2])) * (
            lengths[::2] / busy if busy else 1 / len(lengths[::2])
        )
        if not self.gaps:
            shares[0] = free
        places = np.concatenate([[_MARGIN], _MARGIN + np.cumsum(shares)])
        around = max(self.high - self.low, 1.0) * _MARGIN
        return np.array([self.low - around, *seconds, self.high + around]), np.array([0.0, *places, 1.0])

    def share(self, seconds: Any) -> Any:
        """Return where moments stand, as shares of the axis."""
        return np.interp(seconds, self._seconds, self._shares)

    def days(self, seconds: Any) -> Any:
        """Return moments as matplotlib counts them: days since its epoch."""
        from matplotlib.dates import date2num

        return date2num(np.array(np.asarray(seconds) * 1e6, dtype="int64").view("datetime64[us]"))

    def apply(self, ax: Any) -> None:
        """Set limits and scale of an x axis whose data are `days`."""
        ends = self.days(self._seconds)
        if self.gaps:
            shares = self._shares

            def forward(days: Any) -> Any:
                return np.interp(days, ends, shares)

            def back(places: Any) -> Any:
                return np.interp(places, shares, ends)

            ax.set_xscale("function", functions=(forward, back))
        ax.set_xlim(ends[0], ends[-1])

    def shade_gaps(self, ax: Axes, *, has_labels: bool) -> None:
        """Shade the shortened gaps, and write above them how long they are where there is room."""
        from loops_nb.charts.layout import text_style, width_of
        from loops_nb.charts.text_metrics import text_width

        for gap in self.gaps:
            start, end = (float(self.days(at)) for at in gap)
            ax.axvspan(
                start, end, facecolor=INK, edgecolor="none", linewidth=0, alpha=FAINT / 2, zorder=0, clip_on=False
            )
            words = " ".join(roughly(gap.end - gap.start).split()[:2])
            low, high = self.share(list(gap))
            if has_labels and text_width(words, SMALL) <= (high - low) * width_of(ax) + 6:
                style = text_style(alpha=STRONG, ha="center", va="bottom", transform=ax.get_xaxis_transform())
                ax.text((start + end) / 2, 1, words, **style)

    def ticks(self, most: int) -> list[Tick]:
        """Return round moments of the zone's calendar: about ``most``, and one at least between two gaps."""
        starts = [self.low, *(gap.end for gap in self.gaps)]
        ends = [*(gap.start for gap in self.gaps), self.high]
        ticks = []
        for start, end in zip(starts, ends, strict=True):
            count = max(1, round(most * float(self.share(end) - self.share(start))))
            ticks += time_ticks(start, end, self._zone, count) or [self._plain_tick(start)]
        return ticks

    def fitting_ticks(self, ax: Axes, most: int) -> list[Tick]:
        """Return those of `ticks` whose labels have room, at `days`."""
        from loops_nb.charts.layout import fit_ticks, width_of

        ticks = self.ticks(most)
        fitting = fit_ticks(ticks, [float(self.share(tick.at)) for tick in ticks], width_of(ax))
        return [replace(tick, at=float(self.days(tick.at))) for tick in fitting]

    def _plain_tick(self, seconds: float) -> Tick:
        there = datetime.fromtimestamp(seconds, UTC).astimezone(self._zone)
        return Tick(seconds, f"{there:%H:%M}", day_words(there))

    def notes(self) -> list[str]:
        """Return a sentence about shortened gaps; none where there are none."""
        if not self.gaps:
            return []
        start, end = max(self.gaps, key=lambda gap: gap.end - gap.start)
        longest = f"{roughly(end - start)} from {moment(datetime.fromtimestamp(start, UTC), self._zone)[:16]}"
        count = len(self.gaps)
        if count == 1:
            return [f"1 gap without checkpoints is shortened: {longest}."]
        return [f"{count:,} gaps without checkpoints are shortened; the longest is {longest}."]


def time_axis(points: Iterable[CheckpointPoint], zone: tzinfo | None) -> TimeAxis:
    """Return the axis for some checkpoints, at least one of which has a time."""
    runs: dict[str, list[float]] = {}
    for point in points:
        if point.at is not None:
            runs.setdefault(point.run_id, []).append(point.at)
    return TimeAxis(list(runs.values()), zone)


def period(points: Sequence[CheckpointPoint], zone: tzinfo | None) -> str:
    """Return from when to when, in words."""
    first, last = (moment(when, zone)[:16] for when in _ends(points))
    if first == last:
        return first
    # The day is said once.
    return f"{first} to {last[11:] if last[:10] == first[:10] else last}"


def zone_of(points: Sequence[CheckpointPoint], zone: tzinfo | None, time_zone: str) -> str:
    """Return what the zone is called at these moments."""
    return zone_name(time_zone, zone, _ends(points))


def _ends(points: Sequence[CheckpointPoint]) -> list[datetime]:
    moments = [point.at for point in points if point.at is not None]
    return [datetime.fromtimestamp(at, UTC) for at in (min(moments), max(moments))]


def _united(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans in order, those that overlap as one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def _long_gaps(spans: Sequence[tuple[float, float]]) -> list[Gap]:
    gaps = [Gap(before[1], after[0]) for before, after in itertools.pairwise(spans)]
    if not gaps:
        return []
    usual = median(end - start for start, end in spans)
    least = usual * _LONGER_THAN_RUNS if usual > 0 else _LONGER_THAN_GAPS * median(gap.end - gap.start for gap in gaps)
    long = [gap for gap in gaps if gap.end - gap.start > least]
    taken = sum(gap.end - gap.start for gap in long)
    return long if taken >= _LEAST_SHARE * (spans[-1][1] - spans[0][0]) else []
