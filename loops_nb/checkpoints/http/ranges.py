"""Checks of a response to a request for bytes: status, lengths, ``Content-Range``; pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from loops_nb.checkpoints.http.errors import FaultKind, StorageFault
from loops_nb.client.responses import RETRIED_STATUSES, retry_after

REDIRECTS = frozenset({301, 302, 303, 307, 308})
OK, PARTIAL = 200, 206
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_INTEGER = re.compile(r"[0-9]{1,18}")
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z]{1,40})</Code>|\"code\"\s*:\s*\"([A-Za-z_]{1,40})\"")
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_HTML_SUFFIXES = (".html", ".htm", ".xhtml")
_KINDS = {
    401: FaultKind.DENIED,
    403: FaultKind.DENIED,
    404: FaultKind.GONE,
    410: FaultKind.GONE,
    412: FaultKind.PROTOCOL_ERROR,
    416: FaultKind.PROTOCOL_ERROR,
}


class BodyRange(NamedTuple):
    """The bytes that the body of a good response carries.

    Parameters
    ----------
    first : int
        Offset in the file.
    length : int or None
        Number of bytes; None if the body itself marks its end, or the end of the connection does.
    total : int or None
        Size of the file, if the server states it.
    is_chunked : bool
        Whether the body is sent in chunks.
    """

    first: int
    length: int | None
    total: int | None
    is_chunked: bool


def is_expired(status: int, body: bytes) -> bool:
    """Return whether a response says that the URL does not work, or no longer works."""
    return status == 403 or (status in {400, 401} and "expired" in error_code(body).lower())  # noqa: PLR2004 - HTTP statuses are their own names


def error_code(body: bytes) -> str:
    """Return the error code of an error body, empty if it has none; the rest may quote the URL and is not shown."""
    found = _ERROR_CODE.search(body)
    return (found[1] or found[2]).decode("ascii") if found else ""


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> StorageFault:
    """Return the fault for a response that carries no bytes of a file."""
    code = error_code(body)
    reason = f"the server answered {status}{f' {code}' if code else ''}"
    if status in RETRIED_STATUSES:
        return StorageFault(reason, FaultKind.BUSY, status=status, retry_after=retry_after(headers))
    return StorageFault(reason, _KINDS.get(status, FaultKind.UNUSABLE), status=status)


def body_length(status: int, headers: Mapping[str, str]) -> tuple[int | None, bool]:
    """Return the length of a body, if it is stated, and whether it is chunked.

    Raises
    ------
    StorageFault
        If the headers contradict themselves.
    """
    if status in {204, 304}:
        return 0, False
    coding = headers.get("transfer-encoding", "").strip().lower()
    if coding not in {"", "identity", "chunked"}:
        raise StorageFault("the file came compressed", FaultKind.UNUSABLE, status=status)
    if coding == "chunked":
        return None, True
    if "content-length" not in headers:
        return None, False
    lengths = {text.strip() for text in headers["content-length"].split(",")}
    if len(lengths) > 1 or not all(_INTEGER.fullmatch(text) for text in lengths):
        raise StorageFault("the server gave a length that is no number", FaultKind.PROTOCOL_ERROR, status=status)
    return int(lengths.pop()), False


def check_range(
    status: int, headers: Mapping[str, str], *, name: str, first: int, last: int | None, is_ranged: bool
) -> BodyRange:
    """Check a 200 or 206 and return which bytes it carries.

    Parameters
    ----------
    status : int
        The HTTP status.
    headers : mapping of str to str
        Names in lower case.
    name : str
        The file's name: a file that is a web page may come as one.
    first, last : int
        The range that was requested, ``last`` included; None for up to the end.
    is_ranged : bool
        Whether a range was requested.

    Raises
    ------
    StorageFault
        If it is not the file, or not the range that was requested.
    """
    if headers.get("content-encoding", "").strip().lower() not in {"", "identity"}:
        raise StorageFault("the file came compressed", FaultKind.UNUSABLE, status=status)
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type in _HTML_TYPES and not name.lower().endswith(_HTML_SUFFIXES):
        raise StorageFault("a web page came in its place", FaultKind.UNUSABLE, status=status)
    length, is_chunked = body_length(status, headers)
    if status == OK:
        return BodyRange(0, length, length, is_chunked)
    if status != PARTIAL:
        raise StorageFault(f"the server answered {status}", FaultKind.UNUSABLE, status=status)
    if not is_ranged:
        reason = "the server sent a part where all of it was requested"
        raise StorageFault(reason, FaultKind.PROTOCOL_ERROR, status=status)
    start, end, total = _content_range(headers, first, last)
    count = end - start + 1
    if length is not None and length != count:
        reason = f"the server sent a part of another length than it says ({length:,} bytes, not {count:,})"
        raise StorageFault(reason, FaultKind.PROTOCOL_ERROR, status=status)
    return BodyRange(start, count, total, is_chunked)


def _content_range(headers: Mapping[str, str], first: int, last: int | None) -> tuple[int, int, int | None]:
    """Return first and last byte of a part and the size of the file, if the part is the requested one."""
    found = _CONTENT_RANGE.fullmatch(headers.get("content-range", "").strip())
    if found is None:
        reason = "the server sent a part without saying which"
        raise StorageFault(reason, FaultKind.PROTOCOL_ERROR, status=PARTIAL)
    start, end = int(found[1]), int(found[2])
    total = None if found[3] == "*" else int(found[3])
    expected_end = last
    if total is not None:
        # A range beyond the end of the file is answered with what there is.
        expected_end = total - 1 if last is None else min(last, total - 1)
    is_other = start != first or end < start or (total is not None and end >= total)
    if is_other or (expected_end is not None and end != expected_end):
        raise StorageFault("the server sent another part than was requested", FaultKind.PROTOCOL_ERROR, status=PARTIAL)
    return start, end, total
