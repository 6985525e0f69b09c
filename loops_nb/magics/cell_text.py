"""Texts for the cells of a DataFrame, whatever object is in them.

A user's own column may hold arrays, sets, objects whose ``repr`` raises, or numbers beyond the limits of ``str``.  One such cell must not
cost the other cells, so no function here raises an `Exception`.
"""

from __future__ import annotations

import math
import re
import reprlib
from datetime import timedelta
from numbers import Integral
from typing import TYPE_CHECKING, Any

from loops_nb.drawing.wording import MISSING, lasting, size

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_OF_A_LIST = 4
_LONGEST_WHOLE = 1e15
_CONTAINERS = (dict, set, frozenset, tuple)
_URL = re.compile(r"\s*https?://\S+\?\S+", re.IGNORECASE)
# The query of a presigned URL: of S3, of Google Cloud Storage, of Azure, of the local service; or one with a token or a key.
_SIGNED = re.compile(r"[?&;](?:[^=&\s]*(?:signature|credential)|x-(?:amz|goog)-[^=&\s]*|(?:[a-z]*[_-])?(?:token|key)|sig)=", re.IGNORECASE)
HIDDEN_URL = "(presigned URL, not shown: it works without a key)"


class _Short(reprlib.Repr):
    """Representations of nested objects that are bounded in length and depth, so also of an object that contains itself."""

    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxset = self.maxfrozenset = self.maxtuple = self.maxlist = self.maxdeque = self.maxarray = 8
        self.maxlevel = 4
        self.maxstring = self.maxlong = self.maxother = 120


_SHORT = _Short()


def is_missing(cell: Any) -> bool:
    """Return whether a cell is None, NA, NaT, or a NaN that was not logged; arrays and other containers never are."""
    if cell is None or type(cell).__name__ in {"NAType", "NaTType"}:
        return True
    if not hasattr(type(cell), "__float__") and type(cell).__module__ != "numpy":
        return False
    import numpy as np  # noqa: PLC0415 - numpy is there when a frame is there

    if isinstance(cell, np.datetime64 | np.timedelta64):
        return bool(np.isnat(cell))
    return isinstance(cell, float | np.floating) and math.isnan(cell) and not _was_logged(cell)


def _was_logged(cell: Any) -> bool:
    from loops_nb.frames.logged import is_logged_nan  # noqa: PLC0415 - numpy is there when a frame is there

    return is_logged_nan(cell)


def value_text(cell: Any) -> str:
    """Return a value as text: booleans as yes and no, long containers shortened, presigned URLs hidden."""
    return guarded(_value_text, cell)


def bytes_text(cell: Any) -> str:
    """Return a number of bytes with its unit; a value that is no whole number as `value_text` does."""
    return guarded(_bytes_text, cell)


def span_text(cell: Any) -> str:
    """Return a span of time; below one second with its milliseconds."""
    return guarded(_span_text, cell)


def guarded(form: Callable[[Any], str], cell: Any) -> str:
    """Return the text of a cell, and what it is in place of a text that cannot be made."""
    if is_missing(cell):
        return MISSING
    try:
        return form(cell)
    except Exception as error:  # noqa: BLE001 - a repr of the user's own object can raise anything; the cell says what it raised
        return f"({type(cell).__name__}, cannot be shown: {type(error).__name__})"


def is_presigned(text: str) -> bool:
    """Return whether a text is a URL that grants access by what stands in its query."""
    return _URL.match(text) is not None and _SIGNED.search(text) is not None


def _value_text(value: Any) -> str:  # noqa: PLR0911 - one return a kind of value
    if isinstance(value, str):
        return HIDDEN_URL if is_presigned(value) else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        more = ", …" if len(value) > _MOST_OF_A_LIST else ""
        return f"[{', '.join(_inner_text(inner) for inner in value[:_MOST_OF_A_LIST])}{more}]"
    if isinstance(value, _CONTAINERS):
        return _redacted(_SHORT.repr(value))
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 and value.dtype.kind in "biuf":
        own = value.item()
        # An extended float has no counterpart in Python.
        return str(value) if type(own) is type(value) else _value_text(own)
    if isinstance(value, float):
        return _float_text(value)
    return _redacted(str(value))


def _inner_text(value: Any) -> str:
    # A list inside a list may be the list itself.
    return _redacted(_SHORT.repr(value)) if isinstance(value, list) else value_text(value)


def _redacted(text: str) -> str:
    return HIDDEN_URL if "://" in text and "?" in text and _SIGNED.search(text) else text


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    # Six digits are enough of a measured number, but never of a whole one: 1234567 tokens are not 1.23457e+06.
    return f"{value:.0f}" if value.is_integer() and abs(value) < _LONGEST_WHOLE else f"{value:g}"


def _bytes_text(cell: Any) -> str:
    is_whole = isinstance(cell, Integral) or (isinstance(cell, float) and cell.is_integer())
    return size(int(cell)) if is_whole and not isinstance(cell, bool) else value_text(cell)


def _span_text(cell: Any) -> str:
    if not isinstance(cell, timedelta):
        return value_text(cell)
    is_short = abs(cell) < timedelta(seconds=1)
    return f"{cell.total_seconds() * 1000:g} ms" if is_short and cell else lasting(cell)
