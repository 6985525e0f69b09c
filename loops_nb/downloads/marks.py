"""The names of our own files in a folder of downloads."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

#: No file of a checkpoint may begin with it.
OURS = ".loops-"
MANIFEST = ".loops-manifest.json"
JOURNAL = ".loops-journal.jsonl"
LOCK = ".loops-lock"
_PART = ".part"
_STATE = ".state"
_HASH_LETTERS = 20
#: Each path is asked for again and again while its file is on its way.
_REMEMBERED = 1024


@lru_cache(_REMEMBERED)
def part_path(path: Path) -> Path:
    """Return where a file grows: beside its place, under a name that fits whatever its own is."""
    return path.with_name(_mark(path) + _PART)


@lru_cache(_REMEMBERED)
def state_path(path: Path) -> Path:
    """Return where it is written down how far a file has grown."""
    return path.with_name(_mark(path) + _STATE)


def _mark(path: Path) -> str:
    return OURS + hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_LETTERS]
