"""How far a file has grown: which of its bytes are there, in a small file beside it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from loops_nb.downloads.boot import boot
from loops_nb.downloads.marks import part_path, state_path
from loops_nb.downloads.records import open_lines, write_all


class Grown(Struct, frozen=True, kw_only=True):
    """What a growing file is a part of.

    Parameters
    ----------
    name
        The file's relative name.
    total
        The size it will have.
    validator
        The version (``ETag`` or ``Last-Modified``) that its bytes are of.
    checked
        Whether the server gave a checksum, so that damage will be found at the end.
    boot
        In which run of this machine it was begun.
    """

    name: str
    total: int
    validator: str
    checked: bool
    boot: str


class PartialState:
    """Writes down which bytes are there, always after they were written.

    Parameters
    ----------
    path
        The finished file's place.
    grown
        What it will be.
    """

    def __init__(self, path: Path, grown: Grown) -> None:
        self._path = state_path(path)
        self._grown = grown
        self._descriptor: int | None = None

    def note(self, first: int, end: int) -> None:
        """Write down that the bytes from ``first`` up to before ``end`` are there."""
        if self._descriptor is None:
            is_new = not self._path.exists()
            self._descriptor = open_lines(self._path)
            if is_new:
                write_all(self._descriptor, msgspec.json.encode(self._grown) + b"\n")
        write_all(self._descriptor, b"[%d,%d]\n" % (first, end))

    def close(self) -> None:
        """Close it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def forget(path: Path) -> None:
    """Remove what has grown of a file: first what tells of it, so that it never tells of bytes that are not there."""
    forget_state(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part_path(path))  # noqa: PTH108 - a call for each of many small files


def forget_state(path: Path) -> None:
    """Remove what is written down of how far a file has grown."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(state_path(path))  # noqa: PTH108 - as above


def read_partial(path: Path, name: str, size: int | None) -> tuple[Grown, list[tuple[int, int]]] | None:
    """Return what has grown of a file, if it can be gone on from.

    Parameters
    ----------
    path
        The finished file's place.
    name, size
        As it is listed.

    Returns
    -------
    grown, there
        The bytes that are there as sorted pairs (first, end); None if there is nothing to go on from.
    """
    growing, state = part_path(path), state_path(path)
    try:
        if growing.is_symlink() or state.is_symlink():
            return None
        length = growing.stat().st_size
        lines = state.read_bytes().splitlines()
    except OSError:
        return None
    try:
        grown = msgspec.json.decode(lines[0], type=Grown)
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError, RecursionError):
        return None
    is_another = grown.name != name or (size is not None and grown.total != size) or grown.total < 0
    if is_another or (grown.boot != boot() and not grown.checked):
        return None
    spans = []
    for line in lines[1:]:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            first, end = msgspec.json.decode(line, type=tuple[int, int])
            if 0 <= first < end <= min(length, grown.total):
                spans.append((first, end))
    return grown, merged(spans)


def merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans sorted, with those that touch made one."""
    whole: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if whole and first <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((first, end))
    return whole
