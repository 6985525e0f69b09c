"""The files that are fetched: safetensors with random bytes, and sparse ones where only memory is looked at."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING

from benchmarks.downloads.nginx_server import Source

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = 1 << 20


def make(files: Path, folder: str, count: int, size: int, *, sparse: bool = False) -> list[Source]:
    """Write files of one size, each a safetensors file of one tensor, and return them.

    Parameters
    ----------
    files, folder
        Where; they are named ``folder/model-00001.safetensors`` and so on.
    count, size
        How many, and their bytes.
    sparse
        Leave the tensor a hole: zeros that take no memory.
    """
    (files / folder).mkdir(parents=True)
    block = os.urandom(_BLOCK)
    made = []
    for number in range(count):
        name = f"{folder}/model-{number + 1:05}.safetensors"
        head = _head(size)
        with (files / name).open("wb") as file:
            file.write(head)
            left = size - len(head)
            if sparse:
                file.truncate(size)
                left = 0
            # Files that differ, from one block: random bytes take longer than all the rest.
            file.write(number.to_bytes(8, "little") if left else b"")
            left -= 8
            while left > 0:
                left -= file.write(block[: min(left, _BLOCK)])
        made.append(Source(name, size))
    return made


def digest(path: Path) -> str:
    """Return a file's ``Content-MD5``."""
    with path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "md5").digest()).decode()


def _head(size: int) -> bytes:
    """Return length and header of a safetensors file of this size, with one tensor of bytes."""
    room = 256
    text = json.dumps({"weight": {"dtype": "U8", "shape": [size - 8 - room], "data_offsets": [0, size - 8 - room]}})
    return room.to_bytes(8, "little") + text.encode().ljust(room)
