"""Check of a file that is at its destination already: whether it is the one to download."""

from __future__ import annotations

import threading
from pathlib import Path

from loops_nb.checkpoints.http import FaultKind, Storage, StorageFault
from loops_nb.checkpoints.transfer.checksums import FileDigests, expected_checksums
from loops_nb.checkpoints.transfer.destination import FOREIGN, FileState
from loops_nb.checkpoints.transfer.filenames import part_path
from loops_nb.checkpoints.transfer.finished_file import move_into_place
from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.manifest import boot_id, new_entry

_OTHER_CONTENT = "a file of that name with another content is there already; move it away, or choose another folder"


class ExistingFileCheck:
    """Compares files on disk with what is known of them.

    Parameters
    ----------
    storage : Storage
        Asked for the server's checksum of a file.
    buffer : memoryview
        To read into.
    stopped : threading.Event
        Ends it.
    """

    def __init__(self, storage: Storage, buffer: memoryview, stopped: threading.Event) -> None:
        self._storage = storage
        self._buffer = buffer
        self._stopped = stopped

    def run(self, job: DownloadJob) -> bool:
        """Return whether a file needs no download; then its entry or its failure is set.

        Raises
        ------
        StorageFault
            If the server does not answer, or everything was stopped.
        DownloadError, OSError
            If the file cannot be read, or not be moved to its destination.
        """
        if job.existing.state is FileState.FOREIGN:
            return self._check_foreign(job)
        entry = job.existing.entry
        if entry is None:
            return False
        is_moved = job.existing.state is not FileState.NOT_MOVED
        path = job.path if is_moved else part_path(job.path)
        # Written since the machine was started and not moved yet: it cannot have changed.
        if is_moved or entry.boot != boot_id():
            digests = self._read(path, FileDigests([]))
            if digests.sha256 != entry.sha256:
                job.replaces = job.replaces or is_moved
                return False
        mtime = path.stat().st_mtime_ns
        fresh = new_entry(entry.name, entry.node_rank, size=entry.size_bytes, sha256=entry.sha256, mtime_ns=mtime)
        if is_moved:
            job.journal.add(fresh)
            job.entry = fresh
        else:
            move_into_place(job, fresh)
        return True

    def _check_foreign(self, job: DownloadJob) -> bool:
        """Accept a file that no download wrote if it has the server's checksum."""
        size = job.path.stat().st_size
        if job.file.size is not None and job.file.size != size:
            job.failure = FOREIGN
            return True
        with self._storage.open(job.file) as reader:
            checksums = expected_checksums(reader.headers, status=reader.status, size=reader.total)
            is_same_size = reader.total is None or reader.total == size
        if not checksums or not is_same_size:
            job.failure = FOREIGN
            return True
        mtime = job.path.stat().st_mtime_ns
        digests = self._read(job.path, FileDigests(checksums))
        if digests.mismatch():
            job.failure = _OTHER_CONTENT
            return True
        entry = new_entry(job.file.name, job.file.node_rank, size=size, sha256=digests.sha256, mtime_ns=mtime)
        job.journal.add(entry)
        job.entry = entry
        return True

    def _read(self, path: Path, digests: FileDigests) -> FileDigests:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(self._buffer):
                if self._stopped.is_set():
                    raise StorageFault("it was stopped here", FaultKind.STOPPED)
                digests.update(self._buffer[:count])
        return digests
