"""Display of a listing: a table of its first rows with local times, readable sizes, and notes on what is left out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.config.time_zone import display_zone
from loops_nb.frames.attributes import EMPTY_ATTR, KIND_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Dtype, is_secondary_metric
from loops_nb.frames.listing_rows import ListingRows
from loops_nb.magics.cell_text import HIDDEN_URL, bytes_text, guarded, is_missing, span_text, value_text
from loops_nb.render.formatting import MISSING, moment, money, zone_name
from loops_nb.render.tables import Field, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import pandas as pd

# Columns to keep if not all fit, most important first; the others follow in the frame's order.
_PRIORITY = {
    "runs": (
        "id",
        "name",
        "status",
        "deployment_status",
        "sampler_status",
        "base_model",
        "serverless",
        "created_at",
        "session_id",
    ),
    "samplers": ("id", "base_model", "status", "serverless", "created_at", "gpu_type", "gpu_count"),
    "checkpoints": ("id", "checkpoint_id", "target", "size_bytes", "created_at", "run_id", "base_model", "lora_rank"),
    "deployments": ("id", "base_model", "status", "sampler_status", "active_run_id", "created_at"),
    "capabilities": ("model_name", "enabled", "serverless", "max_seq_len", "max_enabled_seq_len", "reason"),
    "logs": ("message", "timestamp", "level"),
    "costs": ("id", "kind", "name", "usd_per_hour", "gpu_count", "usd_at_most", "usd_billed", "checkpoint_bytes"),
    "usage": ("id", "kind", "usd", "minutes", "base_model", "name", "date"),
    "timeline": ("time", "event", "detail", "id", "elapsed", "run_id"),
    "planned_files": ("relative_file_name", "state", "size_bytes", "there_bytes", "checkpoint"),
    "downloads": ("path", "files", "size_bytes", "fetched_bytes"),
    "comparison": (
        "module",
        "checkpoint",
        "norm",
        "relative_change",
        "cosine",
        "change",
        "norm_before",
        "state",
        "layer",
    ),
    "comparison_by_layer": ("layer", "checkpoint", "norm", "relative_change", "cosine", "change", "norm_before"),
    "comparison_by_module_type": (
        "module_type",
        "checkpoint",
        "norm",
        "relative_change",
        "cosine",
        "change",
        "norm_before",
    ),
    "comparison_by_checkpoint": (
        "checkpoint",
        "norm",
        "relative_change",
        "cosine",
        "change",
        "norm_before",
        "baseline",
    ),
    "completions": ("text", "source", "completion", "stop_reason", "token_count", "mean_logprob", "logprob", "seconds"),
    "drift": (
        "module",
        "step",
        "norm",
        "relative_change",
        "relative_change_from_first",
        "cosine_to_first",
        "path_length",
        "checkpoint",
    ),
    "drift_by_layer": (
        "layer",
        "step",
        "norm",
        "relative_change",
        "relative_change_from_first",
        "cosine_to_first",
        "checkpoint",
    ),
    "drift_by_module_type": (
        "module_type",
        "step",
        "norm",
        "relative_change",
        "relative_change_from_first",
        "cosine_to_first",
    ),
    "drift_by_checkpoint": (
        "checkpoint",
        "step",
        "norm",
        "relative_change",
        "relative_change_from_first",
        "cosine_to_first",
    ),
    "changes": ("tensor", "change", "checkpoint", "dtype_before", "dtype", "shape_before", "shape"),
    "experiments": (
        "id",
        "name",
        "state",
        "run_id",
        "tags",
        "last_step",
        "points",
        "note",
        "created_at",
        "checkpoints",
        "last_at",
    ),
    "metrics": ("key", "step", "value", "name", "run_id", "attempt"),
    "metrics_wide": ("step", "name", "run_id", "attempt"),
    "marks": ("text", "kind", "step", "name", "run_id", "uri", "at"),
    "best": ("checkpoint", "value", "step", "name", "run_id", "uri", "target"),
    "tensors": ("module", "lora", "shape", "dtype", "rank", "nbytes", "role", "checkpoint", "layer"),
}
# Columns of a frame that is not a listing of the service.
_TIMELINE = ("time", "elapsed", "event", "run_id", "id", "detail")
_NOUNS = {
    "timeline": "events",
    "planned_files": "files",
    "metrics": "points",
    "metrics_wide": "steps",
    "costs": "rows",
    "usage": "rows",
    "system_metrics": "values",
    "checkpoint_sizes": "rows",
    "best": "checkpoints",
}
_PROSE = {"message", "reason_detail", "remediation", "text", "prompt"}
_LONG = _PROSE | {"relative_file_name", "uri", "detail", "path"}
_NANOSECONDS = "ns"
#: pandas' names of the dtypes of a `ListingRows`, as far as they are displayed in ways of their own.
_DTYPES = {Dtype.TIME: "datetime64[us, UTC]", Dtype.COUNT: "Int64"}


class ColumnCells(NamedTuple):
    """One column of a frame or a listing, as far as it is shown.

    Parameters
    ----------
    label : Any
        Its label.
    dtype : str
        pandas' name of its dtype; empty for one that is displayed as text.
    cells : list
        Values of the first rows, as Python objects.
    is_empty : callable
        Returns whether no row at all has a value.
    """

    label: Any
    dtype: str
    cells: list[Any]
    is_empty: Callable[[], bool]


def _own_columns(kind: str) -> tuple[str, ...]:
    """Return the columns of a kind, the identifying one first; empty for an unknown kind."""
    from loops_nb.accessor import TIMELINE  # needs pandas
    from loops_nb.frames.columns import KINDS
    from loops_nb.frames.computed import COMPUTED_KINDS

    if kind == TIMELINE:
        return _TIMELINE
    found = KINDS.get(kind) or COMPUTED_KINDS.get(kind)
    if found is None:
        return ()
    return tuple(column.name for column in found.columns)


def kind_of(frame: pd.DataFrame | ListingRows) -> str | None:
    """Return the kind of a listing made by `loops_nb`, also after filtering; None for other frames."""
    if isinstance(frame, ListingRows):
        return frame.kind.name
    kind = frame.attrs.get(KIND_ATTR)
    if not isinstance(kind, str) or frame.columns.nlevels > 1 or not (own := _own_columns(kind)):
        return None
    # A summary of a listing (describe, grouped, transposed) inherits its kind from `attrs`, but is not a listing.
    identity = own[0]
    is_listing = identity in frame.columns or identity in frame.index.names
    is_part = any(name in own for name in frame.columns) and _is_plain(frame.index)
    if frame.columns.is_unique and (is_listing or is_part):
        return kind
    return None


def listing_table(frame: pd.DataFrame | ListingRows, kind: str, *, row_limit: int, time_zone: str) -> Table:
    """Return the table to display.

    Parameters
    ----------
    frame : DataFrame or ListingRows
        The listing; of a `ListingRows` one whose `listing_columns` are there.
    kind : str
        Its kind.
    row_limit : int
        Maximum number of rows; 0 shows all.
    time_zone : str
        The setting of that name.
    """
    count = len(frame)
    frame_notes = _notes_of(frame)
    if not count:
        return Table([], [empty_message(frame, kind), *frame_notes])
    shown = min(row_limit or count, count)
    first = _PRIORITY.get(kind, ())
    fields: list[Field] = []
    if isinstance(frame, ListingRows):
        own = tuple(column.name for column in frame.kind.columns)
        columns = listing_columns(frame, shown) or []
    else:
        own = _own_columns(kind)
        fields = _index_fields(frame.index[:shown])
        columns = list(_frame_columns(frame, shown))
    empty = []
    # A column that the user added is important; the parameters of an experiment can be many, and come after its state.
    is_experiments = kind == "experiments"
    added = first.index("note") if is_experiments else 1
    main_metric = _main_metric([column.label for column in columns])
    for label, dtype, cells, is_missing_everywhere in columns:
        name = value_text(label)
        column = _field(name, dtype, cells, time_zone, kind=kind)
        # A listing of experiments has room for its parameters: no column of it is shown empty.
        can_be_empty = name in first and not is_experiments
        is_empty = label in own and not can_be_empty and all(cell == MISSING for cell in column.cells)
        if is_empty and (shown == count or is_missing_everywhere()):
            empty.append(name)
            continue
        rank = added
        if label in own:
            rank = first.index(name) if name in first else len(first) + len(fields)
        if is_experiments:
            is_shared = count > 1 and len(set(column.cells)) == 1
            rank = _rank_of_experiments(name, rank, main_metric, is_shared=is_shared)
        elif is_secondary_metric(name.removeprefix("last.")):
            rank = len(first)
        fields.append(replace(column, rank=rank))
    notes = []
    if shown < count:
        notes.append(
            f"Showing {shown:,} of {count:,} rows. The DataFrame has all; %config LoopsMagics.row_limit = 0 shows them."
        )
    if empty:
        notes.append(f"Empty columns not shown: {', '.join(empty)}.")
    return Table(fields, [*notes, *frame_notes])


def _rank_of_experiments(name: str, rank: int, main_metric: tuple[str, ...], *, is_shared: bool) -> int:
    """Return the rank of a column in a listing of experiments, from the rank that it has in other listings."""
    first = _PRIORITY["experiments"]
    if name in main_metric or (name in {"project", "author"} and not is_shared):
        return first.index("state")
    if name in {"id", "name", "state"}:
        return rank
    if is_shared:
        # What all of them share tells none apart.
        return 2 * len(first)
    if name.startswith(("last.", "best.")):
        # The other metrics are many; what was varied comes before them.
        return first.index("created_at")
    return len(first) if name == "duration" else rank


def listing_columns(listing: ListingRows, shown: int | None = None) -> list[ColumnCells] | None:
    """Return the columns of a listing without pandas; None if the rules of pandas are needed to read a value.

    Parameters
    ----------
    listing : ListingRows
        The listing.
    shown : int, optional
        Number of rows; all by default.
    """
    found = []
    for column in listing.kind.columns:
        cells = listing.cells(column.name)
        if cells is None:
            return None
        is_empty = partial(all, [cell is None for cell in cells])
        found.append(ColumnCells(column.name, _DTYPES.get(column.dtype, ""), cells[:shown], is_empty))
    return found


def _frame_columns(frame: pd.DataFrame, shown: int) -> Iterator[ColumnCells]:
    from loops_nb.frames.arrays import times_of  # needs pandas

    head = frame.iloc[:shown]
    # pandas deep-copies `attrs` into every selected column, and this frame is only read here.
    head.attrs = {}
    for place, label in enumerate(head.columns):
        # By position: a label that is a period or an interval would select by containment.
        values = head.iloc[:, place]
        if "pyarrow" in str(values.dtype) or values.dtype == object:
            times = times_of(values)
            if times is not None:
                values = times
        yield ColumnCells(label, str(values.dtype), values.tolist(), partial(_is_missing_everywhere, frame, place))


def _is_missing_everywhere(frame: pd.DataFrame, place: int) -> bool:
    return bool(frame.iloc[:, place].isna().all())


def _main_metric(labels: list[Any]) -> tuple[str, ...]:
    """Return the columns of the first metric in a listing of experiments."""
    last = next((name for name in labels if isinstance(name, str) and name.startswith("last.")), None)
    return () if last is None else (last, f"best.{last.removeprefix('last.')}")


def _notes_of(frame: pd.DataFrame | ListingRows) -> list[str]:
    notes = frame.attrs.get(NOTES_ATTR)
    if not isinstance(notes, list):
        return []
    return [note for note in notes if isinstance(note, str)]


def empty_message(frame: pd.DataFrame | ListingRows, kind: str) -> str:
    """Return the message for a listing without rows."""
    note = frame.attrs.get(EMPTY_ATTR)
    if isinstance(note, str):
        return note
    return f"No {_NOUNS.get(kind, kind)} in this DataFrame: the service listed none, or your filter matched none."


def _index_fields(index: pd.Index[Any]) -> list[Field]:
    # Row numbers are not shown; an index that the user set is.
    if _is_plain(index):
        return []
    return [
        Field(
            "" if name is None else value_text(name),
            [value_text(value) for value in index.get_level_values(level).tolist()],
        )
        for level, name in enumerate(index.names)
    ]


def _is_plain(index: pd.Index[Any]) -> bool:
    return index.nlevels == 1 and index.name is None and index.inferred_type in {"integer", "empty"}


def _field(name: str, dtype: str, cells: list[Any], time_zone: str, *, kind: str) -> Field:
    """Return one column; values that do not fit its name or dtype are shown as plain text."""
    if name == "url" and kind == "files":
        return Field(name, [HIDDEN_URL for _ in cells])
    if dtype.startswith("datetime64[") and dtype.endswith("UTC]"):
        return _time_field(name, cells, time_zone, fraction=f"[{_NANOSECONDS}" in dtype)
    if dtype.startswith("timedelta64["):
        return Field(name, [span_text(cell) for cell in cells], is_number=True)
    is_number = dtype.lower().startswith(("int", "uint", "float", "double"))
    if (name.endswith("_bytes") or name == "nbytes") and (is_number or dtype == "object"):
        return Field(name, [bytes_text(cell) for cell in cells], is_number=True)
    if is_number and (name == "usd" or name.startswith("usd_")) and name != "usd_per_minute":
        return Field(name, [guarded(money, cell) for cell in cells], is_number=True)
    texts = [value_text(cell) for cell in cells]
    return Field(
        name, texts, is_number=is_number, is_long=name in _LONG, is_prose=name in _PROSE, is_whole=name == "path"
    )


def _time_field(name: str, cells: list[Any], time_zone: str, *, fraction: bool) -> Field:
    zone = display_zone(time_zone)
    moments = [None if is_missing(cell) else _plain_time(cell) for cell in cells]
    called = zone_name(time_zone, zone, (when for when in moments if when is not None))
    texts = [guarded(lambda when: moment(when, zone, fraction=fraction), when) for when in moments]
    return Field(f"{name} ({called})", texts)


def _plain_time(cell: Any) -> datetime:
    if hasattr(cell, "to_pydatetime"):
        plain: datetime = cell.to_pydatetime(warn=False)
        return plain
    found: datetime = cell
    return found
