"""One recorder a process and file: what is logged waits in memory for half a second, then one background thread writes it.

Only that thread writes.  ``flush``, ``close`` and reading ask it and wait for its answer; an interrupt ends the wait and never the write.
Nothing here ever raises into the code that logs, prints, or waits for a disk that is at fault.  What keeps the recorder from writing is a
warning of the next call of ``log``, once, on the thread that logs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
import threading
from _thread import start_new_thread
from collections import deque
from itertools import islice
from pathlib import Path
from threading import get_ident
from time import monotonic, sleep
from typing import Protocol

from loops_nb.errors import LoopsError, TrackingError, one_line
from loops_nb.tracking import endings, forking
from loops_nb.tracking.notices import TrackingWarning, say, warn
from loops_nb.tracking.requests import Bell, Request, Wish
from loops_nb.tracking.schema import BUSY_PAUSE_SECONDS, BUSY_SECONDS, is_busy, open_store
from loops_nb.tracking.writing import Batch, Entry, Followed, count_as_lost, size_of

__all__ = ["Recorder", "TakesEntries", "TrackingWarning", "bring", "flush", "recorder_for"]

_LOG = logging.getLogger(__name__)
#: What is logged is on its way to the file after this time at the latest.
PAUSE_SECONDS = 0.5
#: The same in forked processes, which may be ended without a word.
CHILD_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE = 8.0
# An interrupt may come before the bell is rung: the thread looks by itself, too.
_IDLE_SECONDS = 1.0
#: With a disk that takes nothing, so many entries are kept in memory.
MOST_WAITING = 500_000
#: Between two looks of a thread that waits for an answer.
_LOOK_SECONDS = 0.05
#: ``log`` waits no longer than this for a batch that does not get into the file.
_HEALTHY_SECONDS = 1.0
#: A look at the file waits this long for a batch, and this long for a lock of another process.
READ_SECONDS = 5.0
_READ_LOCKED_SECONDS = 0.5
# A batch has as many entries as are gathered and written in about this time; as many more may wait.
_BATCH_SECONDS = 0.25
_SMALLEST_BATCH, _FIRST_BATCH, _LARGEST_BATCH = 8, 5_000, 20_000
_TRIED_AGAIN = " It is kept in memory and tried again."


class TakesEntries(Protocol):
    """What `Recording` gives its entries to: a recorder, or what stands before one."""

    @property
    def path(self) -> Path: ...  # noqa: D102 - as in `Recorder`, and so is all of this
    @property
    def trouble(self) -> str: ...  # noqa: D102
    @property
    def untold(self) -> bool: ...  # noqa: D102
    @property
    def waiting(self) -> int: ...  # noqa: D102
    def add(self, entry: Entry) -> None: ...  # noqa: D102
    def tell(self) -> None: ...  # noqa: D102
    def flush(self) -> bool: ...  # noqa: D102


class Recorder:
    """What writes to one file in this process.

    Parameters
    ----------
    path
        The file; made when the first thing is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pause_seconds = PAUSE_SECONDS
        self._begin()
        forking.reset_on_fork(self)

    def _begin(self) -> None:
        self.trouble = ""
        #: The error that says that this file can never be written by this version, if that is so.
        self.refusal: TrackingError | None = None
        #: Whether there is something to say that was not said.
        self.untold = False
        self._told = False
        self._notices: deque[str] = deque()
        self._is_dropping = False
        self._entries: deque[Entry] = deque()
        self._requests: deque[Request] = deque()
        # What the thread has taken from there: not gathered yet, and gathered.
        self._taken: list[Entry] = []
        self._unwritten: list[Batch] = []
        self._room = _FIRST_BATCH
        self._gather_seconds = 0.0
        self._bell = Bell()
        self._is_awake = False
        self._is_urgent = False
        self._is_ending = False
        # Who has the role writes; the lock is only held while SQLite is used.
        self._role = threading.Lock()
        self._writer = 0
        self._lock = threading.RLock()
        self._busy_since: float | None = None
        self._locked_since: float | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    @property
    def waiting(self) -> int:
        """How many values were taken and are not in the file."""
        unwritten = sum(batch.size for batch in list(self._unwritten) if not batch.is_written)
        return unwritten + sum(map(size_of, self._entries.copy()))

    def add(self, entry: Entry) -> None:
        """Take an entry; costs its caller next to nothing, unless more is logged than a healthy disk takes."""
        entries = self._entries
        if len(entries) >= self._room and not self._makes_room():
            self._drop(entry)
            return
        try:
            entries.append(entry)
        finally:
            # Also where an interrupt comes just behind the entry.
            if not self._is_awake:
                self._wake()

    def tell(self) -> None:
        """Warn of what keeps the recorder from writing, once for each trouble; to be called by the code that logs."""
        if not self.untold:
            return
        self.untold = False
        if self.trouble and not self._told:
            self._told = True
            warn(self.trouble, stacklevel=3)
        while self._notices:
            with contextlib.suppress(IndexError):
                warn(self._notices.popleft(), stacklevel=3)

    def flush(self, *, held_up_seconds: float = BUSY_SECONDS + 2) -> bool:
        """Have all written that was taken until now, and tell whether it is in the file.

        Parameters
        ----------
        held_up_seconds
            Wait no longer than this while nothing gets into the file.
        """
        return self._wait(self._ask(Wish.WRITE), held_up_seconds, held_up_seconds)

    def bring(self, *, held_up_seconds: float = READ_SECONDS) -> int:
        """Have written what was taken, for code that is about to look, and return how many values are not in the file yet.

        Never raises.  While something is in the way the recorder's thread alone tries again, at its own pace.
        """
        if not self._has_something():
            return 0
        if not self.trouble and not self._is_held_up(0.0, held_up_seconds, _READ_LOCKED_SECONDS):
            self._wait(self._ask(Wish.WRITE), held_up_seconds, _READ_LOCKED_SECONDS)
        return self.waiting

    def close(self) -> None:
        """Write all that was taken, say how much could not be written, and end the thread."""
        if not self.flush():
            waiting = self.waiting
            why = self.trouble.removesuffix(_TRIED_AGAIN) or f"What is logged could not be written to {self.path} in time."
            self._told = True
            warn(f"{why} {waiting:,} value{' is' if waiting == 1 else 's are'} lost with this process.", stacklevel=2)
        self.tell()
        self._end()

    def drop(self) -> None:
        """Forget what was taken and not written: its caller was told that it cannot be kept."""
        self._wait(self._ask(Wish.DROP), BUSY_SECONDS, BUSY_SECONDS)

    # Around forks

    def before_fork(self, seconds: float) -> None:
        """Wait for the batch that is being written, and close the file."""
        if self._lock.acquire(timeout=seconds) and self._writer != get_ident():
            self._forget()

    def after_fork(self) -> None:
        """Go on, in the parent."""
        forking.release(self._lock)

    def in_child(self) -> None:
        """Begin empty, in a child process: what the parent has not written yet, the parent will write."""
        if self._connection is not None:
            _of_parents.append(self._connection)
        self._pause_seconds = min(self._pause_seconds, CHILD_PAUSE_SECONDS)
        self._begin()

    # What any thread does

    def _has_something(self) -> bool:
        return bool(self._entries or self._unwritten or self._taken)

    def _wake(self) -> None:
        self._is_awake = True
        endings.prepare()
        self._bell.ring()
        if not self._role.locked():
            self._start()

    def _ask(self, wish: Wish) -> Request:
        request = Request(wish)
        self._requests.append(request)
        self._is_urgent = True
        self._bell.ring()
        if not self._role.locked():
            self._start()
        return request

    def _start(self) -> None:
        if not endings.is_over():
            # A thread of `threading` takes locks as it starts, which a signal handler would wait for in vain.  One thread too many ends at
            # once, for it does not get the role.
            try:
                start_new_thread(self._live, ())
            except RuntimeError:
                # No more threads, or the interpreter ends.
                pass
            else:
                return
        self._write_here()

    def _wait(self, request: Request, held_up_seconds: float, locked_seconds: float) -> bool:
        # The thread itself (an object that is collected there may log and flush) and a thread within a fork would wait for ever.
        if get_ident() == self._writer or forking.is_forking():
            return False
        began = monotonic()
        while not request.wait(_LOOK_SECONDS):
            if not self._role.locked():
                self._ask_again(request)
            elif self._is_held_up(began, held_up_seconds, locked_seconds):
                return False
        return request.is_done

    def _ask_again(self, request: Request) -> None:
        if request not in self._requests:
            # Given up with a thread that was ended from outside.
            self._requests.append(request)
        self._start()

    def _is_held_up(self, began: float, held_up_seconds: float, locked_seconds: float) -> bool:
        now = monotonic()
        busy, locked = self._busy_since, self._locked_since
        if locked is not None and now - locked > locked_seconds:
            return True
        return busy is not None and now - max(busy, began) > held_up_seconds

    def _makes_room(self) -> bool:
        """Wait until there is room for one more entry, while the disk is healthy; tell whether there is."""
        while len(self._entries) >= self._room:
            is_full = len(self._entries) >= MOST_WAITING
            most = BUSY_SECONDS if is_full else _HEALTHY_SECONDS
            if self.trouble or self._is_held_up(0.0, most, most) or get_ident() == self._writer or forking.is_forking():
                return not is_full
            self._is_urgent = True
            self._wake()
            sleep(_LOOK_SECONDS / 50)
        return True

    def _drop(self, entry: Entry) -> None:
        count_as_lost(entry)
        if not self._is_dropping:
            self._is_dropping = True
            self._notices.append(
                f"What is logged from now on is lost: {len(self._entries):,} calls of log wait to be written to {self.path}, more are not"
                " kept in memory. exp.flush() is False for experiments that lost something."
            )
            self.untold = True

    # What the thread does that has the role

    def _live(self) -> None:
        if not self._role.acquire(blocking=False):
            return
        try:
            self._writer = get_ident()
            pause = self._pause_seconds
            while not self._is_ending:
                if not self._rest(pause):
                    continue
                is_done = self._round()
                pause = self._pause_seconds if is_done else min(_LONGEST_PAUSE, max(PAUSE_SECONDS, 2 * pause))
                if not is_done:
                    self._is_awake = True
                    self._bell.ring()
        finally:
            self._is_ending = self._is_awake = False
            self._writer = 0
            self._role.release()

    def _rest(self, pause: float) -> bool:
        """Wait for something to do, and collect what comes in the meantime: one transaction for all of it; tell whether there is any."""
        if not self._bell.wait(_IDLE_SECONDS):
            return self._is_awake or self._is_urgent
        until = monotonic() + pause
        while not self._is_urgent and (left := until - monotonic()) > 0:
            self._bell.wait(left)
        return True

    def _write_here(self) -> None:
        """Write on this thread, where there can be no other; what another thread writes here is waited for."""
        # A thread that the end of the interpreter has frozen keeps the role for ever.
        if get_ident() == self._writer:
            return
        if sys.is_finalizing() and self._role.locked():
            self._say_lost()
            return
        with self._role:
            self._writer = get_ident()
            try:
                # A daemon thread may log without end; the first round writes all that was there.
                until = monotonic() + _HEALTHY_SECONDS
                while self._has_something() or self._requests:
                    if not self._round() or monotonic() > until:
                        break
            finally:
                self._forget()
                self._is_awake = self._is_ending = False
                self._writer = 0
        if endings.is_over() and self._has_something():
            self._say_lost()

    def _say_lost(self) -> None:
        say(f"{self.waiting:,} values that were logged as the process ended are lost. {self.trouble.removesuffix(_TRIED_AGAIN)}".rstrip())

    def _end(self) -> None:
        if self._role.locked():
            self._wait(self._ask(Wish.END), BUSY_SECONDS, BUSY_SECONDS)
        if self._has_something() or self._requests:
            self._write_here()
        elif not self._role.locked():
            self._forget()

    def _round(self) -> bool:
        """Do what was asked for, and write what was taken until now."""
        self._is_awake = self._is_urgent = False
        asked: list[Request] = []
        # One call of C: an interrupt comes before or after it.
        asked.extend(islice(iter(self._requests.popleft, None), len(self._requests)))
        is_done = False
        try:
            if any(request.wish is Wish.DROP for request in asked):
                self._discard()
            is_done = self._write()
        except Exception as error:  # noqa: BLE001 - a fault in here must neither end the thread nor reach the code that logs
            _LOG.exception("What is logged could not be written, by a fault of loops_nb.")
            self._troubled(f"{type(error).__name__}: {error}")
        finally:
            self._is_ending = any(request.wish is Wish.END for request in asked)
            if self._is_ending:
                self._forget()
            if self._locked_since is not None:
                # They have waited for the same lock.
                asked.extend(islice(iter(self._requests.popleft, None), len(self._requests)))
            self._busy_since = self._locked_since = None
            for request in asked:
                request.answer(is_done=is_done)
        return is_done

    def _write(self) -> bool:
        left = len(self._entries)
        is_faulty = False
        while self._has_taken() or left > 0:
            if not self._unwritten:
                left -= self._gather(min(left, self._room))
            self._busy_since = monotonic()
            try:
                self._put(self._unwritten[0])
            except Exception as error:  # noqa: BLE001 - a warning of `log`, and never raised into a training
                self._forget()
                if _may_pass(error):
                    self.refusal = error if isinstance(error, TrackingError) else None
                    self._troubled(_why(error))
                    return False
                # No second try would do better, and all that comes after would wait for it.
                self._give_up(self._unwritten[0], error)
                is_faulty = True
            del self._unwritten[0]
        if is_faulty:
            return False
        self._relieved()
        return True

    def _has_taken(self) -> bool:
        return bool(self._unwritten or self._taken)

    def _gather(self, count: int) -> int:
        # After an interrupt it may be in a batch already.
        if self._unwritten and self._unwritten[-1].entries is self._taken:
            self._taken = []
        # One call of C: an interrupt comes before or after it.
        self._taken.extend(islice(iter(self._entries.popleft, None), count))
        began = monotonic()
        batch = Batch(self._taken)
        self._gather_seconds = monotonic() - began
        self._unwritten.append(batch)
        self._taken = []
        if batch.notices:
            self._notices.extend(batch.notices)
            self.untold = True
        return count

    def _put(self, batch: Batch) -> None:
        """Write a batch; wait for other processes that write, and never with the lock held."""
        until = monotonic() + BUSY_SECONDS
        while not batch.is_written:
            forking.let_forks_pass()
            began = monotonic()
            try:
                with self._lock:
                    batch.write(self._open(), self.path)
            except sqlite3.OperationalError as error:
                if not is_busy(error) or monotonic() > until:
                    raise
                if self._locked_since is None:
                    self._locked_since = monotonic()
                sleep(BUSY_PAUSE_SECONDS)
            else:
                self._locked_since = None
                self._measure(len(batch.entries), self._gather_seconds + monotonic() - began)

    def _measure(self, count: int, seconds: float) -> None:
        """Take as many entries at once, and let as many wait, as are written in a moment."""
        if seconds > _BATCH_SECONDS or count >= self._room // 2:
            fitting = int(count * _BATCH_SECONDS / max(seconds, 1e-6))
            self._room = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, fitting))

    def _give_up(self, batch: Batch, error: Exception) -> None:
        parts = batch.parts()
        if len(parts) == 1:
            self._lose(batch, error)
            return
        for part in parts:
            try:
                self._put(part)
            except Exception as fault:  # noqa: BLE001 - a warning, as in `_write`
                self._forget()
                self._lose(part, fault)

    def _lose(self, batch: Batch, error: Exception) -> None:
        _LOG.error("Values cannot be written.", exc_info=error)
        for entry in batch.entries:
            count_as_lost(entry)
        first = batch.entries[0]
        name = first.log if isinstance(first, Followed) else first.opening.name
        self._notices.append(
            f"{batch.size:,} values of {name!r:.60} are lost: they cannot be written to {self.path}"
            f" ({type(error).__name__}: {one_line(str(error))})."
        )
        self.untold = True

    def _discard(self) -> None:
        self._entries.clear()
        self._unwritten.clear()
        self._taken = []
        self._relieved()

    def _relieved(self) -> None:
        self.trouble, self._told, self._is_dropping = "", False, False
        self.untold = bool(self._notices)

    def _troubled(self, why: str) -> None:
        why = one_line(why).rstrip(".")
        self.trouble = f"What is logged cannot be written to {self.path} for now ({why}).{_TRIED_AGAIN}"
        self.untold = not self._told or bool(self._notices)

    def _open(self) -> sqlite3.Connection:
        # A file that was removed while it was open would take points and keep none.
        if self._connection is not None and not self._is_there():
            self._forget()
        if self._connection is None:
            # What waits for a lock does so outside of SQLite, where a fork need not wait for it.
            self._connection = open_store(self.path, busy_seconds=0.0)
            self._file = self.path.stat()
        return self._connection

    def _is_there(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, self.path.stat())
        except OSError:
            return False

    def _forget(self) -> None:
        connection, self._connection, self._file = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _may_pass(error: Exception) -> bool:
    """Tell whether it is the disk, the file or another process that is in the way, not what is written."""
    return isinstance(error, (sqlite3.OperationalError, OSError, LoopsError)) or type(error) is sqlite3.DatabaseError


def _why(error: Exception) -> str:
    if is_busy(error):
        return "another process is writing to it, and has not ended that"
    return error.message if isinstance(error, LoopsError) else str(error)


_recorders: dict[str, Recorder] = {}
# The parent's connections, in a child that was forked while one could not be closed: closing it there could harm the parent.
_of_parents: list[sqlite3.Connection] = []


def recorder_for(path: Path) -> Recorder:
    """Return the one recorder of this process for a file."""
    path = path.absolute()
    found = _recorders.get(str(path))
    # One step without a lock, for a signal handler may want a recorder too.
    return _recorders.setdefault(str(path), Recorder(path)) if found is None else found


def flush(path: Path) -> bool:
    """Write what this process has logged for a file, if anything; tell whether it is there."""
    found = _recorders.get(str(path.absolute()))
    return found is None or found.flush()


def bring(path: Path, *, held_up_seconds: float = READ_SECONDS) -> int:
    """Write what this process has logged for a file, and return how many values are not there yet; see `Recorder.bring`."""
    found = _recorders.get(str(path.absolute()))
    return 0 if found is None else found.bring(held_up_seconds=held_up_seconds)


def trouble(path: Path) -> str:
    """Return what keeps this process from writing to a file, in words; empty where nothing does."""
    found = _recorders.get(str(path.absolute()))
    return "" if found is None else found.trouble


def _close_all() -> None:
    for recorder in list(_recorders.values()):
        recorder.close()


def _flush_all() -> None:
    for recorder in list(_recorders.values()):
        recorder.flush(held_up_seconds=_HEALTHY_SECONDS)


endings.call_at_end(close=_close_all, flush=_flush_all)
