"""NaN that was logged, told from cells where nothing was: both are NaN to pandas, and differ in bits that no arithmetic looks at.

What is logged gets the mark, so that all that pandas itself fills in (where frames are joined, shifted, given new rows) counts as missing.
The bits stay with a value when it is filtered, sorted and copied; a frame that lost them shows both alike.
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


def marked(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return logged values, each NaN among them with the mark; the same array where there is none."""
    odd = np.isnan(values)
    return np.where(odd, LOGGED_NAN, values) if odd.any() else values


def marked_one(value: float) -> float:
    """Return one logged value, with the mark if it is NaN."""
    return LOGGED_NAN if value != value else value  # noqa: PLR0124 - only NaN is not itself


def is_logged_nan(cell: Any) -> bool:
    """Tell whether a cell is a NaN that was logged."""
    if not isinstance(cell, float) or cell == cell:  # noqa: PLR0124
        return False
    bits: int = struct.unpack("<Q", struct.pack("<d", cell))[0]
    return bits & _ALL_BUT_SIGN == _BITS
