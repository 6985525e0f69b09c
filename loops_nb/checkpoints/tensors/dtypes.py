"""Number formats of safetensors and their conversion to NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Bits per number of all formats that the safetensors library knows; a file may have others.
BITS: dict[str, int] = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F8_E8M0": 8,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F4": 4,
    "C64": 64,
    "I64": 64,
    "I32": 32,
    "I16": 16,
    "I8": 8,
    "U64": 64,
    "U32": 32,
    "U16": 16,
    "U8": 8,
    "BOOL": 8,
}


_E4M3_NAN = 0x7F


class DtypeReader(NamedTuple):
    """Conversion of one number format.

    Parameters
    ----------
    stored : numpy.dtype
        Dtype of the stored bytes.
    result : numpy.dtype
        Dtype of the result.
    fill : callable
        Converts stored numbers into a slice of the result of the same length.
    """

    stored: np.dtype[Any]
    result: np.dtype[Any]
    fill: Callable[[Array, Array], None]


def _copy(stored: Array, result: Array) -> None:
    np.copyto(result, stored)


def _half(stored: Array, result: Array) -> None:
    # Signalling NaNs become quiet ones.
    with np.errstate(invalid="ignore"):
        np.copyto(result, stored)


def _brain(stored: Array, result: Array) -> None:
    bits = result.view(np.uint32)
    np.copyto(bits, stored)
    np.left_shift(bits, 16, out=bits)


def _e5m2(stored: Array, result: Array) -> None:
    # The upper byte of a float16.
    _half((stored.astype(np.uint16) << 8).view(np.float16), result)


def _e4m3(stored: Array, result: Array) -> None:
    np.take(_e4m3_values(), stored, out=result, mode="clip")


def _boolean(stored: Array, result: Array) -> None:
    np.not_equal(stored, 0, out=result)


@cache
def _e4m3_values() -> npt.NDArray[np.float32]:
    """Return the 256 numbers of E4M3: no infinity, and NaN only if all bits below the sign are set."""
    code = np.arange(256)
    sign, exponent, mantissa = np.where(code & 0x80, -1.0, 1.0), (code >> 3) & 0xF, code & 0x7
    size = np.where(exponent > 0, (1 + mantissa / 8) * 2.0 ** (exponent - 7), mantissa / 8 * 2.0**-6)
    is_nan = (code & ~0x80) == _E4M3_NAN
    return np.where(is_nan, np.nan, sign * size).astype(np.float32)


def _reader(stored: str, result: str, fill: Callable[[Array, Array], None] = _copy) -> DtypeReader:
    return DtypeReader(np.dtype(stored), np.dtype(result), fill)


#: Readable formats.  Floating point becomes float32 (F64: float64), exactly; integers and booleans keep their dtype.
READERS: dict[str, DtypeReader] = {
    "F64": _reader("<f8", "f8"),
    "F32": _reader("<f4", "f4"),
    "F16": _reader("<f2", "f4", _half),
    "BF16": _reader("<u2", "f4", _brain),
    "F8_E4M3": _reader("u1", "f4", _e4m3),
    "F8_E5M2": _reader("u1", "f4", _e5m2),
    "I64": _reader("<i8", "i8"),
    "I32": _reader("<i4", "i4"),
    "I16": _reader("<i2", "i2"),
    "I8": _reader("i1", "i1"),
    "U64": _reader("<u8", "u8"),
    "U32": _reader("<u4", "u4"),
    "U16": _reader("<u2", "u2"),
    "U8": _reader("u1", "u1"),
    "BOOL": _reader("u1", "?", _boolean),
}
