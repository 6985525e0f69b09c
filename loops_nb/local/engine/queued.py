"""What is asked of a sampler on shared capacity: accepted at once, done in the background, fetched when it is done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from loops_nb.local.engine.operations import Operation, Operations
from loops_nb.local.engine.process import OperationError, WorkerDiedError
from loops_nb.local.problems import Problem

if TYPE_CHECKING:
    from loops_nb.local.engine.samplers import Sampler, Wanted
    from loops_nb.local.service import Service

_PENDING = 408


class Queued(Operation):
    """A request that was accepted; ``version`` is that of the weights that answered it."""

    __slots__ = ("version",)

    def __init__(self, body: bytes, key: str, context: str) -> None:
        super().__init__("sample", body, key, context)
        self.version: int | None = None


class Queue:
    """The requests to one sampler.

    Parameters
    ----------
    sampler
        Answers them.
    service
        Has the clock and the settings.
    """

    def __init__(self, sampler: Sampler, service: Service) -> None:
        self._sampler = sampler
        self._operations = Operations(service.now, service.settings.operation_ttl)
        self._requests: dict[str, Queued] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, body: bytes, wanted: Wanted, key: str) -> Queued:
        """Accept a request; one that is sent again with the same key is the same one.

        Raises
        ------
        Problem
            422 for what can be seen to be wrong, or when too much is waiting.
        """
        known = self._operations.again(key, "sample", body, repr(wanted)) if key else None
        if known is not None:
            return self._requests[known.id]
        self._sampler.check(wanted)
        request = Queued(body, key, repr(wanted))
        self._operations.add(request)
        self._requests[request.id] = request
        task = asyncio.create_task(self._answer(request, wanted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return request

    def get(self, key: str) -> Queued | None:
        """Return a request; None if there is none, or its answer is no longer kept."""
        return None if self._operations.get(key) is None else self._requests[key]

    def cancel(self, request: Queued) -> bool:
        """Give a request up; False when it is finished already."""
        if request.finished.is_set():
            return False
        # A completion that is being made is made to its end, and thrown away: the process has no way to stop in the middle.
        self._operations.failed(request, "CancelledError", "The request was cancelled.")
        return True

    def forget(self) -> None:
        """Drop what was finished too long ago."""
        for key in self._operations.forget():
            del self._requests[key]

    def close(self) -> None:
        """Give up all that waits, because the sampler ends."""
        for task in self._tasks:
            task.cancel()
        for request in self._requests.values():
            if not request.finished.is_set():
                self._operations.failed(request, "RuntimeError", "The sampler ended before it answered.")

    async def _answer(self, request: Queued, wanted: Wanted) -> None:
        body = request.body
        while not request.finished.is_set():
            try:
                answer, weights = await self._sampler.sample(body, wanted, "")
            except Problem as problem:
                if problem.status == _PENDING:
                    continue
                self._fail(request, "ValueError", problem.message)
            except OperationError as error:
                self._fail(request, error.error_class, str(error))
            except WorkerDiedError as error:
                self._fail(request, "RuntimeError", f"The sampler's process {error} before it answered; send the request again.")
            else:
                request.version = weights.version
                if not request.finished.is_set():
                    self._operations.done(request, answer)

    def _fail(self, request: Queued, error_class: str, text: str) -> None:
        if not request.finished.is_set():
            self._operations.failed(request, error_class, text)
