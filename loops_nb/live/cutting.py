"""Cuts a listing into its objects; of one that is nearly as it was before, only the piece that is different is read again.

A listing of a thousand runs is a megabyte of JSON of which a look finds a few hundred bytes changed.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, repeat
from operator import add
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from loops_nb.decoding import unreadable
from loops_nb.errors import UnreadableAnswerError
from loops_nb.live.needs import KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

#: Reads the list of one kind and passes over everything beside it, in one go.
_envelopes: dict[Kind, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(msgspec.defstruct("Listing", [(kind, list[Raw] | UnsetType, UNSET)])) for kind in KINDS
}
_list = msgspec.json.Decoder(list[Raw])
_heads = {kind: re.compile(rb'\s*\{\s*"%s"\s*:\s*\[' % kind.encode()) for kind in KINDS}
_SEPARATORS = (b",", b", ")
_BLOCK = 1 << 14


@dataclass(frozen=True, slots=True)
class Cut:
    """A listing in pieces.

    Parameters
    ----------
    body
        The answer.
    objects
        The JSON of each object.
    starts
        Where each begins in the answer, and where one more would; empty when that is not worth knowing.
    separator
        What stands between two of them.
    """

    body: bytes
    objects: list[bytes]
    starts: list[int]
    separator: bytes

    @classmethod
    def of(cls, body: bytes, kind: Kind, former: Cut | None) -> Cut:
        """Cut an answer.

        Raises
        ------
        UnreadableAnswerError
            If it is not the documented listing.
        """
        return (former.again(body) if former is not None else None) or cls._whole(body, kind)

    @classmethod
    def _whole(cls, body: bytes, kind: Kind) -> Cut:
        objects = list(map(bytes, _parts(body, kind)))
        head = _heads[kind].match(body)
        if head is not None and objects:
            for separator in _SEPARATORS:
                if body.startswith(separator.join(objects), head.end()):
                    return cls(body, objects, _starts(objects, head.end(), separator), separator)
        return cls(body, objects, [], b"")

    def again(self, body: bytes) -> Cut | None:
        """Cut an answer of which some objects in a row are different, or more, or fewer; None if that is not all of it."""
        if not self.starts:
            return None
        starts, count, gap = self.starts, len(self.objects), len(self.separator)
        front, back = _same_ends(self.body, body)
        # Objects before this one, and the separator after them, are the same; and so are these from there on.
        first = bisect_right(starts, front, 0, count) - 1
        after = bisect_left(starts, len(self.body) - back, max(0, first), count)
        rest = len(self.body) - (starts[after] if after < count else starts[count] - gap)
        if first < 0 or back < rest or front + back < len(body) // 2:
            return None
        between = body[starts[first] : len(body) - rest]
        inner = between.removesuffix(self.separator) if after < count else between
        try:
            found = list(map(bytes, _list.decode(b"[%s]" % inner)))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        told = self.separator.join(found) + (self.separator if found and after < count else b"")
        if told != between or (not found and after == count and first > 0):
            return None
        objects = [*self.objects[:first], *found, *self.objects[after:]]
        return Cut(body, objects, _starts(objects, starts[0], self.separator) if objects else [], self.separator)


def _starts(objects: list[bytes], start: int, separator: bytes) -> list[int]:
    """Return where each object starts, and where one more would."""
    return list(accumulate(map(add, map(len, objects), repeat(len(separator))), initial=start))


def _same_ends(old: bytes, new: bytes) -> tuple[int, int]:
    """Return how many bytes are the same at the front and at the back, none of them counted twice."""
    most = min(len(old), len(new))
    front = _same(most, lambda start, end: old[start:end] == new[start:end])
    return front, _same(most - front, lambda start, end: old[len(old) - end : len(old) - start] == new[len(new) - end : len(new) - start])


def _same(most: int, are_same: Callable[[int, int], bool]) -> int:
    at = 0
    while at < most and are_same(at, min(at + _BLOCK, most)):
        at += _BLOCK
    low, high = min(at, most), min(at + _BLOCK, most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if are_same(low, middle) else (low, middle - 1)
    return low


def _parts(body: bytes, key: Kind) -> list[Raw]:
    try:
        found: list[Raw] | UnsetType = getattr(_envelopes[key].decode(body), key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(body, error) from None
    if found is UNSET:
        raise UnreadableAnswerError(
            f"The service answered a JSON object without the documented field {key!r}.",
            hint="Check that the URL is that of the Loops API: %loops doctor",
        )
    return found
