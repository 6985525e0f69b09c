"""Sends what waits in the file of this machine to a team's store: in order, exactly once.

Each process has a stream of numbered batches.  The transaction that writes batches also writes the number of the last
one, and leaves out those that are in the store already: a process that ended, or a server or network that failed,
after the commit and before this machine learned of it, causes no second copy.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import sys
import threading
from _thread import start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident
from time import monotonic, sleep
from typing import TYPE_CHECKING, cast

import msgspec

from loops_nb.config.fork_safety import ForkAware, is_forking, keep_inherited, release_if_held, reset_on_fork
from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.errors import LoopsError, TrackingError, one_line
from loops_nb.tracking import outbox
from loops_nb.tracking.batch_content import BatchContent, decode
from loops_nb.tracking.outbox import WaitingBatch
from loops_nb.tracking.postgres.connection import AWAY_HINT, PostgresConnection, connect, driver, own_threads, unusable
from loops_nb.tracking.schema import BUSY_SECONDS, open_store
from loops_nb.tracking.write_batch import write_content

if TYPE_CHECKING:
    from collections.abc import Callable

logger: logging.Logger = logging.getLogger(__name__)
#: How often streams of processes that have ended are looked for.
_LOOK_SECONDS = 5.0
#: The thread ends after so many looks that found nothing; what is logged later starts another.
_MAX_IDLE = 12
_SILENT_SECONDS = 12.0
#: A store that takes so long to answer is not waited for; one that took so long to fail is left alone for a while.
_STUCK_SECONDS, _SLOW_SECONDS, _SLOW_REST_SECONDS = 5.0, 1.0, 10.0
#: Pauses between two attempts while the store is away.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
_POLL_SECONDS = 0.005
#: SQLSTATE classes of values that PostgreSQL does not take: of data, of constraints, of limits.
_REFUSED = ("22", "23", "54")
#: A constraint may also fail because another process did the same at that moment.
_ATTEMPTS = 3
#: Number of the newest batch of a stream, whose row is made and locked until the end of the transaction.
_DELIVERED = """
    INSERT INTO deliveries (stream, number) VALUES (?, 0)
    ON CONFLICT (stream) DO UPDATE SET number = deliveries.number RETURNING number"""


class OutboxSender(ForkAware):
    """The thread of this process that sends to one store.

    Parameters
    ----------
    address : PostgresAddress
        The store.
    path : Path
        The file in which batches wait.
    """

    def __init__(self, address: PostgresAddress, path: Path) -> None:
        self.address = address
        self.path = path
        self._reset()
        reset_on_fork(self)

    def _reset(self) -> None:
        #: Why nothing can be sent at the moment; empty if nothing is known of that.
        self.trouble: str = ""
        #: The same without what becomes of the values.
        self.reason: str = ""
        #: Called with each new trouble, and with each batch that is refused.
        self.warn: Callable[[str], None] | None = None
        # Streams of this process, and the number up to which each is in the store or refused.
        self._own: frozenset[str] = frozenset()
        self._settled: dict[str, int] = {}
        self._is_needed = threading.Event()
        self._is_urgent = threading.Event()
        self._attempts = 0
        self._is_ending = False
        #: When the store was last asked for something that it has not answered yet.
        self._waits_since: float | None = None
        self._slow_until = 0.0
        # Held by the thread that sends.
        self._role = threading.Lock()
        # Held while the file is open: a fork waits for it.
        self._file_lock = threading.RLock()
        self._connection: PostgresConnection | None = None

    def start(self, stream: str | None = None) -> None:
        """Send what waits, now and whenever it is called again; a stream of this process is sent at once."""
        if stream is not None and stream not in self._own:
            self._own |= {stream}
        self._is_needed.set()
        # At the end of the interpreter no thread can be started: what is left is sent by the next process.
        if not self._role.locked() and not sys.is_finalizing():
            self._is_ending = False
            # Not `threading.Thread`, whose start waits for the thread. A surplus one ends at once.
            with contextlib.suppress(RuntimeError):
                start_new_thread(self._run, ())

    def settled(self, stream: str) -> int:
        """Return the number up to which a stream is in the store, or refused."""
        return self._settled.get(stream, 0)

    def wait(self, stream: str, number: int, seconds: float, *, urgently: bool) -> bool:
        """Wait until a stream is in the store up to a number, and return whether it is.

        Parameters
        ----------
        stream : str
            Stream of this process.
        number : int
            Number of a batch.
        seconds : float
            Longest wait.
        urgently : bool
            Try at once although the store was away a moment ago, and give up only if that fails too.
        """
        until = monotonic() + seconds
        attempts = self._attempts
        # An attempt that takes long to fail is not made with each flush of a training.
        urgently = urgently and monotonic() > self._slow_until
        self.start(stream)
        if urgently:
            self._is_urgent.set()
        while self.settled(stream) < number and monotonic() < until and not is_forking():
            if (self.trouble and (not urgently or self._attempts > attempts)) or sys.is_finalizing():
                break
            if self._is_stuck():
                self._report(f"{self.address} has not answered for some seconds.")
                break
            sleep(_POLL_SECONDS)
        return self.settled(stream) >= number

    def _is_stuck(self) -> bool:
        since = self._waits_since
        return since is not None and monotonic() - since > _STUCK_SECONDS

    def finish(self, seconds: float) -> None:
        """Send what is left of ended processes too, such as the workers of this one; tries once."""
        attempts, until = self._attempts, monotonic() + seconds
        self.start()
        while self._attempts == attempts and monotonic() < until and not sys.is_finalizing():
            sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End the thread and close the connection; `start` begins again."""
        self._is_ending = True
        self._is_needed.set()
        self._is_urgent.set()
        until = monotonic() + _SILENT_SECONDS
        while self._role.locked() and monotonic() < until:
            sleep(_POLL_SECONDS)

    # Forks

    def before_fork(self, seconds: float) -> None:
        self._file_lock.acquire(timeout=seconds)

    def after_fork_in_parent(self) -> None:
        release_if_held(self._file_lock)

    def after_fork_in_child(self) -> None:
        if self._connection is not None:
            keep_inherited(self._connection)
        self._reset()

    # On the thread

    def _run(self) -> None:
        if not self._role.acquire(blocking=False):
            return
        own_threads.add(get_ident())
        try:
            self._send_until_idle()
        finally:
            self._close()
            own_threads.discard(get_ident())
            self._role.release()

    def _send_until_idle(self) -> None:
        pause, idle = _FIRST_PAUSE, 0
        while not self._is_ending and idle < _MAX_IDLE:
            idle = 0 if self._is_needed.wait(_LOOK_SECONDS) else idle + 1
            self._is_needed.clear()
            began = monotonic()
            try:
                self._send_all()
            except Exception as error:  # noqa: BLE001 - becomes a warning of `log`; nothing is lost
                self._close()
                self._set_trouble(error)
                if monotonic() - began > _SLOW_SECONDS:
                    self._slow_until = monotonic() + _SLOW_REST_SECONDS
                self._attempts += 1
                self._is_urgent.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads processes
                self._is_urgent.clear()
                self._is_needed.set()
                pause = min(_LONGEST_PAUSE, 2 * pause)
            else:
                self.trouble = ""
                self._attempts += 1
                self._is_urgent.clear()
                pause = _FIRST_PAUSE

    def _set_trouble(self, error: Exception) -> None:
        if not isinstance(error, (LoopsError, sqlite3.Error, OSError)):
            logger.error("What is logged could not be sent, by a fault of loops_nb.", exc_info=error)
        why = one_line(str(error))
        if isinstance(error, LoopsError):
            why = error.message if error.hint in {None, AWAY_HINT} else f"{error.message} {error.hint}."
        self._report(why)

    def _report(self, why: str) -> None:
        is_new = not self.trouble
        self.reason = why
        self.trouble = f"{why} What is logged is kept in {self.path} and sent as soon as that is possible."
        if is_new and self.warn is not None:
            self.warn(self.trouble)

    def _send_all(self) -> None:
        if not self.path.exists():
            return
        with self._file() as file:
            streams = outbox.streams_to_send(file, self.address, self._own)
        for stream in streams:
            attempts = 0
            while True:
                with self._file() as file:
                    batches = outbox.next_batches(file, stream, single=attempts > 0)
                if not batches:
                    break
                why = self._delivered(stream, batches)
                if not why:
                    with self._file() as file:
                        outbox.remove(file, stream, batches[-1].number)
                    self._settled[stream], attempts = batches[-1].number, 0
                elif attempts < _ATTEMPTS:
                    # First alone, so that only what is refused is kept back.
                    attempts += 1
                else:
                    self._keep_back(stream, batches[0], why)
                    attempts = 0

    def _keep_back(self, stream: str, batch: WaitingBatch, why: str) -> None:
        with self._file() as file:
            outbox.refuse(file, stream, batch.number, why)
        self._settled[stream] = batch.number
        values = "1 value is" if batch.size == 1 else f"{batch.size:,} values are"
        if self.warn is not None:
            self.warn(f"{values} not taken by {self.address} ({why}), and kept in {self.path}. Please report this.")

    def _delivered(self, stream: str, batches: list[WaitingBatch]) -> str:
        """Write batches to the store, and return why it refuses them; empty if they are in it."""
        error: Exception
        self._waits_since = monotonic()
        try:
            self._deliver(stream, batches)
        except driver().Error as fault:
            if not (fault.sqlstate or "").startswith(_REFUSED):
                raise unusable(self.address, fault) from None
            error = fault
        except TrackingError:
            raise
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError) as fault:
            error = fault
        else:
            return ""
        finally:
            self._waits_since = None
        logger.debug("A batch was refused.", exc_info=error)
        self._close()
        return f"{type(error).__name__}: {one_line(str(error), limit=300)}"

    def _deliver(self, stream: str, batches: list[WaitingBatch]) -> None:
        connection = self._open()
        with connection.transaction(first=[(_DELIVERED, (stream,))]) as ((known,),):
            content = BatchContent()
            for batch in batches:
                if batch.number > known[0]:
                    content.add(decode(batch.content))
            write_content(connection, content)
            connection.execute(
                "UPDATE deliveries SET number = max(number, ?) WHERE stream = ?", (batches[-1].number, stream)
            )
            connection.count_change()

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        with self._file_lock:
            file = open_store(self.path, busy_seconds=BUSY_SECONDS)
            try:
                yield file
            finally:
                file.close()

    def _open(self) -> PostgresConnection:
        if self._connection is None or not self._connection.is_usable:
            self._connection = connect(self.address, to_write=True)
        return cast("PostgresConnection", self._connection)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


_senders: dict[tuple[PostgresAddress, Path], OutboxSender] = {}


def all_senders() -> list[OutboxSender]:
    """Return the senders of this process."""
    return list(_senders.values())


def sender_for(address: PostgresAddress, path: Path) -> OutboxSender:
    """Return the sender of this process for a store and the file in which batches wait."""
    found = _senders.get((address, path))
    return _senders.setdefault((address, path), OutboxSender(address, path)) if found is None else found
