"""Destination of a download: what is on disk for each file already, and whether it can be written there."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path, PurePosixPath

from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer.filenames import LOCK, part_path
from loops_nb.checkpoints.transfer.manifest import ManifestEntry, boot_id
from loops_nb.checkpoints.transfer.resume import ResumeHeader, read_resume_log
from loops_nb.errors import DownloadError

FOREIGN = (
    "a file of that name is there already, and nothing tells that it is the same one; move it away, or choose "
    "another folder"
)


class FileState(Enum):
    """What is on disk of a file."""

    #: Nothing that could be used.
    MISSING = "missing"
    #: A part of it.
    PARTIAL = "partial"
    #: All of it, unchanged since it was downloaded.
    COMPLETE = "complete"
    #: All of it by its size: its content has to be checked.
    UNVERIFIED = "unverified"
    #: All of it under its temporary name: it was complete, but not moved.
    NOT_MOVED = "not_moved"
    #: A file that no download wrote.
    FOREIGN = "foreign"
    #: Something that must not be overwritten.
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class ExistingFile:
    """What was found on disk of a file.

    Parameters
    ----------
    state : FileState
        In one word.
    entry : ManifestEntry, optional
        Its entry in manifest or journal, where it is complete or to be checked.
    resume : ResumeHeader, optional
        What an earlier download left, where it is partial.
    spans : tuple of (int, int), optional
        The ranges (first, end) that are present then.
    problem : str, default ""
        Why it is blocked.
    is_ours : bool, default False
        Whether a file of an earlier download is at its destination.
    """

    state: FileState
    entry: ManifestEntry | None = None
    resume: ResumeHeader | None = None
    spans: tuple[tuple[int, int], ...] = ()
    problem: str = ""
    is_ours: bool = False

    @property
    def size(self) -> int:
        """Bytes that need not be fetched again."""
        if self.state is FileState.PARTIAL:
            return sum(end - first for first, end in self.spans)
        return self.entry.size_bytes if self.entry is not None else 0


class EmptyFolders:
    """Remembers which folders are empty: their files need not be looked up one by one."""

    def __init__(self) -> None:
        self._known: dict[Path, bool] = {}

    def __contains__(self, folder: Path) -> bool:
        """Return whether a folder is missing or holds nothing but the lock, as it was at the first call."""
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = _is_empty(folder)
        return known


def inspect_file(path: Path, file: StoredFile, entry: ManifestEntry | None, empty: EmptyFolders) -> ExistingFile:
    """Return what is on disk of a file; reads no content and changes nothing.

    Parameters
    ----------
    path : Path
        Its destination.
    file : StoredFile
        As it is listed.
    entry : ManifestEntry or None
        Its entry in manifest or journal.
    empty : EmptyFolders
        Folders that hold nothing yet.
    """
    if entry is None and path.parent in empty:
        return ExistingFile(FileState.MISSING)
    is_same = entry is not None and (file.size is None or file.size == entry.size_bytes)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return _inspect_partial(path, file, entry if is_same else None)
    except NotADirectoryError:
        return _blocked("a file lies where its folder should be")
    if not stat.S_ISREG(status.st_mode):
        return _blocked("something that is no file lies in its place")
    return _inspect_existing(path, file, status, entry, is_same=is_same)


def _blocked(problem: str) -> ExistingFile:
    return ExistingFile(FileState.BLOCKED, problem=f"{problem}; move it away, or choose another folder")


def _inspect_existing(
    path: Path, file: StoredFile, status: os.stat_result, entry: ManifestEntry | None, *, is_same: bool
) -> ExistingFile:
    if entry is None:
        return ExistingFile(FileState.FOREIGN)
    if not is_same or status.st_size != entry.size_bytes:
        # A download wrote it, but it was changed since, or the service has another one now.
        return replace(_inspect_partial(path, file, None), is_ours=True)
    # What was written before a restart of the machine may not all have reached the disk.
    is_unchanged = status.st_mtime_ns == entry.mtime_ns and entry.boot == boot_id()
    return ExistingFile(FileState.COMPLETE if is_unchanged else FileState.UNVERIFIED, entry)


def link_in_path(into: Path, relative: PurePosixPath) -> str:
    """Return the first symbolic link in a path below a folder, as a clause; empty if there is none."""
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


def blocking_file(folder: Path) -> Path | None:
    """Return what is at the place of a folder, or of one of its parents, and is no folder; None if there is nothing."""
    for at in (folder, *folder.parents):
        if at.is_dir():
            return None
        if at.exists():
            return at
    return None


def is_writable(folder: Path) -> bool:
    """Return whether files may be made in a folder, or in its nearest parent that exists."""
    at = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return os.access(at, os.W_OK | os.X_OK)


def free_bytes(into: Path) -> int | None:
    """Return the free bytes of the disk of a folder; None where the system does not say."""
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


class FolderMaker:
    """Makes the folders below the folder of all checkpoints, each once.

    Parameters
    ----------
    into : Path
        The folder of all checkpoints; it may be a link itself, nothing below it may.
    """

    def __init__(self, into: Path) -> None:
        self._into = into
        self._lock = threading.Lock()
        self._made: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Make a folder and its parents.

        Raises
        ------
        DownloadError
            If there is a link in its path.
        OSError
            If it cannot be made.
        """
        with self._lock:
            if folder in self._made:
                return
            relative = PurePosixPath(folder.relative_to(self._into).as_posix())
            problem = link_in_path(self._into, relative)
            if problem:
                raise DownloadError(f"{problem}, so nothing was written there.")
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return all(entry.name == LOCK for entry in entries)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _inspect_partial(path: Path, file: StoredFile, entry: ManifestEntry | None) -> ExistingFile:
    if entry is not None and _is_not_moved(path, entry):
        return ExistingFile(FileState.NOT_MOVED, entry)
    found = read_resume_log(path, file.name, file.size)
    if found is None or not found[1]:
        return ExistingFile(FileState.MISSING)
    header, spans = found
    return ExistingFile(FileState.PARTIAL, resume=header, spans=tuple(spans))


def _is_not_moved(path: Path, entry: ManifestEntry) -> bool:
    """Return whether the temporary file is the complete file of an entry."""
    try:
        status = part_path(path).lstat()
    except OSError:
        return False
    is_same = (status.st_size, status.st_mtime_ns) == (entry.size_bytes, entry.mtime_ns)
    return stat.S_ISREG(status.st_mode) and is_same
