"""The writer of a team's store: batches go to the file of this machine first, so that nothing waits for the network."""

from __future__ import annotations

import secrets
from collections import deque
from itertools import count

from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.tracking import outbox
from loops_nb.tracking.batch_content import BatchContent, encode
from loops_nb.tracking.location import store_path
from loops_nb.tracking.postgres.sender import sender_for
from loops_nb.tracking.schema import BUSY_SECONDS
from loops_nb.tracking.sql import SqlConnection
from loops_nb.tracking.warn import warn
from loops_nb.tracking.write_batch import WriteBatch
from loops_nb.tracking.writer import READ_SECONDS, WriterThread

#: How long the end of a process waits for the store.
_END_SECONDS = 5.0


class TeamWriter(WriterThread):
    """The writer of one team's store in this process.

    Parameters
    ----------
    address : PostgresAddress
        The store.

    Raises
    ------
    TrackingError
        If there is no folder for the file of this machine.
    """

    def __init__(self, address: PostgresAddress) -> None:
        self.address = address
        path = store_path()
        self._sender = sender_for(address, path)
        super().__init__(path)

    def _reset(self) -> None:
        super()._reset()
        self._stream = secrets.token_hex(8)
        self._numbers = count(1)
        #: Batches in the file, by number, with their values.
        self._spilled: deque[tuple[int, int]] = deque()
        self._has_spilled = False

    @property
    def location(self) -> PostgresAddress:
        return self.address

    @property
    def delay(self) -> str:
        """Why what is in the file cannot be sent at the moment; empty if it can."""
        return self._sender.trouble

    def flush(self, *, held_up_seconds: float = BUSY_SECONDS + 2) -> bool:
        is_written = self.save(held_up_seconds=held_up_seconds)
        # What is in the file is not lost, whatever happens to this process or the store.
        self._wait_for_store(held_up_seconds, urgently=True)
        return is_written

    def try_flush(self, *, held_up_seconds: float = READ_SECONDS) -> int:
        return super().try_flush(held_up_seconds=held_up_seconds) + self._wait_for_store(held_up_seconds)

    def close(self) -> None:
        super().close()
        waiting = self._wait_for_store(_END_SECONDS, urgently=True)
        if self._has_spilled and not waiting:
            self._sender.finish(_END_SECONDS)
        if waiting:
            values, them = ("1 value waits", "it") if waiting == 1 else (f"{waiting:,} values wait", "them")
            warn(
                f"{values} in {self.path}: the next process of yours that uses {self.address} sends {them}."
                f" {self._sender.reason}".rstrip(),
                stacklevel=2,
            )

    def _wait_for_store(self, seconds: float, *, urgently: bool = False) -> int:
        """Wait until what is in the file is in the store, too, and return how many values are not."""
        if not self._spilled:
            return 0
        self._sender.wait(self._stream, self._spilled[-1][0], seconds, urgently=urgently)
        settled = self._sender.settled(self._stream)
        while self._spilled and self._spilled[0][0] <= settled:
            self._spilled.popleft()
        return sum(size for _, size in self._spilled.copy())

    def _write_batch(self, batch: WriteBatch) -> None:
        # One number for all attempts; a number that is never used does no harm.
        if not batch.number:
            batch.number = next(self._numbers)
        content = encode(batch.content())

        def put(connection: SqlConnection, _: BatchContent) -> None:
            outbox.put(connection, self.address, self._stream, batch.number, batch.size, content)

        batch.write(self._open(), self.path, put)
        self._has_spilled = True
        self._spilled.append((batch.number, batch.size))
        self._sender.warn = self._add_warning
        self._sender.start(self._stream)

    def _add_warning(self, text: str) -> None:
        self._warnings.append(text)
        self.has_warnings = True
