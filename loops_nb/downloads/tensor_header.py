"""Whether a safetensors file is as long as its header says: a cut one is found also where nobody tells its size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

MOST_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8


def what_is_wrong(path: Path, size: int) -> str:
    """Return why a file cannot be the safetensors file that its name says it is; empty if it can.

    Parameters
    ----------
    path
        Where it lies.
    size
        Its bytes.
    """
    if size < _LENGTH_BYTES:
        return "it is shorter than a safetensors header"
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(size - _LENGTH_BYTES, MOST_HEADER_BYTES):
            return "it ends before its safetensors header does"
        header = file.read(length)
    try:
        told = msgspec.json.decode(header, type=dict[str, Any])
        ends = [int(entry["data_offsets"][1]) for name, entry in told.items() if name != "__metadata__"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, IndexError, TypeError, ValueError):
        return "its safetensors header cannot be read"
    wanted = _LENGTH_BYTES + length + max(ends, default=0)
    if wanted != size:
        return f"its safetensors header tells of {wanted:,} bytes, and it has {size:,}"
    return ""
