"""Points as packed columns: what one row of the store holds.

A column whose numbers are evenly spaced (steps mostly are, attempts nearly always) is two numbers; whole numbers that lie near each
other (times) take four bytes each; all else is eight bytes a number, little endian.
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
    """Columns of points that are to be written; all of the same length."""

    step: list[int]
    at: list[int]
    tokens: list[float]
    value: list[float]
    attempt: list[int]


def pack(points: Points) -> bytes:
    """Return points as one text of bytes."""
    return msgspec.msgpack.encode(
        (_whole(points.step), _whole(points.at), _real(points.tokens), _real(points.value), _whole(points.attempt))
    )


def unpack(blob: bytes, count: int) -> tuple[Any, Any, Any, Any, Any]:
    """Return the columns of packed points as arrays: step, at, tokens, value, attempt."""
    step, at, tokens, value, attempt = msgspec.msgpack.decode(blob)
    return (
        _whole_array(step, count),
        _whole_array(at, count),
        _real_array(tokens, count),
        _real_array(value, count),
        _whole_array(attempt, count),
    )


def repack(parts: Sequence[tuple[bytes, int]]) -> bytes:
    """Return several packed texts of points, each with its count, as one."""
    merged = Points([], [], [], [], [])
    for blob, count in parts:
        step, at, tokens, value, attempt = msgspec.msgpack.decode(blob)
        merged.step.extend(_whole_list(step, count))
        merged.at.extend(_whole_list(at, count))
        merged.tokens.extend(_real_list(tokens, count))
        merged.value.extend(_real_list(value, count))
        merged.attempt.extend(_whole_list(attempt, count))
    return pack(merged)


def _whole(numbers: list[int]) -> bytes | tuple[int, int | bytes]:
    first, count = numbers[0], len(numbers)
    stride = numbers[1] - first if count > 1 else 0
    if -_NEAR <= stride < _NEAR and numbers == ([first] * count if not stride else list(range(first, first + stride * count, stride))):
        return first, stride
    if min(numbers) - first >= -_NEAR and max(numbers) - first < _NEAR:
        return first, struct.pack(f"<{count}i", *[number - first for number in numbers])
    return struct.pack(f"<{count}q", *numbers)


def _real(numbers: list[float]) -> bytes | float:
    # Points whose tokens nobody knows: one NaN for all of them.
    if all(number != number for number in numbers):  # noqa: PLR0124 - only NaN is not itself
        return numbers[0]
    return struct.pack(f"<{len(numbers)}d", *numbers)


def _whole_list(column: Any, count: int) -> list[int]:
    if isinstance(column, bytes):
        return list(struct.unpack(f"<{count}q", column))
    first, rest = column
    if isinstance(rest, bytes):
        return [first + offset for offset in struct.unpack(f"<{count}i", rest)]
    return [first + rest * place for place in range(count)]


def _real_list(column: Any, count: int) -> list[float]:
    return list(struct.unpack(f"<{count}d", column)) if isinstance(column, bytes) else [column] * count


def _whole_array(column: Any, count: int) -> npt.NDArray[np.int64]:
    import numpy as np  # noqa: PLC0415 - writing needs none

    if isinstance(column, bytes):
        return np.frombuffer(column, "<i8").astype(np.int64, copy=False)
    first, rest = column
    spaced = np.frombuffer(rest, "<i4").astype(np.int64) if isinstance(rest, bytes) else rest * np.arange(count, dtype=np.int64)
    found: npt.NDArray[np.int64] = spaced + first
    return found


def _real_array(column: Any, count: int) -> npt.NDArray[np.float64]:
    import numpy as np  # noqa: PLC0415

    return np.frombuffer(column, "<f8") if isinstance(column, bytes) else np.full(count, column, np.float64)
