"""Binary format of chunks of points: MessagePack of five packed columns (step, at, tokens, value, attempt).

An integer column is ``[first, stride]`` if it is evenly spaced, as most steps and attempts are; ``[first, bytes]`` with
int32 offsets to ``first`` if these fit, as those of times do; else int64 bytes.  A float column is one number if all
are NaN, else float64 bytes.  All bytes are little endian.
"""

from __future__ import annotations

import struct
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

_NEAR = 1 << 31
#: Evenly spaced columns that are in use: fifty runs of a million points have the same steps.
_SPACED: weakref.WeakValueDictionary[tuple[Any, ...], npt.NDArray[Any]] = weakref.WeakValueDictionary()


class Points(NamedTuple):
    """Columns of points to write, all of the same length."""

    step: list[int]
    at: list[int]
    tokens: list[float]
    value: list[float]
    attempt: list[int]


def pack(points: Points) -> bytes:
    """Return points in the binary format."""
    columns = (
        _pack_ints(points.step),
        _pack_ints(points.at),
        _pack_floats(points.tokens),
        _pack_floats(points.value),
        _pack_ints(points.attempt),
    )
    return msgspec.msgpack.encode(columns)


def unpack(parts: Sequence[tuple[bytes, int]]) -> tuple[Any, Any, Any, Any, Any]:
    """Return the columns of packed chunks, each given with its number of points, as arrays.

    A column of one value, as attempts and unknown tokens mostly are, takes no memory: it is a read-only array whose
    stride is 0.  An evenly spaced one is read-only, too.

    Returns
    -------
    step, at : numpy.ndarray of int64
    tokens, value : numpy.ndarray of float64
    attempt : numpy.ndarray of int32
    """
    import numpy as np  # writing needs no NumPy

    counts = [count for _, count in parts]
    step, at, tokens, value, attempt = zip(*(msgspec.msgpack.decode(blob) for blob, _ in parts), strict=True)
    return (
        _int_column(step, counts, np.int64),
        _int_column(at, counts, np.int64),
        _float_column(tokens, counts),
        _float_column(value, counts),
        _int_column(attempt, counts, np.int32),
    )


def values_of(blob: bytes, count: int) -> list[float]:
    """Return the values of `count` packed points, without NumPy."""
    return _float_list(msgspec.msgpack.decode(blob)[3], count)


def repack(parts: Sequence[tuple[bytes, int]]) -> bytes:
    """Concatenate packed chunks, each given with its number of points."""
    merged = Points([], [], [], [], [])
    for blob, count in parts:
        step, at, tokens, value, attempt = msgspec.msgpack.decode(blob)
        merged.step.extend(_int_list(step, count))
        merged.at.extend(_int_list(at, count))
        merged.tokens.extend(_float_list(tokens, count))
        merged.value.extend(_float_list(value, count))
        merged.attempt.extend(_int_list(attempt, count))
    return pack(merged)


def _pack_ints(numbers: list[int]) -> bytes | tuple[int, int | bytes]:
    first, count = numbers[0], len(numbers)
    stride = numbers[1] - first if count > 1 else 0
    if -_NEAR <= stride < _NEAR and numbers == _evenly_spaced(first, stride, count):
        return first, stride
    if min(numbers) - first >= -_NEAR and max(numbers) - first < _NEAR:
        return first, struct.pack(f"<{count}i", *[number - first for number in numbers])
    return struct.pack(f"<{count}q", *numbers)


def _evenly_spaced(first: int, stride: int, count: int) -> list[int]:
    return list(range(first, first + stride * count, stride)) if stride else [first] * count


def _pack_floats(numbers: list[float]) -> bytes | float:
    # Usual for tokens, which many trainings do not log.
    if all(number != number for number in numbers):  # noqa: PLR0124 - only NaN is not itself
        return numbers[0]
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _int_list(column: Any, count: int) -> list[int]:
    if isinstance(column, bytes):
        return list(struct.unpack(f"<{count}q", column))
    first, rest = column
    if isinstance(rest, bytes):
        return [first + offset for offset in struct.unpack(f"<{count}i", rest)]
    return [first + rest * index for index in range(count)]


def _float_list(column: Any, count: int) -> list[float]:
    return list(struct.unpack(f"<{count}d", column)) if isinstance(column, bytes) else [column] * count


def _int_column(columns: Sequence[Any], counts: Sequence[int], dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
    import numpy as np

    total = sum(counts)
    spacing = _spacing(columns, counts)
    if spacing is not None:
        first, stride = spacing
        return _evenly_spaced_array(first, stride, total, dtype)
    # Written once: a million points are as many bytes as memory is slow to give.
    found, end = np.empty(total, dtype), 0
    for column, count in zip(columns, counts, strict=True):
        part, end = found[end : end + count], end + count
        if isinstance(column, bytes):
            part[:] = np.frombuffer(column, "<i8")
            continue
        first, rest = column
        part[:] = np.frombuffer(rest, "<i4") if isinstance(rest, bytes) else rest * np.arange(count, dtype=np.int64)
        part += first
    return found


def _evenly_spaced_array(first: int, stride: int, total: int, dtype: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """Return a read-only array; series of equal steps share one."""
    import numpy as np

    if not stride:
        return np.broadcast_to(np.array(first, dtype), total)
    key = first, stride, total, dtype
    found = _SPACED.get(key)
    if found is None:
        found = np.arange(total, dtype=dtype)
        found *= stride
        found += first
        found.flags.writeable = False
        _SPACED[key] = found
    return found


def _spacing(columns: Sequence[Any], counts: Sequence[int]) -> tuple[int, int] | None:
    """Return the first number and the stride of a column that is evenly spaced through all chunks; None if not."""
    stride = next((column[1] for column, count in zip(columns, counts, strict=True) if count > 1), 0)
    if isinstance(stride, bytes):
        return None
    due = None
    for column, count in zip(columns, counts, strict=True):
        if isinstance(column, bytes) or isinstance(column[1], bytes) or (count > 1 and column[1] != stride):
            return None
        if due is not None and column[0] != due:
            return None
        due = column[0] + stride * count
    return columns[0][0], stride


def _float_column(columns: Sequence[Any], counts: Sequence[int]) -> npt.NDArray[np.float64]:
    import numpy as np

    total = sum(counts)
    if not any(isinstance(column, bytes) for column in columns):
        return np.broadcast_to(np.float64(columns[0]), total)
    found: npt.NDArray[np.float64] = np.empty(total, np.float64)
    end = 0
    for column, count in zip(columns, counts, strict=True):
        part, end = found[end : end + count], end + count
        part[:] = np.frombuffer(column, "<f8") if isinstance(column, bytes) else column
    return found
