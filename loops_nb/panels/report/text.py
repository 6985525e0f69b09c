"""The report as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from loops_nb.errors import one_line
from loops_nb.panels import messages
from loops_nb.panels.report.draft import draft_of
from loops_nb.panels.report.listing import MOST_ROWS
from loops_nb.render.tables import Table, as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST_WIDTH = 40


def report_text(
    snapshot: messages.PanelSnapshot,
    *,
    width: int = 120,
    time_zone: str = "local",
    most_rows: int = MOST_ROWS,
    lines: Mapping[str, str] | None = None,
    words: str = "",
) -> str:
    """Return a snapshot as text for a terminal, a diff, or a reader that knows no HTML.

    Parameters
    ----------
    snapshot
        What the panel shows.
    width
        Places in a line; at least 40 are used.  Columns that do not fit are left out, the least important first, and
        named.
    time_zone
        Zone of all times, as in the setting of that name.
    most_rows
        Rows of a table; how many more there are is said below.
    lines
        Lines of code that show more of it, by what they show.
    words
        What stands below the tables.

    Raises
    ------
    ConfigError
        If there is no such time zone.
    """
    width = max(_LEAST_WIDTH, width)
    draft = draft_of(snapshot, time_zone, most_rows=most_rows)
    blocks = ["\n".join(_wrapped(line, width) for line in (draft.title, *draft.lines))]
    for section in draft.sections:
        parts = [_wrapped(section.heading, width)] if section.heading else []
        parts += [as_text(Table(section.table.fields), width)] if section.table.fields else []
        blocks.append("\n".join([*parts, *(_wrapped(note, width) for note in section.table.notes)]))
    if words:
        blocks.append(words)
    if lines:
        blocks.append("\n".join(_wrapped(f"{what}: {code}", width) for what, code in lines.items()))
    if draft.line:
        blocks.append(_wrapped(f"To see it live, type in a notebook: {draft.line}", width))
    return "\n\n".join(blocks)


def _wrapped(text: str, width: int) -> str:
    # An id or a URI that is longer than a line is not broken: it is there to be copied.
    return "\n".join(textwrap.wrap(one_line(text), width, break_long_words=False, break_on_hyphens=False))
