"""One recorder a process and file: what is logged waits in memory for half a second, then one background thread writes it.

Nothing here ever raises into the code that logs, prints, or waits for the disk.  What keeps the recorder from writing is told once, as
a warning, by the next call of ``log``: on the thread of the person whose points they are.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sqlite3
import threading
import time
import warnings
from collections import deque
from pathlib import Path
from typing import Protocol

from loops_nb.errors import LoopsError, TrackingError, one_line
from loops_nb.tracking.schema import open_store
from loops_nb.tracking.writing import Batch, Entry

#: What is logged is on its way to the file after this time at the latest.
PAUSE_SECONDS = 0.5
_LONGEST_PAUSE = 8.0
#: With a disk that takes nothing, so many entries are kept in memory.
MOST_WAITING = 500_000


class TrackingWarning(UserWarning):
    """Something cannot be recorded for now; the code that logs goes on."""


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


_TRIED_AGAIN = " It is kept in memory and tried again."


class Recorder:
    """What writes to one file in this process.

    Parameters
    ----------
    path
        The file; made when the first thing is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begin()

    def _begin(self) -> None:
        self.trouble = ""
        #: The error that says that this file can never be written by this version, if that is so.
        self.refusal: TrackingError | None = None
        #: Whether there is something to tell that nobody was told.
        self.untold = False
        self._told = False
        self._entries: deque[Entry] = deque()
        self._unwritten: list[Batch] = []
        self._lost = 0
        self._awake = threading.Event()
        self._is_awake = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    @property
    def waiting(self) -> int:
        """How many values were taken, tried, and are not in the file."""
        return sum(batch.size for batch in self._unwritten) + self._lost

    def add(self, entry: Entry) -> None:
        """Take an entry; costs its caller next to nothing."""
        if len(self._entries) >= MOST_WAITING:
            self._lost += 1
            return
        self._entries.append(entry)
        if not self._is_awake:
            self._wake()

    def tell(self) -> None:
        """Warn of what keeps the recorder from writing, once for each trouble; to be called by who logs."""
        if self.untold:
            self._told, self.untold = True, False
            warnings.warn(self.trouble, TrackingWarning, stacklevel=3)

    def flush(self) -> bool:
        """Write all that was taken until now, on this thread; tell whether it is in the file."""
        with self._lock:
            return self._write()

    def bring(self) -> None:
        """Write what was taken, for somebody who is about to look: at once where that is easy, else it comes as it always does.

        Never raises and never waits for another thread that writes.  While something is in the way the recorder's own thread alone tries
        again, at its own pace.
        """
        if not self._entries or self.trouble or not self._lock.acquire(blocking=False):
            return
        try:
            self._write()
        except Exception as error:  # noqa: BLE001 - whoever looks is not who logs, and is told nothing of it
            self._troubled(f"{type(error).__name__}: {error}")
        finally:
            self._lock.release()

    def close(self) -> None:
        """Write all that was taken, and say how much could not be written."""
        if not self.flush():
            self.untold = True
            waiting = self.waiting
            why = self.trouble.removesuffix(_TRIED_AGAIN)
            self.trouble = f"{why} {waiting:,} value{' is' if waiting == 1 else 's are'} lost with this process."
            self.tell()
        elif self._lost:
            lost, self._lost = self._lost, 0
            warnings.warn(
                f"{lost:,} calls of log were not kept: {self.path} could not be written for too long.", TrackingWarning, stacklevel=2
            )
        with self._lock:
            self._forget()

    def drop(self) -> None:
        """Forget what was taken and not written: who gave it was told that it cannot be kept."""
        with self._lock:
            self._entries.clear()
            self._unwritten.clear()
            self._relieved()

    def begin_again(self) -> None:
        """Begin empty, in a child process: what the parent has not written yet, the parent will write."""
        if self._connection is not None:
            _of_parents.append(self._connection)
        self._begin()

    def _wake(self) -> None:
        self._is_awake = True
        self._awake.set()
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._live, name="loops-nb-recorder", daemon=True)
                    with contextlib.suppress(RuntimeError):
                        # At the end of the interpreter there are no new threads; the last flush writes what is there.
                        self._thread.start()

    def _live(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            self._awake.wait()
            # Collect what comes in the meantime: one transaction for all of it.
            time.sleep(pause)
            self._awake.clear()
            self._is_awake = False
            try:
                done = self.flush()
            except Exception as error:  # noqa: BLE001 - a fault in here must neither end the thread nor reach a stranger's cell
                self._troubled(f"{type(error).__name__}: {error}")
                done = False
            pause = PAUSE_SECONDS if done else min(_LONGEST_PAUSE, 2 * pause)
            if not done:
                self._is_awake = True
                self._awake.set()

    def _write(self) -> bool:
        if sum(batch.size for batch in self._unwritten) < MOST_WAITING:
            self._gather()
        is_faulty = False
        while self._unwritten:
            try:
                self._unwritten[0].write(self._open(), self.path)
            except Exception as error:  # noqa: BLE001 - told, and not raised into a training
                self._forget()
                if not _may_pass(error):
                    # No second try would do better, and all that comes after would wait for it.
                    self._lost += self._unwritten.pop(0).size
                    self._troubled(f"{type(error).__name__}: {error}")
                    is_faulty = True
                    continue
                self.refusal = error if isinstance(error, TrackingError) else None
                self._troubled(error.message if isinstance(error, LoopsError) else str(error))
                return False
            del self._unwritten[0]
        if is_faulty:
            return False
        self._relieved()
        return True

    def _gather(self) -> None:
        entries = []
        while self._entries:
            entries.append(self._entries.popleft())
        if entries:
            self._unwritten.append(Batch(entries))

    def _relieved(self) -> None:
        self.trouble, self._told, self.untold = "", False, False

    def _troubled(self, why: str) -> None:
        why = one_line(why).rstrip(".")
        self.trouble = f"What is logged cannot be written to {self.path} for now ({why}).{_TRIED_AGAIN}"
        self.untold = not self._told

    def _open(self) -> sqlite3.Connection:
        # A file that was removed while it was open would take points and keep none.
        if self._connection is not None and not self._is_there():
            self._forget()
        if self._connection is None:
            self._connection = open_store(self.path)
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


_recorders: dict[Path, Recorder] = {}
_making = threading.Lock()
# The parent's connections, in a child: closing them there could harm what the parent has open.
_of_parents: list[sqlite3.Connection] = []


def recorder_for(path: Path) -> Recorder:
    """Return the one recorder of this process for a file."""
    path = path.absolute()
    with _making:
        found = _recorders.get(path)
        if found is None:
            found = _recorders[path] = Recorder(path)
        return found


def flush(path: Path) -> bool:
    """Write what this process has logged for a file, if anything; tell whether it is there."""
    found = _recorders.get(path.absolute())
    return found is None or found.flush()


def bring(path: Path) -> None:
    """Write what this process has logged for a file, if that is easy; see `Recorder.bring`."""
    found = _recorders.get(path.absolute())
    if found is not None:
        found.bring()


def _at_exit() -> None:
    for recorder in list(_recorders.values()):
        # Nobody could do anything about it any more.
        with contextlib.suppress(Exception):
            recorder.close()


def _in_child() -> None:
    global _making  # noqa: PLW0603 - a lock that another thread of the parent held would never be free here
    _making = threading.Lock()
    for recorder in list(_recorders.values()):
        recorder.begin_again()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
