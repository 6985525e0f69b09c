"""A NaN with a mark: distinguishes NaN values that were logged from cells without a value, which pandas fills with NaN.

The mark is in bits that no arithmetic looks at.  It survives filtering, sorting and copying of a frame; what pandas
fills in (where frames are joined, shifted or reindexed) has no mark and counts as missing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# A quiet NaN: all bits of the exponent and the first one behind it; the rest is free.
_BITS = 0x7FF8_4C4F_4747_4544
_ALL_BUT_SIGN = (1 << 63) - 1
LOGGED_NAN: float = struct.unpack("<d", struct.pack("<Q", _BITS))[0]


def mark_nans(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return logged values with a mark on each NaN.

    Parameters
    ----------
    values : numpy.ndarray of float64
        What was logged.

    Returns
    -------
    numpy.ndarray of float64
        The same array if it has no NaN.
    """
    odd = np.isnan(values)
    return np.where(odd, LOGGED_NAN, values) if odd.any() else values


def mark_nan(value: float) -> float:
    """Return a logged value, with the mark if it is NaN."""
    return LOGGED_NAN if value != value else value  # noqa: PLR0124 - only NaN is not itself


def is_logged_nan(cell: Any) -> bool:
    """Tell whether a cell is a NaN with the mark."""
    if not isinstance(cell, float) or cell == cell:  # noqa: PLR0124
        return False
    bits: int = struct.unpack("<Q", struct.pack("<d", cell))[0]
    return bits & _ALL_BUT_SIGN == _BITS
