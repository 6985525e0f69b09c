"""What an answer to a request for bytes has to look like; pure functions."""

from __future__ import annotations

import re
from typing import NamedTuple

from loops_nb.client.answers import RETRIED_STATUSES, retry_after
from loops_nb.storage.connections import Head
from loops_nb.storage.faults import Kind, StorageFault

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_WHOLE_NUMBER = re.compile(r"[0-9]{1,18}")
_CODE = re.compile(rb"<Code>([A-Za-z]{1,40})</Code>|\"code\"\s*:\s*\"([A-Za-z_]{1,40})\"")
_HTML_ENDINGS = (".html", ".htm", ".xhtml")
_OK, _PARTIAL, _FORBIDDEN, _RANGE = 200, 206, 403, 416


class Span(NamedTuple):
    """Which bytes a good answer carries.

    Parameters
    ----------
    first
        Where they begin in the object.
    length
        How many bytes the body has; None if it says so itself, or ends with the connection.
    total
        The size of the object, if told.
    chunked
        Whether the body says itself where it ends.
    """

    first: int
    length: int | None
    total: int | None
    chunked: bool


def is_expired(status: int, body: bytes) -> bool:
    """Tell whether an answer says that the URL does not work (any more)."""
    return status == _FORBIDDEN or (status in {400, 401} and "expired" in code_of(body).lower())


def code_of(body: bytes) -> str:
    """Return the error code of an error body; empty if there is none.  Nothing else of it is shown: it may quote the URL."""
    found = _CODE.search(body)
    return (found[1] or found[2]).decode("ascii") if found else ""


def refusal(head: Head, body: bytes) -> StorageFault:
    """Return the fault for an answer that carries no bytes of a file."""
    code = code_of(body)
    said = f"the server answered {head.status}{f' {code}' if code else ''}"
    if head.status in RETRIED_STATUSES:
        return StorageFault(said, Kind.BUSY, status=head.status, asked=retry_after(head.headers))
    kinds = {401: Kind.DENIED, _FORBIDDEN: Kind.DENIED, 404: Kind.GONE, 410: Kind.GONE, 412: Kind.ODD, _RANGE: Kind.ODD}
    return StorageFault(said, kinds.get(head.status, Kind.UNFIT), status=head.status)


def body_length(head: Head) -> tuple[int | None, bool]:
    """Return the length of a body, if it has one, and whether it is chunked.

    Raises
    ------
    StorageFault
        If the headers contradict themselves.
    """
    coding = head.headers.get("transfer-encoding", "").strip().lower()
    if coding not in {"", "identity", "chunked"}:
        raise StorageFault("the file came compressed", Kind.UNFIT, status=head.status)
    if coding == "chunked":
        return None, True
    lengths = {text.strip() for text in head.headers["content-length"].split(",")} if "content-length" in head.headers else set()
    if not lengths:
        return None, False
    if len(lengths) > 1 or not all(_WHOLE_NUMBER.fullmatch(text) for text in lengths):
        raise StorageFault("the server gave a length that is no number", Kind.ODD, status=head.status)
    return int(lengths.pop()), False


def span_of(head: Head, *, name: str, first: int, last: int | None, ranged: bool) -> Span:
    """Check a 200 or 206 and return which bytes it carries.

    Parameters
    ----------
    head
        The answer.
    name
        The file's name: a file that is a web page may come as one.
    first, last
        What was asked for.
    ranged
        Whether a range was asked for.

    Raises
    ------
    StorageFault
        If it is not the file, or not what was asked for.
    """
    headers, status = head.headers, head.status
    if headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        raise StorageFault("the file came compressed", Kind.UNFIT, status=status)
    media = headers.get("content-type", "").split(";")[0].strip().lower()
    if media in {"text/html", "application/xhtml+xml"} and not name.lower().endswith(_HTML_ENDINGS):
        raise StorageFault("a web page came in its place", Kind.UNFIT, status=status)
    length, chunked = body_length(head)
    if status == _OK:
        return Span(0, length, length, chunked)
    if status == _PARTIAL and not ranged:
        raise StorageFault("the server sent a part where all of it was asked for", Kind.ODD, status=status)
    if status != _PARTIAL:
        raise StorageFault(f"the server answered {status}", Kind.UNFIT, status=status)
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None:
        raise StorageFault("the server sent a part without saying which", Kind.ODD, status=status)
    start, end, total = int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])
    # Asked beyond its end, a server sends what there is.
    wanted = last if total is None or last is None else min(last, total - 1)
    is_end_wrong = end != wanted if wanted is not None else total is not None and end != total - 1
    if start != first or end < start or is_end_wrong or (total is not None and end >= total):
        raise StorageFault("the server sent another part than was asked for", Kind.ODD, status=status)
    if length is not None and length != end - start + 1:
        said = f"the server sent a part of another length than it says ({length:,} bytes, not {end - start + 1:,})"
        raise StorageFault(said, Kind.ODD, status=status)
    return Span(start, end - start + 1, total, chunked)
