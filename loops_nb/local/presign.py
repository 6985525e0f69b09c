"""Presigned file URLs: a signature over the path and the time at which they stop working.

They need no key, so they are secrets themselves until they expire.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from urllib.parse import quote

from loops_nb.local.files import write_private
from loops_nb.local.problems import Problem

KEY_FILE = "signing.key"
_KEY_BYTES = 32


class Signer:
    """Signs and checks paths with a key of the data folder, so that URLs outlive a restart."""

    def __init__(self, data_dir: Path) -> None:
        path = data_dir / KEY_FILE
        # A key that was cut short could be guessed; a new one only ends the URLs of the last minutes.
        if not path.exists() or path.stat().st_size != _KEY_BYTES:
            write_private(path, secrets.token_bytes(_KEY_BYTES))
        self._key = path.read_bytes()

    def __repr__(self) -> str:
        return "Signer(<key>)"

    def sign(self, path: str, *, expires: int) -> str:
        """Return path and query of a URL that works until ``expires`` (epoch seconds)."""
        return f"{quote(path)}?expires={expires}&signature={self._signature(path, str(expires))}"

    def check(self, path: str, *, expires: str, signature: str, now: int) -> None:
        """Check a requested path; ``now`` is in epoch seconds.

        Raises
        ------
        Problem
            403, if the URL was altered or has expired.
        """
        if not hmac.compare_digest(self._signature(path, expires).encode(), signature.encode("utf-8", "replace")):
            raise Problem(403, "SIGNATURE_MISMATCH", "This URL is not one that the service signed; list the files again for a fresh one.")
        if now >= int(expires):
            raise Problem(403, "URL_EXPIRED", "This URL has expired; list the files again for a fresh one.")

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path}\n{expires}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
