"""Tables of a report: the first rows, sorted for reading, and a sentence about what all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec.structs import replace

from loops_nb.panels import messages
from loops_nb.panels.columns import COLUMNS, PanelColumn
from loops_nb.panels.report.state_icons import state_words, without_empty
from loops_nb.panels.report.times import TimeFormatter
from loops_nb.render.formatting import MISSING, many, number, size
from loops_nb.render.tables import Field, Table

#: As many as a listing shows.
MOST_ROWS = 20
_LEAST_TO_SUM_UP = 2
_LESS_WORTH = 4
# Of use for sorting a live table; on paper they repeat what stands beside them.
_SAID_BY_NAME_AND_URI = {"step", "run_id"}
_AGE = "Age"
#: Tables of those that belong to no run, by the panel.
_WITHOUT_RUN = {("fleet", "samplers"), ("dashboard", "samplers"), ("dashboard", "deployments")}
_THINGS: dict[messages.TableName, str] = {
    "runs": "run",
    "samplers": "sampler",
    "deployments": "deployment",
    "checkpoints": "checkpoint",
}


def listing(
    snapshot: messages.PanelSnapshot, name: messages.TableName, clock: TimeFormatter, *, most_rows: int = MOST_ROWS
) -> tuple[str, Table] | None:
    """Return the heading and the table of one kind of rows; None if not even their absence is worth a word.

    Finished things come last, of checkpoints the newest first; after so many rows it is said how many more there are.
    """
    table = snapshot.tables[name]
    is_fleets = (snapshot.view, name) in _WITHOUT_RUN
    thing = f"standalone {_THINGS[name]}" if is_fleets else _THINGS[name]
    total = max(table.total, len(table.rows))
    if not total:
        # Most people have no samplers without a run; that there are none is no news.
        return (
            None
            if is_fleets
            else (
                "",
                Table([], [_nothing(name, thing, is_known=snapshot.ready, is_over=snapshot.health.state == "over")]),
            )
        )
    if not table.rows:
        return "", Table([], [f"{many(total, thing)}, not shown."])
    rows = _in_order(name, table.rows)[:most_rows]
    fields, notes = _columns(snapshot, name, rows, clock)
    more = [f"And {total - len(rows):,} more."] if total > len(rows) else []
    return many(total, thing), Table(fields, more + notes)


def _nothing(name: messages.TableName, thing: str, *, is_known: bool, is_over: bool) -> str:
    if not is_known:
        return f"The {thing}s were not known yet."
    if is_over and name == "checkpoints":
        # A run that has ended saves none any more.
        return f"No {thing}s."
    return f"No {thing}s yet." if name in {"runs", "checkpoints"} else f"No {thing}s."


def _in_order(name: messages.TableName, rows: list[messages.Row]) -> list[messages.Row]:
    names = [column.name for column in COLUMNS[name]]
    if name == "checkpoints":
        saved = names.index("created_at")
        return sorted(rows, key=lambda row: -_number(row[saved]))
    finished = names.index("finished")
    return sorted(rows, key=lambda row: bool(row[finished]))


def _columns(
    snapshot: messages.PanelSnapshot, name: messages.TableName, rows: list[messages.Row], clock: TimeFormatter
) -> tuple[list[Field], list[str]]:
    fields: list[Field] = []
    same: list[str] = []
    for column, values in zip(COLUMNS[name], zip(*rows, strict=True), strict=True):
        said_above = snapshot.view == "run" and column.name == "base_model"
        if (
            column.rank is None
            or column.drawn == "spark"
            or said_above
            or (name == "checkpoints" and column.name in _SAID_BY_NAME_AND_URI)
        ):
            continue
        if name == "runs" and column.name == "base_model":
            # On paper all of a sweep's runs have one model, which is said once.
            column = replace(column, rank=_LESS_WORTH)  # noqa: PLW2901
        drawn = _field(column, values, clock)
        can_be_said_once = (
            (column.rank or 0) >= _LESS_WORTH and len(rows) >= _LEAST_TO_SUM_UP and drawn.cells[0] != MISSING
        )
        if can_be_said_once and len(set(drawn.cells)) == 1:
            same.append(f"{column.title} {drawn.cells[0]}")
        else:
            fields.append(drawn)
    # What a narrow page cuts off at the right shall be what matters least.
    fields.sort(key=lambda drawn: drawn.rank >= _LESS_WORTH)
    return without_empty(fields), [f"In all of these rows: {', '.join(same)}."] if same else []


def _field(column: PanelColumn, values: tuple[messages.Cell, ...], clock: TimeFormatter) -> Field:
    say = _sayer(column, clock)
    return Field(
        column.title,
        [MISSING if value is None or value == "" else say(value) for value in values],
        is_number=column.drawn in {"bytes", "count", "number"} or column.title == _AGE,
        # On paper an address is what one takes away.
        rank=0 if column.rank is None or column.drawn == "uri" else column.rank,
        is_long=column.drawn == "uri",
        is_whole=column.drawn == "uri",
        is_short=column.drawn in {"state", "age"},
    )


def _sayer(column: PanelColumn, clock: TimeFormatter) -> Callable[[messages.Cell], str]:
    if column.drawn == "state":
        return state_words
    if column.drawn == "age":
        # A name and its time make a result; for a thing that goes on, how long it has been going on says more.
        say = clock.age if column.title == _AGE else clock.at
        return lambda value: say(_number(value))
    if column.drawn == "bytes":
        return lambda value: size(int(_number(value)))
    if column.drawn == "number":
        return lambda value: number(value) if isinstance(value, float) else str(value)
    if column.drawn == "flag":
        return lambda value: "yes" if value else "no"
    return str


def _number(value: messages.Cell) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
