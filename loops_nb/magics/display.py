"""How IPython shows our listings and objects, in a notebook and in a terminal.

A listing is a plain pandas DataFrame, so the formatters are registered for that class, by name, without importing pandas; frames that are
not ours go on to whatever showed them before.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.magic import LoopsMagics

_HTML = "text/html"
_TEXT = "text/plain"
# pandas 3 names the class by its public module, pandas 2 by the file.
_FRAMES = (("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"))
_OBJECTS = (("loops_nb.models", "Resource"),)
_USUAL_WIDTH = 120


class Display:
    """The formatters of one shell.

    Parameters
    ----------
    ip
        The IPython shell.
    magics
        The settings.
    """

    def __init__(self, ip: Any, magics: LoopsMagics) -> None:
        self._magics = magics
        self._formatters = {mime: ip.display_formatter.formatters[mime] for mime in (_HTML, _TEXT)}
        self._placed: list[tuple[Any, Callable[..., Any], Callable[..., Any] | None]] = []
        for names in _FRAMES:
            self._place(_HTML, names, lambda former: lambda frame: self._frame_html(frame, former))
            self._place(_TEXT, names, lambda former: lambda frame, printer, cycle: self._frame_text(frame, printer, cycle, former))
        for names in _OBJECTS:
            self._place(_HTML, names, lambda _: self._object_html)
            self._place(_TEXT, names, lambda _: self._object_text)

    def remove(self) -> None:
        """Put back what was there; a formatter that somebody registered since then stays."""
        for formatter, ours, former in reversed(self._placed):
            for table in (formatter.deferred_printers, formatter.type_printers):
                for key in [key for key, value in table.items() if value is ours]:
                    del table[key]
                    if former is not None:
                        table[key] = former
        self._placed.clear()

    def _place(self, mime: str, names: tuple[str, str], make: Callable[[Any], Callable[..., Any]]) -> None:
        formatter = self._formatters[mime]
        loaded = getattr(sys.modules.get(names[0]), names[1], None)
        if loaded is not None and (loaded.__module__, loaded.__name__) == names:
            former = formatter.type_printers.get(loaded) or formatter.deferred_printers.pop(names, None)
            ours = make(former)
            formatter.type_printers[loaded] = ours
        else:
            former = formatter.deferred_printers.get(names)
            ours = make(former)
            formatter.deferred_printers[names] = ours
        self._placed.append((formatter, ours, former))

    def _frame_html(self, frame: Any, former: Callable[..., Any] | None) -> Any:
        from loops_nb.magics.listings import kind_of, listing_table  # noqa: PLC0415 - only when something is shown
        from loops_nb.magics.tables import as_html, notes_html  # noqa: PLC0415

        kind = kind_of(frame)
        if kind is None:
            return former(frame) if former is not None else frame._repr_html_()
        table = listing_table(frame, kind, row_limit=self._magics.row_limit, time_zone=self._magics.time_zone)
        return as_html(table) if table.fields else "\n".join(notes_html(table.notes))

    def _frame_text(self, frame: Any, printer: Any, cycle: Any, former: Callable[..., Any] | None) -> None:
        from loops_nb.magics.listings import kind_of, listing_table  # noqa: PLC0415
        from loops_nb.magics.tables import as_text  # noqa: PLC0415

        kind = kind_of(frame)
        if kind is None or _is_inside(printer):
            if former is not None:
                former(frame, printer, cycle)
            else:
                _lines(printer, repr(frame))
            return
        table = listing_table(frame, kind, row_limit=self._magics.row_limit, time_zone=self._magics.time_zone)
        _lines(printer, as_text(table, _width()) if table.fields else "\n".join(table.notes))

    def _object_html(self, thing: Any) -> str:
        from loops_nb.magics.cards import card_table  # noqa: PLC0415
        from loops_nb.magics.tables import as_card_html  # noqa: PLC0415

        return as_card_html(card_table(thing, time_zone=self._magics.time_zone))

    def _object_text(self, thing: Any, printer: Any, _cycle: Any) -> None:
        from loops_nb.magics.cards import card_table  # noqa: PLC0415
        from loops_nb.magics.tables import as_card_text  # noqa: PLC0415

        if _is_inside(printer):
            printer.text(repr(thing))
        else:
            _lines(printer, as_card_text(card_table(thing, time_zone=self._magics.time_zone)))


def _is_inside(printer: Any) -> bool:
    """Tell whether the thing is printed inside a list or a dict."""
    return len(printer.stack) > 1


def _lines(printer: Any, text: str) -> None:
    for number, line in enumerate(text.splitlines()):
        if number:
            printer.break_()
        printer.text(line)


def _width() -> int:
    return max(40, shutil.get_terminal_size((_USUAL_WIDTH, 24)).columns)
