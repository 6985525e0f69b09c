"""Where files go, and what is there already."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path, PurePosixPath

from loops_nb.downloads.boot import boot
from loops_nb.downloads.marks import LOCK, part_path
from loops_nb.downloads.partial import Grown, read_partial
from loops_nb.downloads.records import Record
from loops_nb.storage import StoredFile


class There(Enum):
    """What is there of a file."""

    #: Nothing that could be used.
    NOTHING = "nothing"
    #: A part of it.
    PART = "part"
    #: All of it, and nobody has touched it since.
    WHOLE = "whole"
    #: All of it by its size: its content has to be looked at.
    UNSURE = "unsure"
    #: All of it under its temporary name: it was finished, but not moved.
    UNMOVED = "unmoved"
    #: A file of which nothing is written down.
    FOREIGN = "foreign"
    #: Something that must not be overwritten.
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a file.

    Parameters
    ----------
    there
        In one word.
    record
        What is written down of it, where it is whole or unsure.
    grown, spans
        What has grown of it, where it is a part.
    why
        Why it is blocked.
    is_taken
        Whether a file of ours lies in its place.
    """

    there: There
    record: Record | None = None
    grown: Grown | None = None
    spans: tuple[tuple[int, int], ...] = ()
    why: str = ""
    is_taken: bool = False

    @property
    def size(self) -> int:
        """Bytes that need not be fetched again."""
        if self.there is There.PART:
            return sum(end - first for first, end in self.spans)
        return self.record.size_bytes if self.record is not None else 0


class Bare:
    """Knows folders that hold nothing yet: nothing has to be looked for in them, file by file."""

    def __init__(self) -> None:
        self._known: dict[Path, bool] = {}

    def __contains__(self, folder: Path) -> bool:
        """Tell whether a folder is not there, or holds nothing but our lock, as it was when it was asked for first."""
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = _is_bare(folder)
        return known


def look(path: Path, file: StoredFile, record: Record | None, bare: Bare) -> Found:
    """Say what is there of a file; reads no content and changes nothing.

    Parameters
    ----------
    path
        Its place.
    file
        As it is listed.
    record
        What is written down of it.
    bare
        Folders that hold nothing yet.
    """
    return Found(There.NOTHING) if record is None and path.parent in bare else _looked(path, file, record)


def _looked(path: Path, file: StoredFile, record: Record | None) -> Found:
    is_same = record is not None and (file.size is None or file.size == record.size_bytes)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return _grown(path, file, record if is_same else None)
    except NotADirectoryError:
        return Found(There.BLOCKED, why="a file lies where its folder should be; move it away, or choose another folder")
    if not stat.S_ISREG(status.st_mode):
        return Found(There.BLOCKED, why="something that is no file lies in its place; move it away, or choose another folder")
    if record is None:
        return Found(There.FOREIGN)
    is_whole = status.st_size == record.size_bytes
    if not (is_same and is_whole):
        # It is a file of ours by its name, and no more what it was or what the service has.
        return replace(_grown(path, file, None), is_taken=True)
    # What was written before this machine was started may not all have reached the disk.
    is_untouched = status.st_mtime_ns == record.mtime_ns and record.boot == boot()
    return Found(There.WHOLE if is_untouched else There.UNSURE, record)


def links_on_the_way(into: Path, relative: PurePosixPath) -> str:
    """Return which part of a path below a folder is a link, in words; empty if none is."""
    at = into
    for part in relative.parts:
        at /= part
        try:
            mode = at.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return ""
        if stat.S_ISLNK(mode):
            return f"{at} is a link, which is not followed"
    return ""


def file_in_the_way(folder: Path) -> Path | None:
    """Return what lies where a folder or one above it has to be, and is none; None if nothing does."""
    for at in (folder, *folder.parents):
        if at.is_dir():
            return None
        if at.exists():
            return at
    return None


def can_be_written(folder: Path) -> bool:
    """Tell whether files may be made in a folder, or in the nearest one above it that is there."""
    at = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return os.access(at, os.W_OK | os.X_OK)


def free_bytes(into: Path) -> int | None:
    """Return what the disk of a folder has room for; None where the system does not tell."""
    at = into
    while True:
        try:
            return shutil.disk_usage(at).free
        except FileNotFoundError:
            if at == at.parent:
                return None
            at = at.parent
        except OSError:
            return None


def _is_bare(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return all(entry.name == LOCK for entry in entries)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _grown(path: Path, file: StoredFile, record: Record | None) -> Found:
    if record is not None:
        try:
            status = part_path(path).lstat()
        except OSError:
            pass
        else:
            is_it = stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (record.size_bytes, record.mtime_ns)
            if is_it:
                return Found(There.UNMOVED, record)
    partial = read_partial(path, file.name, file.size)
    if partial is None or not partial[1]:
        return Found(There.NOTHING)
    return Found(There.PART, grown=partial[0], spans=tuple(partial[1]))
