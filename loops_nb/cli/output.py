"""Results of verbs in a shell: a table, JSON or ids to the standard output, sentences about them to the other one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from loops_nb.cli.colors import paint_for
from loops_nb.cli.form import Form
from loops_nb.cli.streams import text_width
from loops_nb.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from loops_nb.api.models import APIObject
    from loops_nb.cli.context import ShellContext
    from loops_nb.frames.listing_rows import ListingRows
    from loops_nb.render.tables import Table

#: What ``-q`` prints of each kind of frame; a kind that is not here has no ids.
IDENTITIES = {
    "runs": "id",
    "samplers": "id",
    "checkpoints": "id",
    "files": "relative_file_name",
    "deployments": "id",
    "capabilities": "model_name",
    "teams": "id",
    "prices": "id",
    "costs": "id",
    "checkpoint_sizes": "run_id",
    "usage": "id",
    "experiments": "id",
    "best": "uri",
    "downloads": "path",
    "planned_files": "path",
    "debug_archive": "path",
    "exports": "path",
    "planned_deletions": "id",
    "deletions": "id",
    "served_models": "model_id",
    "scores": "uri",
    "params": "parameter",
    "sweep": "parameter",
}
_IDS_OF_OBJECTS = ("id", "model_id")


def show(result: Any, form: Form, context: ShellContext) -> None:
    """Print the result of a verb; None and what stands for itself, such as a saved picture, print nothing."""
    from loops_nb.api.models import APIObject
    from loops_nb.frames.listing_rows import ListingRows
    from loops_nb.magics.listing_table import listing_columns

    if isinstance(result, APIObject):
        _show_object(result, form, context)
    elif isinstance(result, ListingRows):
        # pandas takes longer to import than all the rest.
        if listing_columns(result) is None:
            from loops_nb.resources.frames import frame_of

            _show_frame(frame_of(result), form, context)
        else:
            _show_frame(result, form, context)
    elif type(result).__module__.partition(".")[0] == "pandas":
        _show_frame(result, form, context)
    elif hasattr(result, "frame") and hasattr(result, "text"):
        # Completions.
        if form is Form.TEXT:
            context.print_lines(result.text(text_width()))
        else:
            _show_frame(result.frame, form, context)


def _show_object(thing: APIObject, form: Form, context: ShellContext) -> None:
    from loops_nb.cli.json_rows import as_line, plain
    from loops_nb.magics.display import resource_text

    if form is Form.TEXT:
        context.print_lines(resource_text(thing, context.settings))
    elif form is Form.IDS:
        found = next((str(value) for name in _IDS_OF_OBJECTS if (value := getattr(thing, name, None))), "")
        context.print_lines(one_line(found))
    else:
        context.print_lines(as_line(plain(thing.to_dict())))


def _show_frame(frame: pd.DataFrame | ListingRows, form: Form, context: ShellContext) -> None:
    from loops_nb.cli.json_rows import as_array, as_line, rows
    from loops_nb.frames.listing_rows import ListingRows
    from loops_nb.magics.listing_table import empty_message, kind_of

    kind = kind_of(frame)
    if form is Form.JSON:
        context.print_lines(as_array(rows(frame, kind)))
    elif form is Form.JSON_LINES:
        _print_each(map(as_line, rows(frame, kind)), context)
    elif form is Form.IDS:
        column = IDENTITIES.get(kind or "", "id")
        found = frame.values(column) if isinstance(frame, ListingRows) else frame[column].dropna().tolist()
        _print_each((one_line(str(value)) for value in found if value is not None), context)
    elif not len(frame):
        context.say(empty_message(frame, kind or "rows"))
    else:
        _show_table(frame, kind, context)


def _print_each(lines: Iterable[str], context: ShellContext) -> None:
    text = "\n".join(lines)
    if text:
        context.print_lines(text)


def _show_table(frame: pd.DataFrame | ListingRows, kind: str | None, context: ShellContext) -> None:
    from loops_nb.magics.listing_table import listing_table
    from loops_nb.magics.log_display import log_display

    zone = context.settings.time_zone
    lines = log_display(frame, row_limit=0, time_zone=zone)
    if lines is not None:
        context.print_lines("\n".join(lines.texts()))
        notes = lines.notes
    else:
        text, notes = _text(listing_table(frame, kind or "", row_limit=0, time_zone=zone))
        context.print_lines(text)
    for note in notes:
        context.say(note)


def _text(table: Table) -> tuple[str, list[str]]:
    from loops_nb.render.tables import text_and_notes

    return text_and_notes(table, text_width(), paint=paint_for(sys.stdout))
