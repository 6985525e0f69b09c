"""``df.loops``: what one can do with a frame of Loops resources.

Importing this module registers the accessor with pandas.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pandas as pd

from loops_nb.connections import CONNECTION_ATTR, marked, the_only_one
from loops_nb.errors import InvalidArgumentError, readable_interrupt
from loops_nb.frames.arrays import KIND_ATTR, STRING_DTYPE, times_of
from loops_nb.frames.columns import KINDS
from loops_nb.frames.derived import DERIVED
from loops_nb.frames.downloads import downloads_frame, plan_frame
from loops_nb.references import CheckpointRef
from loops_nb.steps import step_of
from loops_nb.uri import format_uri
from loops_nb.workbench import CONNECTIONS, FOLDER, KEPT, Patterns, Workbench, refs_of

if TYPE_CHECKING:
    from loops_nb.client.exchange import Exchange
    from loops_nb.plots.namespace import LoopsPlots

#: What `LoopsAccessor.timeline` notes on its frame, in the place of a kind: it is shown like a listing, and is none.
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
    "tensors()": frozenset({"checkpoints"}),
    "compare()": frozenset({"checkpoints"}),
    "changes()": frozenset({"checkpoints"}),
    "drift()": frozenset({"checkpoints"}),
    "duplicates()": frozenset({"checkpoints"}),
    "with_metrics()": frozenset({"runs", "checkpoints"}),
}
_LINE_OF = {"runs": "df = %loops runs", "checkpoints": "df = %loops checkpoints RUN", "files": "df = %loops files CHECKPOINT"}
_MARKS = {name: frozenset(column.name for column in kind.columns) for name, kind in KINDS.items()}


class Connected(Protocol):
    """`Loops` or `AsyncLoops`."""

    @property
    def exchange(self) -> Exchange:
        """Address, key and policy."""
        ...


@pd.api.extensions.register_dataframe_accessor("loops")
class LoopsAccessor:
    """What one can do with a frame of Loops resources.

    A frame knows its kind also after filtering, sorting and selecting columns; where pandas lost the note (a merge, a round trip
    through a file), the columns tell it.

    Parameters
    ----------
    frame
        A frame made by ``loops_nb``, or one with its columns.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def __repr__(self) -> str:
        """Say what the frame holds, and what can be done with it."""
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
        """
        columns = set(self._frame.columns)
        noted = self._frame.attrs.get(KIND_ATTR)
        if isinstance(noted, str) and columns & (_MARKS.get(noted) or _marks_of_derived(noted)):
            return noted
        if noted == TIMELINE:
            raise InvalidArgumentError(
                "This frame is a timeline: events of several kinds, not a listing of one.",
                argument="df",
                hint="Go on from the listing it was made of.",
            )
        # Columns that no kind has (a person's own, or ``step``) say nothing.
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
        by
            Column or columns to group by.  Left out, checkpoints are grouped by ``run_id`` and ``target`` (of each run, the newest one
            to resume from and the newest one to serve), as far as the frame has those columns; other kinds are not grouped.

        Returns
        -------
        pandas.DataFrame
            The same columns.  Rows without a time count as older than all others and keep their order, which the service gives as newest
            first; of equal times the first row wins.  An empty frame stays empty.

        Raises
        ------
        InvalidArgumentError
            If the frame is of no kind, has lost its column of times, or has no column ``by``.
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
        """Return checkpoints in the order of training, with the step that each name tells.

        Returns
        -------
        pandas.DataFrame
            The same rows with one more column, ``step`` (Int64): the number in names such as ``step-100``, ``step_000100``, ``ckpt-100``
            and ``000100``, missing in names such as ``final``.  Sorted by step, then by time, rows without a step last.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or the column ``checkpoint_id`` was dropped.
        """
        self._only("by_step", "checkpoints")
        names = self._frame[self._needs("checkpoint_id", "by_step")]
        steps = pd.array([step_of(name) if isinstance(name, str) else None for name in names], dtype="Int64")
        keys = ["step", "created_at"] if "created_at" in self._frame else ["step"]
        return self._frame.assign(step=steps).sort_values(keys, kind="stable", na_position="last")

    @property
    def uri(self) -> pd.Series[str]:
        """The ``bt://`` form of each checkpoint, also when the column ``uri`` was dropped but its parts were kept.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or neither ``uri`` nor its parts are left.
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
        """Sum of ``size_bytes`` over all rows; a row without a size adds nothing.

        Raises
        ------
        InvalidArgumentError
            If these are neither checkpoints nor files, or the column was dropped.
        """
        self._only("total_bytes", "checkpoints", "files")
        # Python's integers do not overflow as 64 bits would.
        return sum(int(size) for size in self._frame[self._needs("size_bytes", "total_bytes")].dropna())

    @property
    def plot(self) -> LoopsPlots:
        """Pictures that need no plotting library: ``plot.timeline()`` and ``plot.sizes()`` of checkpoints, ``plot.drift()`` of a drift."""
        from loops_nb.plots.namespace import LoopsPlots  # noqa: PLC0415 - a listing needs no pictures

        return LoopsPlots(self._frame)

    def download(
        self,
        into: str | os.PathLike[str] = FOLDER,
        *,
        include: Patterns = (),
        exclude: Patterns = (),
        dry_run: bool = False,
        connections: int = CONNECTIONS,
        quiet: bool = False,
        loops: Connected | None = None,
    ) -> pd.DataFrame:
        """Bring these checkpoints home; as ``loops.checkpoints.download``, which tells the errors.

        Parameters
        ----------
        into
            The folder for all of them; each goes to ``into/run/weights/name``.
        include, exclude
            Patterns for the names of files, such as ``"*.json"``.
        dry_run
            Fetch nothing, and say what would be fetched.
        connections, quiet
            As in ``loops.checkpoints.download``.
        loops
            The connection; without it the one that the frame came from.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint, with ``path``; of a dry run one row a file, with ``state``.  Columns as in `loops_nb.frames.downloads`.
        """
        with self._bench("download", loops) as bench:
            if dry_run:
                return plan_frame(bench.plan(self._refs(), into, include, exclude))
            return downloads_frame(bench.download(self._refs(), into, include, exclude, connections=connections, quiet=quiet))

    def tensors(self, *, loops: Connected | None = None) -> pd.DataFrame:
        """List the tensors of these checkpoints; as ``loops.checkpoints.tensors``."""
        with self._bench("tensors", loops) as bench:
            return bench.tensors(self._refs())

    def changes(self, *, loops: Connected | None = None) -> pd.DataFrame:
        """List the tensors that are not the same as in the first row; as ``loops.checkpoints.changes``."""
        with self._bench("changes", loops) as bench:
            return bench.changes(self._refs())

    def compare(self, by: str = "module", *, loops: Connected | None = None) -> pd.DataFrame:
        """Compare the weights of these checkpoints with those of the first row; as ``loops.checkpoints.compare``."""
        with self._bench("compare", loops) as bench:
            return bench.compare(self._refs(), by)

    def drift(self, by: str = "module", *, loops: Connected | None = None) -> pd.DataFrame:
        """Follow the weights of these checkpoints along their steps; as ``loops.checkpoints.drift``."""
        with self._bench("drift", loops) as bench:
            return bench.drift(self._refs(), by)

    def duplicates(self, *, loops: Connected | None = None) -> pd.DataFrame:
        """Find those of these checkpoints that hold the same weights; as ``loops.checkpoints.duplicates``."""
        with self._bench("duplicates", loops) as bench:
            return bench.duplicates(self._refs())

    def with_metrics(self, at: str | None = None, *, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """Return runs or checkpoints with what was recorded of them on this machine; no network.

        Parameters
        ----------
        at
            Which value of each key: of checkpoints ``save``, the last one of its attempt up to the step at which the checkpoint was
            saved; of runs ``last``, ``min`` or ``max``.  Left out, it is ``save`` and ``last``.
        keys
            Only these keys, such as ``["loss"]``; None for all.

        Returns
        -------
        pandas.DataFrame
            The same rows and columns, and a column (float64) a key, missing where nothing was recorded; ``metric:`` and its name where
            the frame has such a column already.  Of checkpoints also ``step`` (Int64): where it was saved, else what its name tells.  Of
            runs also ``tags`` and ``note`` (strings).

        Raises
        ------
        InvalidArgumentError
            If these are neither runs nor checkpoints, the column with the run's id was dropped, or ``at`` is something else.
        TrackingError
            If the file of experiments cannot be read.

        Examples
        --------
        >>> df.loops.with_metrics(at="save").sort_values("loss").iloc[0].uri  # doctest: +SKIP
        """
        self._only("with_metrics", "runs", "checkpoints")
        kind = self.kind
        from loops_nb.experiments.joining import OF_RUN, with_metrics  # noqa: PLC0415 - a listing alone needs no experiments
        from loops_nb.tracking import Store  # noqa: PLC0415

        can = OF_RUN if kind == "runs" else ("save",)
        if at is not None and at not in can:
            raise InvalidArgumentError(f"at must be {' or '.join(can)} for {kind}, not {at!r:.40}.", argument="at")
        self._needs("id" if kind == "runs" else "run_id", "with_metrics")
        with Store() as store:
            return with_metrics(self._frame, store, kind=kind, at=at or can[0], keys=keys)

    def timeline(self, *others: pd.DataFrame) -> pd.DataFrame:
        """Return what happened when, oldest first.

        Parameters
        ----------
        others
            Further frames whose events belong in the same line of time: ``runs.loops.timeline(checkpoints)``.

        Returns
        -------
        pandas.DataFrame
            One row per event with a known time.  Columns: time (``datetime64[us, UTC]``); elapsed (``timedelta64[us]``, since the first
            event); event (categorical: ``run created``, ``checkpoint saved``, ``sampler created``, ``deployment created``,
            ``team created``, ``file written``, ``log line``); run_id, id and detail (strings: the run it belongs to where known, the
            resource, and its name, base model or text).

        Raises
        ------
        InvalidArgumentError
            If a frame is of a kind that has no times, has lost its column of them, or has them as plain texts.
        """
        lines = pd.concat([_events(frame) for frame in (self._frame, *others)], ignore_index=True)
        lines = lines.dropna(subset=["time"]).sort_values("time", kind="stable", ignore_index=True)
        lines.insert(1, "elapsed", (lines["time"] - lines["time"].min()).astype("timedelta64[us]"))
        lines.attrs = {KIND_ATTR: TIMELINE}
        return lines

    def _refs(self) -> list[CheckpointRef]:
        found = refs_of(self._frame)
        if not found:
            raise InvalidArgumentError("There is no checkpoint in this DataFrame: it has no rows. Nothing was asked for.", argument="df")
        return list(dict.fromkeys(found))

    @contextmanager
    def _bench(self, method: str, loops: Connected | None) -> Iterator[Workbench]:
        """Work over the connection that the frame came from, or another.

        Raises
        ------
        InvalidArgumentError
            If these are not checkpoints, or nobody knows where they came from.
        """
        self._only(method, "checkpoints")
        exchange = loops.exchange if loops is not None else marked(self._frame.attrs.get(CONNECTION_ATTR)) or the_only_one()
        if exchange is None:
            raise InvalidArgumentError(
                f"df.loops.{method} does not know which service this frame came from (pandas keeps no note of it in files and merges).",
                argument="loops",
                hint=f"Say it: df.loops.{method}(loops=loops), where loops = %loops connect or loops = Loops(...)",
            )
        from loops_nb.client.transport import Transport  # noqa: PLC0415 - a frame alone needs no network

        then = KEPT if method == "download" else "Nothing was changed."
        with readable_interrupt(f"df.loops.{method}", then), closing(Transport(exchange)) as transport:
            yield Workbench(transport)

    def _only(self, method: str, *kinds: str) -> None:
        kind = self.kind
        if kind not in kinds:
            raise InvalidArgumentError(
                f"df.loops.{method} is for {' and '.join(kinds)}; this is a frame of {kind}.",
                argument="df",
                hint=f"Start from {' or '.join(_LINE_OF[name] for name in kinds)}",
            )

    def _needs(self, column: str, method: str, *, argument: str = "df") -> str:
        if column not in self._frame:
            raise InvalidArgumentError(
                f"df.loops.{method} needs the column {column!r}, which this frame of {self.kind} does not have.",
                argument=argument,
                hint=f"Keep it when selecting columns; it has {', '.join(map(str, self._frame.columns)) or 'none'}.",
            )
        return column


def _marks_of_derived(name: str) -> frozenset[str]:
    return frozenset(column.name for column in DERIVED[name].columns) if name in DERIVED else frozenset()


def _events(frame: pd.DataFrame) -> pd.DataFrame:
    loops = cast("LoopsAccessor", frame.loops)
    kind = loops.kind
    if kind not in _EVENT_OF:
        raise InvalidArgumentError(f"A frame of {kind} has no times, so it has no timeline.", argument="df")
    name = loops._needs(_TIME_OF.get(kind, "created_at"), "timeline")  # noqa: SLF001 - our own
    time = times_of(frame[name])
    if time is None:
        raise InvalidArgumentError(
            f"df.loops.timeline needs times with a time zone in {name!r}, which are {frame[name].dtype} here (a file keeps texts).",
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
    return frame[column].astype(STRING_DTYPE).array if column in frame else pd.array(np.full(len(frame), None, object), dtype=STRING_DTYPE)
