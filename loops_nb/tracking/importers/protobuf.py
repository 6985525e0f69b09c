"""Decoder of the wire format of Protocol Buffers: the fields of a message by their numbers, without a schema."""

from __future__ import annotations

import struct
from collections.abc import Iterator

Field = int | bytes

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_BITS = 64
_MORE, _SEVEN = 0x80, 0x7F


class WireFormatError(ValueError):
    """Bytes that are no message of Protocol Buffers, or not the expected one."""


def fields(message: bytes) -> Iterator[tuple[int, Field]]:
    """Yield the fields of a message in their order: number and value.

    A varint is an integer without sign; everything else is bytes: a string, an inner message, packed numbers, or the 4
    or 8 bytes of a fixed number.

    Raises
    ------
    WireFormatError
        If the message is truncated or no message.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _LENGTH:
            size, at = _varint(message, at)
        elif kind in {_FIXED64, _FIXED32}:
            size = 8 if kind == _FIXED64 else 4
        else:
            raise WireFormatError(f"a field of the unknown kind {kind}")
        if size > end - at:
            raise WireFormatError("a field that ends after its message")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        if at >= len(message) or shift >= _MAX_BITS:
            raise WireFormatError("a number without an end")
        byte = message[at]
        at += 1
        found |= (byte & _SEVEN) << shift
        if not byte & _MORE:
            return found, at
        shift += 7


def as_bytes(value: Field) -> bytes:
    """Return a field that is a string of bytes or an inner message."""
    if isinstance(value, int):
        raise WireFormatError("a number in place of bytes")
    return value


def as_text(value: Field) -> str:
    """Return a field that is a string; bytes that are not UTF-8 are replaced."""
    return as_bytes(value).decode("utf-8", "replace")


def as_int(value: Field) -> int:
    """Return a field that is a signed integer of 64 bits."""
    if not isinstance(value, int):
        raise WireFormatError("bytes in place of a number")
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


def as_double(value: Field) -> float:
    """Return a field that is a number of 64 bits."""
    return _fixed("<d", value)


def as_float(value: Field) -> float:
    """Return a field that is a number of 32 bits."""
    return _fixed("<f", value)


def integers(value: Field) -> list[int]:
    """Return a field of repeated signed integers: one of them, or all of them packed."""
    if isinstance(value, int):
        return [as_int(value)]
    found: list[int] = []
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(as_int(number))
    return found


def _fixed(layout: str, value: Field) -> float:
    try:
        found: float = struct.unpack(layout, as_bytes(value))[0]
    except struct.error:
        raise WireFormatError("a number of another size") from None
    return found
