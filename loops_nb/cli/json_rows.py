"""Rows of a frame and objects of the API as JSON: field names are those of the columns.

Times are RFC 3339 in UTC, spans are seconds, what is missing is ``null``.  A value that was logged as NaN or infinite
is the text ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``, because JSON has no such numbers.
"""

from __future__ import annotations

import json
import math
import re
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from loops_nb.frames.listing_rows import ListingRows
from loops_nb.magics.cell_text import is_missing
from loops_nb.magics.listing_table import listing_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

#: Presigned URLs work without a key: they are in no output.
SECRET_COLUMNS = {"files": {"url"}}
# What JSON leaves as it is and a terminal obeys, or a reader does not see: control characters, and marks of direction.
_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def rows(frame: pd.DataFrame | ListingRows, kind: str | None) -> Iterator[dict[str, Any]]:
    """Yield an object for each row of a frame, or of a listing whose `listing_columns` are there."""
    secret = SECRET_COLUMNS.get(kind or "", ())
    if isinstance(frame, ListingRows):
        columns = {one.label: list(map(plain, one.cells)) for one in listing_columns(frame) or ()}
    else:
        columns = {str(name): _values(frame[name]) for name in frame.columns}
    texts = [name for name in columns if name not in secret]
    for values in zip(*(columns[name] for name in texts), strict=True):
        yield dict(zip(texts, values, strict=True))


def as_line(value: Any) -> str:
    """Return a value as JSON on one line, which a terminal shows and nothing else."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "")
    text = json.dumps(value, ensure_ascii=encoding != "utf8", allow_nan=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_array(values: Iterable[dict[str, Any]]) -> str:
    """Return values as a JSON array with one of them on each line."""
    lines = [as_line(value) for value in values]
    return "[" + ",\n ".join(lines) + "]"


def plain(value: Any) -> Any:  # noqa: PLR0911 - one return per type
    """Return a value as JSON has it."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(inner) for inner in value]
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if is_missing(value):
        return None
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if hasattr(value, "tolist"):
        # A number or an array of NumPy.
        return plain(value.tolist())
    if isinstance(value, float):
        return _number(value)
    return value if isinstance(value, (str, int)) else str(value)


def _values(column: pd.Series[Any]) -> list[Any]:
    dtype = str(column.dtype)
    if dtype.startswith("datetime64[ns"):
        return [None if is_missing(at) else _time(at, "nanoseconds") for at in column.tolist()]
    return [plain(value) for value in column.tolist()]


def _time(at: datetime, timespec: str = "microseconds") -> str:
    return at.isoformat(timespec=timespec).replace("+00:00", "Z")


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
