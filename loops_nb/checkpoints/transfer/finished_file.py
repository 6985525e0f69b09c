"""Last step of a download: verify a complete file and move it to its destination."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from loops_nb.checkpoints.transfer.checksums import has_unusual_parts
from loops_nb.checkpoints.transfer.destination import link_in_path
from loops_nb.checkpoints.transfer.filenames import part_path, state_path
from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.manifest import ManifestEntry, new_entry
from loops_nb.errors import DownloadError

_TENSORS = ".safetensors"
MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8


class ContentMismatch(Exception):  # noqa: N818 - handled where it is raised, by fetching once more
    """A downloaded file is not the one that the server has; its text says why."""


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


def finalize(job: DownloadJob) -> ManifestEntry:
    """Verify a complete file and move it to its destination.

    Raises
    ------
    ContentMismatch
        If it is not what the server has.
    DownloadError
        If something else is at its destination by now.
    OSError
        If it cannot be moved.
    """
    status = job.partial.set_length()
    sha256, other = job.partial.result()
    if other is not None and not has_unusual_parts(part_path(job.path), status.st_size, other):
        raise ContentMismatch(f"its checksum ({other.label}) is not the one that the server gives")
    if job.file.name.lower().endswith(_TENSORS):
        problem = safetensors_problem(part_path(job.path), status.st_size)
        if problem:
            raise ContentMismatch(problem)
    entry = new_entry(
        job.file.name, job.file.node_rank, size=status.st_size, sha256=sha256, mtime_ns=status.st_mtime_ns
    )
    move_into_place(job, entry)
    return entry


def move_into_place(job: DownloadJob, entry: ManifestEntry) -> None:
    """Write the entry of a complete file and move the file to its destination.

    Raises
    ------
    DownloadError
        If something else is there.
    OSError
        If it cannot be moved.
    """
    if not job.replaces and os.path.lexists(job.path):
        raise DownloadError("something lies in its place by now; move it away, or choose another folder")
    # The entry first: whatever is found there after a sudden end, it is known what it is.
    job.journal.add(entry)
    os.replace(part_path(job.path), job.path)  # noqa: PTH105 - a call for each of many small files
    job.partial.complete()
    job.entry = entry


def remove_leftovers(path: Path) -> None:
    """Remove what is left beside a file that is complete."""
    for leftover in (state_path(path), part_path(path)):
        with contextlib.suppress(FileNotFoundError):
            leftover.unlink()


def safetensors_problem(path: Path, size: int) -> str:
    """Return why a file cannot be the safetensors file that its name says it is; empty if it can.

    It has to be as long as its header says: a truncated one is found also where neither server nor listing states its
    size.

    Parameters
    ----------
    path : Path
        The file.
    size : int
        Its bytes.
    """
    if size < _LENGTH_BYTES:
        return "it is shorter than a safetensors header"
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if length > min(size - _LENGTH_BYTES, MAX_HEADER_BYTES):
            return "it ends before its safetensors header does"
        header = file.read(length)
    try:
        entries = msgspec.json.decode(header, type=dict[str, Any])
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, IndexError, TypeError, ValueError):
        return "its safetensors header cannot be read"
    expected = _LENGTH_BYTES + length + max(ends, default=0)
    if expected != size:
        return f"its safetensors header describes {expected:,} bytes, and it has {size:,}"
    return ""
