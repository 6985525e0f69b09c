"""``loops.metrics``: the recorded experiments of this machine, their pictures and panels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from loops_nb.tracking.metrics import Metrics

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from matplotlib.axes import Axes

    from loops_nb.charts import Plot
    from loops_nb.panels import ExperimentsPanel, SamplesPanel


class RecordedMetrics(Metrics):
    """The experiments of this machine with pictures and panels; the rest as `loops_nb.tracking.metrics.Metrics`.

    ``loops.metrics``, and by itself where there is no key and no connection.

    Examples
    --------
    >>> import loops_nb
    >>> loops_nb.RecordedMetrics().experiments(tag="sweep30")  # doctest: +SKIP
    """

    def plot(
        self,
        metric: str | Sequence[str] | None = None,
        what: str | Sequence[str] | None = None,
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
        """Draw the curves of experiments, or of groups of them, each metric in axes of its own.

        Parameters
        ----------
        metric : str or sequence of str, optional
            Keys, or shell patterns of them (``eval/*``); by default all but durations.
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
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
            Shows itself in a notebook; ``.table`` as `results`, ``.data`` as `groups`, ``.notes``, ``.figure``,
            ``.svg`` and ``.save(path)``.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used, or none of the experiments has a parameter.
        TrackingError
            If nothing was logged under a key, nothing is recorded for a selector, or the file cannot be read.
        ConfigError
            If there is no such time zone.

        Examples
        --------
        >>> loops.metrics.plot("loss", "lr-*", group_by="lr", color_by="lr").save("loss.pdf")  # doctest: +SKIP
        """
        from loops_nb.charts.curve_grid import draw_curves  # matplotlib

        return draw_curves(
            self,
            what,
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

    def watch(
        self,
        *,
        where: str | None = None,
        tags: str | Iterable[str] = (),
        names: str | Iterable[str] = (),
        since: str | datetime | timedelta | None = None,
        project: str | None = None,
        author: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
        archived: bool = False,
        metric: str | None = None,
        time_zone: str = "local",
    ) -> ExperimentsPanel:
        """Show the experiments in a panel that updates live, also while a cell trains; no request is made.

        Parameters
        ----------
        where, tags, names, since, project, author, limit, archived
            As in `experiments`.
        sort : str, optional
            As in `experiments`; by default as the user sorted last, else the newest first.
        metric : str, optional
            Key of the sparklines, whose columns come first; by default the loss, or the first that was logged.
        time_zone : str, default "local"
            Zone of the times in the static report.

        Returns
        -------
        ExperimentsPanel
            A widget; its ``frame`` is the newest listing.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used, or names a column that no experiment has.
        TrackingError
            If the file of experiments cannot be read.

        Examples
        --------
        >>> loops.metrics.watch(names="sweep-*", where="lr < 1e-3")  # doctest: +SKIP
        """
        from loops_nb import panels  # widgets take 40 ms to import

        return panels.ExperimentsPanel(
            where=where,
            tags=tags,
            names=names,
            since=since,
            project=project,
            author=author,
            sort=sort,
            limit=limit,
            archived=archived,
            metric=metric,
            time_zone=time_zone,
            path=self._path,
        )

    def watch_samples(
        self, what: str | Sequence[str] | None = None, *, steps: int | Iterable[int] | None = None
    ) -> SamplesPanel:
        """Show recorded samples in a panel that updates live: prompts down, steps across; no request is made.

        Parameters
        ----------
        what : str or sequence of str, optional
            Ids of experiments or runs, names, or patterns of names; by default all experiments with samples.
        steps : int or iterable of int, optional
            The steps to show first; by default three that are spread over the training.

        Returns
        -------
        SamplesPanel
            A widget.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> loops.metrics.watch_samples("grpo-1")  # doctest: +SKIP
        """
        from loops_nb import panels  # widgets take 40 ms to import

        return panels.SamplesPanel(what, steps=steps, store=self.store)
