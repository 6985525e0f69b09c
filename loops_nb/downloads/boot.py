"""Which run of this machine it is: what was written before a restart may not all have reached the disk."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot() -> str:
    """Return a word for this run of the machine; the same one for ever where the system does not tell."""
    try:
        told = _BOOT_ID.read_bytes().strip()
    except OSError:
        return "unknown"
    # Hashed: the manifest goes along with the files, and this names a machine.
    return hashlib.sha256(b"loops-nb " + told).hexdigest()[:16]
