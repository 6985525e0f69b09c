"""Opaque ids: seven letters and digits, as the hosted service makes them."""

from __future__ import annotations

import random
import re

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_LETTERS = _ALPHABET[10:]
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


def new_id(source: random.Random) -> str:
    """Return a new id; it starts with a letter so that no program takes it for a number."""
    return source.choice(_LETTERS) + "".join(source.choices(_ALPHABET, k=6))


def is_id(text: str) -> bool:
    """Return whether a string can be an id; anything else never reaches the store or the disk."""
    return _ID.fullmatch(text) is not None
