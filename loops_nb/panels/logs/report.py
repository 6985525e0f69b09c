"""Static report of a panel of log lines: the newest ones."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.config.time_zone import display_zone
from loops_nb.panels.report.html import ONE_OF_TWO, REPORT_CLASS
from loops_nb.render.formatting import many, zone_name
from loops_nb.render.log_lines import STYLE, ShownLine, html_lines, text_line
from loops_nb.render.tables import page, sentence

if TYPE_CHECKING:
    from loops_nb.panels.logs.controller import LogsController
    from loops_nb.panels.logs.messages import LogRow

MOST_LINES = 40


def report_of(controller: LogsController, *, live: bool, time_zone: str) -> dict[str, str]:
    """Return the report as HTML and as text."""
    lines, notes = _content(controller, time_zone)
    parts = [sentence(controller.title, is_heading=True)]
    if lines:
        parts.append(html_lines(lines, display_zone(time_zone)))
    parts += map(sentence, notes)
    parts.append(sentence("To see it live, type in a notebook:", code=controller.line))
    return {
        "text/html": page(parts, classes=REPORT_CLASS, style=STYLE + (ONE_OF_TWO if live else "")),
        "text/plain": text_report_of(controller, time_zone=time_zone),
    }


def text_report_of(controller: LogsController, *, time_zone: str) -> str:
    """Return the report as text."""
    lines, notes = _content(controller, time_zone)
    zone = display_zone(time_zone)
    return "\n".join([controller.title, *(text_line(line, zone) for line in lines), *notes])


def _content(controller: LogsController, time_zone: str) -> tuple[list[ShownLine], list[str]]:
    rows = controller.rows
    lines = [_shown(row, both=controller.both) for row in rows[-MOST_LINES:]]
    notes = [controller.read_error] if controller.read_error else []
    if not lines:
        return [], notes or ["No log lines yet."]
    notes.append(f"Times: {zone_name(time_zone, display_zone(time_zone), [line.at for line in lines])}.")
    if len(rows) > len(lines):
        notes.append(f"The newest {len(lines)} of {many(len(rows), 'line')} are shown; the live panel has all.")
    return lines, notes


def _shown(row: LogRow, *, both: bool) -> ShownLine:
    at = datetime.fromtimestamp(row.at / 1000, UTC)
    return ShownLine(at, row.message, row.level or None, row.half if both else None)
