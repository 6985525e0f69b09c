"""Where a presigned URL points, checked before anything is sent there."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, NoReturn
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from loops_nb.storage.faults import Kind, StorageFault

_PORTS = {"http": 80, "https": 443}
#: Every printable ASCII character stays as it is: a signature is over the exact text.
_AS_IT_IS = "".join(map(chr, range(0x21, 0x7F)))


class Place(NamedTuple):
    """A server of files."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Host and port as the ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Presigned:
    """A presigned URL, taken apart; it is a secret, so it never shows itself."""

    __slots__ = ("place", "target")

    def __init__(self, place: Place, target: str) -> None:
        self.place = place
        self.target = target

    def __repr__(self) -> str:
        return "Presigned(<url>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A presigned URL is a secret and cannot be pickled or copied; list the files again where they are needed.")

    def onward(self, location: str) -> Presigned:
        """Return where a redirect leads.

        Raises
        ------
        StorageFault
            If that is another server.
        """
        try:
            text = urljoin(f"{self.place.scheme}://{self.place.netloc}{self.target}", location)
        except ValueError:
            text = ""
        there = presigned(text) if text else None
        if there is None or there.place != self.place:
            raise StorageFault("it was redirected to another server, which was not followed", Kind.UNFIT)
        return there


def presigned(url: str) -> Presigned:
    """Take a URL of a listing apart.

    Raises
    ------
    StorageFault
        If it is no http(s) URL, or one with a user name.
    """
    try:
        parts = urlsplit(url)
        place = _place(parts.scheme, parts.netloc)
        target = quote(parts.path or "/", safe=_AS_IT_IS) + (f"?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else "")
    except ValueError:
        place, target = None, ""
    if place is None:
        raise StorageFault("the service gave a URL that is no usable http or https address", Kind.UNFIT)
    return Presigned(place, target)


@lru_cache(64)
def _place(scheme: str, netloc: str) -> Place | None:
    """Return the server of a URL, for all files of a listing the same; None for what is none, or with a user name.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    parts = SplitResult(scheme, netloc, "", "", "")
    host, port = (parts.hostname or "").encode("idna").decode("ascii"), parts.port
    has_user = parts.username is not None or parts.password is not None
    if scheme not in _PORTS or not host or has_user or not host.isprintable() or any(c in host for c in " /\\@"):
        return None
    return Place(scheme, host, port or _PORTS[scheme])
