"""The number formats of safetensors, and how each becomes a NumPy array."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: Bits of one number, of every format that the library knows; a file may have others.
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


class Reading(NamedTuple):
    """How numbers of one format are read.

    Parameters
    ----------
    stored
        The NumPy dtype of the bytes.
    result
        The NumPy dtype of what is given.
    fill
        Puts stored numbers into a part of the result of the same length.
    """

    stored: np.dtype[Any]
    result: np.dtype[Any]
    fill: Callable[[Array, Array], None]


def _same(stored: Array, result: Array) -> None:
    np.copyto(result, stored)


def _half(stored: Array, result: Array) -> None:
    # A signalling NaN is a NaN like others here.
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


def _truth(stored: Array, result: Array) -> None:
    np.not_equal(stored, 0, out=result)


@cache
def _e4m3_values() -> npt.NDArray[np.float32]:
    """Return the 256 numbers of E4M3: no infinity, and NaN only where all bits below the sign are set."""
    code = np.arange(256)
    sign, exponent, mantissa = np.where(code & 0x80, -1.0, 1.0), (code >> 3) & 0xF, code & 0x7
    size = np.where(exponent > 0, (1 + mantissa / 8) * 2.0 ** (exponent - 7), mantissa / 8 * 2.0**-6)
    is_nan = (code & ~0x80) == _E4M3_NAN
    return np.where(is_nan, np.nan, sign * size).astype(np.float32)


def _reading(stored: str, result: str, fill: Callable[[Array, Array], None] = _same) -> Reading:
    return Reading(np.dtype(stored), np.dtype(result), fill)


#: The formats that can be read.  Floating point becomes float32 (F64: float64), exactly; integers and truth values stay what they are.
READINGS: dict[str, Reading] = {
    "F64": _reading("<f8", "f8"),
    "F32": _reading("<f4", "f4"),
    "F16": _reading("<f2", "f4", _half),
    "BF16": _reading("<u2", "f4", _brain),
    "F8_E4M3": _reading("u1", "f4", _e4m3),
    "F8_E5M2": _reading("u1", "f4", _e5m2),
    "I64": _reading("<i8", "i8"),
    "I32": _reading("<i4", "i4"),
    "I16": _reading("<i2", "i2"),
    "I8": _reading("i1", "i1"),
    "U64": _reading("<u8", "u8"),
    "U32": _reading("<u4", "u4"),
    "U16": _reading("<u2", "u2"),
    "U8": _reading("u1", "u1"),
    "BOOL": _reading("u1", "?", _truth),
}
