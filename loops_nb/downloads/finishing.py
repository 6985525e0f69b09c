"""The last step of a file: checked, written down, moved to its place."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path, PurePosixPath

from loops_nb.downloads.checks import is_of_other_parts
from loops_nb.downloads.jobs import Job
from loops_nb.downloads.marks import part_path, state_path
from loops_nb.downloads.places import links_on_the_way
from loops_nb.downloads.records import Record, record_of
from loops_nb.downloads.tensor_header import what_is_wrong
from loops_nb.errors import DownloadError

_TENSORS = ".safetensors"


class Mismatch(Exception):  # noqa: N818 - handled where it is raised, by fetching once more
    """What came is not what the server has.

    Parameters
    ----------
    why
        In words.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Folders:
    """Makes the folders below the folder of all checkpoints, each once.

    Parameters
    ----------
    into
        The folder of all checkpoints; it may be a link itself, nothing below it may.
    """

    def __init__(self, into: Path) -> None:
        self._into = into
        self._lock = threading.Lock()
        self._made: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Make a folder and those above it.

        Raises
        ------
        DownloadError
            If there is a link on the way.
        OSError
            If it cannot be made.
        """
        with self._lock:
            if folder in self._made:
                return
            relative = PurePosixPath(folder.relative_to(self._into).as_posix())
            said = links_on_the_way(self._into, relative)
            if said:
                raise DownloadError(f"{said}, so nothing was written there.")
            folder.mkdir(parents=True, exist_ok=True)
            self._made.add(folder)


def finish(job: Job) -> Record:
    """Check a file that is whole and move it to its place.

    Raises
    ------
    Mismatch
        If it is not what the server has.
    DownloadError
        If something else lies in its place by now.
    OSError
        If it cannot be moved.
    """
    growth = job.growth
    status = growth.settle()
    sha256, other = growth.verdict()
    if other is not None and not is_of_other_parts(part_path(job.path), status.st_size, other):
        raise Mismatch(f"its checksum ({other.label}) is not the one that the server gives")
    if job.file.name.lower().endswith(_TENSORS):
        said = what_is_wrong(part_path(job.path), status.st_size)
        if said:
            raise Mismatch(said)
    record = record_of(job.file.name, job.file.node_rank, size=status.st_size, sha256=sha256, mtime_ns=status.st_mtime_ns)
    place(job, record)
    return record


def place(job: Job, record: Record) -> None:
    """Write a whole file down and move it to its place.

    Raises
    ------
    DownloadError
        If something else lies there.
    OSError
        If it cannot be moved.
    """
    if not job.replaces and os.path.lexists(job.path):
        raise DownloadError("something lies in its place by now; move it away, or choose another folder")
    # First written down, then moved: whatever is found there after a sudden end, it is known what it is.
    job.journal.add(record)
    os.replace(part_path(job.path), job.path)  # noqa: PTH105 - a call for each of many small files
    job.growth.finished()
    job.record = record


def tidy(path: Path) -> None:
    """Remove what was left over beside a file that is whole."""
    for left in (state_path(path), part_path(path)):
        with contextlib.suppress(FileNotFoundError):
            left.unlink()
