"""Parser of the ``Range`` header.

HTTP lets a server ignore a range, but not refuse a header that it does not understand; and of several ranges, those
that lie in the file are sent, whatever the others ask for.
"""

from __future__ import annotations

import re

_RANGES = re.compile(r"bytes=(?P<ranges>.*)", re.IGNORECASE)
_ONE = re.compile(r"(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")


def usable_range(header: str, size: int) -> str | None:
    """Return the ranges that a file can answer.

    Parameters
    ----------
    header : str
        The value of ``Range``.
    size : int
        Bytes of the file.

    Returns
    -------
    header
        The same, without the ranges that lie outside the file if there are others; None if the header is to be ignored:
        another unit, or no valid ranges.
    """
    found = _RANGES.fullmatch(header.strip())
    ranges = [part.strip() for part in found["ranges"].split(",") if part.strip()] if found else []
    matches = [_ONE.fullmatch(part) for part in ranges]
    if not ranges or not all(match is not None and _is_valid(match) for match in matches):
        return None
    inside = [match[0] for match in matches if match is not None and _is_inside(match, size)]
    return f"bytes={','.join(inside or ranges)}"


def _is_valid(one: re.Match[str]) -> bool:
    first, last = one["first"], one["last"]
    return bool(first or last) and not (first and last and int(first) > int(last))


def _is_inside(one: re.Match[str], size: int) -> bool:
    return int(one["first"]) < size if one["first"] else int(one["last"]) > 0
