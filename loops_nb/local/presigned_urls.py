"""Presigned file URLs: an HMAC over the path and the time of expiry.

They need no API key, so they are secrets themselves until they expire.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from loops_nb.local.files import write_private
from loops_nb.local.http_errors import HTTPError

KEY_FILE = "signing.key"
_KEY_BYTES = 32


class PresignedURLs:
    """Sign and check paths with a key of the data folder, so that URLs stay valid over a restart.

    Parameters
    ----------
    data_dir : Path
        Holds the key; one is made where there is none.
    clock : callable
        Returns epoch milliseconds.
    ttl_seconds : int
        For how long a URL is valid.
    """

    def __init__(self, data_dir: Path, clock: Callable[[], int], *, ttl_seconds: int) -> None:
        path = data_dir / KEY_FILE
        # A key that was cut short could be guessed; a new one only ends the URLs of the last minutes.
        if not path.exists() or path.stat().st_size != _KEY_BYTES:
            write_private(path, secrets.token_bytes(_KEY_BYTES))
        self._key = path.read_bytes()
        self._clock = clock
        self._ttl_seconds = ttl_seconds

    def __repr__(self) -> str:
        return "PresignedURLs(<key>)"

    def sign(self, path: str) -> str:
        """Return path and query of a URL that is valid from now on."""
        expires = self._clock() // 1000 + self._ttl_seconds
        return f"{quote(path)}?expires={expires}&signature={self._signature(path, str(expires))}"

    def check(self, path: str, *, expires: str, signature: str) -> None:
        """Check a requested path.

        Raises
        ------
        HTTPError
            403, if the URL was altered or has expired.
        """
        if not hmac.compare_digest(self._signature(path, expires).encode(), signature.encode("utf-8", "replace")):
            raise HTTPError(
                403,
                "SIGNATURE_MISMATCH",
                "This URL is not one that the service signed; list the files again for a fresh one.",
            )
        if self._clock() // 1000 >= int(expires):
            raise HTTPError(403, "URL_EXPIRED", "This URL has expired; list the files again for a fresh one.")

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path}\n{expires}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
