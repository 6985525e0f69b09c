"""Presigned URLs, checked before anything is sent to them and never shown."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, NoReturn
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from loops_nb.checkpoints.http.errors import FaultKind, StorageFault

_PORTS = {"http": 80, "https": 443}
#: Every printable ASCII character stays as it is: a signature is over the exact text.
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


class Origin(NamedTuple):
    """A server of files: scheme, host and port."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class PresignedUrl:
    """A presigned URL as its server and its target; it is a secret, so its ``repr`` does not show it.

    Parameters
    ----------
    origin : Origin
        The server.
    target : str
        Path and query.
    """

    __slots__ = ("origin", "target")

    def __init__(self, origin: Origin, target: str) -> None:
        self.origin: Origin = origin
        self.target: str = target

    def __repr__(self) -> str:
        return "PresignedUrl(<url>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A presigned URL is a secret and cannot be pickled or copied; list the files again where they are needed."
        )

    def redirected(self, location: str) -> PresignedUrl:
        """Return where a redirect leads.

        Raises
        ------
        StorageFault
            If that is another server.
        """
        try:
            text = urljoin(f"{self.origin.scheme}://{self.origin.netloc}{self.target}", location)
        except ValueError:
            text = ""
        target = parse_presigned(text) if text else None
        if target is None or target.origin != self.origin:
            raise StorageFault("it was redirected to another server, which was not followed", FaultKind.UNUSABLE)
        return target


def parse_presigned(url: str) -> PresignedUrl:
    """Parse a URL of a listing.

    Raises
    ------
    StorageFault
        If it is no http(s) URL, or one with a user name.
    """
    try:
        parts = urlsplit(url)
        origin = _parse_origin(parts.scheme, parts.netloc)
        target = quote(parts.path or "/", safe=_PRINTABLE)
        if parts.query:
            target += f"?{quote(parts.query, safe=_PRINTABLE)}"
    except ValueError:
        origin, target = None, ""
    if origin is None:
        raise StorageFault("the service gave a URL that is no usable http or https address", FaultKind.UNUSABLE)
    return PresignedUrl(origin, target)


@lru_cache(64)
def _parse_origin(scheme: str, netloc: str) -> Origin | None:
    """Return the server of a URL, the same for all files of a listing; None if invalid, or with a user name.

    Raises
    ------
    ValueError
        If it cannot be parsed.
    """
    parts = SplitResult(scheme, netloc, "", "", "")
    host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    has_user = parts.username is not None or parts.password is not None
    if scheme not in _PORTS or not host or has_user or not host.isprintable() or any(c in host for c in " /\\@"):
        return None
    return Origin(scheme, host, port or _PORTS[scheme])
