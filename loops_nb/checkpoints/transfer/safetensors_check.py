"""Check of a downloaded safetensors file against its own header."""

from __future__ import annotations

from typing import IO, Any

import msgspec

MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
_ENDING = ".safetensors"


def is_safetensors(name: str) -> bool:
    """Return whether a file is a safetensors file by its name."""
    return name.lower().endswith(_ENDING)


def safetensors_problem(file: IO[bytes], size: int) -> str:
    """Return why a file cannot be the safetensors file that its name says it is; empty if it can.

    It has to be as long as its header says: a truncated one is found also where neither server nor listing states its
    size.

    Parameters
    ----------
    file : file object
        Its content; only its beginning is read.
    size : int
        Its bytes.
    """
    if size < _LENGTH_BYTES:
        return "it is shorter than a safetensors header"
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > min(size - _LENGTH_BYTES, MAX_HEADER_BYTES):
        return "it ends before its safetensors header does"
    header = file.read(length)
    try:
        entries = msgspec.json.decode(header, type=dict[str, Any])
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, IndexError, TypeError, ValueError):
        return "its safetensors header cannot be read"
    expected = _LENGTH_BYTES + length + max(ends, default=0)
    if expected != size:
        return f"its safetensors header describes {expected:,} bytes, and it has {size:,}"
    return ""


class SafetensorsStart:
    """Keeps the beginning of a file that passes by: its safetensors header, if it has one."""

    def __init__(self) -> None:
        self.content: bytes = b""
        self._wanted = _LENGTH_BYTES

    def add(self, content: bytes) -> None:
        """Take the next bytes of the file."""
        missing = self._wanted - len(self.content)
        if missing <= 0:
            return
        self.content += content[:missing]
        if self._wanted == _LENGTH_BYTES and len(self.content) == _LENGTH_BYTES:
            length = int.from_bytes(self.content, "little")
            if length <= MAX_HEADER_BYTES:
                self._wanted = _LENGTH_BYTES + length
                self.add(content[missing:])
