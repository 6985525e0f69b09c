"""Text of DataFrame cells that can hold any object.

A user's own column can hold arrays, sets, objects whose ``repr`` raises, or numbers beyond the limits of ``str``.
Such a cell must not break the others, so no function here raises an `Exception`.
"""

from __future__ import annotations

import math
import re
import reprlib
from datetime import timedelta
from numbers import Integral
from typing import TYPE_CHECKING, Any

from loops_nb.render.formatting import MISSING, lasting, size

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_LIST_ITEMS = 4
_MAX_WHOLE = 1e15
_CONTAINERS = (dict, set, frozenset, tuple)
_URL = re.compile(r"\s*https?://\S+\?\S+", re.IGNORECASE)
# Query of a presigned URL (S3, Google Cloud Storage, Azure, the local service), or one with a token or a key.
_SIGNED = re.compile(
    r"[?&;](?:[^=&\s]*(?:signature|credential)|x-(?:amz|goog)-[^=&\s]*|(?:[a-z]*[_-])?(?:token|key)|sig)=",
    re.IGNORECASE,
)
YES_NO = {True: "yes", False: "no"}
HIDDEN_URL = "(presigned URL, not shown: it works without a key)"


class _Short(reprlib.Repr):
    """Repr of nested objects, limited in length and depth, which also handles recursive objects."""

    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxset = self.maxfrozenset = self.maxtuple = self.maxlist = self.maxdeque = (
            self.maxarray
        ) = 8
        self.maxlevel = 4
        self.maxstring = self.maxlong = self.maxother = 120


_SHORT = _Short()


def is_missing(cell: Any) -> bool:
    """Return whether a cell is None, NA, NaT, or a NaN that was not logged; never for arrays and containers."""
    if cell is None or type(cell).__name__ in {"NAType", "NaTType"}:
        return True
    if not hasattr(type(cell), "__float__") and type(cell).__module__ != "numpy":
        return False
    if type(cell) in {int, bool}:
        return False
    import numpy as np  # needs numpy

    if isinstance(cell, np.datetime64 | np.timedelta64):
        return bool(np.isnat(cell))
    return isinstance(cell, float | np.floating) and math.isnan(cell) and not _was_logged(cell)


def _was_logged(cell: Any) -> bool:
    from loops_nb.frames.logged_nan import is_logged_nan  # needs numpy

    return is_logged_nan(cell)


def value_text(cell: Any) -> str:
    """Return a value as text: booleans as yes and no, long containers shortened, presigned URLs hidden."""
    return guarded(_value_text, cell)


def bytes_text(cell: Any) -> str:
    """Return a number of bytes with its unit; other values as `value_text` does."""
    return guarded(_bytes_text, cell)


def span_text(cell: Any) -> str:
    """Return a duration; below one second in milliseconds."""
    return guarded(_span_text, cell)


def guarded(form: Callable[[Any], str], cell: Any) -> str:
    """Return the text of a cell; its type and the error if formatting it raises."""
    if is_missing(cell):
        return MISSING
    try:
        return form(cell)
    except Exception as error:  # noqa: BLE001 - the repr of a user's object can raise anything; the cell shows what
        return f"({type(cell).__name__}, cannot be shown: {type(error).__name__})"


def is_presigned(text: str) -> bool:
    """Return whether a text is a URL whose query grants access."""
    return _URL.match(text) is not None and _SIGNED.search(text) is not None


def _value_text(value: Any) -> str:  # noqa: PLR0911 - one return per type
    if isinstance(value, str):
        if is_presigned(value):
            return HIDDEN_URL
        return str(value)
    if isinstance(value, bool):
        return YES_NO[value]
    if isinstance(value, list):
        inner = [_inner_text(one) for one in value[:_MAX_LIST_ITEMS]]
        if len(value) > _MAX_LIST_ITEMS:
            inner.append("…")
        return f"[{', '.join(inner)}]"
    if isinstance(value, _CONTAINERS):
        return _redacted(_SHORT.repr(value))
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0 and value.dtype.kind in "biuf":
        own = value.item()
        if type(own) is type(value):
            # `item` of an extended float is itself: Python has no such type.
            return str(value)
        return _value_text(own)
    if isinstance(value, float):
        return _float_text(value)
    return _redacted(str(value))


def _inner_text(value: Any) -> str:
    if isinstance(value, list):
        # A list can contain itself.
        return _redacted(_SHORT.repr(value))
    return value_text(value)


def _redacted(text: str) -> str:
    if "://" in text and "?" in text and _SIGNED.search(text):
        return HIDDEN_URL
    return text


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    # Six digits are enough for a measured number, but not for a whole one: 1234567 tokens are not 1.23457e+06.
    if value.is_integer() and abs(value) < _MAX_WHOLE:
        return f"{value:.0f}"
    return f"{value:g}"


def _bytes_text(cell: Any) -> str:
    is_whole = isinstance(cell, Integral) or (isinstance(cell, float) and cell.is_integer())
    if is_whole and not isinstance(cell, bool):
        return size(int(cell))
    return value_text(cell)


def _span_text(cell: Any) -> str:
    if not isinstance(cell, timedelta):
        return value_text(cell)
    if cell and abs(cell) < timedelta(seconds=1):
        return f"{cell.total_seconds() * 1000:g} ms"
    return lasting(cell)
