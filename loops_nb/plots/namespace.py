"""``df.loops.plot``: the pictures of a frame."""

from __future__ import annotations

import pandas as pd

from loops_nb.plots.drift import drift
from loops_nb.plots.grid import By
from loops_nb.plots.picture import Plot
from loops_nb.plots.sizes import Along, sizes
from loops_nb.plots.timeline import timeline


class LoopsPlots:
    """Draws a frame.

    Parameters
    ----------
    frame
        A frame of checkpoints, or of drift.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        """Say what can be drawn."""
        return "<df.loops.plot: timeline() and sizes() of checkpoints, drift() of a frame of drift.>"

    def timeline(self, *, time_zone: str = "local", title: str | None = None) -> Plot:
        """Draw the checkpoints of runs over time; see `loops_nb.plots.timeline`.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or a column that is needed was dropped.
        ConfigError
            If there is no such time zone.
        """
        return timeline(self._frame, time_zone=time_zone, title=title)

    def sizes(self, *, along: Along | None = None, time_zone: str = "local", title: str | None = None) -> Plot:
        """Draw the sizes of checkpoints along the steps or along time; see `loops_nb.plots.sizes`.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or a column that is needed was dropped.
        ConfigError
            If there is no such time zone.
        """
        return sizes(self._frame, along=along, time_zone=time_zone, title=title)

    def drift(self, *, value: str | None = None, by: By | None = None, title: str | None = None) -> Plot:
        """Draw how weights move from step to step; see `loops_nb.plots.drift`.

        Raises
        ------
        InvalidArgumentError
            If this is not a frame of drift, or has no such column as ``value`` or ``by``.
        """
        return drift(self._frame, value=value, by=by, title=title)
