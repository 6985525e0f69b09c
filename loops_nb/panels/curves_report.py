"""What a panel of curves leaves behind in a notebook's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.tables import Field, Table, as_text, page, rows_html, sentence
from loops_nb.panels.report.html import ONE_OF_TWO, REPORT_CLASS

if TYPE_CHECKING:
    from loops_nb.panels.curves_core import CurvesCore

_WIDTH = 120


def report_of(core: CurvesCore, *, live: bool) -> dict[str, str]:
    """Return the report as HTML and as text."""
    snapshot = core.snapshot()
    table = Table([Field("Experiment", [run.name for run in snapshot.head.runs])])
    html = page([sentence(snapshot.title, is_heading=True), *rows_html(table)], classes=REPORT_CLASS, style=ONE_OF_TWO if live else "")
    return {"text/html": html, "text/plain": f"{snapshot.title}\n{as_text(table, _WIDTH)}"}
