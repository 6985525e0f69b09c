"""Resuming a download: a log beside each partial file of which of its byte ranges are on disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from loops_nb.checkpoints.transfer.filenames import part_path, state_path
from loops_nb.checkpoints.transfer.manifest import boot_id, open_for_append, write_all


class ResumeHeader(Struct, frozen=True, kw_only=True):
    """First line of a resume log: the file that the ranges belong to.

    Parameters
    ----------
    name : str
        The file's relative name.
    total : int
        The size it will have.
    validator : str
        The version (``ETag`` or ``Last-Modified``) of its bytes.
    checked : bool
        Whether the server gave a checksum, so that damage will be found at the end.
    boot : str
        `boot_id` when it was begun.
    """

    name: str
    total: int
    validator: str
    checked: bool
    boot: str


class ResumeLog:
    """Writes down which byte ranges are on disk, always after they were written.

    Parameters
    ----------
    path : Path
        Where the finished file will be.
    header : ResumeHeader
        What it will be.
    """

    def __init__(self, path: Path, header: ResumeHeader) -> None:
        self._path = state_path(path)
        self._header = header
        self._descriptor: int | None = None

    def add(self, first: int, end: int) -> None:
        """Write down that the bytes from ``first`` up to before ``end`` are present."""
        if self._descriptor is None:
            is_new = not self._path.exists()
            self._descriptor = open_for_append(self._path)
            if is_new:
                write_all(self._descriptor, msgspec.json.encode(self._header) + b"\n")
        write_all(self._descriptor, b"[%d,%d]\n" % (first, end))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def remove_partial(path: Path) -> None:
    """Remove a partial file; its log first, so that no log ever names bytes that are missing."""
    remove_resume_log(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part_path(path))  # noqa: PTH108 - a call for each of many small files


def remove_resume_log(path: Path) -> None:
    """Remove the log of a partial file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(state_path(path))  # noqa: PTH108 - as above


def read_resume_log(path: Path, name: str, size: int | None) -> tuple[ResumeHeader, list[tuple[int, int]]] | None:
    """Return what an earlier download left of a file, if it can be resumed.

    Parameters
    ----------
    path : Path
        Where the finished file will be.
    name : str
        Its relative name, as it is listed.
    size : int or None
        Its size, as it is listed.

    Returns
    -------
    header : ResumeHeader
        What the bytes belong to.
    spans : list of (int, int)
        Sorted ranges (first, end) that are present.  None is returned if there is nothing to resume.
    """
    temporary, log = part_path(path), state_path(path)
    try:
        if temporary.is_symlink() or log.is_symlink():
            return None
        length = temporary.stat().st_size
        lines = log.read_bytes().splitlines()
    except OSError:
        return None
    try:
        header = msgspec.json.decode(lines[0], type=ResumeHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, IndexError, RecursionError):
        return None
    is_another = header.name != name or (size is not None and header.total != size) or header.total < 0
    # Bytes that were written before a restart of the machine may be damaged; only a checksum would show it.
    if is_another or (header.boot != boot_id() and not header.checked):
        return None
    spans = []
    for line in lines[1:]:
        # The last line may have been cut off.
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
            first, end = msgspec.json.decode(line, type=tuple[int, int])
            if 0 <= first < end <= min(length, header.total):
                spans.append((first, end))
    return header, merge_spans(spans)


def merge_spans(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges sorted, with those that touch merged."""
    merged: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged
