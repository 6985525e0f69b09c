"""Display of a frame of log lines as lines, newest last."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loops_nb.config.time_zone import display_zone
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.listing_rows import ListingRows
from loops_nb.magics.cell_text import is_missing
from loops_nb.render.formatting import zone_name
from loops_nb.render.log_lines import STYLE, ShownLine, html_lines, text_line

if TYPE_CHECKING:
    from datetime import tzinfo

    import pandas as pd

_NEEDED = ("timestamp", "level", "half", "message")


class LogDisplay(NamedTuple):
    """The lines to show and the sentences below them."""

    lines: list[ShownLine]
    notes: list[str]
    zone: tzinfo | None

    def text(self) -> str:
        """Return the lines as text."""
        return "\n".join([*self.texts(), *self.notes])

    def texts(self) -> list[str]:
        """Return each line as text."""
        return [text_line(line, self.zone) for line in self.lines]

    def html(self) -> str:
        """Return the lines as HTML."""
        from loops_nb.render.tables import page, sentence

        return page([html_lines(self.lines, self.zone), *map(sentence, self.notes)], style=STYLE)


def log_display(frame: pd.DataFrame | ListingRows, *, row_limit: int, time_zone: str) -> LogDisplay | None:
    """Return the display of a frame of ``loops.logs``; None for other frames, and for one without lines."""
    from loops_nb.magics.listing_table import kind_of

    if isinstance(frame, ListingRows) or kind_of(frame) != "logs":
        return None
    if not set(_NEEDED) <= set(frame.columns) or frame["half"].isna().any():
        return None
    if not len(frame) or frame["timestamp"].isna().any() or frame.index.nlevels > 1:
        return None
    shown = frame.tail(row_limit or len(frame))
    columns = [shown[name].tolist() for name in _NEEDED]
    both = len(set(frame["half"].tolist())) > 1
    lines = [
        ShownLine(
            at.to_pydatetime(warn=False),
            "" if is_missing(message) else str(message),
            None if is_missing(level) else str(level),
            str(half) if both else None,
        )
        for at, level, half, message in zip(*columns, strict=True)
    ]
    zone = display_zone(time_zone)
    notes = [f"Times: {zone_name(time_zone, zone, [line.at for line in lines])}."]
    if len(shown) < len(frame):
        notes.append(
            f"Showing the last {len(shown):,} of {len(frame):,} lines. The DataFrame has all; "
            "%config LoopsMagics.row_limit = 0 shows them."
        )
    told = frame.attrs.get(NOTES_ATTR)
    return LogDisplay(lines, [*notes, *(told if isinstance(told, list) else [])], zone)
