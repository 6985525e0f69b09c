"""What is shown of a listing or an object, as HTML and as text."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from loops_nb.drawing.tables import as_card_html, as_card_text, as_html, as_text, notes_as_html
from loops_nb.magics.listings import kind_of, listing_table

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.drawing.tables import Table
    from loops_nb.magics.magic import LoopsMagics
    from loops_nb.models import Resource

_USUAL_WIDTH = 120
_LEAST_WIDTH = 40


def frame_html(frame: pd.DataFrame, settings: LoopsMagics) -> str | None:
    """Return a listing as HTML; None if the frame is not one of ours."""
    table = _table(frame, settings)
    if table is None:
        return None
    return as_html(table) if table.fields else notes_as_html(table.notes)


def frame_text(frame: pd.DataFrame, settings: LoopsMagics) -> str | None:
    """Return a listing as text that fits the terminal; None if the frame is not one of ours."""
    table = _table(frame, settings)
    if table is None:
        return None
    width = max(_LEAST_WIDTH, shutil.get_terminal_size((_USUAL_WIDTH, 24)).columns)
    return as_text(table, width) if table.fields else "\n".join(table.notes)


def object_html(thing: Resource, settings: LoopsMagics) -> str:
    """Return an object's card as HTML."""
    return as_card_html(_card(thing, settings))


def object_text(thing: Resource, settings: LoopsMagics) -> str:
    """Return an object's card as text."""
    return as_card_text(_card(thing, settings))


def _table(frame: pd.DataFrame, settings: LoopsMagics) -> Table | None:
    kind = kind_of(frame)
    return None if kind is None else listing_table(frame, kind, row_limit=settings.row_limit, time_zone=settings.time_zone)


def _card(thing: Resource, settings: LoopsMagics) -> Table:
    from loops_nb.magics.cards import card_table  # noqa: PLC0415 - a listing needs no cards

    return card_table(thing, time_zone=settings.time_zone)
