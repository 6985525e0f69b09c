"""Looking at what lies there already, whether it is the file."""

from __future__ import annotations

import threading
from pathlib import Path

from loops_nb.downloads.boot import boot
from loops_nb.downloads.checks import Digests, checks_of
from loops_nb.downloads.finishing import place
from loops_nb.downloads.jobs import Job
from loops_nb.downloads.marks import part_path
from loops_nb.downloads.places import There
from loops_nb.downloads.planning import FOREIGN
from loops_nb.downloads.records import record_of
from loops_nb.storage import Storage, StorageFault
from loops_nb.storage.faults import Kind


class Looker:
    """Holds files that are there against what is known of them.

    Parameters
    ----------
    storage
        To hear what the server says of one.
    buffer
        To read into.
    stopped
        Ends it.
    """

    def __init__(self, storage: Storage, buffer: memoryview, stopped: threading.Event) -> None:
        self._storage = storage
        self._buffer = buffer
        self._stopped = stopped

    def look(self, job: Job) -> bool:
        """Say whether a file is there; then its record or its failure is set.  Else it is to be fetched.

        Raises
        ------
        StorageFault
            If the server does not answer, or everything was stopped.
        DownloadError, OSError
            If it cannot be read, or not be moved to its place.
        """
        if job.found.there is There.FOREIGN:
            return self._foreign(job)
        record = job.found.record
        if record is None:
            return False
        is_unmoved = job.found.there is There.UNMOVED
        lies = part_path(job.path) if is_unmoved else job.path
        # Written in this run of the machine and not moved yet: nothing has come between.
        if not (is_unmoved and record.boot == boot()):
            digests = self._read(lies, Digests([]))
            if digests.sha256 != record.sha256:
                job.replaces = job.replaces or not is_unmoved
                return False
        mtime = lies.stat().st_mtime_ns
        fresh = record_of(record.name, record.node_rank, size=record.size_bytes, sha256=record.sha256, mtime_ns=mtime)
        if is_unmoved:
            place(job, fresh)
        else:
            job.journal.add(fresh)
            job.record = fresh
        return True

    def _foreign(self, job: Job) -> bool:
        """Take a file for ours if the server's checksum is its own."""
        size = job.path.stat().st_size
        if job.file.size is not None and job.file.size != size:
            job.failure = FOREIGN
            return True
        with self._storage.open(job.file) as body:
            checks = checks_of(body.headers, status=body.status, size=body.total)
            is_same_size = body.total is None or body.total == size
        if not checks or not is_same_size:
            job.failure = FOREIGN
            return True
        mtime = job.path.stat().st_mtime_ns
        digests = self._read(job.path, Digests(checks))
        if digests.mismatch():
            job.failure = "a file of that name with another content is there already; move it away, or choose another folder"
            return True
        record = record_of(job.file.name, job.file.node_rank, size=size, sha256=digests.sha256, mtime_ns=mtime)
        job.journal.add(record)
        job.record = record
        return True

    def _read(self, path: Path, digests: Digests) -> Digests:
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(self._buffer):
                if self._stopped.is_set():
                    raise StorageFault("it was stopped here", Kind.STOPPED)
                digests.update(self._buffer[:count])
        return digests
