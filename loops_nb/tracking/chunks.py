"""Binary format of chunks of points: MessagePack of five packed columns (step, at, tokens, value, attempt).

An integer column is ``[first, stride]`` if it is evenly spaced, as most steps and attempts are; ``[first, bytes]`` with
int32 offsets to ``first`` if these fit, as those of times do; else int64 bytes.  A float column is one number if all
are NaN, else float64 bytes.  All bytes are little endian.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

_NEAR = 1 << 31


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


def unpack(blob: bytes, count: int) -> tuple[Any, Any, Any, Any, Any]:
    """Return the columns of `count` packed points as arrays: step, at, tokens, value, attempt."""
    step, at, tokens, value, attempt = msgspec.msgpack.decode(blob)
    return (
        _int_array(step, count),
        _int_array(at, count),
        _float_array(tokens, count),
        _float_array(value, count),
        _int_array(attempt, count),
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


def _int_array(column: Any, count: int) -> npt.NDArray[np.int64]:
    import numpy as np  # writing needs no NumPy

    if isinstance(column, bytes):
        return np.frombuffer(column, "<i8").astype(np.int64, copy=False)
    first, rest = column
    spaced = (
        np.frombuffer(rest, "<i4").astype(np.int64)
        if isinstance(rest, bytes)
        else rest * np.arange(count, dtype=np.int64)
    )
    found: npt.NDArray[np.int64] = spaced + first
    return found


def _float_array(column: Any, count: int) -> npt.NDArray[np.float64]:
    import numpy as np

    return np.frombuffer(column, "<f8") if isinstance(column, bytes) else np.full(count, column, np.float64)
