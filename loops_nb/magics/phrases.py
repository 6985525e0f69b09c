"""Phrases that several verbs say."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loops_nb.loops import Loops

_KEYS = {
    "BASETEN_API_KEY": "with the key from BASETEN_API_KEY",
    "keyring": "with the key from the system keyring",
    "file": "with the key that %loops login stored",
    "local placeholder": "no key needed",
    "local token": "no key needed",
}

NOT_CONNECTED = """\
Not connected yet: there is no API key, and no local service is running. Two ways in:
  %loops local start    a Loops service of your own on this machine, with sample data: no key, no network
  %loops login          keep an API key for the hosted service (it is asked for, and never shown)"""


def key_words(loops: Loops) -> str:
    """Return where the key came from, as half a sentence; never the key."""
    return _KEYS.get(loops.key_source, f"with the key from {loops.key_source}")
