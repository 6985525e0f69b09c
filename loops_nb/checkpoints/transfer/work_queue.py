"""Work queue with range splitting and work stealing."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from loops_nb.checkpoints.http import RangeReader
from loops_nb.checkpoints.transfer.destination import FileState
from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.partial_file import PartialFile, Segment

logger: logging.Logger = logging.getLogger(__name__)
_MIB = 1 << 20
#: Below that another request costs more than it saves.
MIN_SPLIT_BYTES = 4 * _MIB
#: A file is fetched front to back in segments of at most this, and shorter ones towards the end: its checksum is
#: computed meanwhile, and all workers finish together.
MAX_SEGMENT_BYTES = 16 * _MIB
_MIN_SEGMENT_BYTES = _MIB
#: Of files that are sent on in their order: what comes before its turn waits in memory.
_MAX_ORDERED_BYTES = 4 * _MIB
#: So much memory may the files hold that are fetched at a time.
MAX_MEMORY_BYTES = 256 * _MIB
#: An idle worker takes over the rest of a segment only if that saves some time.
_MIN_SAVED_SECONDS = 0.25
_MIN_HASH_BYTES = _MIB
#: With so many bytes not hashed, hashing goes before fetching, for one worker at a time.
_MAX_UNHASHED_BYTES = 4 * _MIB
_POLL_SECONDS = 0.05
_TO_BE_CHECKED = frozenset({FileState.FOREIGN, FileState.UNVERIFIED, FileState.NOT_MOVED})


class FetchSegment(NamedTuple):
    """Task: fetch a segment of a file."""

    job: DownloadJob
    segment: Segment


class CheckFile(NamedTuple):
    """Task: check whether the file on disk is the one to download."""

    job: DownloadJob


class HashAhead(NamedTuple):
    """Task: hash bytes that came out of order."""

    partial: PartialFile


Task = FetchSegment | CheckFile | HashAhead


class WorkQueue:
    """What there is to do, for all workers.

    Parameters
    ----------
    jobs : iterable of DownloadJob
        The files.
    workers : int
        How many take tasks from it.
    """

    def __init__(self, jobs: Iterable[DownloadJob], workers: int) -> None:
        self.lock: threading.Lock = threading.Lock()
        self.changed: threading.Condition = threading.Condition(self.lock)
        self.stopped: threading.Event = threading.Event()
        #: What ended everything.
        self.error: BaseException | None = None
        self.jobs: list[DownloadJob] = [job for job in jobs if not job.is_over]
        self._workers = workers
        # The largest first: the small ones then fill the gaps at the end.
        ordered = sorted(self.jobs, key=lambda job: (job.existing.state not in _TO_BE_CHECKED, -(job.file.size or 0)))
        self._waiting = deque(ordered)
        self._running: dict[DownloadJob, None] = {}
        self._reading_since: dict[Segment, float] = {}

    def next_task(self) -> Task | None:
        """Wait for a task and return it, or None when there will be no more."""
        with self.lock:
            while not self.stopped.is_set():
                task = (
                    self._hash_task(_MAX_UNHASHED_BYTES)
                    or self._gap_task()
                    or self._first_task()
                    or self._stolen_task()
                    or self._hash_task(_MIN_HASH_BYTES)
                )
                if task is not None:
                    return task
                if not self._running and not self._waiting:
                    break
                self.changed.wait(_POLL_SECONDS)
        return None

    def reading_started(self, job: DownloadJob, segment: Segment, reader: RangeReader) -> bool:
        """Note that a response is being read; False if it is not wanted any more."""
        with self.lock:
            if segment.partial is not job.partial or job.is_over or self.stopped.is_set():
                return False
            job.active[segment] = reader
            self._reading_since[segment] = time.monotonic()
            self.changed.notify_all()
            return True

    def reading_ended(self, job: DownloadJob, segment: Segment) -> None:
        """Note that a response is not read any more."""
        with self.lock:
            if segment in job.active:
                job.active[segment] = None

    def segment_fetched(self, job: DownloadJob, segment: Segment) -> bool:
        """Note that a segment is complete; True for the last one of a file, which is complete now."""
        with self.lock:
            self._reading_since.pop(segment, None)
            if segment.partial is not job.partial or job.is_over:
                return False
            job.active.pop(segment, None)
            if job.active:
                return False
            if job.partial.is_complete:
                return True
            # A running job has an active segment or gaps to fetch, else it would never end.
            job.gaps = job.partial.gaps()
            if not (job.ranges and job.gaps):
                self._restart(job)
            self.changed.notify_all()
            return False

    def offer_rest(self, job: DownloadJob, segment: Segment) -> None:
        """Offer the rest of a file, behind its first segment, to all workers."""
        with self.lock:
            total = job.partial.total
            is_first = segment.partial is job.partial and not job.gaps and all(other is segment for other in job.active)
            if is_first and segment.end is not None and total is not None and segment.end < total:
                job.gaps = [gap for gap in job.partial.gaps() if gap[0] >= segment.end]
            self.changed.notify_all()

    def set_single_request(self, job: DownloadJob, segment: Segment, total: int | None, *, ranges: bool | None) -> None:
        """Let a segment be the whole file: the server sends it in one response."""
        with self.lock:
            job.ranges = ranges
            job.gaps = []
            segment.end = total

    def restart(self, job: DownloadJob, partial: PartialFile, reason: str = "") -> bool:
        """Let a file start over, once for each reason; False if it did so already."""
        with self.lock:
            if job.is_over or job.partial is not partial:
                return True
            if reason and not job.may_restart(reason):
                return False
            self._restart(job)
            return True

    def job_finished(self, job: DownloadJob) -> None:
        """Note that a file is complete or has failed."""
        with self.lock:
            self._running.pop(job, None)
            _stop_readers(job)
            self.changed.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """End everything: reads in progress fail at once, and no task is given out."""
        with self.lock:
            if error is not None and self.error is None:
                self.error = error
            self.stopped.set()
            for job in self._running:
                _stop_readers(job)
            self.changed.notify_all()

    def close(self) -> None:
        """Write down how far every file is."""
        for job in self.jobs:
            if job.entry is None:
                try:
                    job.partial.close()
                except OSError:
                    # A full disk may not even take that; a little more has to be fetched again then.
                    logger.debug("The resume log of %s could not be written", job.label, exc_info=True)

    def _restart(self, job: DownloadJob) -> None:
        job.restart()
        self._running.pop(job, None)
        self._waiting.appendleft(job)
        self.changed.notify_all()

    def _first_task(self) -> FetchSegment | CheckFile | None:
        """Return the first task of the next file that waits."""
        job = next((one for one in self._waiting if self._has_room(one)), None)
        if job is None:
            return None
        self._waiting.remove(job)
        self._running[job] = None
        if job.existing.state in _TO_BE_CHECKED:
            return CheckFile(job)
        job.is_split = self._should_split(job)
        total = job.partial.total
        if total and job.partial.is_complete:
            # Only the check is missing: the server states the checksum with any byte of it.
            return self._fetch_task(job, total - 1, total)
        gaps = job.partial.gaps()
        first, end = gaps.pop(0) if gaps else (0, total)
        if first:
            # What is present came from a server that sends ranges.
            job.gaps = gaps
            if end is not None:
                return self._fetch_part_of_gap(job, first, end)
        elif job.is_split and end is not None:
            end = min(end, first + self._segment_length(job, end - first))
        return self._fetch_task(job, first, end)

    def _has_room(self, job: DownloadJob) -> bool:
        """Return whether there is memory for one more file; the first one has it in any case."""
        used = sum(other.partial.memory_bytes for other in self._running)
        return not used or used + job.partial.memory_bytes <= MAX_MEMORY_BYTES

    def _should_split(self, job: DownloadJob) -> bool:
        """Return whether several workers should fetch a file: not when there are files enough for all."""
        size = job.partial.total
        if job.ranges is False or size is None or size < 2 * MIN_SPLIT_BYTES:
            return False
        if job.partial.is_ordered:
            # Only what is near to what was sent can be fetched by others later.
            return True
        busy = sum(len(other.active) for other in self._running)
        return self._workers - busy - len(self._waiting) > 1

    def _segment_length(self, job: DownloadJob, gap: int) -> int:
        """Return the length of the next segment of a file, from a gap of that many bytes that is not in its list."""
        missing = gap + sum(other.partial.total or 0 for other in self._waiting)
        for other in self._running:
            missing += sum(end - first for first, end in other.gaps)
        share = missing // self._workers
        most = _MAX_ORDERED_BYTES if job.partial.is_ordered else MAX_SEGMENT_BYTES
        return min(most, max(share // 2, min(job.speed.min_request_bytes, share), _MIN_SEGMENT_BYTES))

    def _gap_task(self) -> FetchSegment | None:
        """Return a range that no worker fetches yet, of a file that is being fetched."""
        for job in self._running:
            if job.gaps and job.ranges and not job.is_over and job.partial.has_room_at(job.gaps[0][0]):
                first, end = job.gaps.pop(0)
                return self._fetch_part_of_gap(job, first, end)
        return None

    def _fetch_part_of_gap(self, job: DownloadJob, first: int, end: int) -> FetchSegment:
        length = self._segment_length(job, end - first)
        if job.is_split and end - first > length:
            job.gaps.insert(0, (first + length, end))
            end = first + length
        return self._fetch_task(job, first, end)

    def _fetch_task(self, job: DownloadJob, first: int, end: int | None) -> FetchSegment:
        segment = job.partial.add_segment(first, end)
        job.active[segment] = None
        return FetchSegment(job, segment)

    def _stolen_task(self) -> FetchSegment | None:
        """Return the farther half of the longest rest that a busy worker has."""
        best: tuple[int, DownloadJob, Segment] | None = None
        now = time.monotonic()
        for job in self._running:
            if not job.ranges or job.is_over or job.partial.is_ordered:
                continue
            for segment, reader in job.active.items():
                remaining = segment.remaining
                if reader is None or remaining is None or remaining < 2 * MIN_SPLIT_BYTES:
                    continue
                if best is not None and remaining <= best[0]:
                    continue
                elapsed = now - self._reading_since.get(segment, now)
                # It will go on as fast as until now.
                if elapsed * remaining >= _MIN_SAVED_SECONDS * max(1, reader.received):
                    best = remaining, job, segment
        if best is None:
            return None
        remaining, job, segment = best
        end = segment.end
        # Behind what its worker may be writing just now.
        middle = segment.pos + remaining // 2
        segment.end = middle
        return self._fetch_task(job, middle, end)

    def _hash_task(self, min_bytes: int) -> HashAhead | None:
        for job in self._running:
            if job.partial.unhashed_bytes > min_bytes:
                return HashAhead(job.partial)
        return None


def _stop_readers(job: DownloadJob) -> None:
    for reader in job.active.values():
        if reader is not None:
            reader.stop()
