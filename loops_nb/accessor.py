"""``df.loops``: methods of DataFrames of Loops resources; `loops_nb.frames.registration` registers them with pandas."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from loops_nb.api.references import CheckpointRef
from loops_nb.api.step_names import step_of
from loops_nb.api.uri import format_uri
from loops_nb.checkpoints.service import CONNECTIONS, FOLDER, KEPT, CheckpointService, Patterns, refs_of
from loops_nb.client.frame_connections import CONNECTION_ATTR, config_of, only_config
from loops_nb.console import encodable
from loops_nb.errors import InvalidArgumentError, readable_interrupt
from loops_nb.frames.arrays import STRING_DTYPE, times_of
from loops_nb.frames.attributes import KIND_ATTR
from loops_nb.frames.columns import KINDS
from loops_nb.frames.computed import COMPUTED_KINDS

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from loops_nb.charts.plot_accessor import PlotAccessor
    from loops_nb.charts.series import Axis
    from loops_nb.checkpoints.deletion import DeletionPlan
    from loops_nb.client.config import HasConfig
    from loops_nb.panels import CurvesPanel
    from loops_nb.tracking.bands import BandKind

#: In place of a kind in the frame of `LoopsAccessor.timeline`, which is displayed like a listing.
TIMELINE = "timeline"
_TIME_OF = {"logs": "timestamp", "files": "last_modified"}
_EVENT_OF = {
    "runs": "run created",
    "samplers": "sampler created",
    "deployments": "deployment created",
    "checkpoints": "checkpoint saved",
    "teams": "team created",
    "files": "file written",
    "logs": "log line",
}
_DETAIL_OF = {
    "runs": "name",
    "samplers": "base_model",
    "deployments": "base_model",
    "checkpoints": "checkpoint_id",
    "teams": "name",
    "files": "relative_file_name",
    "logs": "message",
}
_CAN = {
    "latest()": frozenset(_EVENT_OF),
    "timeline()": frozenset(_EVENT_OF),
    "by_step()": frozenset({"checkpoints"}),
    "uri": frozenset({"checkpoints"}),
    "total_bytes": frozenset({"checkpoints", "files"}),
    "download()": frozenset({"checkpoints"}),
    "delete()": frozenset({"runs", "checkpoints"}),
    "export_adapter()": frozenset({"checkpoints"}),
    "tensors()": frozenset({"checkpoints"}),
    "compare()": frozenset({"checkpoints"}),
    "changes()": frozenset({"checkpoints"}),
    "drift()": frozenset({"checkpoints"}),
    "duplicates()": frozenset({"checkpoints"}),
    "with_metrics()": frozenset({"runs", "checkpoints"}),
    "sweep()": frozenset({"experiments"}),
    "curves()": frozenset({"experiments", "runs"}),
}
_LINE_OF = {
    "runs": "df = %loops runs",
    "checkpoints": "df = %loops checkpoints RUN",
    "files": "df = %loops files CHECKPOINT",
    "experiments": "df = %loops experiments",
    "planned_deletions": "df = %loops prune RUN --keep last:2",
}
_MARKS = {name: frozenset(column.name for column in kind.columns) for name, kind in KINDS.items()}


class LoopsAccessor:
    """Methods of a DataFrame of Loops resources.

    The kind of a frame is kept through filtering, sorting and selecting columns; where pandas loses it (merges, files)
    it is derived from the columns.

    Parameters
    ----------
    frame : pandas.DataFrame
        A frame made by ``loops_nb``, or one with its columns.

    Examples
    --------
    >>> df = loops.checkpoints.frame(run_id="k4q95w5")
    >>> df.loops
    <df.loops: 8 rows of checkpoints. ...>
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        """Return the kind and the methods that the frame has."""
        try:
            kind = self.kind
        except InvalidArgumentError as error:
            return f"<df.loops: {error.message}>"
        can = [does for does, kinds in _CAN.items() if kind in kinds]
        return f"<df.loops: {len(self._frame):,} rows of {kind}. It can {', '.join(can) or 'do nothing more'}.>"

    @property
    def kind(self) -> str:
        """Kind of the frame: a key of ``loops_nb.frames.KINDS``, such as ``"runs"`` or ``"checkpoints"``.

        Raises
        ------
        InvalidArgumentError
            If the frame is of no kind, or its columns fit several.

        Examples
        --------
        >>> loops.runs.frame().loops.kind
        'runs'
        """
        columns = set(self._frame.columns)
        noted = self._frame.attrs.get(KIND_ATTR)
        if isinstance(noted, str) and columns & (_MARKS.get(noted) or _marks_of_derived(noted)):
            return noted
        if noted == TIMELINE:
            raise InvalidArgumentError(
                "This frame is a timeline: events of several kinds, not a listing of one.",
                argument="df",
                hint="Use the listing that it was made from.",
            )
        # Columns that no kind has (the user's own, or ``step``) are ignored.
        known = columns & frozenset().union(*_MARKS.values())
        fits = [name for name, marks in _MARKS.items() if known and known <= marks]
        if len(fits) == 1:
            return fits[0]
        raise InvalidArgumentError(
            "This frame is not one of Loops resources: its columns "
            + (f"fit several kinds ({', '.join(fits)})." if fits else "fit no kind.")
            + " Nothing was changed.",
            argument="df",
            hint="Start from a frame such as Loops().runs.frame(), or df = %loops runs",
        )

    def latest(self, by: str | list[str] | None = None) -> pd.DataFrame:
        """Return the newest row, or the newest row of each group, newest first.

        Parameters
        ----------
        by : str or list of str, optional
            Columns to group by.  Default for checkpoints is ``run_id`` and ``target`` (of each run, the newest one to
            resume from and the newest one to serve), as far as the frame has those columns; no groups for other kinds.

        Returns
        -------
        pandas.DataFrame
            The same columns.  Rows without a time count as oldest and keep the order of the service, newest first; of
            equal times the first row is taken.  An empty frame stays empty.

        Raises
        ------
        InvalidArgumentError
            If the frame is of no kind, has lost its column of times, or has no column ``by``.

        Examples
        --------
        >>> loops.checkpoints.frame(run_id="k4q95w5").loops.latest(by="target")
        """
        kind = self.kind
        time = self._needs(_TIME_OF.get(kind, "created_at"), "latest")
        groups = [by] if isinstance(by, str) else by
        if groups is None:
            groups = [name for name in ("run_id", "target") if name in self._frame] if kind == "checkpoints" else []
        for name in groups:
            self._needs(name, "latest", argument="by")
        newest_first = self._frame.sort_values(time, ascending=False, kind="stable", na_position="last")
        return newest_first.drop_duplicates(groups) if groups else newest_first.head(1)

    def by_step(self) -> pd.DataFrame:
        """Return checkpoints in the order of training, with the step in each name.

        Returns
        -------
        pandas.DataFrame
            The same rows with one more column, ``step`` (Int64): the number in names such as ``step-100``,
            ``step_000100``, ``ckpt-100`` and ``000100``, missing in names such as ``final``.  Sorted by step, then by
            time, rows without a step last.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or the column ``checkpoint_id`` was dropped.

        Examples
        --------
        >>> loops.checkpoints.frame(run_id="k4q95w5").loops.by_step()[["step", "uri"]]
        """
        self._only("by_step", "checkpoints")
        names = self._frame[self._needs("checkpoint_id", "by_step")]
        steps = pd.array([step_of(name) if isinstance(name, str) else None for name in names], dtype="Int64")
        keys = ["step", "created_at"] if "created_at" in self._frame else ["step"]
        return self._frame.assign(step=steps).sort_values(keys, kind="stable", na_position="last")

    @property
    def uri(self) -> pd.Series[str]:
        """The ``bt://`` URI of each checkpoint (strings), also where only the parts of ``uri`` were kept.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or have neither ``uri`` nor its parts.

        Examples
        --------
        >>> loops.checkpoints.frame(run_id="k4q95w5").loops.uri.iloc[0]
        'bt://loops:k4q95w5/sampler_weights/step-100'
        """
        self._only("uri", "checkpoints")
        if "uri" in self._frame:
            return self._frame["uri"]
        parts = [self._frame[self._needs(name, "uri")] for name in ("run_id", "target", "checkpoint_id")]
        uris = [format_uri(run_id, target, name) for run_id, target, name in zip(*parts, strict=True)]
        rebuilt: pd.Series[str] = pd.Series(uris, index=self._frame.index, dtype=STRING_DTYPE, name="uri")
        return rebuilt

    @property
    def total_bytes(self) -> int:
        """Sum of ``size_bytes`` over all rows with a size, in bytes.

        Raises
        ------
        InvalidArgumentError
            If these are neither checkpoints nor files, or the column was dropped.

        Examples
        --------
        >>> loops.checkpoints.frame(run_id="k4q95w5").loops.total_bytes
        167772160
        """
        self._only("total_bytes", "checkpoints", "files")
        # Python's integers do not overflow as 64 bits would.
        return sum(int(size) for size in self._frame[self._needs("size_bytes", "total_bytes")].dropna())

    @property
    def plot(self) -> PlotAccessor:
        """Charts: ``timeline()``, ``sizes()``, ``drift()`` of checkpoints; ``curves()``, ``sweep()``, ``parallel()``.

        Examples
        --------
        >>> loops.checkpoints.list(run_id="k4q95w5").loops.plot.timeline()
        """
        from loops_nb.charts.plot_accessor import PlotAccessor  # a listing needs no charts

        return PlotAccessor(self._frame)

    def download(
        self,
        into: str | os.PathLike[str] = FOLDER,
        *,
        include: Patterns = (),
        exclude: Patterns = (),
        dry_run: bool = False,
        connections: int = CONNECTIONS,
        quiet: bool = False,
        loops: HasConfig | None = None,
    ) -> pd.DataFrame:
        """Download these checkpoints (``GET /v1/loops/checkpoints/{checkpoint_id}/files`` and the URLs in its answer).

        Parameters
        ----------
        into : str or path-like, default "checkpoints"
            Folder for all of them; each goes to ``into/run/weights/name``.  Or a place in a bucket, such as
            ``s3://bucket/prefix``.
        include, exclude : str or sequence of str, default ()
            Patterns of file names such as ``"*.json"``.
        dry_run : bool, default False
            Download nothing, and return what would be downloaded.
        connections : int, default 16
            Simultaneous connections, 1 to 64.
        quiet : bool, default False
            Show no progress.
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint, with ``path``; for a dry run one row a file, with ``state``.
            Columns as in `loops_nb.checkpoints.transfer.frames`.

        Raises
        ------
        DownloadError, InvalidArgumentError
            As in ``loops.checkpoints.download``, and if the client is not known.

        Examples
        --------
        >>> df = loops.checkpoints.frame(run_id="k4q95w5")
        >>> df.query("target == 'sampler'").loops.download(into="weights", include="*.safetensors")
        """
        from loops_nb.checkpoints.transfer import frames  # urllib3, only for a download

        with self._service("download", loops) as service:
            if dry_run:
                return frames.plan_frame(service.plan(self._refs(), into, include, exclude))
            return frames.downloads_frame(
                service.download(self._refs(), into, include, exclude, connections=connections, quiet=quiet)
            )

    def export_adapter(
        self,
        into: str | os.PathLike[str],
        *,
        merge: bool = False,
        base: str | None = None,
        push: str | None = None,
        private: bool = True,
        quiet: bool = False,
        loops: HasConfig | None = None,
    ) -> pd.DataFrame:
        """Export these checkpoints as adapters that PEFT, vLLM and SGLang load as they are.

        Parameters
        ----------
        into : str or path-like
            Folder of the adapter, which must not exist or be empty; of several rows, each gets the folder
            ``into/run/weights/name``.
        merge, base, push, private, quiet
            As in ``loops.checkpoints.export_adapter``.
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint, with ``path``, ``rank`` and ``sha256``.

        Raises
        ------
        ExportError, DownloadError, InvalidArgumentError
            As in ``loops.checkpoints.export_adapter``, and if the client is not known.

        Examples
        --------
        >>> df = loops.checkpoints.frame(run_id="k4q95w5")
        >>> df.query("target == 'sampler'").head(1).loops.export_adapter("adapters/support")
        """
        with self._service("export_adapter", loops) as service:
            return service.export_adapter(
                self._refs(), into, merge=merge, base=base, push=push, private=private, quiet=quiet
            )

    def delete(
        self, *, sure: bool = False, dry_run: bool = False, workers: int = 8, loops: HasConfig | None = None
    ) -> pd.DataFrame:
        """Delete these runs or checkpoints, or those of a plan, for good, after a question that says what goes.

        Parameters
        ----------
        sure : bool, default False
            Do not ask, for scripts.
        dry_run : bool, default False
            Delete nothing, and return what would be deleted.
        workers : int, default 8
            Simultaneous requests, 1 to 32.
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a run or checkpoint, with result (``deleted``, ``kept``, ``failed``) and reason; for a dry run, or
            if the answer is no, with in_use.  A run is followed by its checkpoints.

        Raises
        ------
        InvalidArgumentError
            If the frame is of another kind or has no rows, the client is not known, or there is no front end to ask in.

        Examples
        --------
        >>> df = loops.checkpoints.frame(run_id="k4q95w5")
        >>> df.query("target == 'trainer'").iloc[3:].loops.delete(dry_run=True)
        """
        with self._service("delete", loops, "runs", "checkpoints", "planned_deletions") as service:
            if self.kind == "runs":
                plan = service.plan_run_deletion(self._frame)
            elif self.kind == "checkpoints":
                plan = service.plan_deletion(self._refs())
            else:
                plan = self._plan_again(service)
            if dry_run or not (sure or _is_confirmed(" ".join((*plan.notes, plan.question)))):
                frame = plan.frame()
                if CONNECTION_ATTR in self._frame.attrs:
                    frame.attrs[CONNECTION_ATTR] = self._frame.attrs[CONNECTION_ATTR]
                return frame
            return service.delete(plan, workers=workers)

    def tensors(self, *, loops: HasConfig | None = None) -> pd.DataFrame:
        """List the tensors of these checkpoints, as ``loops.checkpoints.tensors``.

        Parameters
        ----------
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a tensor.

        Examples
        --------
        >>> df.loops.tensors()
        """
        with self._service("tensors", loops) as service:
            return service.tensors(self._refs())

    def changes(
        self,
        *,
        executor: Executor | None = None,
        share_urls: bool = False,
        loops: HasConfig | None = None,
    ) -> pd.DataFrame:
        """List the tensors that differ from the first row by their headers, as ``loops.checkpoints.changes``.

        Parameters
        ----------
        executor, share_urls
            As in ``loops.checkpoints.compare``.
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a change.

        Examples
        --------
        >>> df.loops.changes()
        """
        with self._service("changes", loops) as service:
            return service.with_executor(executor, share_urls=share_urls).changes(self._refs())

    def compare(
        self,
        by: str = "module",
        *,
        executor: Executor | None = None,
        share_urls: bool = False,
        loops: HasConfig | None = None,
    ) -> pd.DataFrame:
        """Compare the weights of these checkpoints with those of the first row, as ``loops.checkpoints.compare``.

        Parameters
        ----------
        by : {"module", "layer", "module_type", "checkpoint"}, default "module"
            What the numbers are summed up by; ``module`` sums up nothing.
        executor, share_urls
            As in ``loops.checkpoints.compare``.
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint and module.

        Examples
        --------
        >>> df.loops.by_step().loops.compare(by="layer")
        """
        with self._service("compare", loops) as service:
            return service.with_executor(executor, share_urls=share_urls).compare(self._refs(), by)

    def drift(
        self,
        by: str = "module",
        *,
        executor: Executor | None = None,
        share_urls: bool = False,
        loops: HasConfig | None = None,
    ) -> pd.DataFrame:
        """Compute how the weights of these checkpoints changed over their steps, as ``loops.checkpoints.drift``.

        Parameters
        ----------
        by : {"module", "layer", "module_type", "checkpoint"}, default "module"
            What the numbers are summed up by; ``module`` sums up nothing.
        executor, share_urls
            As in ``loops.checkpoints.compare``.
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a step and module.

        Examples
        --------
        >>> df.loops.drift(by="layer").loops.plot.drift()
        """
        with self._service("drift", loops) as service:
            return service.with_executor(executor, share_urls=share_urls).drift(self._refs(), by)

    def duplicates(
        self,
        *,
        executor: Executor | None = None,
        share_urls: bool = False,
        loops: HasConfig | None = None,
    ) -> pd.DataFrame:
        """Find those of these checkpoints that hold the same weights, as ``loops.checkpoints.duplicates``.

        Parameters
        ----------
        executor, share_urls
            As in ``loops.checkpoints.compare``.
        loops : Loops, optional
            The client; default is the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a duplicate.

        Examples
        --------
        >>> df.loops.duplicates()
        """
        with self._service("duplicates", loops) as service:
            return service.with_executor(executor, share_urls=share_urls).duplicates(self._refs())

    def with_metrics(self, at: str | None = None, *, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """Return runs or checkpoints with the metrics recorded on this machine; no request is made.

        Parameters
        ----------
        at : {"save", "last", "min", "max"}, optional
            Which value of each key: for checkpoints ``save``, the last one of the attempt up to the step at which the
            checkpoint was saved; for runs ``last`` (default), ``min`` or ``max``.
        keys : iterable of str, optional
            Only these keys, such as ``["loss"]``; default is all.

        Returns
        -------
        pandas.DataFrame
            The same rows and columns, and a column (float64) a key, missing where nothing was recorded; it is named
            ``metric:`` and the key if the frame has such a column already.  For checkpoints also ``step`` (Int64), as
            recorded or else from the name; for runs also ``tags`` and ``note`` (strings).

        Raises
        ------
        InvalidArgumentError
            If these are neither runs nor checkpoints, the column with the run's id was dropped, or ``at`` is something
            else.
        TrackingError
            If the file of experiments cannot be read.

        Examples
        --------
        >>> df.loops.with_metrics(at="save").sort_values("loss").iloc[0].uri
        """
        self._only("with_metrics", "runs", "checkpoints")
        kind = self.kind
        from loops_nb.tracking import ExperimentStore
        from loops_nb.tracking.join import RUN_VALUES, with_metrics  # a listing alone needs no experiments

        can = RUN_VALUES if kind == "runs" else ("save",)
        if at is not None and at not in can:
            raise InvalidArgumentError(f"at must be {' or '.join(can)} for {kind}, not {at!r:.40}.", argument="at")
        self._needs("id" if kind == "runs" else "run_id", "with_metrics")
        with ExperimentStore() as store:
            return with_metrics(self._frame, store, kind=kind, at=at or can[0], keys=keys)

    def curves(
        self,
        key: str = "",
        *,
        axis: Axis = "step",
        smoothing: float = 0.0,
        group_by: str | Sequence[str] | None = None,
        band: BandKind = "std",
        baseline: str | None = None,
        against: Literal["difference", "ratio"] = "difference",
        color_by: str | None = None,
    ) -> CurvesPanel:
        """Show the training curves of exactly these experiments or runs in a live panel; no request is made.

        Parameters
        ----------
        key : str, default ""
            The metric that is shown first; by default the loss, where that was recorded.
        axis : {"step", "tokens", "elapsed", "clock"}, default "step"
            What x is: ``elapsed`` is the time since an experiment began.
        smoothing : float, default 0.0
            Weight of the exponential moving average, from 0 (none) to 0.999.
        group_by : str or sequence of str, optional
            Draw the mean of groups with a band: by a parameter, several, ``tag``, ``project``, ``name`` or
            ``seedless``, the name without its seed.
        band : {"std", "minmax", "quartiles"}, default "std"
            The band of a group.
        baseline : str, optional
            Draw differences to this experiment (name, id or run) or group (its label).
        against : {"difference", "ratio"}, default "difference"
            How lines are compared with the baseline.
        color_by : str, optional
            Color the lines by a parameter.

        Returns
        -------
        CurvesPanel
            Shows itself as the last value of a cell.  ``plot.curves`` draws a picture, and a file.

        Raises
        ------
        InvalidArgumentError
            If these are neither experiments nor runs, there are no rows, the column ``id`` was dropped, or an argument
            cannot be used.

        Examples
        --------
        >>> df = loops.metrics.experiments(where="lr < 1e-3")
        >>> df.loops.curves("eval/loss", group_by="seedless", color_by="lr")
        """
        self._only("curves", "experiments", "runs")
        ids = self._ids_for("curves")
        from loops_nb.panels import CurvesPanel  # widgets take 40 ms to import

        return CurvesPanel(
            list(dict.fromkeys(ids)),
            key=key,
            axis=axis,
            smoothing=smoothing,
            group_by=group_by,
            band=band,
            baseline=baseline,
            against=against,
            color_by=color_by,
        )

    def sweep(self, metric: str = "loss", *, mode: str | None = None, at: str = "best") -> pd.DataFrame:
        """Return which parameters of these experiments mattered for a metric; no request is made.

        Parameters
        ----------
        metric : str, default "loss"
            A key that was logged.
        mode : {"min", "max"}, optional
            Whether lower or higher values are better; by default inferred from the key.
        at : {"best", "last"}, default "best"
            Which value of each experiment is compared.

        Returns
        -------
        pandas.DataFrame
            One row per parameter that differs, the most important first; columns as in
            `loops_nb.tracking.metrics.Metrics.sweep`.

        Raises
        ------
        InvalidArgumentError
            If these are not experiments, there are no rows, the column ``id`` was dropped, or ``mode`` or ``at`` is
            invalid.
        TrackingError
            If nothing was logged under that key, or the file of experiments cannot be read.

        Examples
        --------
        >>> df = loops.metrics.experiments()
        >>> df[df["params.rank"] == 16].loops.sweep("eval/loss")
        """
        self._only("sweep", "experiments")
        ids = self._ids_for("sweep")
        from loops_nb.tracking.metrics import Metrics  # a listing alone needs no experiments

        return Metrics().sweep(metric, ids, mode=mode, at=at)

    def timeline(self, *others: pd.DataFrame) -> pd.DataFrame:
        """Return the events of one or several frames, oldest first.

        Parameters
        ----------
        *others : pandas.DataFrame
            Further frames whose events are merged.

        Returns
        -------
        pandas.DataFrame
            One row an event with a known time.  Columns: time (``datetime64[us, UTC]``); elapsed (``timedelta64[us]``,
            since the first event); event (categorical: ``run created``, ``checkpoint saved``, ``sampler created``,
            ``deployment created``, ``team created``, ``file written``, ``log line``); run_id, id and detail (strings:
            the run if known, the resource, and its name, base model or text).

        Raises
        ------
        InvalidArgumentError
            If a frame is of a kind without times, has lost its column of times, or has them as strings.

        Examples
        --------
        >>> loops.runs.frame().loops.timeline(loops.checkpoints.frame(run_id="k4q95w5"))
        """
        lines = pd.concat([_events(frame) for frame in (self._frame, *others)], ignore_index=True)
        lines = lines.dropna(subset=["time"]).sort_values("time", kind="stable", ignore_index=True)
        lines.insert(1, "elapsed", (lines["time"] - lines["time"].min()).astype("timedelta64[us]"))
        lines.attrs = {KIND_ATTR: TIMELINE}
        return lines

    def _refs(self) -> list[CheckpointRef]:
        found = refs_of(self._frame)
        if not found:
            raise InvalidArgumentError(
                "There is no checkpoint in this DataFrame: it has no rows. No request was made.", argument="df"
            )
        return list(dict.fromkeys(found))

    def _plan_again(self, service: CheckpointService) -> DeletionPlan:
        """Return the plan to delete what is left of a plan's rows, as of now."""
        from loops_nb.checkpoints.deletion import DeletionPlan  # needed only to delete

        is_run = self._frame[self._needs("kind", "delete")] == "run"
        saved = self._frame[~is_run].rename(columns={"name": "checkpoint_id"})
        plans = [service.plan_run_deletion(self._frame.loc[is_run, "id"].tolist())] if is_run.any() else []
        plans += [service.plan_deletion(refs_of(saved))] if len(saved) else []
        if not plans:
            raise InvalidArgumentError("This plan has no rows. No request was made.", argument="df")
        notes = dict.fromkeys(note for plan in plans for note in plan.notes)
        return DeletionPlan(tuple(item for plan in plans for item in plan.items), tuple(notes))

    @contextmanager
    def _service(self, method: str, loops: HasConfig | None, *kinds: str) -> Iterator[CheckpointService]:
        self._only(method, *(kinds or ("checkpoints",)))
        config = config_of(self._frame.attrs.get(CONNECTION_ATTR)) or only_config()
        if loops is not None:
            config = loops.config
        if config is None:
            raise InvalidArgumentError(
                f"df.loops.{method} does not know which service this frame came from (pandas keeps no note of it in "
                f"files and merges).",
                argument="loops",
                hint=f"Name it: df.loops.{method}(loops=loops), where loops = %loops connect or loops = Loops(...)",
            )
        from loops_nb.client.transport import Transport  # needed only with the network

        then = KEPT if method in {"download", "export_adapter"} else "Nothing was changed."
        with readable_interrupt(f"df.loops.{method}", then), closing(Transport(config)) as transport:
            yield CheckpointService(transport)

    def _only(self, method: str, *kinds: str) -> None:
        kind = self.kind
        if kind not in kinds:
            raise InvalidArgumentError(
                f"df.loops.{method} is for {' and '.join(kinds)}; this is a frame of {kind}.",
                argument="df",
                hint=f"Start from {' or '.join(_LINE_OF[name] for name in kinds)}",
            )

    def _ids_for(self, method: str) -> list[str]:
        ids = self._frame[self._needs("id", method)].dropna().tolist()
        if not ids:
            raise InvalidArgumentError(f"There are no {self.kind} in this DataFrame: it has no rows.", argument="df")
        return ids

    def _needs(self, column: str, method: str, *, argument: str = "df") -> str:
        if column not in self._frame:
            raise InvalidArgumentError(
                f"df.loops.{method} needs the column {column!r}, which this frame of {self.kind} does not have.",
                argument=argument,
                hint=f"Keep it when selecting columns; it has {', '.join(map(str, self._frame.columns)) or 'none'}.",
            )
        return column


def _marks_of_derived(name: str) -> frozenset[str]:
    return frozenset(column.name for column in COMPUTED_KINDS[name].columns) if name in COMPUTED_KINDS else frozenset()


def _is_confirmed(question: str) -> bool:
    try:
        answer = input(encodable(f"{question} [y/N] "))
    except (EOFError, NotImplementedError) as error:
        raise InvalidArgumentError(
            "This session cannot ask for confirmation, so nothing was deleted.",
            argument="sure",
            hint="Say it in the call: df.loops.delete(sure=True)",
        ) from error
    return answer.strip().lower() in {"y", "yes"}


def _events(frame: pd.DataFrame) -> pd.DataFrame:
    loops = cast("LoopsAccessor", frame.loops)
    kind = loops.kind
    if kind not in _EVENT_OF:
        raise InvalidArgumentError(f"A frame of {kind} has no times, so it has no timeline.", argument="df")
    name = loops._needs(_TIME_OF.get(kind, "created_at"), "timeline")  # noqa: SLF001 - our own
    time = times_of(frame[name])
    if time is None:
        raise InvalidArgumentError(
            f"df.loops.timeline needs times with a time zone in {name!r}, which are {frame[name].dtype} here (a file "
            f"keeps texts).",
            argument="df",
            hint=f'df["{name}"] = pd.to_datetime(df["{name}"], format="ISO8601", utc=True)',
        )
    return pd.DataFrame(
        {
            "time": time.dt.tz_convert("UTC").dt.as_unit("us").array,
            "event": pd.Categorical([_EVENT_OF[kind]] * len(frame), categories=list(_EVENT_OF.values())),
            "run_id": _texts(frame, "id" if kind == "runs" else "run_id"),
            "id": _texts(frame, "id"),
            "detail": _texts(frame, _DETAIL_OF[kind]),
        }
    )


def _texts(frame: pd.DataFrame, column: str) -> Any:
    return (
        frame[column].astype(STRING_DTYPE).array
        if column in frame
        else pd.array(np.full(len(frame), None, object), dtype=STRING_DTYPE)
    )
