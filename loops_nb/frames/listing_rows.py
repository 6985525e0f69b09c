"""A decoded listing before its DataFrame is made: it can be counted, filtered and shown without pandas."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import compress
from typing import TYPE_CHECKING, Any

from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.json_rows import Rows, column_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

#: The times that services send.  pandas reads more forms of ISO 8601, and all years.
_TIME = re.compile(r"(?:19|20)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)?")
_INT64 = range(-(2**63), 2**63)


class ListingRows:
    """Rows of one kind of frame.

    Parameters
    ----------
    kind : Kind
        Kind of frame.
    rows : Rows
        The decoded rows.
    given : mapping of str to list, optional
        Values of the columns that have no source in this listing.

    Attributes
    ----------
    attrs : dict
        Those of the frame, besides its kind.

    Examples
    --------
    >>> listing = loops.runs.listing()
    >>> len(listing), listing.values("id")[:2]
    (12, ['k4q95w5', 'p2syas8'])
    >>> df = listing.frame()
    """

    def __init__(self, kind: Kind, rows: Rows, given: Mapping[str, list[Any]] | None = None) -> None:
        self.kind = kind
        self.attrs: dict[str, Any] = {}
        self._rows = rows
        self._given = dict(given or {})
        self._cells: dict[str, list[Any] | None] = {}

    def __len__(self) -> int:
        return len(self._rows.items)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self):,} {self.kind.name}>"

    def values(self, name: str) -> list[Any]:
        """Return the values of a column as the service sent them, None where missing.

        Raises
        ------
        UnreadableAnswerError
            If a required value is missing.
        """
        return column_values(self.kind, self._column(name), self._rows, self._given)

    def cells(self, name: str) -> list[Any] | None:
        """Return the values of a column as Python objects, equal to those of the frame: times are datetimes in UTC.

        None if the rules of pandas are needed to read one of them, or to refuse it.
        """
        if name not in self._cells:
            self._cells[name] = self._read(self._column(name))
        return self._cells[name]

    def _read(self, column: Column) -> list[Any] | None:
        values = self.values(column.name)
        if column.dtype in _TEXTS:
            return values
        read = _READERS.get(column.dtype)
        if read is None:
            return None
        try:
            return [None if value is None else read(value) for value in values]
        except ValueError:
            return None

    def where(self, keep: Iterable[bool]) -> ListingRows:
        """Return the rows for which ``keep`` has True."""
        chosen = list(keep)
        rows = Rows(list(compress(self._rows.items, chosen)), self._rows.readers)
        found = ListingRows(self.kind, rows, {name: list(compress(of, chosen)) for name, of in self._given.items()})
        found.attrs = dict(self.attrs)
        return found

    def frame(self) -> pd.DataFrame:
        """Return the DataFrame; imports pandas.

        Raises
        ------
        UnreadableAnswerError
            If a value does not fit its column; the text names the column and the row.
        """
        from loops_nb.frames.arrays import build  # needs pandas

        frame = build(self.kind, self.kind.columns, self._rows, self._given)
        frame.attrs.update(self.attrs)
        return frame

    def _column(self, name: str) -> Column:
        return next(column for column in self.kind.columns if column.name == name)


def _time(text: Any) -> datetime:
    if type(text) is not str or _TIME.fullmatch(text) is None:
        raise ValueError(text)
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _count(value: Any) -> int:
    if type(value) is not int or value not in _INT64:
        raise ValueError(value)
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(value)
    return value


_READERS: dict[Dtype, Callable[[Any], Any]] = {Dtype.TIME: _time, Dtype.COUNT: _count, Dtype.FLAG: _flag}
_TEXTS = {Dtype.STRING, Dtype.STATE, Dtype.WORD}
