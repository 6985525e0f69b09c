"""Background writer: batches log entries and flushes them to SQLite every 0.5 s.

One `WriterThread` a process and file; only its thread writes.  ``flush``, ``close`` and readers send it a request and
wait for the answer; an interrupt ends the wait, never the write.  Nothing here raises into the code that logs, prints,
or waits for a faulty disk.  A problem that keeps the thread from writing becomes a warning of the next call of ``log``,
once, on the thread that logs.

An interrupt or a signal handler may come between any two steps of the main thread.  So no lock is held for longer than
one call of C takes, and no handler ever waits for a lock that the interrupted code holds.
"""

from __future__ import annotations

import contextlib
import enum
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

from loops_nb.config.fork_safety import (
    ForkAware,
    is_forking,
    keep_inherited,
    release_if_held,
    reset_on_fork,
    wait_for_forks,
)
from loops_nb.errors import LoopsError, TrackingError, one_line
from loops_nb.tracking import process_end
from loops_nb.tracking.entries import Entry, EnvironmentEntry, RequestLogChunk, count_as_lost, size_of
from loops_nb.tracking.journal import WalHeldError, is_busy, is_passing, lock_pause, reason_of
from loops_nb.tracking.location import Location
from loops_nb.tracking.schema import BUSY_SECONDS, open_store
from loops_nb.tracking.warn import print_warning, warn
from loops_nb.tracking.write_batch import WriteBatch

logger: logging.Logger = logging.getLogger(__name__)
#: Time from ``log`` to the write, at most.
PAUSE_SECONDS = 0.5
#: The same in forked processes, which may end without calling anything.
CHILD_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE = 8.0
# An interrupt may come before the thread is woken, so it also looks by itself.
_IDLE_SECONDS = 1.0
#: Limit of the entries kept in memory while the disk takes nothing.
MAX_PENDING = 500_000
#: Pause between two checks of a thread that waits for an answer.
_POLL_SECONDS = 0.05
#: ``log`` waits no longer than this for a batch that cannot be written.
HEALTHY_SECONDS = 1.0
#: A reader waits this long for a batch, and this long for a lock of another process.
READ_SECONDS = 5.0
_READ_LOCKED_SECONDS = 0.5
# A batch has as many entries as are grouped and written in about this time; the same number may wait.
_BATCH_SECONDS = 0.25
_MIN_BATCH, _FIRST_BATCH, _MAX_BATCH = 8, 5_000, 20_000
_RETRIED = " It is kept in memory and tried again."


class WriterCommand(enum.Enum):
    """What a `WriterRequest` asks for."""

    WRITE = "write all entries"
    DROP = "discard all entries"
    END = "write all entries, close the file and end the thread"


class WriterRequest:
    """A request to the writer thread, which answers it once."""

    __slots__ = ("_answered", "command", "is_done")

    def __init__(self, command: WriterCommand) -> None:
        self.command: WriterCommand = command
        #: The answer: whether all entries added before are in the file.
        self.is_done: bool = False
        self._answered = threading.Lock()
        self._answered.acquire()

    def answer(self, *, is_done: bool) -> None:
        """Set the answer; never blocks."""
        self.is_done = is_done
        # Answered already if it was submitted again in the moment in which another thread took it.
        with contextlib.suppress(RuntimeError):
            self._answered.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the answer and return whether it came; an interrupt ends only the wait."""
        return self._answered.acquire(timeout=seconds)


class WakeEvent:
    """An auto-reset event: several calls of `set` before a `wait` count as one."""

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """End the wait; never blocks."""
        # Set already.
        with contextlib.suppress(RuntimeError):
            self._unset.release()

    def wait(self, seconds: float) -> bool:
        """Wait until it is set and return whether it was."""
        return self._unset.acquire(timeout=seconds)


class EntryWriter(Protocol):
    """Destination of the entries of an `Experiment`."""

    @property
    def path(self) -> Path: ...
    @property
    def location(self) -> Location: ...
    @property
    def trouble(self) -> str: ...
    @property
    def has_warnings(self) -> bool: ...
    @property
    def waiting(self) -> int: ...
    def add(self, entry: Entry) -> None: ...
    def emit_warnings(self) -> None: ...
    def flush(self) -> bool: ...


class NullWriter:
    """An `EntryWriter` that discards everything, for machines without a folder for the file.

    Parameters
    ----------
    error : TrackingError
        Why there is no file.
    """

    def __init__(self, error: TrackingError) -> None:
        self._error = error
        self.trouble: str = f"Nothing is kept: {error}"
        self.has_warnings = False
        self.waiting = 0

    @property
    def path(self) -> Path:
        raise TrackingError(self._error.message, hint=self._error.hint)

    @property
    def location(self) -> Location:
        return self.path

    def add(self, entry: Entry) -> None:
        count_as_lost(entry)

    def emit_warnings(self) -> None:
        """Do nothing: `loops_nb.experiment` has warned already."""

    def flush(self) -> bool:
        return False


class WriterThread(ForkAware):
    """The writer of one file in this process.

    Parameters
    ----------
    path : Path
        The file; created by the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pause_seconds = PAUSE_SECONDS
        self._reset()
        reset_on_fork(self)

    def _reset(self) -> None:
        self.trouble: str = ""
        #: Set if this version of ``loops_nb`` can never write the file.
        self.refusal: TrackingError | None = None
        self.has_warnings: bool = False
        self._is_warned = False
        self._warnings: deque[str] = deque()
        self._is_dropping = False
        self._entries: deque[Entry] = deque()
        self._requests: deque[WriterRequest] = deque()
        # Taken by the thread: not grouped yet, and grouped.
        self._taken: list[Entry] = []
        self._unwritten: list[WriteBatch] = []
        self._capacity = _FIRST_BATCH
        self._group_seconds = 0.0
        self._wake_event = WakeEvent()
        self._is_awake = False
        self._is_urgent = False
        self._is_ending = False
        # The thread that holds the role writes; the other lock is held only while SQLite is used.
        self._writer_role = threading.Lock()
        self._writer_id = 0
        self._sqlite_lock = threading.RLock()
        self._busy_since: float | None = None
        self._locked_since: float | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    @property
    def location(self) -> Location:
        """What is written to: the file, or a team's store."""
        return self.path

    @property
    def delay(self) -> str:
        """Why what is in the file cannot be sent to where it belongs; empty, as it belongs there."""
        return ""

    @property
    def waiting(self) -> int:
        """Number of values that were added and are not in the file."""
        unwritten = sum(batch.size for batch in list(self._unwritten) if not batch.is_written)
        return unwritten + sum(map(size_of, self._entries.copy()))

    def add(self, entry: Entry) -> None:
        """Add an entry; blocks only while more is logged than a healthy disk can take."""
        entries = self._entries
        if len(entries) >= self._capacity and not self._wait_for_capacity():
            self._drop(entry)
            return
        try:
            entries.append(entry)
        finally:
            # Also if an interrupt comes right after the append.
            if not self._is_awake:
                self._wake()

    def emit_warnings(self) -> None:
        """Warn of problems with writing, once for each; called on the thread that logs."""
        if not self.has_warnings:
            return
        self.has_warnings = False
        if self.trouble and not self._is_warned:
            self._is_warned = True
            warn(self.trouble, stacklevel=3)
        while self._warnings:
            with contextlib.suppress(IndexError):
                warn(self._warnings.popleft(), stacklevel=3)

    def flush(self, *, held_up_seconds: float = BUSY_SECONDS + 2) -> bool:
        """Write all entries, also to where the file's are sent, and return whether they are safe; as `save`."""
        return self.save(held_up_seconds=held_up_seconds)

    def save(self, *, held_up_seconds: float = BUSY_SECONDS + 2) -> bool:
        """Write all entries and return whether they are in the file.

        Parameters
        ----------
        held_up_seconds : float, default 12
            Longest wait while nothing can be written.
        """
        return self._wait(self._request(WriterCommand.WRITE), held_up_seconds, held_up_seconds)

    def try_flush(self, *, held_up_seconds: float = READ_SECONDS) -> int:
        """Write all entries before a read, and return how many values are not in the file yet.

        Never raises.  While there is a problem, only the writer thread tries again, at its own pace.
        """
        if not self._has_something():
            return 0
        if not self.trouble and not self._is_stuck(0.0, held_up_seconds, _READ_LOCKED_SECONDS):
            self._wait(self._request(WriterCommand.WRITE), held_up_seconds, _READ_LOCKED_SECONDS)
        return self.waiting

    def close(self) -> None:
        """Write all entries, warn of those that could not be written, and end the thread."""
        if not self.flush():
            waiting = self.waiting
            why = self.trouble.removesuffix(_RETRIED) or f"What is logged could not be written to {self.path} in time."
            self._is_warned = True
            warn(f"{why} {waiting:,} value{' is' if waiting == 1 else 's are'} lost with this process.", stacklevel=2)
        self.emit_warnings()
        self._end()

    def drop(self) -> None:
        """Discard all entries that are not written."""
        self._wait(self._request(WriterCommand.DROP), BUSY_SECONDS, BUSY_SECONDS)

    # Forks

    def before_fork(self, seconds: float) -> None:
        # The lock is free once the current batch is written.
        if self._sqlite_lock.acquire(timeout=seconds) and self._writer_id != get_ident():
            self._close_connection()

    def after_fork_in_parent(self) -> None:
        release_if_held(self._sqlite_lock)

    def after_fork_in_child(self) -> None:
        # The entries of the parent are written by the parent.
        if self._connection is not None:
            keep_inherited(self._connection)
        self._pause_seconds = min(self._pause_seconds, CHILD_PAUSE_SECONDS)
        self._reset()

    # Called on any thread

    def _has_something(self) -> bool:
        return bool(self._entries or self._unwritten or self._taken)

    def _wake(self) -> None:
        self._is_awake = True
        process_end.prepare()
        self._wake_event.set()
        if not self._writer_role.locked():
            self._start()

    def _request(self, command: WriterCommand) -> WriterRequest:
        request = WriterRequest(command)
        self._requests.append(request)
        self._is_urgent = True
        self._wake_event.set()
        if not self._writer_role.locked():
            self._start()
        return request

    def _start(self) -> None:
        if not process_end.is_over():
            # Not `threading.Thread`, whose start takes locks that a signal handler could wait for in vain.  A surplus
            # thread ends at once, because it does not get the role.
            try:
                start_new_thread(self._run, ())
            except RuntimeError:
                # No more threads can be started, or the interpreter is ending.
                pass
            else:
                return
        self._write_on_this_thread()

    def _wait(self, request: WriterRequest, held_up_seconds: float, locked_seconds: float) -> bool:
        # The writer thread itself (an object collected there may log and flush) and a thread within a fork would wait
        # forever.
        if get_ident() == self._writer_id or is_forking():
            return False
        began = monotonic()
        while not request.wait(_POLL_SECONDS):
            if not self._writer_role.locked():
                self._request_again(request)
            elif self._is_stuck(began, held_up_seconds, locked_seconds):
                return False
        return request.is_done

    def _request_again(self, request: WriterRequest) -> None:
        if request not in self._requests:
            # Lost with a writer thread that was ended from outside.
            self._requests.append(request)
        self._start()

    def _is_stuck(self, began: float, held_up_seconds: float, locked_seconds: float) -> bool:
        now = monotonic()
        busy, locked = self._busy_since, self._locked_since
        if locked is not None and now - locked > locked_seconds:
            return True
        return busy is not None and now - max(busy, began) > held_up_seconds

    def _wait_for_capacity(self) -> bool:
        """Wait for capacity while the disk is healthy, and return whether one more entry may be added."""
        while len(self._entries) >= self._capacity:
            is_full = len(self._entries) >= MAX_PENDING
            most = BUSY_SECONDS if is_full else HEALTHY_SECONDS
            if self.trouble or self._is_stuck(0.0, most, most) or get_ident() == self._writer_id or is_forking():
                return not is_full
            self._is_urgent = True
            self._wake()
            sleep(_POLL_SECONDS / 50)
        return True

    def _drop(self, entry: Entry) -> None:
        count_as_lost(entry)
        if not self._is_dropping:
            self._is_dropping = True
            self._warnings.append(
                f"What is logged from now on is lost: {len(self._entries):,} calls of log wait to be written to"
                f" {self.path}, more are not kept in memory. exp.flush() is False for experiments that lost something."
            )
            self.has_warnings = True

    # Called on the thread that holds the writer role

    def _run(self) -> None:
        if not self._writer_role.acquire(blocking=False):
            return
        try:
            if process_end.is_over():
                # A surplus thread that runs late, after the last request to end: nothing would ever end it.
                return
            self._writer_id = get_ident()
            pause = self._pause_seconds
            while not self._is_ending:
                if not self._wait_for_work(pause):
                    continue
                is_done = self._run_once()
                pause = self._pause_seconds if is_done else min(_LONGEST_PAUSE, max(PAUSE_SECONDS, 2 * pause))
                if not is_done:
                    self._is_awake = True
                    self._wake_event.set()
        finally:
            self._is_ending = self._is_awake = False
            self._writer_id = 0
            self._writer_role.release()

    def _wait_for_work(self, pause: float) -> bool:
        """Wait for work, then `pause` seconds for more of it (one transaction for all); return whether there is any."""
        if not self._wake_event.wait(_IDLE_SECONDS):
            return self._is_awake or self._is_urgent
        until = monotonic() + pause
        while not self._is_urgent and (left := until - monotonic()) > 0:
            self._wake_event.wait(left)
        return True

    def _write_on_this_thread(self) -> None:
        """Write on this thread, if no other can be started; waits for one that writes."""
        # A thread that was frozen by the end of the interpreter holds the role forever.
        if get_ident() == self._writer_id:
            return
        if sys.is_finalizing() and self._writer_role.locked():
            self._print_lost()
            return
        with self._writer_role:
            self._writer_id = get_ident()
            try:
                # A daemon thread may log without end; the first round writes all that was there before.
                until = monotonic() + HEALTHY_SECONDS
                while self._has_something() or self._requests:
                    if not self._run_once() or monotonic() > until:
                        break
            finally:
                self._close_connection()
                self._is_awake = self._is_ending = False
                self._writer_id = 0
        if process_end.is_over() and self._has_something():
            self._print_lost()

    def _print_lost(self) -> None:
        print_warning(
            (
                f"{self.waiting:,} values that were logged as the process ended are lost. "
                f"{self.trouble.removesuffix(_RETRIED)}"
            ).rstrip()
        )

    def _end(self) -> None:
        if self._writer_role.locked():
            self._wait(self._request(WriterCommand.END), BUSY_SECONDS, BUSY_SECONDS)
        if self._has_something() or self._requests:
            self._write_on_this_thread()
        elif not self._writer_role.locked():
            self._close_connection()

    def _run_once(self) -> bool:
        """Answer the requests and write all entries."""
        self._is_awake = self._is_urgent = False
        requests: list[WriterRequest] = []
        # One call of C: an interrupt comes before or after it.
        requests.extend(islice(iter(self._requests.popleft, None), len(self._requests)))
        is_done = False
        try:
            if any(request.command is WriterCommand.DROP for request in requests):
                self._discard()
            is_done = self._write()
        except Exception as error:
            logger.exception("What is logged could not be written, by a fault of loops_nb.")
            self._set_trouble(f"{type(error).__name__}: {error}")
        finally:
            self._is_ending = any(request.command is WriterCommand.END for request in requests)
            if self._is_ending:
                self._close_connection()
            if self._locked_since is not None:
                # Those that came meanwhile have waited for the same lock.
                requests.extend(islice(iter(self._requests.popleft, None), len(self._requests)))
            self._busy_since = self._locked_since = None
            for request in requests:
                request.answer(is_done=is_done)
        return is_done

    def _write(self) -> bool:
        left = len(self._entries)
        is_faulty = False
        while self._has_taken() or left > 0:
            if not self._unwritten:
                left -= self._take_batch(min(left, self._capacity))
            self._busy_since = monotonic()
            try:
                self._write_with_retries(self._unwritten[0])
            except Exception as error:  # noqa: BLE001 - becomes a warning of `log`
                self._close_connection()
                if _is_temporary(error):
                    self.refusal = (
                        error if isinstance(error, TrackingError) and not isinstance(error, WalHeldError) else None
                    )
                    self._set_trouble(reason_of(error, self.path))
                    return False
                # A second try would fail too, and hold up all later entries.
                self._write_split(self._unwritten[0], error)
                is_faulty = True
            del self._unwritten[0]
        if is_faulty:
            return False
        self._clear_trouble()
        return True

    def _has_taken(self) -> bool:
        return bool(self._unwritten or self._taken)

    def _take_batch(self, count: int) -> int:
        # After an interrupt they may be in a batch already.
        if self._unwritten and self._unwritten[-1].entries is self._taken:
            self._taken = []
        # One call of C: an interrupt comes before or after it.
        self._taken.extend(islice(iter(self._entries.popleft, None), count))
        for entry in self._taken:
            if isinstance(entry, EnvironmentEntry):
                # Not within the transaction, nor in the time by which the size of batches is adapted.
                entry.capture.content()
        began = monotonic()
        batch = WriteBatch(self._taken)
        self._group_seconds = monotonic() - began
        self._unwritten.append(batch)
        self._taken = []
        if batch.warnings:
            self._warnings.extend(batch.warnings)
            self.has_warnings = True
        return count

    def _write_with_retries(self, batch: WriteBatch) -> None:
        """Write a batch; waits for other processes that write, without holding the lock."""
        until = monotonic() + BUSY_SECONDS
        attempt = 0
        while not batch.is_written:
            wait_for_forks()
            began = monotonic()
            try:
                with self._sqlite_lock:
                    self._write_batch(batch)
            except sqlite3.OperationalError as error:
                if not is_passing(error, self.path) or monotonic() > until:
                    raise
                if not is_busy(error):
                    self._close_connection()
                if self._locked_since is None:
                    self._locked_since = monotonic()
                attempt += 1
                sleep(lock_pause(attempt))
            else:
                self._locked_since = None
                self._adapt_capacity(len(batch.entries), self._group_seconds + monotonic() - began)

    def _write_batch(self, batch: WriteBatch) -> None:
        batch.write(self._open(), self.path)

    def _adapt_capacity(self, count: int, seconds: float) -> None:
        """Adapt the size of batches, and of the queue, to what is written in `_BATCH_SECONDS`."""
        if seconds > _BATCH_SECONDS or count >= self._capacity // 2:
            fitting = int(count * _BATCH_SECONDS / max(seconds, 1e-6))
            self._capacity = max(_MIN_BATCH, min(_MAX_BATCH, fitting))

    def _write_split(self, batch: WriteBatch, error: Exception) -> None:
        parts = batch.split()
        if len(parts) == 1:
            self._drop_batch(batch, error)
            return
        for part in parts:
            try:
                self._write_with_retries(part)
            except Exception as fault:  # noqa: BLE001 - becomes a warning
                self._close_connection()
                self._drop_batch(part, fault)

    def _drop_batch(self, batch: WriteBatch, error: Exception) -> None:
        logger.error("Values cannot be written.", exc_info=error)
        for entry in batch.entries:
            count_as_lost(entry)
        first = batch.entries[0]
        name = first.log if isinstance(first, RequestLogChunk) else first.session.name
        self._warnings.append(
            f"{batch.size:,} values of {name!r:.60} are lost: they cannot be written to {self.path}"
            f" ({type(error).__name__}: {one_line(str(error))})."
        )
        self.has_warnings = True

    def _discard(self) -> None:
        self._entries.clear()
        self._unwritten.clear()
        self._taken = []
        self._clear_trouble()

    def _clear_trouble(self) -> None:
        self.trouble, self._is_warned, self._is_dropping = "", False, False
        self.has_warnings = bool(self._warnings)

    def _set_trouble(self, why: str) -> None:
        why = one_line(why).rstrip(".")
        self.trouble = f"What is logged cannot be written to {self.path} for now ({why}).{_RETRIED}"
        self.has_warnings = not self._is_warned or bool(self._warnings)

    def _open(self) -> sqlite3.Connection:
        # A file that was removed while it was open would take points and lose them.
        if self._connection is not None and not self._is_same_file():
            self._close_connection()
        if self._connection is None:
            # Waits for locks happen outside of SQLite, where a fork need not wait for them.
            self._connection = open_store(self.path, busy_seconds=0.0)
            self._file = self.path.stat()
        return self._connection

    def _is_same_file(self) -> bool:
        try:
            return self._file is not None and os.path.samestat(self._file, self.path.stat())
        except OSError:
            return False

    def _close_connection(self) -> None:
        connection, self._connection, self._file = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _is_temporary(error: Exception) -> bool:
    """Whether the disk, the file or another process is the cause, not the entries themselves."""
    return isinstance(error, (sqlite3.OperationalError, OSError, LoopsError)) or type(error) is sqlite3.DatabaseError
