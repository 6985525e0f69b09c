"""Builds a DataFrame of decoded rows, with the dtypes of `loops_nb.frames.columns`.

Each column is created as its final extension array, so that pandas neither infers nor copies.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import loops_nb.frames.registration  # noqa: F401 - registers df.loops
from loops_nb.api.costs import dollars
from loops_nb.errors import UnreadableAnswerError
from loops_nb.frames.attributes import KIND_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.json_rows import column_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loops_nb.frames.json_rows import Rows

STRING_DTYPE: Any = pd.StringDtype(na_value=np.nan) if int(pd.__version__.split(".")[0]) >= 3 else pd.StringDtype()  # noqa: PLR2004
_NO_STRING = pd.array([None], dtype=STRING_DTYPE)
_INT64 = np.iinfo(np.int64)


def times_of(values: pd.Series[Any]) -> pd.Series[pd.Timestamp] | None:
    """Return a column of times with a time zone as pandas' own dtype; None if it is not one.

    Frames that went through Parquet, ``convert_dtypes`` or a merge hold the same times as Arrow's timestamps or as
    objects.

    Parameters
    ----------
    values : pandas.Series
        The column: datetime64 with a time zone, ``timestamp[..., tz=...][pyarrow]``, or objects that are datetimes with
        a time zone.
    """
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values
    if isinstance(values.dtype, pd.ArrowDtype):
        if getattr(values.dtype.pyarrow_dtype, "tz", None) is None:
            return None
        found: pd.Series[pd.Timestamp] = values.astype(
            pd.DatetimeTZDtype(values.dtype.pyarrow_dtype.unit, values.dtype.pyarrow_dtype.tz)
        )
        return found
    if values.dtype != object:
        return None
    # Looked at one by one: pandas itself cannot tell of every object whether it is missing.
    moments = [when for when in values.tolist() if when is not None and when is not pd.NaT]
    if not moments or not all(isinstance(when, datetime) and when.tzinfo is not None for when in moments):
        return None
    return pd.to_datetime(values, utc=True)


def build(
    kind: Kind, columns: tuple[Column, ...], rows: Rows, given: dict[str, list[Any]] | None = None
) -> pd.DataFrame:
    """Return the frame of a listing.

    Parameters
    ----------
    kind, columns : Kind, tuple of Column
        Kind of frame and its columns.
    rows : Rows
        The decoded rows.
    given : dict of str to list, optional
        Values of the columns that have no source in this listing.

    Raises
    ------
    UnreadableAnswerError
        If a value does not fit its column; the text names the column and the row.
    """
    arrays: dict[str, Any] = {}
    for column in columns:
        values = column_values(kind, column, rows, given or {})
        arrays[column.name] = array(values, column, place=kind.name)
    frame = pd.DataFrame(arrays, copy=False)
    frame.attrs[KIND_ATTR] = kind.name
    return frame


def array(values: list[Any], column: Column, *, place: str) -> Any:
    """Return the values of a column as an array of its dtype.

    Parameters
    ----------
    values : list
        One value a row, None where missing.
    column : Column
        The column.
    place : str
        Name of the listing, for the error message.

    Raises
    ------
    UnreadableAnswerError
        If a value does not fit; the text names the column and the row.
    """
    return _ARRAY_OF[column.dtype](values, column, place)


def _strings(values: list[Any], column: Column, place: str) -> Any:
    del column, place
    if values and values[0] is None and values.count(None) == len(values):
        # pandas looks at every missing value again; a column of a field that the service does not send is the common
        # case.
        return _NO_STRING.repeat(len(values))
    return pd.array(_objects(values), dtype=STRING_DTYPE, copy=False)


def _categories(values: list[Any], column: Column, place: str) -> Any:
    del place
    codes, dtype = codes_of(column)
    try:
        found = np.fromiter([codes[value] for value in values], np.int8, len(values))
    except KeyError:
        codes, dtype = _codes(
            tuple(dict.fromkeys([*column.words, *(value for value in values if value is not None)])), column.dtype
        )
        found = np.fromiter([codes[value] for value in values], np.int32, len(values))
    return pd.Categorical.from_codes(found, dtype=dtype)


@cache
def codes_of(column: Column) -> tuple[dict[str | None, int], pd.CategoricalDtype]:
    """Return the codes of a column's documented words, and its dtype when no others occur."""
    return _codes(column.words, column.dtype)


def _codes(words: tuple[str, ...], dtype: Dtype) -> tuple[dict[str | None, int], pd.CategoricalDtype]:
    categories = pd.Index(words, dtype=STRING_DTYPE)
    return {None: -1, **{word: code for code, word in enumerate(words)}}, pd.CategoricalDtype(
        categories, ordered=dtype is Dtype.STATE
    )


def _counts(values: list[Any], column: Column, place: str) -> Any:
    if column.lenient and not set(map(type, values)) <= {int, type(None)}:
        values = [value if type(value) is int else None for value in values]
    try:
        try:
            return pd.arrays.IntegerArray(np.array(values, np.int64), np.zeros(len(values), np.bool_))
        except TypeError:
            numbers = _objects(values)
            missing = numbers == None  # noqa: E711 - elementwise
            numbers[missing] = 0
            return pd.arrays.IntegerArray(numbers.astype(np.int64), missing)
    except OverflowError:
        raise _misfit(values, column, place, _first(values, _is_int64)) from None


def _flags(values: list[Any], column: Column, place: str) -> Any:
    del column, place
    mask = np.fromiter([value is None for value in values], np.bool_, len(values))
    return pd.arrays.BooleanArray(np.fromiter([value is True for value in values], np.bool_, len(values)), mask)


def _times(values: list[Any], column: Column, place: str) -> Any:
    if column.lenient:
        values = [value if type(value) is str and value not in {"now", "today"} else None for value in values]
    # pandas takes these words for times.
    for word in ("now", "today"):
        if word in values:
            raise _misfit(values, column, place, values.index(word))
    # ISO8601 takes fractions of any length, or none, in one listing; the inferred format would take only the first
    # row's.
    texts = _objects(values)
    times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce", cache=False)
    if not column.lenient and times.hasnans:
        # Also for texts such as "nan" and "", which pandas takes for missing.
        bad = np.flatnonzero(np.asarray(times.isna()) & (texts != None))  # noqa: E711 - elementwise
        if bad.size:
            raise _misfit(values, column, place, int(bad[0]))
    return times.as_unit("us").array


def _nanos(values: list[Any], column: Column, place: str) -> Any:
    try:
        numbers = np.fromiter([int(value) for value in values], np.int64, len(values))
    except (ValueError, OverflowError):
        raise _misfit(values, column, place, _first(values, _is_nanos)) from None
    return pd.DatetimeIndex(numbers.view("M8[ns]")).tz_localize("UTC").array


def _numbers(values: list[Any], column: Column, place: str) -> Any:
    del column, place
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _money(values: list[Any], column: Column, place: str) -> Any:
    return _numbers([dollars(value) for value in values], column, place)


def _lists(values: list[Any], column: Column, place: str) -> Any:
    del column, place
    # One by one: NumPy would make a table of lists that are equally long.
    found = np.empty(len(values), object)
    for row, value in enumerate(values):
        found[row] = value
    return found


def _is_int64(value: int) -> bool:
    return _INT64.min <= value <= _INT64.max


def _is_nanos(value: str) -> bool:
    try:
        return _is_int64(int(value))
    except ValueError:
        return False


def _first(values: list[Any], fits: Callable[[Any], bool]) -> int:
    return next(row for row, value in enumerate(values) if value is not None and not fits(value))


def _objects(values: Sequence[Any]) -> Any:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _misfit(values: list[Any], column: Column, place: str, row: int) -> UnreadableAnswerError:
    return UnreadableAnswerError(
        f"The service answered {values[row]!r:.80} as {column.name} of {place}[{row}], which is no "
        f"{_IN_WORDS[column.dtype]}."
    )


_ARRAY_OF: dict[Dtype, Callable[[list[Any], Column, str], Any]] = {
    Dtype.STRING: _strings,
    Dtype.STATE: _categories,
    Dtype.WORD: _categories,
    Dtype.COUNT: _counts,
    Dtype.FLAG: _flags,
    Dtype.TIME: _times,
    Dtype.NANOS: _nanos,
    Dtype.NUMBER: _numbers,
    Dtype.MONEY: _money,
    Dtype.LIST: _lists,
}
_IN_WORDS = {
    Dtype.COUNT: "64-bit integer",
    Dtype.TIME: "ISO 8601 time",
    Dtype.NANOS: "epoch in nanoseconds",
}
