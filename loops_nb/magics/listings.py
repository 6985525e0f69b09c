"""A listing as people read it: the first rows, times in their zone, sizes in words, and what was left out said below."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from loops_nb.config.zones import display_zone
from loops_nb.drawing.tables import Field, Table
from loops_nb.drawing.wording import MISSING, moment, zone_name
from loops_nb.magics.cell_text import HIDDEN_URL, bytes_text, guarded, is_missing, span_text, value_text

if TYPE_CHECKING:
    import pandas as pd

# What is worth most where the columns do not all fit; the others follow in the frame's order.
_FIRST = {
    "runs": ("id", "name", "status", "deployment_status", "sampler_status", "base_model", "created_at", "session_id"),
    "samplers": ("id", "base_model", "status", "created_at", "gpu_type", "gpu_count"),
    "checkpoints": ("id", "checkpoint_id", "target", "size_bytes", "created_at", "run_id", "base_model", "lora_rank"),
    "deployments": ("id", "base_model", "status", "sampler_status", "active_run_id", "created_at"),
    "capabilities": ("model_name", "enabled", "max_seq_len", "max_enabled_seq_len", "reason"),
    "logs": ("message", "timestamp", "level"),
    "timeline": ("time", "event", "detail", "id", "elapsed", "run_id"),
    "planned_files": ("relative_file_name", "state", "size_bytes", "there_bytes", "checkpoint"),
    "downloads": ("path", "files", "size_bytes", "fetched_bytes"),
    "comparison": ("module", "checkpoint", "norm", "relative_change", "cosine", "change", "norm_before", "state", "layer"),
    "comparison_by_layer": ("layer", "checkpoint", "norm", "relative_change", "cosine", "change", "norm_before"),
    "comparison_by_module_type": ("module_type", "checkpoint", "norm", "relative_change", "cosine", "change", "norm_before"),
    "comparison_by_checkpoint": ("checkpoint", "norm", "relative_change", "cosine", "change", "norm_before", "baseline"),
    "completions": ("text", "source", "completion", "stop_reason", "token_count", "mean_logprob", "logprob", "seconds"),
    "drift": ("module", "step", "norm", "relative_change", "relative_change_from_first", "cosine_to_first", "path_length", "checkpoint"),
    "drift_by_layer": ("layer", "step", "norm", "relative_change", "relative_change_from_first", "cosine_to_first", "checkpoint"),
    "drift_by_module_type": ("module_type", "step", "norm", "relative_change", "relative_change_from_first", "cosine_to_first"),
    "drift_by_checkpoint": ("checkpoint", "step", "norm", "relative_change", "relative_change_from_first", "cosine_to_first"),
    "changes": ("tensor", "change", "checkpoint", "dtype_before", "dtype", "shape_before", "shape"),
    "experiments": ("id", "name", "run_id", "tags", "points", "last_step", "note", "last_at"),
    "metrics": ("key", "step", "value", "name", "run_id", "attempt"),
    "metrics_wide": ("step", "name", "run_id", "attempt"),
    "marks": ("text", "kind", "step", "name", "run_id", "uri", "at"),
    "best": ("checkpoint", "value", "step", "name", "run_id", "uri", "target"),
    "tensors": ("module", "lora", "shape", "dtype", "rank", "nbytes", "role", "checkpoint", "layer"),
}
# What is no listing of the service, and is shown as one.
_TIMELINE = ("time", "elapsed", "event", "run_id", "id", "detail")
_CALLED = {"timeline": "events", "planned_files": "files", "metrics": "points", "metrics_wide": "steps", "best": "checkpoints"}
_PROSE = {"message", "reason_detail", "remediation", "text", "prompt"}
_LONG = _PROSE | {"relative_file_name", "uri", "detail", "path"}
_NANOSECONDS = "ns"


def _own_columns(kind: str) -> tuple[str, ...]:
    """Return the columns of a kind, the one that makes it out first; none if there is no such kind."""
    from loops_nb.accessor import TIMELINE  # noqa: PLC0415 - pandas is there when a frame is there
    from loops_nb.frames.columns import KINDS  # noqa: PLC0415
    from loops_nb.frames.derived import DERIVED  # noqa: PLC0415

    if kind == TIMELINE:
        return _TIMELINE
    found = KINDS.get(kind) or DERIVED.get(kind)
    return tuple(column.name for column in found.columns) if found else ()


def kind_of(frame: pd.DataFrame) -> str | None:
    """Return the kind of a frame that ``loops_nb`` made, also after filtering; None for anybody else's."""
    if "loops_nb.frames" not in sys.modules:
        return None
    from loops_nb.frames.arrays import KIND_ATTR  # noqa: PLC0415 - pandas is there when a frame is there

    kind = frame.attrs.get(KIND_ATTR)
    own = _own_columns(kind) if isinstance(kind, str) else ()
    if not own or frame.columns.nlevels > 1:
        return None
    # A summary of a listing (describe, a grouped or a transposed one) still has the note of its kind, but is no listing.
    identity = own[0]
    is_listing = identity in frame.columns or identity in frame.index.names
    is_part = any(name in own for name in frame.columns) and _is_plain(frame.index)
    return kind if frame.columns.is_unique and (is_listing or is_part) else None


def listing_table(frame: pd.DataFrame, kind: str, *, row_limit: int, time_zone: str) -> Table:
    """Return the table to draw.

    Parameters
    ----------
    frame, kind
        The listing.
    row_limit
        Rows to show; 0 shows all.
    time_zone
        As in the setting of that name.
    """
    from loops_nb.frames.derived import is_aside  # noqa: PLC0415 - pandas is there when a frame is there

    count = len(frame)
    said = _notes_of(frame)
    if not count:
        return Table([], [empty_words(frame, kind), *said])
    head = frame.iloc[: row_limit or count]
    # pandas copies the notes of a frame into every column taken from it; this one is only read here.
    head.attrs = {}
    first = _FIRST.get(kind, ())
    own = _own_columns(kind)
    fields = _index_fields(head)
    empty = []
    # A column that the person added is wanted; parameters are as many as one likes, and come after how far an experiment is.
    added = first.index("last_step") if kind == "experiments" else 1
    for place, label in enumerate(head.columns):
        name = value_text(label)
        # By its place: a label that is a period or an interval would select by what it contains.
        column = _field(name, head.iloc[:, place], time_zone, kind=kind)
        if label in own and name not in first and all(cell == MISSING for cell in column.cells):
            empty.append(name)
            continue
        if label not in own:
            rank = len(first) if is_aside(name) else added
        else:
            rank = first.index(name) if name in first else len(first) + len(fields)
        fields.append(replace(column, rank=rank))
    notes = []
    if len(head) < count:
        notes.append(f"Showing {len(head):,} of {count:,} rows. The DataFrame has all; %config LoopsMagics.row_limit = 0 shows them.")
    if empty:
        notes.append(f"Empty here, not shown: {', '.join(empty)}.")
    return Table(fields, [*notes, *said])


def _notes_of(frame: pd.DataFrame) -> list[str]:
    from loops_nb.frames.derived import NOTES_ATTR  # noqa: PLC0415 - pandas is there when a frame is there

    notes = frame.attrs.get(NOTES_ATTR)
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []


def empty_words(frame: pd.DataFrame, kind: str) -> str:
    """Return what to say of a listing without rows."""
    from loops_nb.frames.derived import EMPTY_ATTR  # noqa: PLC0415 - pandas is there when a frame is there

    note = frame.attrs.get(EMPTY_ATTR)
    return (
        note
        if isinstance(note, str)
        else f"No {_CALLED.get(kind, kind)} in this DataFrame: the service listed none, or your filter left none over."
    )


def _index_fields(frame: pd.DataFrame) -> list[Field]:
    index = frame.index
    # The numbers of rows say nothing; an index that was chosen does.
    if _is_plain(index):
        return []
    return [
        Field("" if name is None else value_text(name), [value_text(value) for value in index.get_level_values(level).tolist()])
        for level, name in enumerate(index.names)
    ]


def _is_plain(index: pd.Index[Any]) -> bool:
    return index.nlevels == 1 and index.name is None and index.inferred_type in {"integer", "empty"}


def _field(name: str, values: pd.Series[Any], time_zone: str, *, kind: str) -> Field:
    """Return one column; one whose values do not suit its name or dtype is shown as plain text."""
    if "pyarrow" in str(values.dtype) or values.dtype == object:
        from loops_nb.frames.arrays import times_of  # noqa: PLC0415 - a frame is here, so pandas is loaded

        times = times_of(values)
        values = values if times is None else times
    cells = values.tolist()
    dtype = str(values.dtype)
    if name == "url" and kind == "files":
        return Field(name, [HIDDEN_URL for _ in cells])
    if dtype.startswith("datetime64[") and dtype.endswith("UTC]"):
        return _time_field(name, cells, time_zone, fraction=f"[{_NANOSECONDS}" in dtype)
    if dtype.startswith("timedelta64["):
        return Field(name, [span_text(cell) for cell in cells], is_number=True)
    is_number = dtype.lower().startswith(("int", "uint", "float", "double"))
    if (name.endswith("_bytes") or name == "nbytes") and (is_number or dtype == "object"):
        return Field(name, [bytes_text(cell) for cell in cells], is_number=True)
    texts = [value_text(cell) for cell in cells]
    return Field(name, texts, is_number=is_number, is_long=name in _LONG, is_prose=name in _PROSE, is_whole=name == "path")


def _time_field(name: str, cells: list[Any], time_zone: str, *, fraction: bool) -> Field:
    zone = display_zone(time_zone)
    moments = [None if is_missing(cell) else cell.to_pydatetime(warn=False) for cell in cells]
    called = zone_name(time_zone, zone, (when for when in moments if when is not None))
    texts = [guarded(lambda when: moment(when, zone, fraction=fraction), when) for when in moments]
    return Field(f"{name} ({called})", texts)
