"""Columns of the panel of experiments: what they hold of an experiment, which are shown, and in which order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from loops_nb.frames.columns import is_secondary_metric
from loops_nb.frames.params import param_cell
from loops_nb.panels.experiments.messages import ColumnValue, ExperimentColumn
from loops_nb.render.formatting import number
from loops_nb.tracking.frames import in_column_order
from loops_nb.tracking.metric_mode import infer_mode

if TYPE_CHECKING:
    from loops_nb.panels.experiments.messages import ColumnGroup, ExperimentCell
    from loops_nb.panels.messages import Cell
    from loops_nb.tracking.leaderboard import ExperimentSummary

Getter = Callable[["ExperimentSummary"], "Cell"]
#: Name of the column of sparklines, which has no cells.
SPARK = "spark"
#: Whole numbers up to here are the same in JavaScript.
_EXACT = 1 << 53
_MOST_METRICS, _MOST_PARAMS = 6, 12
_Field = Literal["last", "best", "min", "max"]

_OWN: dict[str, tuple[str, ExperimentCell, Getter]] = {
    "id": ("Id", "id", lambda one: one.row.id),
    "name": ("Name", "name", lambda one: one.row.name),
    "project": ("Project", "text", lambda one: one.row.project),
    "author": ("Author", "text", lambda one: one.row.author),
    "state": ("State", "state", lambda one: one.state),
    "last_step": ("Last step", "count", lambda one: one.last_step),
    "duration": ("Duration", "duration", lambda one: one.row.last_at - one.row.created_at),
    "tags": ("Tags", "text", lambda one: ", ".join(one.row.tags) or None),
    "note": ("Note", "text", lambda one: one.row.notes[-1] if one.row.notes else None),
    "created_at": ("Age", "age", lambda one: one.row.created_at),
    "last_at": ("Last value", "age", lambda one: one.row.last_at),
    "run_id": ("Run", "id", lambda one: one.row.run_id),
    "session_id": ("Session", "id", lambda one: one.row.session_id),
    "checkpoints": ("Checkpoints", "count", lambda one: one.saves or None),
    "keys": ("Metrics", "count", lambda one: len(one.series)),
    "points": ("Points", "count", lambda one: sum(of.points for of in one.series.values())),
    "archived": ("Archived", "flag", lambda one: one.row.archived),
}
_BEFORE = ("name", "state", SPARK)
_AFTER = ("author", "project", "tags", "note", "created_at")
_HIDDEN = ("last_at", "run_id", "checkpoints", "points", "keys", "session_id", "id", "archived")
#: Always sent: the page sorts by them and says them of a row.
NEEDED = ("id", "name", "state", "created_at", "last_at")


def columns_of(rows: Sequence[ExperimentSummary], metric: str) -> tuple[list[ExperimentColumn], list[ColumnValue]]:
    """Return all columns of some experiments, and the columns that have one value in all of them.

    Parameters
    ----------
    rows : sequence of ExperimentSummary
        The experiments.
    metric : str
        The key that matters most; empty where nothing was logged.
    """
    shared: list[ColumnValue] = []
    params = _value_columns(rows, "params", shared)
    keys = [key for key in metric_keys(rows) if key != metric]
    metrics = _metric_columns(metric, is_main=True) if metric else []
    others = [column for key in keys for column in _metric_columns(key)]
    names = set(_shown_keys(keys))
    others = [column if column.name.partition(".")[2] in names else _without(column) for column in others]
    columns = [_own(name, metric, rows, shared) for name in _BEFORE if name != SPARK or metric]
    columns += metrics
    columns += [_own(name, metric, rows, shared) for name in ("last_step", "duration")]
    columns += params
    columns += _value_columns(rows, "summary", shared)
    columns += others
    columns += [_own(name, metric, rows, shared) for name in _AFTER]
    columns += [_without(_own(name, metric, rows, [])) for name in _HIDDEN]
    return columns, shared


def metric_keys(rows: Sequence[ExperimentSummary]) -> list[str]:
    """Return the keys that any of the experiments has, the most important first."""
    return in_column_order(dict.fromkeys(key for one in rows for key in one.series))


def getter(name: str) -> Getter:
    """Return the function from an experiment to its cell in a column."""
    if name in _OWN:
        return _OWN[name][2]
    prefix, _, rest = name.partition(".")
    if prefix == "params":
        return lambda one: _param(one.params.get(rest))
    if prefix == "summary":
        return lambda one: _param(one.summary.get(rest))
    field = f"{infer_mode(rest)}_value" if prefix == "best" else f"{prefix}_value"

    def metric(one: ExperimentSummary) -> Cell:
        of = one.series.get(rest)
        return None if of is None else _number(getattr(of, field))

    return metric


def facts_of(one: ExperimentSummary) -> list[ColumnValue]:
    """Return all that is recorded of an experiment but its metrics, in words."""
    row = one.row
    found = [
        ("Id", row.id),
        ("Author", row.author),
        ("Project", row.project),
        ("Run", row.run_id),
        ("Session", row.session_id),
    ]
    found.append(("Tags", ", ".join(row.tags)))
    found += [("Note", text) for text in row.notes]
    values = [ColumnValue(column="", title=title, value=str(value)) for title, value in found if value]
    for prefix, given in (("summary", one.summary), ("params", one.params)):
        cells = ((name, _param(value)) for name, value in given.items())
        values += [
            ColumnValue(column=f"{prefix}.{name}", title=name, value=_words(cell))
            for name, cell in cells
            if cell is not None
        ]
    return values


def _own(name: str, metric: str, rows: Sequence[ExperimentSummary], shared: list[ColumnValue]) -> ExperimentColumn:
    if name == SPARK:
        return ExperimentColumn(name=SPARK, title=metric, drawn="spark", group="metric")
    title, drawn, value = _OWN[name]
    column = ExperimentColumn(name=name, title=title, drawn=drawn)
    if name == "author" and len({one.row.author for one in rows}) <= 1:
        # On a machine of one user it would say nothing.
        return _without(column)
    if name in {"project", "tags", "note"}:
        return _unless_shared(column, [value(one) for one in rows], shared)
    return column


def _value_columns(
    rows: Sequence[ExperimentSummary], field: Literal["params", "summary"], shared: list[ColumnValue]
) -> list[ExperimentColumn]:
    """Return the columns of parameters, or of summary values, which stand among the metrics."""
    columns = []
    shown = 0
    group: ColumnGroup = "parameter" if field == "params" else "metric"
    given: list[dict[str, Any]] = [getattr(one, field) for one in rows]
    for name in dict.fromkeys(name for values in given for name in values):
        column = ExperimentColumn(name=f"{field}.{name}", title=name, drawn="value", group=group)
        column = _unless_shared(column, [values.get(name) for values in given], shared)
        shown += column.shown
        columns.append(column if shown <= _MOST_PARAMS else _without(column))
    return columns


def _unless_shared(column: ExperimentColumn, values: list[Any], shared: list[ColumnValue]) -> ExperimentColumn:
    """Return the column, hidden where all rows have the same value, which is added to the shared ones."""
    first = values[0] if values else None
    # 1, 1.0 and True are equal, and different values of a parameter.
    if any(type(value) is not type(first) or value != first for value in values):
        return column
    if first is not None:
        if len(values) == 1:
            return column
        shared.append(ColumnValue(column=column.name, title=column.title, value=_words(_param(first))))
    return _without(column)


def _metric_columns(key: str, *, is_main: bool = False) -> list[ExperimentColumn]:
    """Return the columns of a metric: of the main one both values are shown, of another one that which says more."""
    mode = infer_mode(key)
    fields: list[tuple[_Field, str]] = [("best", "best"), ("last", "last")]
    if mode is None:
        fields = [("last", "last"), ("min", "lowest"), ("max", "highest")]
    return [
        ExperimentColumn(
            name=f"{field}.{key}",
            title=f"{key} {word}",
            drawn="number",
            group="metric",
            shown=place == 0 or (is_main and field == "last"),
            mode=mode,
        )
        for place, (field, word) in enumerate(fields)
    ]


def _shown_keys(keys: Sequence[str]) -> list[str]:
    return [key for key in keys if not is_secondary_metric(key)][:_MOST_METRICS]


def _without(column: ExperimentColumn) -> ExperimentColumn:
    return ExperimentColumn(
        name=column.name, title=column.title, drawn=column.drawn, group=column.group, shown=False, mode=column.mode
    )


def _param(value: Any) -> Cell:
    found = param_cell(value)
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) > _EXACT:
        return str(found)
    return _number(found) if isinstance(found, float) else found


def _number(value: float | None) -> Cell:
    """Return a number as JSON can hold it; a stored None is NaN."""
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def words_of(column: ExperimentColumn, cell: Cell) -> str:
    """Return a cell in words, as a report has it."""
    return number(cell) if column.drawn == "number" and isinstance(cell, float) else _words(cell)


def _words(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return str(cell)
