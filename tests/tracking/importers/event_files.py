"""Writes TensorBoard's event files byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import anycrc  # type: ignore[import-untyped]


def field(number: int, value: bytes | int | float) -> bytes:  # noqa: PYI041 - three kinds of fields
    """Return a field of a message: a varint, a number of 64 bits, or bytes."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3) + varint(value)


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def scalar(tag: str, value: float, step: int, at: float) -> bytes:
    """Return the event of a scalar."""
    inner = field(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value)
    return field(1, at) + field(2, step) + field(5, field(1, inner))


def other(tag: str, kind: int, step: int, at: float) -> bytes:
    """Return the event of a value of another kind: 4 is an image, 5 a histogram."""
    return field(1, at) + field(2, step) + field(5, field(1, field(1, tag.encode()) + field(kind, b"")))


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = anycrc.Model("CRC32C").calc(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def write_run(folder: Path, *events: bytes, name: str = "events.out.tfevents.1.host") -> Path:
    """Write a run of events."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    begin = field(1, 1_700_000_000.0) + field(3, b"brain.Event:2")
    path.write_bytes(b"".join(map(record, (begin, *events))))
    return path
