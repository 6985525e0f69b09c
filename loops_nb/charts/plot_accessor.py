"""``df.loops.plot``: the charts of a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.charts.columns import need
from loops_nb.charts.curve_grid import draw_curves
from loops_nb.charts.drift import drift
from loops_nb.charts.parallel import parallel
from loops_nb.charts.sizes import Along, sizes
from loops_nb.charts.sweep import sweep
from loops_nb.charts.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from loops_nb.charts.drift_grid import By
    from loops_nb.charts.plot import Plot


class PlotAccessor:
    """Draws a frame.

    Parameters
    ----------
    frame : pandas.DataFrame
        Checkpoints, drift, or experiments.

    Examples
    --------
    >>> df = loops.checkpoints.list(run_id="k4q95w5")
    >>> df.loops.plot.timeline()
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        """Say what can be drawn."""
        return (
            "<df.loops.plot: timeline() and sizes() of checkpoints, drift() of a frame of drift, "
            "curves(), sweep() and parallel() of experiments.>"
        )

    def timeline(self, *, time_zone: str = "local", title: str | None = None, ax: Axes | None = None) -> Plot:
        """Draw the checkpoints of runs over time; see `loops_nb.charts.timeline`.

        Parameters
        ----------
        time_zone : str, default "local"
            Zone of all times: ``local``, ``UTC`` or a name such as ``Europe/Berlin``.
        title : str, optional
            Another title.
        ax : matplotlib.axes.Axes, optional
            Draw into these axes.

        Returns
        -------
        Plot
            Shows itself in a notebook; ``.table``, ``.notes``, ``.figure``, ``.svg`` and ``.save(path)``.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or a column that is needed was dropped.
        ConfigError
            If there is no such time zone.

        Examples
        --------
        >>> df.loops.plot.timeline(time_zone="UTC").save("timeline.pdf")
        """
        return timeline(self._frame, time_zone=time_zone, title=title, ax=ax)

    def sizes(
        self,
        *,
        along: Along | None = None,
        time_zone: str = "local",
        title: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Plot:
        """Draw the sizes of checkpoints along the steps or along time; see `loops_nb.charts.sizes`.

        Parameters
        ----------
        along : {"step", "time"}, optional
            What the x axis is; left out, the steps if most names have one.
        time_zone : str, default "local"
            Zone of all times.
        title : str, optional
            Another title.
        ax : matplotlib.axes.Axes or sequence of them, optional
            Draw into these axes, one for each run.

        Returns
        -------
        Plot
            Shows itself in a notebook; ``.table``, ``.notes``, ``.figure``, ``.svg`` and ``.save(path)``.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or a column that is needed was dropped.
        ConfigError
            If there is no such time zone.

        Examples
        --------
        >>> df.loops.plot.sizes(along="time")
        """
        return sizes(self._frame, along=along, time_zone=time_zone, title=title, ax=ax)

    def drift(
        self,
        *,
        value: str | None = None,
        by: By | None = None,
        title: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Plot:
        """Draw how weights move from step to step; see `loops_nb.charts.drift`.

        Parameters
        ----------
        value : str, optional
            The column that the colors show; left out, ``relative_change``.
        by : {"layer", "module_type", "module"}, optional
            What a row is; left out, the first of these that the frame has.
        title : str, optional
            Another title.
        ax : matplotlib.axes.Axes or sequence of them, optional
            Draw into these axes, one for each run and target.

        Returns
        -------
        Plot
            Shows itself in a notebook; ``.table``, ``.notes``, ``.figure``, ``.svg`` and ``.save(path)``.

        Raises
        ------
        InvalidArgumentError
            If this is not a frame of drift, or has no such column as ``value`` or ``by``.

        Examples
        --------
        >>> df.loops.plot.drift(value="cosine", by="module_type")
        """
        return drift(self._frame, value=value, by=by, title=title, ax=ax)

    def curves(
        self,
        metric: str | Sequence[str] | None = None,
        *,
        group_by: str | Sequence[str] | None = None,
        band: str = "std",
        baseline: str | None = None,
        against: str = "difference",
        color_by: str | None = None,
        axis: str = "step",
        smoothing: float = 0.0,
        time_zone: str = "local",
        title: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Plot:
        """Draw the curves of exactly these experiments, or of groups of them; see `loops_nb.charts.curve_grid`.

        Parameters
        ----------
        metric : str or sequence of str, optional
            Keys, or shell patterns of them (``eval/*``), each in axes of its own; by default all but durations.
        group_by : str or sequence of str, optional
            Parameters (``lr``, ``lora.rank``), ``tag``, ``project``, ``name`` or ``seedless``, the name without its
            seed; by default each experiment has a line.
        band : {"std", "minmax", "quartiles"}, default "std"
            Around a group: mean and one standard deviation, mean and extremes, or median and quartiles.
        baseline : str, optional
            Label of a group, or name, id or run of an experiment: drawn dashed, with differences to it beside it.
        against : {"difference", "ratio"}, default "difference"
            How curves are compared with the baseline.
        color_by : str, optional
            Parameter that colors the lines.
        axis : {"step", "tokens", "elapsed", "clock"}, default "step"
            What x is; ``elapsed`` is the time since an experiment began.
        smoothing : float, default 0.0
            Weight of the exponential moving average of each experiment, from 0 (none) to 0.999.
        time_zone : str, default "local"
            Zone of times on the axis ``clock``.
        title : str, optional
            Another title.
        ax : matplotlib.axes.Axes or sequence of them, optional
            Draw into these axes, one for each metric (and one for its differences).

        Returns
        -------
        Plot
            Shows itself in a notebook; ``.table`` as ``loops.metrics.results``, ``.data`` as ``loops.metrics.groups``,
            ``.notes``, ``.figure``, ``.svg`` and ``.save(path)``.

        Raises
        ------
        InvalidArgumentError
            If these are not experiments, the column ``id`` was dropped, or an argument cannot be used.
        TrackingError
            If nothing was logged under a key, there is no such baseline, or the file of experiments cannot be read.
        ConfigError
            If there is no such time zone.

        Examples
        --------
        >>> df = loops.metrics.experiments(tags="sweep30")
        >>> df.loops.plot.curves(["train/loss", "eval/*"], group_by="lr", band="quartiles").save("curves.pdf")
        """
        need(self._frame, "curves", "experiments", ("id",))
        from loops_nb.tracking.metrics import Metrics  # charts of checkpoints need no experiments

        return draw_curves(
            Metrics(),
            self._frame["id"].tolist(),
            metric,
            group_by=group_by,
            band=band,
            baseline=baseline,
            against=against,
            color_by=color_by,
            axis=axis,
            smoothing=smoothing,
            time_zone=time_zone,
            title=title,
            ax=ax,
        )

    def sweep(
        self,
        metric: str = "loss",
        *,
        mode: str | None = None,
        at: str = "best",
        title: str | None = None,
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Plot:
        """Draw a metric against each parameter of these experiments; see `loops_nb.charts.sweep`.

        Parameters
        ----------
        metric : str, default "loss"
            A key that was logged.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better; by default inferred from the key.
        at : {"best", "last"}, default "best"
            Which value of each experiment is drawn.
        title : str, optional
            Another title.
        ax : matplotlib.axes.Axes or sequence of them, optional
            Draw into these axes, one for each parameter.

        Returns
        -------
        Plot
            Shows itself in a notebook; ``.table``, ``.notes``, ``.figure``, ``.svg`` and ``.save(path)``.

        Raises
        ------
        InvalidArgumentError
            If these are not experiments, the column ``id`` was dropped, or ``mode`` or ``at`` is invalid.
        TrackingError
            If nothing was logged under that key, or the file of experiments cannot be read.

        Examples
        --------
        >>> loops.metrics.experiments().loops.plot.sweep("loss").save("sweep.pdf")
        """
        need(self._frame, "sweep", "experiments", ("id",))
        from loops_nb.tracking.metrics import Metrics  # charts of checkpoints need no experiments

        data = Metrics().sweep_data(metric, self._frame["id"].tolist(), mode=mode, at=at)
        return sweep(data, title=title, ax=ax)

    def parallel(
        self,
        metric: str = "loss",
        *,
        mode: str | None = None,
        at: str = "best",
        title: str | None = None,
        ax: Axes | None = None,
    ) -> Plot:
        """Draw the parameters of these experiments as parallel axes; see `loops_nb.charts.parallel`.

        Parameters
        ----------
        metric : str, default "loss"
            A key that was logged; the last axis, and the color of the lines.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better; by default inferred from the key.
        at : {"best", "last"}, default "best"
            Which value of each experiment is drawn.
        title : str, optional
            Another title.
        ax : matplotlib.axes.Axes, optional
            Draw into these axes.

        Returns
        -------
        Plot
            Shows itself in a notebook; ``.table``, ``.notes``, ``.figure``, ``.svg`` and ``.save(path)``.

        Raises
        ------
        InvalidArgumentError
            If these are not experiments, the column ``id`` was dropped, or ``mode`` or ``at`` is invalid.
        TrackingError
            If nothing was logged under that key, or the file of experiments cannot be read.

        Examples
        --------
        >>> loops.metrics.experiments().loops.plot.parallel("loss").save("sweep.pdf")
        """
        need(self._frame, "parallel", "experiments", ("id",))
        from loops_nb.tracking.metrics import Metrics  # charts of checkpoints need no experiments

        data = Metrics().sweep_data(metric, self._frame["id"].tolist(), mode=mode, at=at)
        return parallel(data, at=at, title=title, ax=ax)
