"""Operations of one run: submitted once for each idempotency key, polled until done, kept for a while."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Callable

import msgspec

from loops_nb.local.http_errors import HTTPError

#: Largest sum of the results that are kept; beyond it the oldest are forgotten early.
MOST_RESULT_BYTES = 64 << 20
#: Largest sum of the bodies that wait, and their largest number.
MOST_WAITING_BYTES = 512 << 20
MOST_WAITING = 1000
#: Largest number of finished operations that are known; beyond it a repeat of the oldest is new.
MOST_FINISHED = 50_000


class RunOperation:
    """Something that a run was asked for; ``context`` is what the request says beside its body, in its headers."""

    __slots__ = ("answer", "body", "finished", "finished_at", "id", "key", "name", "print", "size")

    def __init__(self, name: str, body: bytes, key: str, context: str = "") -> None:
        self.id: str = secrets.token_hex(16)
        self.key: str = key
        self.name: str = name
        self.body: bytes = body
        self.size: int = len(body)
        self.print: bytes = fingerprint(name, body, context)
        #: The JSON of the answer when it is finished; None again when it was forgotten.
        self.answer: bytes | None = None
        self.finished_at: int | None = None
        self.finished: asyncio.Event = asyncio.Event()


class OperationTable:
    """The operations of one run.

    Parameters
    ----------
    clock : callable
        Gives epoch milliseconds.
    keep_seconds : int
        For how long a finished operation can be asked for.
    """

    def __init__(self, clock: Callable[[], int], keep_seconds: int) -> None:
        self._clock = clock
        self._keep_ms = keep_seconds * 1000
        self._by_id: dict[str, RunOperation] = {}
        self._by_key: dict[str, RunOperation] = {}
        self._waiting = 0
        #: Sum of the bodies that wait.
        self.waiting_bytes: int = 0
        #: In the order in which they finished; those that still have their answer, and all.
        self._answered: deque[RunOperation] = deque()
        self._finished: deque[RunOperation] = deque()
        self._result_bytes = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def find_repeated(self, key: str, name: str, body: bytes, context: str = "") -> RunOperation | None:
        """Return the operation that was submitted with a key before.

        Raises
        ------
        HTTPError
            422, if it was another one.
        """
        found = self._by_key.get(key) if key else None
        if found is not None and found.print != fingerprint(name, body, context):
            text = (
                f"This Idempotency-Key was used for another {found.name} request; send a new one with each new request."
            )
            raise HTTPError(422, "IDEMPOTENCY_KEY_REUSED", text)
        return found

    def add(self, operation: RunOperation) -> None:
        """Take a new operation in.

        Raises
        ------
        HTTPError
            422, if too much is waiting already.
        """
        if self._waiting >= MOST_WAITING or self.waiting_bytes + operation.size > MOST_WAITING_BYTES:
            text = (
                f"{self._waiting} operations ({self.waiting_bytes} bytes) of this run are waiting already; take "
                f"their results first."
            )
            raise HTTPError(422, "TOO_MANY_OPERATIONS", text)
        self._waiting += 1
        self.waiting_bytes += operation.size
        self._by_id[operation.id] = operation
        if operation.key:
            self._by_key[operation.key] = operation

    def get(self, key: str) -> RunOperation | None:
        """Return an operation; None if there is none, or its result is no longer kept."""
        found = self._by_id.get(key)
        return None if found is None or (found.finished_at is not None and found.answer is None) else found

    def complete(self, operation: RunOperation, result: bytes) -> None:
        """Finish an operation with its result (JSON)."""
        self._finish(operation, b'{"status":"done","result":' + result + b"}")

    def fail(self, operation: RunOperation, error_class: str, text: str) -> None:
        """Finish an operation with an error."""
        self._finish(operation, msgspec.json.encode({"status": "error", "error": text, "error_class": error_class}))

    def drop_expired(self) -> list[str]:
        """Drop what was finished too long ago, so that a repeat of it is new; return the ids."""
        gone: list[str] = []
        until = self._clock() - self._keep_ms
        while self._finished and (len(self._finished) > MOST_FINISHED or (self._finished[0].finished_at or 0) <= until):
            known = self._finished.popleft()
            if self._answered and self._answered[0] is known:
                self._drop_oldest_answer()
            del self._by_id[known.id]
            self._by_key.pop(known.key, None)
            gone.append(known.id)
        return gone

    def _finish(self, operation: RunOperation, answer: bytes) -> None:
        self._waiting -= 1
        self.waiting_bytes -= operation.size
        operation.body = b""
        operation.answer = answer
        operation.finished_at = self._clock()
        operation.finished.set()
        self._finished.append(operation)
        self._answered.append(operation)
        self._result_bytes += len(answer)
        # The record stays, so that a repeat of the request does not run twice.
        while self._result_bytes > MOST_RESULT_BYTES and len(self._answered) > 1:
            self._drop_oldest_answer()

    def _drop_oldest_answer(self) -> None:
        known = self._answered.popleft()
        self._result_bytes -= len(known.answer or b"")
        known.answer = None


def fingerprint(name: str, body: bytes, context: str = "") -> bytes:
    """Return a hash of the whole request."""
    digest = hashlib.blake2b(f"{name}\0{context}\0".encode(), digest_size=16)
    digest.update(body)
    return digest.digest()
