"""The report as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.panels import messages
from loops_nb.panels.report.draft import draft_of
from loops_nb.render.tables import page, rows_html, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPORT_CLASS = "loops-nb-report"
#: The live view's element in the page has this class as long as it is there.
LIVE_CLASS = "loops-nb-live"
_OUTPUT = ".jp-OutputArea-child"
# JupyterLab's place for a widget, also before it has its class; and the text of the live half, where widgets are not
# drawn.
_DEAD = ":is(:has(.jupyter-widgets,[data-mime-type='text/plain']),:not(:has([data-mime-type])))"
# Of the two outputs of a panel exactly one is shown: the live one hides the report; the report hides what is left of a
# dead one ("Error displaying widget", or its text).  Only an output that can be a panel's is hidden: what a cell prints
# stays, whatever comes between.
ONE_OF_TWO = (
    f"{_OUTPUT}:has(.{REPORT_CLASS}):has(+{_OUTPUT} .{LIVE_CLASS}),"
    f"{_OUTPUT}:has(.{REPORT_CLASS})+{_OUTPUT}{_DEAD}:not(:has(.{LIVE_CLASS}))"
    "{display:none!important}"
)


def report_html(
    snapshot: messages.PanelSnapshot,
    *,
    time_zone: str = "local",
    frozen: bool = False,
    lines: Mapping[str, str] | None = None,
    parts: Sequence[str] = (),
) -> str:
    """Return a snapshot as a piece of HTML that needs no style sheet, no script and no kernel.

    Parameters
    ----------
    snapshot
        What the panel shows.
    time_zone
        Zone of all times, as in the setting of that name.
    frozen
        There is no live panel beside it: leave out the style rule that shows only one of the two.
    lines
        Lines of code that show more of it, by what they show.
    parts
        Pieces of HTML below the tables.

    Raises
    ------
    ConfigError
        If there is no such time zone.
    """
    draft = draft_of(snapshot, time_zone)
    shown = [sentence(draft.title, is_heading=True), *map(sentence, draft.lines)]
    for section in draft.sections:
        shown += (
            rows_html(section.table, section.heading) if section.table.fields else map(sentence, section.table.notes)
        )
    shown += parts
    shown += [sentence(f"{what}:", code=code) for what, code in (lines or {}).items()]
    if draft.line:
        shown.append(sentence("To see it live, type in a notebook:", code=draft.line))
    return page(shown, classes=REPORT_CLASS, style="" if frozen else ONE_OF_TWO)
