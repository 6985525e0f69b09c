"""What a hostile file server keeps and what was asked of it."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: In every URL and in the key of these tests: where it turns up, a secret got out.
SECRET = "Zm9yYmlkZGVu"
KiB = 1024


def noise(size: int, seed: int = 0) -> bytes:
    """Return bytes that no other file has."""
    return random.Random(f"{seed}/{size}").randbytes(size)  # noqa: S311 - no secret


def safetensors(rows: int, seed: int = 0) -> bytes:
    """Return a small but whole safetensors file."""
    data = noise(rows * 64, seed)
    header = json.dumps(
        {
            "base_model.layers.0.q_proj.lora_A.weight": {
                "dtype": "F32",
                "shape": [rows, 16],
                "data_offsets": [0, len(data)],
            }
        }
    )
    padded = header.encode().ljust(-(-len(header) // 8) * 8)
    return struct.pack("<Q", len(padded)) + padded + data


def md5_tag(body: bytes) -> str:
    """Return the ETag that S3 gives an object of a single upload."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def multipart_tag(body: bytes, part: int) -> str:
    """Return the ETag that S3 gives an object uploaded in parts of this size."""
    parts = [hashlib.md5(body[at : at + part], usedforsecurity=False).digest() for at in range(0, len(body), part)]
    return f'"{hashlib.md5(b"".join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"'


@dataclass
class Stored:
    """One file on the server.

    Parameters
    ----------
    name
        Its ``relative_file_name``; anything that JSON can say.
    body
        Its bytes.
    etag
        Its ETag; the MD5 of the body when left out, none when empty.
    headers
        Others that come with every answer, such as checksums.
    listed
        Fields of the listing that differ from the truth, ``url`` among them.
    rank
        The node that wrote it.
    """

    name: str
    body: bytes
    etag: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    listed: Mapping[str, Any] = field(default_factory=dict)
    rank: int = 0

    def __post_init__(self) -> None:
        if self.etag is None:
            self.etag = md5_tag(self.body)


@dataclass(frozen=True)
class Asked:
    """One request for the bytes of a file.

    Parameters
    ----------
    file
        The file.
    number
        How many times it was asked for, this time included.
    headers
        The request's, names in lower case.
    target
        Path and query as they arrived.
    """

    file: Stored
    number: int
    headers: Mapping[str, str]
    target: str

    @property
    def range(self) -> tuple[int, int] | None:
        """First and last byte that are asked for; None for all of it."""
        words = self.headers.get("range", "")
        if not words:
            return None
        first, _, last = words.removeprefix("bytes=").partition("-")
        return int(first), min(int(last), len(self.file.body) - 1) if last else len(self.file.body) - 1
