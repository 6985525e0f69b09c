"""Metric keys in the order in which a panel of curves offers them, and the search in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loops_nb.tracking.metric_mode import infer_mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Bytes of key names that travel with the head; a search finds the others.
MOST_KEY_BYTES = 24_000
#: Keys that one search returns.
MOST_FOUND = 200
_HELD_OUT = re.compile(r"(?:^|[/_.\-])(?:eval|val|valid|validation|test)(?=$|[/_.\-])")
_SECONDS = re.compile(r"(?:seconds|_time|_ms|tokens_seen|per_second)$")
#: One of many like it, as layers.12/grad_norm.
_NUMBERED = re.compile(r"[./_\-]\d+[./_\-]")
_LOSS = re.compile(r"(?:^|[/_.\-])loss$")


def in_order(keys: Iterable[str]) -> list[str]:
    """Return each key once: losses first, then evaluations and keys with a better direction, single layers last."""
    return sorted(dict.fromkeys(keys), key=_rank)


def first_of(keys: Sequence[str]) -> tuple[list[str], int]:
    """Return as many of the first keys as travel with the head, and how many there are beyond them."""
    room = MOST_KEY_BYTES
    for place, key in enumerate(keys):
        room -= len(key.encode()) + 3
        if room < 0:
            return list(keys[:place]), len(keys) - place
    return list(keys), 0


def found_in(keys: Iterable[str], text: str) -> tuple[list[str], int]:
    """Return the first keys that contain every word of a search, whatever their case, and how many do."""
    words = text.lower().split()
    found = [key for key in keys if all(word in key.lower() for word in words)]
    return found[:MOST_FOUND], len(found)


def _rank(key: str) -> int:
    low = key.lower()
    if _NUMBERED.search(low):
        return 7
    if _SECONDS.search(low):
        return 6
    if low == "loss":
        return 0
    if _LOSS.search(low):
        return 1 if not _HELD_OUT.search(low) else 2
    if _HELD_OUT.search(low):
        return 3
    return 4 if infer_mode(key) is not None else 5
