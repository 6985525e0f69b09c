"""Who fetches what: the files that wait, the stretches that nobody has yet, and what idle workers take over from busy ones."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from loops_nb.downloads.growth import Growth, Part
from loops_nb.downloads.jobs import Job
from loops_nb.downloads.places import There
from loops_nb.storage import Body

_MIB = 1 << 20
#: Below that another request costs more than it brings.
LEAST_CHUNK = 4 * _MIB
#: A file is fetched front to back in stretches of at most this, and shorter ones towards the end: its checksum is computed meanwhile,
#: and all workers come to their ends together.
MOST_CHUNK = 16 * _MIB
#: What an idle worker takes over has to save some time.
_WORTH_SECONDS = 0.25
_WORTH_HASHING = _MIB
_LEAST_STRETCH = _MIB
#: So far behind, hashing goes before fetching, for one worker at a time.
_FAR_BEHIND = 4 * _MIB
_GLANCE_SECONDS = 0.05
_TO_BE_LOOKED_AT = frozenset({There.FOREIGN, There.UNSURE, There.UNMOVED})


class Fetch(NamedTuple):
    """Work: fetch a stretch of a file."""

    job: Job
    part: Part


class Look(NamedTuple):
    """Work: see whether what lies there is the file."""

    job: Job


class Help(NamedTuple):
    """Work: hash what came out of order."""

    growth: Growth


class Board:
    """What there is to do, for all workers.

    Parameters
    ----------
    jobs
        The files.
    workers
        How many take from it.
    """

    def __init__(self, jobs: Iterable[Job], workers: int) -> None:
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.stopped = threading.Event()
        #: What ended everything.
        self.error: BaseException | None = None
        self.jobs = [job for job in jobs if not job.over]
        self._workers = workers
        # The largest first: the small ones then fill the gaps at the end.
        ordered = sorted(self.jobs, key=lambda job: (job.found.there not in _TO_BE_LOOKED_AT, -(job.file.size or 0)))
        self._waiting = deque(ordered)
        self._running: dict[Job, None] = {}
        self._since: dict[Part, float] = {}

    def claim(self) -> Fetch | Look | Help | None:
        """Return work, or None when there will be no more; waits for it."""
        with self.lock:
            while not self.stopped.is_set():
                work = self._help(_FAR_BEHIND) or self._gap() or self._begun() or self._taken_over() or self._help(_WORTH_HASHING)
                if work is not None:
                    return work
                if not self._running and not self._waiting:
                    break
                self.changed.wait(_GLANCE_SECONDS)
        return None

    def opened(self, job: Job, part: Part, body: Body) -> bool:
        """Take note of an answer that is being read; False if it is not wanted any more."""
        with self.lock:
            if part.growth is not job.growth or job.over or self.stopped.is_set():
                return False
            job.active[part] = body
            self._since[part] = time.monotonic()
            self.changed.notify_all()
            return True

    def closed(self, job: Job, part: Part) -> None:
        """Take note that an answer is not read any more."""
        with self.lock:
            if part in job.active:
                job.active[part] = None

    def ended(self, job: Job, part: Part) -> bool:
        """Take note that a part has been fetched; True for the last one of a file that is whole now."""
        with self.lock:
            self._since.pop(part, None)
            if part.growth is not job.growth or job.over:
                return False
            job.active.pop(part, None)
            if job.active:
                return False
            if job.growth.is_whole:
                return True
            # Whatever is running has somebody at it, or something that can be taken: else nobody would ever end.
            job.gaps = job.growth.gaps()
            if not (job.ranges and job.gaps):
                self._anew(job)
            self.changed.notify_all()
            return False

    def split(self, job: Job, part: Part) -> None:
        """Offer the rest of a file, behind its first part, to everybody."""
        with self.lock:
            total = job.growth.total
            if part.end is not None and total is not None and part.growth is job.growth and not job.gaps and part.end < total:
                taken = [(p.first, p.end) for p in job.active if p is not part]
                if not taken:
                    job.gaps = [gap for gap in job.growth.gaps() if gap[0] >= part.end]
            self.changed.notify_all()

    def whole(self, job: Job, part: Part, total: int | None, *, ranges: bool | None) -> None:
        """Let a part be the whole file: the server sends it in one piece."""
        with self.lock:
            job.ranges = ranges
            job.gaps = []
            part.end = total

    def anew(self, job: Job, growth: Growth, why: str = "") -> bool:
        """Let a file begin anew, once for each reason; False if there was one time too many."""
        with self.lock:
            if job.over or job.growth is not growth:
                return True
            if why and not job.may_begin_anew(why):
                return False
            self._anew(job)
            return True

    def finished(self, job: Job) -> None:
        """Take note that nothing more is done for a file."""
        with self.lock:
            self._running.pop(job, None)
            for body in job.active.values():
                if body is not None:
                    body.stop()
            self.changed.notify_all()

    def stop(self, error: BaseException | None = None) -> None:
        """End everything: whoever reads fails at once, nobody begins anything."""
        with self.lock:
            if error is not None and self.error is None:
                self.error = error
            self.stopped.set()
            for job in self._running:
                for body in job.active.values():
                    if body is not None:
                        body.stop()
            self.changed.notify_all()

    def close(self) -> None:
        """Write down how far everything is."""
        for job in self.jobs:
            if job.record is None:
                # A full disk may not even take that; then a little more has to be fetched again.
                with contextlib.suppress(OSError):
                    job.growth.close()

    def _anew(self, job: Job) -> None:
        job.anew()
        self._running.pop(job, None)
        self._waiting.appendleft(job)
        self.changed.notify_all()

    def _begun(self) -> Fetch | Look | None:
        """Return the next file that waits."""
        if not self._waiting:
            return None
        job = self._waiting.popleft()
        self._running[job] = None
        if job.found.there in _TO_BE_LOOKED_AT:
            return Look(job)
        job.splits = self._is_for_several(job)
        total = job.growth.total
        if total and job.growth.is_whole:
            # All of it was there but for the check: the server says what to check with any byte of it.
            return self._started(job, total - 1, total)
        gaps = job.growth.gaps()
        first, end = gaps.pop(0) if gaps else (0, total)
        if first:
            # What is there of it was of a server that sends parts.
            job.gaps = gaps
            if end is not None:
                return self._cut(job, first, end)
        elif job.splits and end is not None:
            end = min(end, first + self._length(job, end - first))
        return self._started(job, first, end)

    def _is_for_several(self, job: Job) -> bool:
        """Tell whether several workers should fetch a file: not when there are files enough for all."""
        size = job.growth.total
        busy = sum(len(other.active) for other in self._running)
        return not (job.ranges is False or size is None or size < 2 * LEAST_CHUNK or self._workers - busy - len(self._waiting) <= 1)

    def _length(self, job: Job, gap: int) -> int:
        """Return how long the next stretch of a file should be, from a gap of that many bytes that is not among its gaps."""
        missing = gap + sum(other.growth.total or 0 for other in self._waiting)
        missing += sum(end - first for other in self._running for first, end in other.gaps)
        share = missing // self._workers
        return min(MOST_CHUNK, max(share // 2, min(job.pace.worth_asking, share), _LEAST_STRETCH))

    def _gap(self) -> Fetch | None:
        """Return a stretch that nobody has yet, of a file that has been begun."""
        for job in self._running:
            if job.gaps and job.ranges and not job.over:
                first, end = job.gaps.pop(0)
                return self._cut(job, first, end)
        return None

    def _cut(self, job: Job, first: int, end: int) -> Fetch:
        length = self._length(job, end - first)
        if job.splits and end - first > length:
            job.gaps.insert(0, (first + length, end))
            end = first + length
        return self._started(job, first, end)

    def _started(self, job: Job, first: int, end: int | None) -> Fetch:
        part = job.growth.add(first, end)
        job.active[part] = None
        return Fetch(job, part)

    def _taken_over(self) -> Fetch | None:
        """Return the farther half of what a busy worker has before it."""
        best: tuple[int, Job, Part] | None = None
        now = time.monotonic()
        for job in self._running:
            if not job.ranges or job.over:
                continue
            for part, body in job.active.items():
                left = part.left
                if body is None or left is None or left < 2 * LEAST_CHUNK or (best is not None and left <= best[0]):
                    continue
                took = now - self._since.get(part, now)
                # What it has fetched in the time so far, it will fetch in the same time again.
                if took * left >= _WORTH_SECONDS * max(1, body.received):
                    best = left, job, part
        if best is None:
            return None
        left, job, part = best
        end = part.end
        # Behind what its worker may be writing just now.
        middle = part.pos + left // 2
        part.end = middle
        return self._started(job, middle, end)

    def _help(self, least: int) -> Help | None:
        return next((Help(job.growth) for job in self._running if job.growth.lag > least), None)
