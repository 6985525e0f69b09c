"""``loops.metrics``: the recorded experiments of this machine as DataFrames, and tags, notes and parameters of them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.config.paths import user_path
from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking.deletion import ExperimentContents, rows_to_delete
from loops_nb.tracking.location import Location
from loops_nb.tracking.metric_mode import infer_mode, unknown_mode
from loops_nb.tracking.rows import ExperimentRow, without_archived
from loops_nb.tracking.store import ExperimentStore
from loops_nb.tracking.values import as_step

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from loops_nb.tracking.copy import CopyResult
    from loops_nb.tracking.curve_groups import GroupedCurves
    from loops_nb.tracking.sweep import SweepData

_Selector = str | Sequence[str]


class ImportResult(NamedTuple):
    """Result of `Metrics.import_`.

    Parameters
    ----------
    new : list of str
        Ids of the experiments that were added.
    known : list of str
        Ids of those that existed before and stay unchanged.
    """

    new: list[str]
    known: list[str]


class Metrics:
    """The experiments of this machine, or of a team; the same for every connection to the service.

    Methods with a parameter ``what`` take experiments by their id, the id of their run, or their name.  A name that
    several have selects all of them, and archived ones only if all are.  A shell pattern (``lr-*``) selects those
    whose name it matches, but no archived ones.

    Parameters
    ----------
    path : str or path-like, optional
        File of experiments, or the address of a team's store; by default as
        `loops_nb.tracking.location.store_location`, looked up at each call.

    Raises
    ------
    TrackingError
        By every method, if the file cannot be used or nothing is recorded for a selector.

    Examples
    --------
    >>> loops.metrics.experiments()[["name", "last_step"]]  # doctest: +SKIP
    >>> loops.metrics.frame("lr-sweep", keys=["loss"], wide=True)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path
        self._stores: dict[Location, ExperimentStore] = {}

    @property
    def store(self) -> ExperimentStore:
        """The file of experiments."""
        wanted = ExperimentStore(self._path)
        return self._stores.setdefault(wanted.location, wanted)

    def experiments(
        self,
        *,
        archived: bool = False,
        where: str | None = None,
        tags: str | Iterable[str] = (),
        names: str | Iterable[str] = (),
        since: str | datetime | timedelta | None = None,
        project: str | None = None,
        author: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Return the experiments with their state, parameters, last and best values.

        Parameters
        ----------
        archived : bool, default False
            Include archived experiments.
        where : str, optional
            Only experiments that match an expression over columns, parameters, metrics and summary values, with ``<``,
            ``<=``, ``>``, ``>=``, ``==``, ``!=``, ``in``, ``and``, ``or``, ``not`` and parentheses.  A bare name is a
            column, a parameter, the last value of a metric, or else a summary value; ``params.NAME``,
            ``summary.NAME``, ``last.KEY``, ``best.KEY``, ``min.KEY`` and ``max.KEY`` are exact.  A missing value
            matches no comparison but ``!=`` and ``== none``.
        tags : str or iterable of str, default ()
            Only experiments with all of these tags.
        names : str or iterable of str, default ()
            Only experiments whose name, id or run matches one of these shell patterns.
        since : str, datetime or timedelta, optional
            Only experiments that began since then: an age such as ``36h`` or ``2d``, or a time.
        project : str, optional
            Only experiments of this project.
        author : str, optional
            Only experiments that this user began.
        sort : str, optional
            Column, parameter, metric or summary value to sort by, with ``-`` before it in descending order; by default
            the newest come first.  Experiments without a value come last.
        limit : int, optional
            Only the first so many experiments.

        Returns
        -------
        pandas.DataFrame
            One row per experiment; columns as in `loops_nb.tracking.leaderboard.experiments_frame`.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be read (before anything else is), or names an unknown column.
        TrackingError
            If the file of experiments cannot be read.

        Examples
        --------
        >>> loops.metrics.experiments(where="lr < 1e-3 and lora.rank == 16", sort="best.loss")  # doctest: +SKIP
        >>> loops.metrics.experiments(names="sweep-*", since="2d", limit=5)  # doctest: +SKIP
        """
        from loops_nb.tracking.leaderboard import ExperimentFilter, experiments_frame  # notes and tags need no pandas

        selection = ExperimentFilter(
            where=where,
            tags=tags,
            names=names,
            since=since,
            project=project,
            author=author,
            sort=sort,
            limit=limit,
            archived=archived,
        )
        return experiments_frame(self.store, selection)

    def frame(
        self, what: _Selector | None = None, *, keys: Iterable[str] | None = None, wide: bool = False
    ) -> pd.DataFrame:
        """Return the logged values.

        Parameters
        ----------
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        keys : iterable of str, optional
            Only these keys; by default all.
        wide : bool, default False
            One row per step with a column per key, instead of one row per point.

        Returns
        -------
        pandas.DataFrame
            Columns as in `loops_nb.tracking.frames.metrics_frame`.

        Raises
        ------
        TrackingError
            If nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> df = loops.metrics.frame("lr-sweep", keys=["loss"])  # doctest: +SKIP
        >>> df.groupby("experiment").value.min()  # doctest: +SKIP
        """
        from loops_nb.tracking.frames import metrics_frame

        return metrics_frame(self.store, self.ids(what), keys=keys, wide=wide)

    def marks(self, what: _Selector | None = None) -> pd.DataFrame:
        """Return the saved checkpoints and the notes, oldest first.

        Parameters
        ----------
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.

        Returns
        -------
        pandas.DataFrame
            Columns as in `loops_nb.tracking.frames.marks_frame`.

        Raises
        ------
        TrackingError
            If nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> loops.metrics.marks("lr-sweep").query("kind == 'save'")  # doctest: +SKIP
        """
        from loops_nb.tracking.frames import marks_frame

        return marks_frame(self.store, self.ids(what))

    def samples(self, what: _Selector | None = None, *, step: int | Iterable[int] | None = None) -> pd.DataFrame:
        """Return the recorded samples: prompts with their completions and rewards.

        Parameters
        ----------
        what : str or sequence of str, optional
            Experiments; by default all that are not archived and have samples.
        step : int or iterable of int, optional
            Only these steps; by default all.

        Returns
        -------
        pandas.DataFrame
            One row per sample, by experiment and step, within a step in order of arrival.  Columns: step (Int64),
            prompt, completion (string), reward (float64), experiment, name, run_id (category), attempt (Int64), cut
            (Int64, number of characters that were not kept) and at (datetime64[us, UTC]); then one column for each
            further field, named ``fields.`` and its name, with the dtype of `loops_nb.frames.params.param_array`.

        Raises
        ------
        InvalidArgumentError
            If ``step`` is no integer.
        TrackingError
            If nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> df = loops.metrics.samples("grpo-1", step=[0, 100])  # doctest: +SKIP
        >>> df.groupby("step").reward.mean()  # doctest: +SKIP
        """
        steps = None if step is None else _steps(step)
        from loops_nb.tracking.sample_frames import samples_frame

        ids = self.ids(what)
        if what is None:
            sampled = set(self.store.sampled())
            ids = [key for key in ids if key in sampled]
        return samples_frame(self.store, ids, steps=steps)

    def best(self, metric: str, what: _Selector | None = None, *, mode: str | None = None) -> pd.DataFrame:
        """Return the checkpoints by a metric, the best first.

        Parameters
        ----------
        metric : str
            A key, such as ``loss``.
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better.  By default it is inferred from the key: ``loss``,
            ``perplexity`` and ``error`` are better when lower, ``accuracy``, ``reward`` and ``score`` when higher.

        Returns
        -------
        pandas.DataFrame
            Columns as in `loops_nb.tracking.frames.best_frame`.

        Raises
        ------
        InvalidArgumentError
            If ``mode`` is invalid, or omitted and the key does not imply it.
        TrackingError
            If nothing was logged under that key, nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> loops.metrics.best("loss", "lr-sweep").iloc[0].uri  # doctest: +SKIP
        """
        used_mode = _checked_mode(mode, metric)
        from loops_nb.tracking.frames import best_frame

        found = best_frame(self.store, self.ids(what), metric, highest=used_mode == "max")
        if used_mode is None and len(found):
            raise unknown_mode(metric)
        return found

    def sweep(
        self, metric: str, what: _Selector | None = None, *, mode: str | None = None, at: str = "best"
    ) -> pd.DataFrame:
        """Return which parameters mattered for a metric, the most important first.

        Only ranks are compared, so a learning rate needs no logarithm.  ``explained`` judges each parameter by itself.
        Where scikit-learn is installed, ``importance`` judges it together with the others, and finds what they do only
        together: an ensemble of trees predicts experiments that it has not seen, with and without the parameter.
        Parameters that were changed together cannot be distinguished.

        Parameters
        ----------
        metric : str
            A key, such as ``loss``.
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better.  By default it is inferred from the key, as in `best`.
        at : {"best", "last"}, default "best"
            Which value of each experiment is compared; a last value of NaN counts as the worst.

        Returns
        -------
        pandas.DataFrame
            One row per parameter that differs: parameter (string), best (string, values in the best quarter), explained
            (float64, share of the variance of the metric's ranks between its values, 0 to 1), p_value (float64, of a
            permutation test, corrected for the number of parameters), importance, importance_low, importance_high
            (float64, share of that variance which trees lose without the parameter and its 95 % interval; missing
            without scikit-learn and with fewer than eight experiments), acts_with (string, the parameter that its
            effect depends on), correlation, correlation_low, correlation_high (float64, rank correlation and its 95 %
            interval), values, experiments (Int64).  The notes below it say in words what it shows; with fewer than
            eight experiments they claim nothing.

        Raises
        ------
        InvalidArgumentError
            If ``mode`` or ``at`` is invalid, or ``mode`` is omitted and the key does not imply it.
        TrackingError
            If nothing was logged under that key, nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> loops.metrics.sweep("loss").iloc[0].parameter  # doctest: +SKIP
        'lr'
        """
        from loops_nb.tracking.frames import no_experiments
        from loops_nb.tracking.sweep import sweep_frame

        data = self.sweep_data(metric, what, mode=mode, at=at)
        found = sweep_frame(data)
        if not data.names and not data.missing:
            found.attrs["loops_empty"] = no_experiments(self.store)
        return found

    def sweep_data(
        self, metric: str, what: _Selector | None = None, *, mode: str | None = None, at: str = "best"
    ) -> SweepData:
        """Return what `sweep` and its plot are made of; parameters and errors as there.

        Parameters
        ----------
        metric : str
            A key, such as ``loss``.
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better.
        at : {"best", "last"}, default "best"
            Which value of each experiment is compared.

        Examples
        --------
        >>> loops.metrics.sweep_data("loss").effects[0].name  # doctest: +SKIP
        'lr'
        """
        used_mode = _checked_mode(mode, metric)
        if at not in {"best", "last"}:
            raise InvalidArgumentError(f"at must be best or last, not {at!r:.40}.", argument="at")
        from loops_nb.tracking.sweep import sweep_data

        found = sweep_data(self.store, self.ids(what), metric, highest=used_mode == "max", at=at)
        if used_mode is None and len(found.scores):
            raise unknown_mode(metric)
        return found

    def groups(
        self,
        metric: _Selector | None = None,
        what: _Selector | None = None,
        *,
        group_by: str | Sequence[str] | None = "seedless",
        band: str = "std",
        axis: str = "step",
        baseline: str | None = None,
        places: int = 1000,
    ) -> pd.DataFrame:
        """Return the mean curves of groups of experiments, with a band and the number of members at each place.

        Each member is interpolated inside its own range, never beyond, nor across a value that is no number.  Of what
        was recorded twice (a resumed run) the newest counts.  Where members have more points than ``places``, each
        place has the mean of the points around it.

        Parameters
        ----------
        metric : str or sequence of str, optional
            Keys, or shell patterns of them (``eval/*``); by default all but durations.
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        group_by : str or sequence of str, optional
            Parameters (``lr``, ``lora.rank``), ``tag``, ``project``, ``name`` or, by default, ``seedless``: the name
            without its seed, as in `loops_nb.tracking.groups.group_experiments`.  None: each experiment by itself.
        band : {"std", "minmax", "quartiles"}, default "std"
            Mean and one standard deviation (of a sample) on each side, mean and extremes, or median and quartiles.
        axis : {"step", "tokens", "elapsed", "clock"}, default "step"
            What x is; ``elapsed`` (since the experiment began) and ``clock`` (since 1970) are in seconds.
        baseline : str, optional
            Label of a group, or name, id or run of an experiment, to compare with.
        places : int, default 1000
            Number of places of a curve at most; at least 2.

        Returns
        -------
        pandas.DataFrame
            One row per place of each curve; columns key, group, axis (category), x, center, low, high (float64),
            members (Int64), difference and ratio (float64, missing without a baseline and outside its range).  The
            notes below it say what was grouped.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used, or none of the experiments has a parameter to group by.
        TrackingError
            If nothing was logged under a key, nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> df = loops.metrics.groups("loss", "lr-*", group_by="lr", band="quartiles")  # doctest: +SKIP
        >>> df.pivot(index="x", columns="group", values="center").plot()  # doctest: +SKIP
        """
        from loops_nb.tracking.group_frames import group_curves_frame

        return group_curves_frame(
            self.grouped_curves(metric, what, group_by=group_by, band=band, axis=axis, baseline=baseline, places=places)
        )

    def results(
        self,
        metric: _Selector = "loss",
        what: _Selector | None = None,
        *,
        baseline: str | None = None,
        group_by: str | Sequence[str] | None = None,
        band: str = "std",
        axis: str = "step",
        mode: str | None = None,
    ) -> pd.DataFrame:
        """Return the last and the best value of experiments or groups, and what they are against a baseline.

        Runs of different lengths are compared at the last place that both have; best values wherever they are.

        Parameters
        ----------
        metric : str or sequence of str, default "loss"
            Keys, or shell patterns of them.
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        baseline : str, optional
            Label of a group, or name, id or run of an experiment, to compare with.
        group_by : str or sequence of str, optional
            As in `groups`; by default each experiment by itself.  The values of a group are those of its mean curve
            (median for ``quartiles``).
        band : {"std", "minmax", "quartiles"}, default "std"
            As in `groups`.
        axis : {"step", "tokens", "elapsed", "clock"}, default "step"
            As in `groups`.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better; by default inferred from each key.

        Returns
        -------
        pandas.DataFrame
            One row per group and metric; columns as in `loops_nb.tracking.group_frames.group_results_frame`.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used, or none of the experiments has a parameter to group by.
        TrackingError
            If nothing was logged under a key, nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> loops.metrics.results("eval/loss", "lr-*", baseline="lr-1e-4")  # doctest: +SKIP
        """
        used_mode: Any = mode
        if mode not in {None, "min", "max"}:
            raise InvalidArgumentError(f"mode must be min or max, not {mode!r:.40}.", argument="mode")
        from loops_nb.tracking.group_frames import group_results_frame

        found = self.grouped_curves(metric, what, group_by=group_by, band=band, axis=axis, baseline=baseline)
        return group_results_frame(found, mode=used_mode)

    def grouped_curves(
        self,
        metric: _Selector | None = None,
        what: _Selector | None = None,
        *,
        group_by: str | Sequence[str] | None = None,
        band: str = "std",
        axis: str = "step",
        baseline: str | None = None,
        places: int = 1000,
        smooth: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] | None = None,
    ) -> GroupedCurves:
        """Return what `groups`, `results` and their pictures are made of; parameters and errors as there.

        Parameters
        ----------
        metric : str or sequence of str, optional
            Keys, or shell patterns of them.
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        group_by : str or sequence of str, optional
            What to group by; by default each experiment stands for itself.
        band : {"std", "minmax", "quartiles"}, default "std"
            What the bands are.
        axis : {"step", "tokens", "elapsed", "clock"}, default "step"
            What x is.
        baseline : str, optional
            What to compare with.
        places : int, default 1000
            Number of places of a curve at most.
        smooth : callable, optional
            Applied to the values of each experiment in the order in which they came.

        Examples
        --------
        >>> loops.metrics.grouped_curves("loss", group_by="lr").groups[0].label  # doctest: +SKIP
        'lr=0.0001'
        """
        from loops_nb.tracking.curve_groups import grouped_curves

        return grouped_curves(
            self.store,
            self.ids(what),
            metric,
            group_by=group_by,
            kind=band,
            axis=axis,
            baseline=baseline,
            most=places,
            smooth=smooth,
        )

    def params(self, what: _Selector | None = None) -> pd.DataFrame:
        """Return the parameters of experiments side by side, those that differ first.

        Parameters
        ----------
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.

        Returns
        -------
        pandas.DataFrame
            One row per parameter; columns as in `loops_nb.tracking.frames.params_frame`.

        Raises
        ------
        TrackingError
            If nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> loops.metrics.params(["a", "b"]).query("differs")  # doctest: +SKIP
        """
        from loops_nb.tracking.frames import params_frame

        return params_frame(self.store, self.ids(what))

    def environment(self, what: _Selector | None = None, *, starts: bool = False) -> pd.DataFrame:
        """Return what experiments ran in side by side: git commit, packages, host, command line; what differs first.

        Parameters
        ----------
        what : str or sequence of str, optional
            Experiments; by default all that are not archived.
        starts : bool, default False
            A column for each start of an experiment that was resumed, in place of the newest one.

        Returns
        -------
        pandas.DataFrame
            One row per entry; columns as in `loops_nb.tracking.frames.environments_frame`.

        Raises
        ------
        TrackingError
            If nothing is recorded for a selector, or the file cannot be read.

        Examples
        --------
        >>> loops.metrics.environment(["a", "b"]).query("differs")  # doctest: +SKIP
        """
        from loops_nb.tracking.frames import environments_frame

        return environments_frame(self.store, self.ids(what), starts=starts)

    def set_params(self, what: _Selector, params: Mapping[str, Any]) -> None:
        """Merge parameters into those of experiments; equal names are replaced.

        Parameters
        ----------
        what : str or sequence of str
            Experiments.
        params : mapping
            Parameters by name.

        Examples
        --------
        >>> loops.metrics.set_params("lr-sweep", {"data": "v2"})  # doctest: +SKIP
        """
        for experiment_id in self.ids(what):
            self.store.set_params(experiment_id, params)

    def tag(self, what: _Selector, *tags: str, remove: bool = False) -> None:
        """Add tags to experiments, or remove them.

        Parameters
        ----------
        what : str or sequence of str
            Experiments.
        *tags : str
            Tags.
        remove : bool, default False
            Remove the tags instead.

        Examples
        --------
        >>> loops.metrics.tag("lr-sweep", "baseline")  # doctest: +SKIP
        """
        change = self.store.untag if remove else self.store.tag
        for experiment_id in self.ids(what):
            change(experiment_id, *tags)

    def note(self, what: _Selector, text: str, *, step: int | None = None) -> None:
        """Add a note to experiments, at a step or about the whole.

        Parameters
        ----------
        what : str or sequence of str
            Experiments.
        text : str
            The note.
        step : int, optional
            Step that it is about.

        Examples
        --------
        >>> loops.metrics.note("lr-sweep", "loss spike", step=120)  # doctest: +SKIP
        """
        for experiment_id in self.ids(what):
            self.store.note(experiment_id, text, step=step)

    def archive(self, what: _Selector, *, archived: bool = True) -> None:
        """Hide experiments from listings, or show them again; nothing is deleted.

        Parameters
        ----------
        what : str or sequence of str
            Experiments.
        archived : bool, default True
            False shows them again.

        Examples
        --------
        >>> loops.metrics.archive("lr-sweep")  # doctest: +SKIP
        """
        for row in self.find(what, hidden=not archived):
            self.store.archive(row.id, archived=archived)

    def deletion_plan(self, what: _Selector, *, archived: bool = False) -> list[ExperimentContents]:
        """Return what `delete` would delete; parameters and errors as there, but running experiments are no error.

        Parameters
        ----------
        what : str or sequence of str
            Experiments, as in `delete`.
        archived : bool, default False
            Patterns select archived experiments, too.

        Returns
        -------
        list of ExperimentContents
            For each experiment its row, state, and numbers of metrics, points and recorded saves.

        Examples
        --------
        >>> [(of.row.name, of.points) for of in loops.metrics.deletion_plan("first-try")]  # doctest: +SKIP
        """
        selectors = [what] if isinstance(what, str) else what
        rows = rows_to_delete(self.store.experiments(archived=True), selectors, archived=archived)
        return self.store.contents(rows)

    def delete(self, what: _Selector, *, force: bool = False, archived: bool = False) -> list[ExperimentContents]:
        """Delete recorded experiments for good: values, parameters, tags, notes; all of them or none.

        Runs and checkpoints of the service stay.  `archive` hides experiments without deleting anything.

        Parameters
        ----------
        what : str or sequence of str
            Experiments: ids; names and ids of runs that only one experiment has; shell patterns of names.
        force : bool, default False
            Delete also experiments that are running; what is logged afterwards begins them again, under their id.
        archived : bool, default False
            Patterns select archived experiments, too.

        Returns
        -------
        list of ExperimentContents
            What was deleted.

        Raises
        ------
        InvalidArgumentError
            If several experiments have a name or belong to a run.
        TrackingError
            If nothing is recorded for a selector, an experiment is running, or the file cannot be written.  Nothing was
            deleted then.

        Examples
        --------
        >>> loops.metrics.delete("first-try")  # doctest: +SKIP
        >>> loops.metrics.delete("lr-sweep-*", archived=True)  # doctest: +SKIP
        """
        selectors = [what] if isinstance(what, str) else what
        rows = rows_to_delete(self.store.experiments(archived=True), selectors, archived=archived)
        return self.store.delete(rows, force=force)

    def export(self, path: str | os.PathLike[str], what: _Selector | None = None) -> int:
        """Write experiments to a file that `import_` reads back without loss.

        Parameters
        ----------
        path : str or path-like
            The file; its name ends in ``.jsonl``, ``.csv`` or ``.parquet`` (which needs pyarrow).  An existing file is
            replaced once the new one is complete.
        what : str or sequence of str, optional
            Experiments; by default all, including archived ones.

        Returns
        -------
        int
            Number of rows.

        Raises
        ------
        InvalidArgumentError
            If the name has no known ending.
        TrackingError
            If the file cannot be written, or nothing is recorded for a selector.

        Examples
        --------
        >>> loops.metrics.export("experiments.jsonl")  # doctest: +SKIP
        """
        from loops_nb.tracking.interchange import export

        ids = [row.id for row in self.store.experiments(archived=True)] if what is None else self.ids(what)
        return export(self.store, ids, user_path(path))

    def copy(self, to: str | os.PathLike[str] | PostgresAddress, what: _Selector | None = None) -> CopyResult:
        """Copy experiments to another store: from the file of this machine to a team's, or back.

        Each is copied whole, with its id, times, attempts, samples and author, in one transaction; those that are there
        already, and those that are running, are left alone.  Repeating an interrupted copy goes on with the rest.

        Parameters
        ----------
        to : str, path-like or PostgresAddress
            ``postgresql://USER@HOST/DATABASE``, or a file of experiments.
        what : str or sequence of str, optional
            Experiments; by default all, including archived ones.

        Returns
        -------
        CopyResult
            Ids by what became of them: new, known, different (there with another number of points), running.

        Raises
        ------
        TrackingError
            If a store cannot be used, it is the same store, or nothing is recorded for a selector.

        Examples
        --------
        >>> loops.metrics.copy("postgresql://team@db/loops").new  # doctest: +SKIP
        """
        from loops_nb.tracking.copy import copy_experiments  # only for those who copy

        source = self.store
        rows = source.experiments(archived=True) if what is None else self.find(what, hidden=True)
        with ExperimentStore(to) as target:
            if target.location == source.location:
                raise TrackingError(
                    f"Both are the same store, {target.location}. Nothing was copied.",
                    hint="RecordedMetrics(PATH).copy(...), or %loops experiments copy --from local, begins elsewhere.",
                )
            return copy_experiments(source, target, rows[::-1])

    def import_(self, path: str | os.PathLike[str]) -> ImportResult:
        """Add the experiments of a file or folder; those whose id exists already stay unchanged.

        Of a recipe's ``metrics.jsonl`` the numbers become the experiment's metrics; ``config.json`` beside it its
        parameters, and ``checkpoints.jsonl`` its saved checkpoints.  Runs of TensorBoard, W&B, MLflow and Trackio keep
        their names, tags, parameters, steps and times, without these trackers being installed.  What could not be
        taken over (images, histograms) is counted in the experiment's last note.

        Parameters
        ----------
        path : str or path-like
            A file that `export` wrote; the ``metrics.jsonl`` of a training recipe, or the folder of one; a folder of
            TensorBoard's event files; W&B's folder ``wandb`` with offline runs, or a history exported as CSV or JSON
            lines; MLflow's ``mlruns`` (needs PyYAML) or ``mlflow.db``; a database of Trackio, or its folder.

        Returns
        -------
        ImportResult
            Ids of new and of known experiments.

        Raises
        ------
        InvalidArgumentError
            If the name has no known ending.
        TrackingError
            If the file is none of these, or cannot be read; then nothing was added.

        Examples
        --------
        >>> loops.metrics.import_("experiments.jsonl").new  # doctest: +SKIP
        >>> loops.metrics.import_("runs").new  # TensorBoard's folder  # doctest: +SKIP
        >>> loops.metrics.import_("runs/sft-baseline").new  # doctest: +SKIP
        """
        from loops_nb.tracking.interchange import import_file

        done = import_file(self.store, user_path(path))
        return ImportResult(done.new, done.known)

    def find(self, what: _Selector, *, hidden: bool = False) -> list[ExperimentRow]:
        """Return the selected experiments, in the order of the selectors.

        Parameters
        ----------
        what : str or sequence of str
            Ids of experiments, ids of runs, names, or shell patterns of names.  Archived experiments are selected by
            their id, and by a run or name if all of it are archived.
        hidden : bool, default False
            Select archived experiments by run or name, too.

        Raises
        ------
        TrackingError
            If nothing is recorded for a selector; its hint has similar names.
        """
        rows = self.store.experiments(archived=True)
        found: dict[str, ExperimentRow] = {}
        for selector in [what] if isinstance(what, str) else what:
            matches = [row for row in rows if row.id == selector] or _matches(rows, selector, hidden=hidden)
            if not matches:
                known = dict.fromkeys(text for row in rows for text in (row.name, row.run_id, row.id) if text)
                near = difflib.get_close_matches(selector, known, n=2)
                raise TrackingError(
                    f"Nothing is recorded for {selector!r:.60} on this machine.",
                    hint=f"Did you mean {' or '.join(near)}?" if near else "%loops experiments lists what is.",
                )
            found.update((row.id, row) for row in reversed(matches))
        return list(found.values())

    def ids(self, what: _Selector | None) -> list[str]:
        """Return the ids of the selected experiments; for None of all that are not archived, oldest first."""
        rows = reversed(self.store.experiments()) if what is None else self.find(what)
        return [row.id for row in rows]

    def __repr__(self) -> str:
        return f"<Metrics in {self.store.location}>"


def _checked_mode(mode: str | None, metric: str) -> str | None:
    """Return the mode that was given or is implied by the key; None if neither is."""
    if mode not in {None, "min", "max"}:
        raise InvalidArgumentError(f"mode must be min or max, not {mode!r:.40}.", argument="mode")
    return mode or infer_mode(metric)


def _steps(step: Any) -> list[int]:
    given = [step] if isinstance(step, int) or not isinstance(step, Iterable) or isinstance(step, str) else step
    return [as_step(one) for one in given]


def _matches(rows: Iterable[ExperimentRow], selector: str, *, hidden: bool) -> list[ExperimentRow]:
    matches = [row for row in rows if selector in (row.run_id, row.name)]
    if not matches and is_pattern(selector):
        # A pattern is not a choice of one: what is archived stays hidden.
        matches = [row for row in rows if (hidden or not row.archived) and fnmatchcase(row.name, selector)]
    return matches if hidden else without_archived(matches)


def is_pattern(selector: str) -> bool:
    """Return whether a selector is a shell pattern, such as ``lr-*`` or ``seed-[0-4]``."""
    return any(character in selector for character in "*?[")
