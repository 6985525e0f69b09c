"""IPython display formatters for listings and API objects, as HTML and as text.

A listing is a plain pandas DataFrame, so the formatters are registered for that class, by name, without importing
pandas.  Frames of other origin are passed to the formatter that was registered before.
"""

from __future__ import annotations

import logging
import shutil
import sys
from typing import TYPE_CHECKING, Any

from loops_nb import console

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from loops_nb.api.models import APIObject
    from loops_nb.frames.listing_rows import ListingRows
    from loops_nb.magics.context import MagicSettings
    from loops_nb.magics.log_display import LogDisplay
    from loops_nb.render.tables import Table

_logger = logging.getLogger(__name__)
_HTML = "text/html"
_TEXT = "text/plain"
_WRAPPER_MARK = "_loops_nb"
# pandas 3 names the class by its public module, pandas 2 by the file.
_FRAMES = (("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"))
_RESOURCE = ("loops_nb.api.models", "APIObject")
_LISTING = ("loops_nb.frames.listing_rows", "ListingRows")
_DEFAULT_WIDTH = 120
_MIN_WIDTH = 40


class DisplayFormatters:
    """The formatters of one shell.

    Parameters
    ----------
    ip : InteractiveShell
        The IPython shell.
    settings : MagicSettings
        Row limit and time zone.
    """

    def __init__(self, ip: Any, settings: MagicSettings) -> None:
        self._settings = settings
        self._formatters = {mime: ip.display_formatter.formatters[mime] for mime in (_HTML, _TEXT)}
        self._registered: list[tuple[Any, Callable[..., Any], Callable[..., Any] | None]] = []
        for class_name in _FRAMES:
            self._register(_HTML, class_name, self._frame_html_formatter)
            self._register(_TEXT, class_name, self._frame_text_formatter)
        self._register(_HTML, _RESOURCE, lambda _: self._resource_html)
        self._register(_TEXT, _RESOURCE, lambda _: self._resource_text)
        # What `display_listing` shows.
        self._register(_HTML, _LISTING, self._frame_html_formatter)
        self._register(_TEXT, _LISTING, self._frame_text_formatter)
        self._formatter = ip.display_formatter
        # A kernel sends text to the page, whatever the encoding of its own console.
        if getattr(ip, "kernel", None) is None:
            self._formatter.format = _encodable_format(self._formatter.format)

    def remove(self) -> None:
        """Restore the previous formatters; one that was registered by other code since then stays."""
        for formatter, own, previous in reversed(self._registered):
            for table in (formatter.deferred_printers, formatter.type_printers):
                for key in [key for key, value in table.items() if value is own]:
                    del table[key]
                    if previous is not None:
                        table[key] = previous
        self._registered.clear()
        if getattr(self._formatter.__dict__.get("format"), _WRAPPER_MARK, False):
            del self._formatter.format

    def _register(self, mime: str, class_name: tuple[str, str], make: Callable[[Any], Callable[..., Any]]) -> None:
        formatter = self._formatters[mime]
        loaded = getattr(sys.modules.get(class_name[0]), class_name[1], None)
        if loaded is not None and (loaded.__module__, loaded.__name__) == class_name:
            previous = formatter.type_printers.get(loaded) or formatter.deferred_printers.pop(class_name, None)
            own = make(previous)
            formatter.type_printers[loaded] = own
        else:
            previous = formatter.deferred_printers.get(class_name)
            own = make(previous)
            formatter.deferred_printers[class_name] = own
        self._registered.append((formatter, own, previous))

    def _frame_html_formatter(self, previous: Callable[..., Any] | None) -> Callable[..., Any]:
        def format_html(frame: Any) -> Any:
            html = _or_log(frame_html, frame, self._settings)
            if html is not None:
                return html
            frame = _without_urls(frame)
            if previous is not None:
                return previous(frame)
            return frame._repr_html_()

        return format_html

    def _frame_text_formatter(self, previous: Callable[..., Any] | None) -> Callable[..., Any]:
        def format_text(frame: Any, printer: Any, cycle: Any) -> None:
            text = None
            if not _is_nested(printer):
                text = _or_log(frame_text, frame, self._settings)
            if text is not None:
                _print(printer, text)
                return
            frame = _without_urls(frame)
            if previous is not None:
                previous(frame, printer, cycle)
            else:
                _print(printer, repr(frame))

        return format_text

    def _resource_html(self, resource: Any) -> str | None:
        return _or_log(resource_html, resource, self._settings)

    def _resource_text(self, resource: Any, printer: Any, _cycle: Any) -> None:
        text = None
        if not _is_nested(printer):
            text = _or_log(resource_text, resource, self._settings)
        if text is None:
            text = repr(resource)
        _print(printer, text)


def frame_html(frame: pd.DataFrame | ListingRows, settings: MagicSettings) -> str | None:
    """Return a listing as HTML; None if the frame is not a listing of this package."""
    from loops_nb.render.tables import as_html, notes_as_html  # only when something is displayed

    lines = _log_display(frame, settings)
    if lines is not None:
        return lines.html()
    table = _table(frame, settings)
    if table is None:
        return None
    if not table.fields:
        return notes_as_html(table.notes)
    return as_html(table)


def frame_text(frame: pd.DataFrame | ListingRows, settings: MagicSettings) -> str | None:
    """Return a listing as text that fits the terminal; None if the frame is not a listing of this package."""
    from loops_nb.render.tables import as_text

    lines = _log_display(frame, settings)
    if lines is not None:
        return lines.text()
    table = _table(frame, settings)
    if table is None:
        return None
    if not table.fields:
        return "\n".join(table.notes)
    return as_text(table, max(_MIN_WIDTH, shutil.get_terminal_size((_DEFAULT_WIDTH, 24)).columns))


def resource_html(resource: APIObject, settings: MagicSettings) -> str:
    """Return the fields of an API object as an HTML table."""
    from loops_nb.magics.object_table import object_table
    from loops_nb.render.tables import as_card_html

    return as_card_html(object_table(resource, time_zone=settings.time_zone))


def resource_text(resource: APIObject, settings: MagicSettings) -> str:
    """Return the fields of an API object as text."""
    from loops_nb.magics.object_table import object_table
    from loops_nb.render.tables import as_card_text

    return as_card_text(object_table(resource, time_zone=settings.time_zone))


def _log_display(frame: pd.DataFrame | ListingRows, settings: MagicSettings) -> LogDisplay | None:
    from loops_nb.magics.log_display import log_display

    return log_display(frame, row_limit=settings.row_limit, time_zone=settings.time_zone)


def _table(frame: pd.DataFrame | ListingRows, settings: MagicSettings) -> Table | None:
    from loops_nb.magics.listing_table import kind_of, listing_table

    kind = kind_of(frame)
    if kind is None:
        return None
    return listing_table(frame, kind, row_limit=settings.row_limit, time_zone=settings.time_zone)


def _or_log(make: Callable[[Any, MagicSettings], str | None], value: Any, settings: MagicSettings) -> str | None:
    try:
        return make(value, settings)
    except Exception:
        _logger.exception("%s could not be shown by loops_nb; its usual display is used.", type(value).__name__)
        return None


def _encodable_format(original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap ``DisplayFormatter.format`` so that its text, of any object, can be encoded by the console."""

    def format_for_console(*args: Any, **named: Any) -> Any:
        bundle, metadata = original(*args, **named)
        if isinstance(bundle.get(_TEXT), str):
            bundle[_TEXT] = console.encodable(bundle[_TEXT])
        return bundle, metadata

    setattr(format_for_console, _WRAPPER_MARK, True)
    return format_for_console


def _without_urls(frame: Any) -> Any:
    """Return a frame for the display of pandas, without the presigned URLs of a listing of files."""
    from loops_nb.frames.attributes import KIND_ATTR
    from loops_nb.magics.cell_text import HIDDEN_URL

    if frame.attrs.get(KIND_ATTR) != "files" or "url" not in frame.columns:
        return frame
    frame = frame.copy()
    frame["url"] = HIDDEN_URL
    return frame


def _is_nested(printer: Any) -> bool:
    """Return whether the object is printed inside a list or a dict."""
    return len(printer.stack) > 1


def _print(printer: Any, text: str) -> None:
    for number, line in enumerate(text.splitlines()):
        if number:
            printer.break_()
        printer.text(line)
