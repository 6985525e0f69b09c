"""Check of a file that is at its destination already: whether it is the one to download."""

from __future__ import annotations

import threading

from loops_nb.checkpoints.http import FaultKind, Storage, StorageFault
from loops_nb.checkpoints.transfer.checksums import FileDigests, expected_checksums
from loops_nb.checkpoints.transfer.destination import FOREIGN, FileState
from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.manifest import ManifestEntry

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
        if not job.folder.is_trusted(job.existing):
            is_moved = job.existing.state is not FileState.NOT_MOVED
            digests = self._read(job, FileDigests([]), is_moved=is_moved)
            if digests.sha256 != entry.sha256:
                job.replaces = job.replaces or is_moved
                return False
        job.entry = job.folder.accept(job.existing, entry)
        return True

    def _check_foreign(self, job: DownloadJob) -> bool:
        """Accept a file that no download wrote if it has the server's checksum."""
        size = job.folder.size_of(job.file.name)
        if job.file.size is not None and job.file.size != size:
            job.failure = FOREIGN
            return True
        with self._storage.open(job.file) as reader:
            checksums = expected_checksums(reader.headers, status=reader.status, size=reader.total)
            is_same_size = reader.total is None or reader.total == size
        if not checksums or not is_same_size:
            job.failure = FOREIGN
            return True
        digests = self._read(job, FileDigests(checksums))
        if digests.mismatch():
            job.failure = _OTHER_CONTENT
            return True
        entry = ManifestEntry(name=job.file.name, size_bytes=size, sha256=digests.sha256, node_rank=job.file.node_rank)
        job.entry = job.folder.accept(job.existing, entry)
        return True

    def _read(self, job: DownloadJob, digests: FileDigests, *, is_moved: bool = True) -> FileDigests:
        for part in job.folder.read(job.file.name, self._buffer, is_moved=is_moved):
            if self._stopped.is_set():
                raise StorageFault("it was stopped here", FaultKind.STOPPED)
            digests.update(part)
        return digests
