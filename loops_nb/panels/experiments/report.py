"""Static report of a panel of experiments: the first rows as a table, and what all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.panels.experiments.columns import SPARK, words_of
from loops_nb.panels.report.html import ONE_OF_TWO, REPORT_CLASS
from loops_nb.panels.report.listing import MOST_ROWS
from loops_nb.panels.report.times import TimeFormatter
from loops_nb.render.formatting import MISSING, first_and_more, many, roughly
from loops_nb.render.tables import Field, Table, as_text, page, rows_html, sentence

if TYPE_CHECKING:
    from loops_nb.panels.experiments.messages import ExperimentColumn, ExperimentsSnapshot
    from loops_nb.panels.messages import Cell

_MOST_SHARED = 20
_NUMBERS = {"number", "count", "duration", "age"}
#: As in `loops_nb.panels.report.state_icons`, for the states of experiments.
_ICONS = {"running": "●", "finished": "■", "crashed": "✕", "stale": "?"}


def report_of(snapshot: ExperimentsSnapshot, first: list[str], *, time_zone: str, live: bool) -> dict[str, str]:
    """Return the report as HTML and as text.

    Parameters
    ----------
    snapshot : ExperimentsSnapshot
        What the panel shows.
    first : list of str
        Ids of the first rows, in the order of the panel.
    time_zone : str
        Zone of the time of the report.
    live : bool
        Whether a live panel stands beside it.
    """
    lines, table = _content(snapshot, first, time_zone)
    parts = [sentence(snapshot.title, is_heading=True), *map(sentence, lines)]
    if table.fields:
        parts += rows_html(table, many(snapshot.total, "experiment"))
    parts.append(sentence("To see it live, type in a notebook:", code=snapshot.line))
    return {
        "text/html": page(parts, classes=REPORT_CLASS, style=ONE_OF_TWO if live else ""),
        "text/plain": text_report_of(snapshot, first, time_zone=time_zone, width=120),
    }


def text_report_of(snapshot: ExperimentsSnapshot, first: list[str], *, time_zone: str, width: int) -> str:
    """Return the report as text for a terminal."""
    lines, table = _content(snapshot, first, time_zone)
    text = [snapshot.title, *lines]
    if table.fields:
        text += ["", many(snapshot.total, "experiment"), as_text(table, width)]
    return "\n".join([*text, "", f"To see it live, type in a notebook: {snapshot.line}"])


def _content(snapshot: ExperimentsSnapshot, first: list[str], time_zone: str) -> tuple[list[str], Table]:
    clock = TimeFormatter(snapshot.now, time_zone)
    lines = [f"As of {clock.whole()}."]
    if snapshot.health.state == "failing":
        lines.append(f"It could not be brought up to date: {snapshot.health.reason} {snapshot.health.hint}".strip())
    if not snapshot.rows:
        return [*lines, *filter(None, [snapshot.empty])], Table([])
    by_id = {str(row[0]): row for row in snapshot.rows}
    rows = [by_id[key] for key in first[:MOST_ROWS] if key in by_id]
    places = {name: place for place, name in enumerate(snapshot.sent)}
    fields = []
    for column in snapshot.columns:
        is_shown = snapshot.choices.columns.get(column.name, column.shown)
        if not is_shown or column.name == SPARK or column.name not in places:
            continue
        cells = [_words(column, row[places[column.name]], clock) for row in rows]
        if any(cell != MISSING for cell in cells):
            is_number = column.drawn in _NUMBERS
            fields.append(Field(column.title, cells, is_number=is_number, is_short=column.drawn == "state"))
    notes = [f"And {snapshot.total - len(rows):,} more."] if snapshot.total > len(rows) else []
    if snapshot.shared:
        values = [f"{one.title} {one.value}" for one in snapshot.shared]
        notes.append(f"The same in all: {first_and_more(values, _MOST_SHARED)}.")
    return lines, Table(fields, [*notes, *snapshot.notes])


def _words(column: ExperimentColumn, cell: Cell, clock: TimeFormatter) -> str:
    if cell is None or cell == "":
        return MISSING
    if column.drawn == "state":
        return f"{_ICONS.get(str(cell), '?')} {cell}"
    if column.drawn == "age" and isinstance(cell, int | float):
        return clock.at(cell)
    if column.drawn == "duration" and isinstance(cell, int | float):
        return roughly(cell / 1000)
    if column.drawn == "count" and isinstance(cell, int):
        return f"{cell:,}"
    return words_of(column, cell)
