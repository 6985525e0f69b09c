"""How IPython shows our listings and objects, in a notebook and in a terminal.

A listing is a plain pandas DataFrame, so the formatters are registered for that class, by name, without importing pandas; frames that are
not ours go on to whatever showed them before.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from loops_nb import console

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.magics.magic import LoopsMagics

_LOG = logging.getLogger(__name__)
_HTML = "text/html"
_TEXT = "text/plain"
_OURS = "_loops_nb"
# pandas 3 names the class by its public module, pandas 2 by the file.
_FRAMES = (("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"))
_OBJECTS = (("loops_nb.models", "Resource"),)


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
        self._formatter = ip.display_formatter
        # A kernel sends texts to a page, whatever its console can show.
        if getattr(ip, "kernel", None) is None:
            self._formatter.format = self._encodable(self._formatter.format)

    def remove(self) -> None:
        """Put back what was there; a formatter that somebody registered since then stays."""
        for formatter, ours, former in reversed(self._placed):
            for table in (formatter.deferred_printers, formatter.type_printers):
                for key in [key for key, value in table.items() if value is ours]:
                    del table[key]
                    if former is not None:
                        table[key] = former
        self._placed.clear()
        if getattr(self._formatter.__dict__.get("format"), _OURS, False):
            del self._formatter.format

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

    def _encodable(self, made: Callable[..., Any]) -> Callable[..., Any]:
        """Return a ``DisplayFormatter.format`` whose texts the console can encode: those of panels, completions and pandas too."""

        def format_for_console(*args: Any, **named: Any) -> Any:
            bundle, metadata = made(*args, **named)
            if isinstance(bundle.get(_TEXT), str):
                bundle[_TEXT] = console.encodable(bundle[_TEXT])
            return bundle, metadata

        setattr(format_for_console, _OURS, True)
        return format_for_console

    def _frame_html(self, frame: Any, former: Callable[..., Any] | None) -> Any:
        html = self._drawn("frame_html", frame)
        if html is None:
            frame = _without_urls(frame)
            return former(frame) if former is not None else frame._repr_html_()
        return html

    def _frame_text(self, frame: Any, printer: Any, cycle: Any, former: Callable[..., Any] | None) -> None:
        text = None if _is_inside(printer) else self._drawn("frame_text", frame)
        if text is not None:
            _print(printer, text)
            return
        frame = _without_urls(frame)
        if former is not None:
            former(frame, printer, cycle)
        else:
            _print(printer, repr(frame))

    def _object_html(self, thing: Any) -> str | None:
        return self._drawn("object_html", thing)

    def _object_text(self, thing: Any, printer: Any, _cycle: Any) -> None:
        text = None if _is_inside(printer) else self._drawn("object_text", thing)
        _print(printer, repr(thing) if text is None else text)

    def _drawn(self, way: str, thing: Any) -> str | None:
        """Return what a function of `showing` makes of a thing; None where it is none of ours, or where our display failed."""
        from loops_nb.magics import showing  # noqa: PLC0415 - only when something is shown

        try:
            text: str | None = getattr(showing, way)(thing, self._magics)
        except Exception:  # noqa: BLE001 - logged with its traceback, and shown in another way
            # The usual display of pandas is worth more than a traceback in the place of a table.
            _LOG.exception("%s could not be shown by loops_nb; its usual display is used.", type(thing).__name__)
            return None
        return text


def _without_urls(frame: Any) -> Any:
    """Return a frame for the display of pandas, without the presigned URLs of a listing of files."""
    if "loops_nb.frames" not in sys.modules:
        return frame
    from loops_nb.frames.arrays import KIND_ATTR  # noqa: PLC0415 - pandas is there when a frame is there
    from loops_nb.magics.cell_text import HIDDEN_URL  # noqa: PLC0415

    if frame.attrs.get(KIND_ATTR) != "files" or "url" not in frame.columns:
        return frame
    frame = frame.copy()
    frame["url"] = HIDDEN_URL
    return frame


def _is_inside(printer: Any) -> bool:
    """Tell whether the thing is printed inside a list or a dict."""
    return len(printer.stack) > 1


def _print(printer: Any, text: str) -> None:
    for number, line in enumerate(text.splitlines()):
        if number:
            printer.break_()
        printer.text(line)
