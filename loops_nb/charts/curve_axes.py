"""Axes of charts of curves: scales that cannot overflow, ticks and labels of x with its unit, dots between gaps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from loops_nb.charts.number_format import labelled, value_ticks
from loops_nb.charts.ticks import Tick, time_ticks, whole_ticks
from loops_nb.render.formatting import zone_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from loops_nb.charts.metric_source import Floats
    from loops_nb.charts.series import Axis

#: Beyond these matplotlib's own scales would overflow.
_TINY, _HUGE = 1e-290, 1e290
AXIS_LABELS: dict[Axis, str] = {"step": "step", "tokens": "tokens", "elapsed": "time since the start", "clock": "time"}
#: Units of the time since the start: from how many seconds on, and their name.
_SPANS = ((2 * 86_400, 86_400, "days"), (2 * 3600, 3600, "hours"), (2 * 60, 60, "minutes"))


class AxisScale(NamedTuple):
    """Places numbers on an axis: as they are, or where matplotlib would overflow as shares of the axis."""

    low: float
    high: float

    @property
    def is_extreme(self) -> bool:
        """Whether matplotlib would overflow."""
        known = [abs(value) for value in (self.low, self.high) if value]
        span = self.high / 2 - self.low / 2
        return span < _TINY or span > _HUGE or any(value > _HUGE for value in known)

    def place(self, values: Any) -> Any:
        """Return where values are drawn."""
        return self.share(values) if self.is_extreme else values

    def share(self, values: Any) -> Any:
        """Return where values are as shares of the axis, from 0 to 1."""
        # Halves: the difference of the largest of floats would overflow otherwise.
        return (values / 2 - self.low / 2) / (self.high / 2 - self.low / 2)

    def ticks(self, ticks: Sequence[Tick]) -> list[Tick]:
        """Return ticks where they are drawn."""
        return [Tick(float(self.place(tick.at)), tick.label, tick.below) for tick in ticks]

    @property
    def limits(self) -> tuple[float, float]:
        """The ends of the axis as they are drawn."""
        return (0.0, 1.0) if self.is_extreme else (self.low, self.high)


def x_ticks(axis: Axis, scale: AxisScale, zone: tzinfo | None, most: int) -> tuple[list[Tick], str]:
    """Return the ticks of an x axis and its label with the unit.

    Parameters
    ----------
    axis
        What it is.
    scale
        Its ends.
    zone
        Whose clock, for ``clock``; None is the machine's own.
    most
        Number of ticks at most.
    """
    low, high = scale.low, scale.high
    label = AXIS_LABELS[axis]
    if axis == "clock":
        ends = (datetime.fromtimestamp(at, UTC) for at in (low, high))
        name = zone_name("local" if zone is None else str(zone), zone, ends)
        return time_ticks(low, high, zone, most), f"{label} ({name})"
    if axis == "elapsed":
        unit, name = next(((unit, name) for least, unit, name in _SPANS if high - low >= least), (1, "seconds"))
        return [
            Tick(tick.at * unit, tick.label) for tick in value_ticks(low / unit, high / unit, most)
        ], f"{label} ({name})"
    ticks = whole_ticks(low, high, most)
    step = ticks[1].at - ticks[0].at if len(ticks) > 1 else 1.0
    return labelled([tick.at for tick in ticks], step, 7 if axis == "step" else 3), label


def with_dots(x: Floats, y: Floats) -> tuple[Any, Any]:
    """Return a line on which points between two gaps stand twice, so that they are seen as dots."""
    known = np.isfinite(y)
    before, after = np.append(False, known[:-1]), np.append(known[1:], False)
    times = np.where(known & ~before & ~after, 2, 1)
    return np.repeat(x, times), np.repeat(y, times)
