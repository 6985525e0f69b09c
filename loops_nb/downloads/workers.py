"""The workers: each takes work from the board, with a connection and a buffer of its own."""

from __future__ import annotations

import errno
import logging
import mmap
import os
import threading
import time

from loops_nb.downloads.board import Board, Fetch, Help, Look
from loops_nb.downloads.checks import checks_of
from loops_nb.downloads.finishing import Folders, Mismatch, finish
from loops_nb.downloads.growth import Part
from loops_nb.downloads.jobs import Job
from loops_nb.downloads.looking import Looker
from loops_nb.errors import LoopsError, NoSpaceError
from loops_nb.storage import Body, Patience, Storage, StorageFault
from loops_nb.storage.faults import Kind

_LOG = logging.getLogger(__name__)
BUFFER_BYTES = 1 << 20
#: How long what came may gather before it is written: little is lost by an end, and the progress moves on a slow line too.
_GATHER_SECONDS = 0.25
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Anew(Exception):  # noqa: N818 - a change of plan, not an error
    """The file has to begin anew.

    Parameters
    ----------
    why
        Why, in words; the same reason counts once.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Worker:
    """One thread's work.

    Parameters
    ----------
    storage
        Where the bytes come from.
    board
        Where the work comes from.
    folders
        Makes folders.
    """

    def __init__(self, storage: Storage, board: Board, folders: Folders) -> None:
        self._storage = storage
        self._board = board
        # Pages that nobody has to fill with zeros before the first byte is asked for.
        self._buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        self._folders = folders
        self._looker = Looker(storage, self._buffer, board.stopped)

    def run(self) -> None:
        """Work until there is nothing more to do."""
        try:
            while (work := self._board.claim()) is not None:
                if isinstance(work, Help):
                    self._help(work)
                else:
                    self._guarded(work)
        except BaseException as error:  # noqa: BLE001 - shown by the thread that waits for this one
            _LOG.debug("A download worker ended.", exc_info=True)
            self._board.stop(error)

    def _guarded(self, work: Fetch | Look) -> None:
        """Do something for a file; what goes wrong concerns that file only, but a full disk all."""
        failure = ""
        try:
            if isinstance(work, Look):
                self._look(work.job)
            else:
                self._fetch(work.job, work.part)
        except StorageFault as fault:
            if fault.kind is Kind.STOPPED and (work.job.over or self._is_stale(work)):
                return
            failure = fault.reason
        except LoopsError as error:
            failure = error.message
        except OSError as error:
            if error.errno in _FULL:
                self._board.stop(full(error))
                return
            failure = f"it could not be written ({os.strerror(error.errno) if error.errno else 'unknown fault'})"
        if failure and not self._board.stopped.is_set():
            self._failed(work.job, failure)

    def _is_stale(self, work: Fetch | Look) -> bool:
        """Tell whether the file has begun anew meanwhile."""
        return isinstance(work, Fetch) and work.part.growth is not work.job.growth

    def _failed(self, job: Job, failure: str) -> None:
        job.failure = job.failure or failure
        self._board.finished(job)

    def _help(self, work: Help) -> None:
        try:
            work.growth.advance(self._buffer, self._board.stopped)
        except OSError:
            # Whoever finishes the file reads it too, and tells what is wrong.
            if not work.growth.abandoned and not self._board.stopped.is_set():
                self._board.stopped.wait(0.05)

    def _look(self, job: Job) -> None:
        self._folders.make(job.path.parent)
        if self._looker.look(job):
            self._board.finished(job)
        else:
            self._board.anew(job, job.growth)

    def _fetch(self, job: Job, part: Part) -> None:
        """Fetch a part, with as many attempts as it takes."""
        self._folders.make(job.path.parent)
        patience = Patience(self._storage.retry)
        while part.growth is job.growth and not job.over:
            before = part.pos
            try:
                self._attempt(job, part)
            except StorageFault as error:
                fault = error
            except Anew as again:
                if self._board.anew(job, part.growth, again.why):
                    return
                fault = StorageFault(again.why, Kind.UNFIT)
            else:
                if self._board.ended(job, part):
                    self._finish(job)
                return
            if not self._goes_on(job, part, fault, patience, came=part.pos > before):
                return

    def _goes_on(self, job: Job, part: Part, fault: StorageFault, patience: Patience, *, came: bool) -> bool:
        """Wait after a fault; False if this part is not to be gone on with.

        Raises
        ------
        StorageFault
            If there is no use in trying again.
        """
        if part.growth is not job.growth or job.over:
            return False
        keeps = not part.pos or (part.growth.validator is not None and job.ranges is not False)
        if came and keeps and fault.kind is not Kind.SLOW:
            patience.progressed()
        if fault.kind is Kind.ODD:
            return self._once_more(job, part, fault, came=came)
        counted = patience if keeps else job.patience
        seconds = counted.wait(fault)
        if seconds is None:
            raise StorageFault(f"{fault.reason}{counted.tried if fault.passing else ''}", fault.kind, status=fault.status)
        if self._board.stopped.wait(seconds):
            return False
        if not keeps:
            # Nothing tells that the rest would be of the same version.
            self._board.anew(job, part.growth)
        return keeps

    def _once_more(self, job: Job, part: Part, fault: StorageFault, *, came: bool) -> bool:
        """Try again after an answer that cannot be right; from the start if bytes of it were taken.

        Raises
        ------
        StorageFault
            If it came before.
        """
        if came:
            if not self._board.anew(job, part.growth, fault.reason):
                raise fault
            return False
        if not job.may_begin_anew(fault.reason):
            raise fault
        return True

    def _finish(self, job: Job) -> None:
        growth, wrong = job.growth, ""
        growth.advance(self._buffer, self._board.stopped, wait=True)
        if self._board.stopped.is_set():
            return
        try:
            finish(job)
        except Mismatch as mismatch:
            wrong = mismatch.why
        if not wrong:
            self._board.finished(job)
        elif not self._board.anew(job, growth, "mismatch"):
            growth.abandon()
            raise StorageFault(f"{wrong}, also when it was fetched once more", Kind.UNFIT)

    def _attempt(self, job: Job, part: Part) -> None:
        """Ask for a part and write what comes.

        Raises
        ------
        StorageFault
            If it does not come to its end.
        Anew
            If what comes does not go with what is there.
        """
        growth = part.growth
        is_all = part.first == 0 == part.pos and (part.end is None or part.end == growth.total)
        last = None if is_all or part.end is None else part.end - 1
        if last is not None and part.pos > last:
            return
        asked = time.monotonic()
        with self._storage.open(job.file, first=part.pos, last=last, if_range=growth.validator) as body:
            answered, before = time.monotonic(), part.pos
            job.pace.answered(answered - asked)
            self._accepted(job, part, body)
            if not self._board.opened(job, part, body):
                # What has arrived by now is still taken, if it is wanted.
                body.stop()
            try:
                self._copy(job, part, body)
            finally:
                self._board.closed(job, part)
        job.pace.came(part.pos - before, time.monotonic() - answered)

    def _accepted(self, job: Job, part: Part, body: Body) -> None:
        """Hold an answer against what is known of the file."""
        growth = part.growth
        size = job.file.size
        if body.total is not None and size is not None and body.total != size:
            raise StorageFault(f"the server has {body.total:,} bytes of it, and the listing says {size:,}", Kind.ODD)
        if body.total is None and size is None and body.ends_by_close:
            raise StorageFault("neither the listing nor the server tells its size, so a cut could not be seen", Kind.UNFIT)
        is_other = growth.validator is not None and body.validator != growth.validator
        if is_other or (growth.total is not None and body.total is not None and growth.total != body.total):
            raise Anew("it was changed on the server while it was fetched")
        if body.status == 200:  # noqa: PLR2004 - HTTP statuses are their own names
            if part.pos or growth.written or len(job.active) > 1:
                job.ranges = False
                raise Anew("the server does not send parts of it")
            total = body.total if body.total is not None else size
            self._board.whole(job, part, total, ranges=self._sends_parts(job, part, body))
        if growth.total is None and body.total is not None:
            growth.total = part.end = body.total
        if not growth.began:
            total = body.total if body.total is not None else size
            growth.begin(checks_of(body.headers, status=body.status, size=total), body.validator, total)
        if body.status != 200:  # noqa: PLR2004
            job.ranges = body.validator is not None
            if not job.ranges and part.end != growth.total:
                # What is fetched in parts could be of several versions.
                raise Anew("nothing tells which version of it a part is of")
            self._board.split(job, part)

    def _sends_parts(self, job: Job, part: Part, body: Body) -> bool | None:
        """Tell whether a server that sent the whole file would send a part of it; None if nothing tells."""
        was_asked = part.end is not None and part.end != job.growth.total
        if was_asked or body.validator is None or job.ranges is False:
            return False
        return True if body.headers.get("accept-ranges", "").strip().lower() == "bytes" else None

    def _copy(self, job: Job, part: Part, body: Body) -> None:
        """Write what comes, a buffer at a time."""
        growth, buffer, room = part.growth, self._buffer, len(self._buffer)
        descriptor = growth.writer()
        try:
            os.lseek(descriptor, part.pos, os.SEEK_SET)
            is_over = False
            while not is_over:
                wanted = room if part.end is None else min(room, part.end - part.pos)
                filled, is_over, fault = _gathered(body, buffer[:wanted])
                job.fetched(filled)
                end = part.end
                if growth.abandoned:
                    raise StorageFault("it was stopped here", Kind.STOPPED)
                if growth.total is not None and part.pos + filled > growth.total:
                    raise StorageFault(f"more came than the {growth.total:,} bytes it has", Kind.ODD)
                if filled:
                    growth.write(descriptor, part, buffer[: filled if end is None else min(filled, end - part.pos)])
                if fault is not None:
                    raise fault
                if end is not None and part.pos >= end:
                    self._ended(part, body)
                    return
        finally:
            os.close(descriptor)
        self._at_its_end(part)

    def _ended(self, part: Part, body: Body) -> None:
        """Read on to the clean end where that costs nothing: a longer body is not the file."""
        if body.length is None and part.end == part.growth.total and body.readinto(self._buffer):
            raise StorageFault(f"more came than the {part.growth.total:,} bytes it has", Kind.ODD)

    def _at_its_end(self, part: Part) -> None:
        growth = part.growth
        if part.end is None:
            part.end = growth.total = part.pos
        elif part.pos < part.end:
            raise StorageFault(f"it ended after {part.pos:,} of {part.end:,} bytes")


def _gathered(body: Body, view: memoryview) -> tuple[int, bool, StorageFault | None]:
    """Fill a buffer as far as bytes come for a while; return how many came, whether that was the end, and what broke off."""
    filled, until = 0, time.monotonic() + _GATHER_SECONDS
    try:
        while filled < len(view) and time.monotonic() < until:
            count = body.readinto(view[filled:])
            if not count:
                return filled, True, None
            filled += count
    except StorageFault as fault:
        return filled, False, fault
    return filled, False, None


def full(error: OSError) -> NoSpaceError:
    """Return what a full disk comes to."""
    what = "Your quota is used up" if error.errno == errno.EDQUOT else "The disk is full"
    return NoSpaceError(
        f"{what}, so the download stopped; what came until then is kept.",
        hint="Make room, then give the same command again: it fetches only what is missing.",
    )


def start(workers: list[Worker]) -> list[threading.Thread]:
    """Start a thread for each worker; none of them keeps the interpreter from ending."""
    threads = [threading.Thread(target=worker.run, name=f"loops-download-{n}", daemon=True) for n, worker in enumerate(workers)]
    for thread in threads:
        thread.start()
    return threads
