"""Sampling requests on shared capacity: accepted at once, answered in the background, polled."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from loops_nb.local.http_errors import HTTPError
from loops_nb.local.workers.operations import OperationTable, RunOperation
from loops_nb.local.workers.process import OperationError, WorkerDiedError

_PENDING = 408


class ServedWeights(Struct, frozen=True):
    """The weights that answer a request; without a folder, the base model.  ``version`` counts optimizer steps."""

    name: str
    folder: Path | None = None
    version: int | None = None


class SampleHeaders(Struct, frozen=True, kw_only=True):
    """What the headers of a request say.

    Parameters
    ----------
    pin, floor : str or int
        The weights: a checkpoint, the lowest version.
    run_id, sampler_id : str, optional
        What the caller takes the sampler for.
    repeat_prompt : bool, default False
        The caller cuts the prompt off every completion that begins like it, and wants it in front there.
    """

    pin: str | None = None
    floor: int | None = None
    run_id: str | None = None
    sampler_id: str | None = None
    repeat_prompt: bool = False


class SampleSource(Protocol):
    """What answers the requests of a queue."""

    def check(self, wanted: SampleHeaders) -> None:
        """Refuse with 422 what no weights can answer."""

    async def sample(self, body: bytes, wanted: SampleHeaders, key: str) -> tuple[bytes, ServedWeights]:
        """Complete a prompt; return the answer (JSON) and the weights that it was made with."""


class QueuedSample(RunOperation):
    """A request that was accepted; ``version`` is that of the weights that answered it."""

    __slots__ = ("version",)

    def __init__(self, body: bytes, key: str, context: str) -> None:
        super().__init__("sample", body, key, context)
        self.version: int | None = None


class SamplingQueue:
    """The requests to one sampler.

    Parameters
    ----------
    sampler : SampleSource
        Answers them.
    operations : OperationTable
        Keeps them.
    """

    def __init__(self, sampler: SampleSource, operations: OperationTable) -> None:
        self._sampler = sampler
        self._operations = operations
        self._requests: dict[str, QueuedSample] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, body: bytes, wanted: SampleHeaders, key: str) -> QueuedSample:
        """Accept a request; one that is sent again with the same key is the same one.

        Raises
        ------
        HTTPError
            422 for what can be seen to be wrong, or when too much is waiting.
        """
        known = self._operations.find_repeated(key, "sample", body, repr(wanted))
        if known is not None:
            return self._requests[known.id]
        self._sampler.check(wanted)
        request = QueuedSample(body, key, repr(wanted))
        self._operations.add(request)
        self._requests[request.id] = request
        task = asyncio.create_task(self._answer(request, wanted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return request

    def get(self, key: str) -> QueuedSample | None:
        """Return a request; None if there is none, or its answer is no longer kept."""
        return None if self._operations.get(key) is None else self._requests[key]

    def cancel(self, request: QueuedSample) -> bool:
        """Give a request up; False when it is finished already."""
        if request.finished.is_set():
            return False
        # A completion that is being made is made to its end, and thrown away: the process has no way to stop in the
        # middle.
        self._operations.fail(request, "CancelledError", "The request was cancelled.")
        return True

    def drop_expired(self) -> None:
        """Drop what was finished too long ago."""
        for key in self._operations.drop_expired():
            del self._requests[key]

    def close(self) -> None:
        """Give up all that waits, because the sampler ends."""
        for task in self._tasks:
            task.cancel()
        for request in self._requests.values():
            if not request.finished.is_set():
                self._operations.fail(request, "RuntimeError", "The sampler ended before it answered.")

    async def _answer(self, request: QueuedSample, wanted: SampleHeaders) -> None:
        body = request.body
        while not request.finished.is_set():
            try:
                answer, weights = await self._sampler.sample(body, wanted, "")
            except HTTPError as problem:
                if problem.status == _PENDING:
                    continue
                self._fail(request, "ValueError", problem.message)
            except OperationError as error:
                self._fail(request, error.error_class, str(error))
            except WorkerDiedError as error:
                self._fail(
                    request,
                    "RuntimeError",
                    f"The sampler's process {error} before it answered; send the request again.",
                )
            else:
                request.version = weights.version
                if not request.finished.is_set():
                    self._operations.complete(request, answer)

    def _fail(self, request: QueuedSample, error_class: str, text: str) -> None:
        if not request.finished.is_set():
            self._operations.fail(request, error_class, text)
