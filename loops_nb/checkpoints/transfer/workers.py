"""Download workers: each takes tasks from the queue, with a connection and a buffer of its own."""

from __future__ import annotations

import errno
import logging
import mmap
import os
import threading
import time

from loops_nb.checkpoints.http import FaultKind, RangeReader, Storage, StorageFault
from loops_nb.checkpoints.http.ranges import OK
from loops_nb.checkpoints.transfer.checksums import expected_checksums
from loops_nb.checkpoints.transfer.existing_file import ExistingFileCheck
from loops_nb.checkpoints.transfer.finished_file import ContentMismatch, finalize
from loops_nb.checkpoints.transfer.jobs import MISMATCH, DownloadJob
from loops_nb.checkpoints.transfer.partial_file import Segment
from loops_nb.checkpoints.transfer.work_queue import CheckFile, FetchSegment, HashAhead, WorkQueue
from loops_nb.client.retry import RetryState
from loops_nb.errors import BucketError, LoopsError, NoSpaceError

logger: logging.Logger = logging.getLogger(__name__)
BUFFER_BYTES = 1 << 20
#: How long bytes are gathered before they are written: little is lost by a sudden end, and the progress moves on slow
#: connections too.
_GATHER_SECONDS = 0.25
_HASH_RETRY_SECONDS = 0.05
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class RestartFile(Exception):  # noqa: N818 - a change of plan, not an error
    """The file has to be fetched from the start; its text is the reason, and each reason counts once."""


class DownloadWorker:
    """The work of one thread.

    Parameters
    ----------
    storage : Storage
        Where the bytes come from.
    queue : WorkQueue
        Where the tasks come from.
    """

    def __init__(self, storage: Storage, queue: WorkQueue) -> None:
        self._storage = storage
        self._queue = queue
        # Memory that is not filled with zeros before the first request.
        self._buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        self._check = ExistingFileCheck(storage, self._buffer, queue.stopped)

    def run(self) -> None:
        """Work until there is nothing more to do."""
        try:
            while (task := self._queue.next_task()) is not None:
                if isinstance(task, HashAhead):
                    self._hash_ahead(task)
                else:
                    self._run_task(task)
        except BaseException as error:
            logger.debug("A download worker ended", exc_info=True)
            self._queue.stop(error)

    def _run_task(self, task: FetchSegment | CheckFile) -> None:
        """Run a task; an error fails its file only, but a full disk and a bucket's refusal end the download."""
        try:
            if isinstance(task, CheckFile):
                self._check_existing(task.job)
            else:
                self._fetch(task.job, task.segment)
        except StorageFault as fault:
            is_obsolete = task.job.is_over or (
                isinstance(task, FetchSegment) and task.segment.partial is not task.job.partial
            )
            if not (fault.kind is FaultKind.STOPPED and is_obsolete):
                self._fail(task.job, fault.reason)
        except BucketError as error:
            # What one file meets there, the others would meet too, each after all its attempts.
            self._queue.stop(error)
        except LoopsError as error:
            self._fail(task.job, error.message)
        except OSError as error:
            if error.errno in _FULL:
                self._queue.stop(disk_full(error))
            else:
                reason = os.strerror(error.errno) if error.errno else "unknown fault"
                self._fail(task.job, f"it could not be written ({reason})")

    def _fail(self, job: DownloadJob, failure: str) -> None:
        if not self._queue.stopped.is_set():
            logger.debug("%s failed: %s", job.label, failure)
            job.failure = job.failure or failure
            self._queue.job_finished(job)

    def _hash_ahead(self, task: HashAhead) -> None:
        try:
            task.partial.hash_ahead(self._buffer, self._queue.stopped)
        except OSError:
            # The worker that finalizes the file reads it too, and reports the error.
            logger.debug("A partial file could not be read", exc_info=True)
            if not task.partial.abandoned and not self._queue.stopped.is_set():
                self._queue.stopped.wait(_HASH_RETRY_SECONDS)

    def _check_existing(self, job: DownloadJob) -> None:
        job.folder.make_parent(job.file.name)
        if self._check.run(job):
            self._queue.job_finished(job)
        else:
            self._queue.restart(job, job.partial)

    def _fetch(self, job: DownloadJob, segment: Segment) -> None:
        """Fetch a segment, with as many attempts as it takes."""
        job.folder.make_parent(job.file.name)
        state = RetryState(self._storage.retry)
        while segment.partial is job.partial and not job.is_over:
            before = segment.pos
            try:
                self._attempt(job, segment)
            except StorageFault as error:
                fault = error
            except RestartFile as restart:
                if self._queue.restart(job, segment.partial, str(restart)):
                    return
                fault = StorageFault(str(restart), FaultKind.UNUSABLE)
            else:
                if self._queue.segment_fetched(job, segment):
                    self._finalize(job)
                return
            if not self._wait_to_retry(job, segment, fault, state, has_progress=segment.pos > before):
                return

    def _wait_to_retry(
        self, job: DownloadJob, segment: Segment, fault: StorageFault, state: RetryState, *, has_progress: bool
    ) -> bool:
        """Wait after a fault; False if this segment is not to be fetched further.

        Raises
        ------
        StorageFault
            If another attempt is of no use.
        """
        if segment.partial is not job.partial or job.is_over:
            return False
        can_resume = not segment.pos or (segment.partial.validator is not None and job.ranges is not False)
        if has_progress and can_resume and fault.kind is not FaultKind.SLOW:
            state.reset()
        if fault.kind is FaultKind.PROTOCOL_ERROR:
            return self._retry_once(job, segment, fault, has_progress=has_progress)
        counted = state if can_resume else job.retry_state
        seconds = counted.next_wait(is_transient=fault.is_transient, retry_after=fault.retry_after)
        if seconds is None:
            tries = counted.summary if fault.is_transient else ""
            raise StorageFault(f"{fault.reason}{tries}", fault.kind, status=fault.status)
        if self._queue.stopped.wait(seconds):
            return False
        if not can_resume:
            # The rest could be of another version.
            self._queue.restart(job, segment.partial)
        return can_resume

    def _retry_once(self, job: DownloadJob, segment: Segment, fault: StorageFault, *, has_progress: bool) -> bool:
        """Try again after a response that cannot be right; from the start if bytes of it were taken.

        Raises
        ------
        StorageFault
            If it happened before.
        """
        if has_progress:
            if not self._queue.restart(job, segment.partial, fault.reason):
                raise fault
            return False
        if not job.may_restart(fault.reason):
            raise fault
        return True

    def _finalize(self, job: DownloadJob) -> None:
        partial, problem = job.partial, ""
        partial.hash_ahead(self._buffer, self._queue.stopped, wait=True)
        if self._queue.stopped.is_set():
            return
        try:
            finalize(job)
        except ContentMismatch as mismatch:
            problem = str(mismatch)
        if not problem:
            self._queue.job_finished(job)
        elif not self._queue.restart(job, partial, MISMATCH):
            partial.abandon()
            raise StorageFault(f"{problem}, also when it was fetched once more", FaultKind.UNUSABLE)

    def _attempt(self, job: DownloadJob, segment: Segment) -> None:
        """Request a segment and write what comes.

        Raises
        ------
        StorageFault
            If it does not come completely.
        RestartFile
            If what comes does not match what is present.
        """
        partial = segment.partial
        is_whole_file = segment.first == 0 == segment.pos and segment.end in {None, partial.total}
        last = None if is_whole_file or segment.end is None else segment.end - 1
        if last is not None and segment.pos > last:
            return
        requested = time.monotonic()
        with self._storage.open(job.file, first=segment.pos, last=last, if_range=partial.validator) as reader:
            responded, before = time.monotonic(), segment.pos
            job.speed.add_latency(responded - requested)
            self._accept(job, segment, reader)
            if not self._queue.reading_started(job, segment, reader):
                # What has arrived by now is still taken, if it is wanted.
                reader.stop()
            try:
                self._copy(job, segment, reader)
            finally:
                self._queue.reading_ended(job, segment)
        job.speed.add_transfer(segment.pos - before, time.monotonic() - responded)

    def _accept(self, job: DownloadJob, segment: Segment, reader: RangeReader) -> None:
        """Compare a response with what is known of the file, and take in what it states.

        Raises
        ------
        StorageFault
            If it cannot be right.
        RestartFile
            If it does not match what is present.
        """
        partial = segment.partial
        _check_size(job, reader)
        is_other = partial.validator is not None and reader.validator != partial.validator
        if is_other or (partial.total is not None and reader.total not in {None, partial.total}):
            raise RestartFile("it was changed on the server while it was fetched")
        total = reader.total if reader.total is not None else job.file.size
        if reader.status == OK:
            if segment.pos or partial.written or len(job.active) > 1:
                job.ranges = False
                raise RestartFile("the server does not send parts of it")
            ranges = self._accepts_ranges(job, segment, reader)
            self._queue.set_single_request(job, segment, total, ranges=ranges)
        if partial.total is None and reader.total is not None:
            partial.total = segment.end = reader.total
        if not partial.has_response:
            checksums = expected_checksums(
                reader.headers, status=reader.status, size=total, unusual_parts=partial.is_ordered and job.had_mismatch
            )
            partial.begin(checksums, reader.validator, total)
        if reader.status != OK:
            job.ranges = reader.validator is not None
            if not job.ranges and segment.end != partial.total:
                # Segments could be of different versions.
                raise RestartFile("nothing tells which version of it a part is of")
            self._queue.offer_rest(job, segment)

    def _accepts_ranges(self, job: DownloadJob, segment: Segment, reader: RangeReader) -> bool | None:
        """Return whether a server that sent the whole file would send a range; None if it does not say."""
        was_requested = segment.end is not None and segment.end != job.partial.total
        if was_requested or reader.validator is None or job.ranges is False:
            return False
        return True if reader.headers.get("accept-ranges", "").strip().lower() == "bytes" else None

    def _copy(self, job: DownloadJob, segment: Segment, reader: RangeReader) -> None:
        """Write what comes, a buffer at a time."""
        partial, buffer = segment.partial, self._buffer
        with partial.writing(segment) as write:
            while True:
                wanted = len(buffer) if segment.end is None else min(len(buffer), segment.end - segment.pos)
                filled = reader.fill(buffer[:wanted], _GATHER_SECONDS)
                job.add_fetched(filled)
                end = segment.end
                if partial.abandoned:
                    raise StorageFault("it was stopped here", FaultKind.STOPPED)
                if partial.total is not None and segment.pos + filled > partial.total:
                    raise _too_long(partial.total)
                if not filled:
                    break
                if end is not None:
                    # Another worker may have taken over the rest meanwhile.
                    filled = min(filled, end - segment.pos)
                write(buffer[:filled])
                if end is not None and segment.pos >= end:
                    # Read on to the clean end where that costs nothing: a longer body is not the file.
                    if reader.length is None and segment.end == partial.total and reader.readinto(buffer):
                        raise _too_long(partial.total)
                    return
        if segment.end is None:
            segment.end = partial.total = segment.pos
        elif segment.pos < segment.end:
            raise StorageFault(f"it ended after {segment.pos:,} of {segment.end:,} bytes")


def start_workers(workers: list[DownloadWorker]) -> list[threading.Thread]:
    """Start a thread for each worker; none of them keeps the interpreter from ending."""
    threads = [
        threading.Thread(target=worker.run, name=f"loops-download-{n}", daemon=True) for n, worker in enumerate(workers)
    ]
    for thread in threads:
        thread.start()
    return threads


def disk_full(error: OSError) -> NoSpaceError:
    """Return the public error for a full disk."""
    problem = "Your quota is used up" if error.errno == errno.EDQUOT else "The disk is full"
    return NoSpaceError(
        f"{problem}, so the download stopped; what came until then is kept.",
        hint="Make room, then give the same command again: it fetches only what is missing.",
    )


def _check_size(job: DownloadJob, reader: RangeReader) -> None:
    size = job.file.size
    if reader.total is not None and size is not None and reader.total != size:
        reason = f"the server has {reader.total:,} bytes of it, and the listing says {size:,}"
        raise StorageFault(reason, FaultKind.PROTOCOL_ERROR)
    if reader.total is None and size is None and reader.ends_by_close:
        reason = "neither the listing nor the server states its size, so a cut could not be seen"
        raise StorageFault(reason, FaultKind.UNUSABLE)


def _too_long(total: int | None) -> StorageFault:
    return StorageFault(f"more came than the {total:,} bytes it has", FaultKind.PROTOCOL_ERROR)
