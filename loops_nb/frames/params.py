"""Columns of experiment parameters: integers of any size stay exact, booleans stay booleans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from loops_nb.frames.arrays import STRING_DTYPE
from loops_nb.frames.logged_nan import mark_nan

_INT64 = 1 << 63
# Whole numbers up to here are the same as floats.
_EXACT_IN_FLOAT = 1 << 53


def param_array(values: Sequence[Any]) -> Any:
    """Return the values of one parameter, one per experiment or None, as an array that keeps each of them exactly.

    Returns
    -------
    pandas.array or numpy.ndarray
        boolean, Int64, float64 or string, where all values are of that kind; float64 also for floats beside whole
        numbers that a float holds exactly.  Otherwise object: whole numbers of more than 64 bits, and kinds that do not
        mix.  Lists and empty dictionaries are JSON text.
    """
    cells = [param_cell(value) for value in values]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool}:
        return pd.array(cells, dtype="boolean")
    if kinds == {int} and all(-_INT64 <= cell < _INT64 for cell in cells if cell is not None):
        return _whole(cells)
    if kinds == {float} or (
        kinds == {int, float} and all(abs(cell) <= _EXACT_IN_FLOAT for cell in cells if type(cell) is int)
    ):
        return np.array([np.nan if cell is None else cell for cell in cells], np.float64)
    if kinds == {str}:
        return pd.array(cells, dtype=STRING_DTYPE)
    found = np.empty(len(cells), object)
    found[:] = cells
    return found


def param_cell(value: Any) -> Any:
    """Return one value as it stands in a cell: lists and dictionaries as JSON text, NaN as one that was logged."""
    if isinstance(value, float):
        return mark_nan(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


def _whole(cells: Sequence[int | None]) -> Any:
    # From numbers and a mask: on the way through floats the last digits would be lost.
    missing = np.fromiter((cell is None for cell in cells), np.bool_, len(cells))
    return pd.arrays.IntegerArray(np.array([cell or 0 for cell in cells], np.int64), missing)
