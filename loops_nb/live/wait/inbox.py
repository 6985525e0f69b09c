"""Queues from the poller's thread to a waiting thread or coroutine."""

from __future__ import annotations

import asyncio
import contextlib
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")
#: A wait without a timeout cannot be interrupted on every platform.
_MAX_BLOCKING_SECONDS = 1.0


class Inbox(Generic[T]):
    """A queue that a thread waits on."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[T] = SimpleQueue()

    def put(self, item: T) -> None:
        """Add an item; never waits."""
        self._queue.put(item)

    def get(self, seconds: float) -> T:
        """Return the next item; raise `TimeoutError` after the time, or earlier."""
        try:
            return self._queue.get(timeout=max(0.0, min(seconds, _MAX_BLOCKING_SECONDS)))
        except Empty:
            raise TimeoutError from None


class AsyncInbox(Generic[T]):
    """A queue that a coroutine waits on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[T] = asyncio.Queue()

    def put(self, item: T) -> None:
        """Put an item into the queue, from any thread."""
        # The loop may have ended without a cancellation of the coroutine.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def get(self, seconds: float) -> T:
        """Return the next item; raise `TimeoutError` after the time."""
        return await asyncio.wait_for(self._queue.get(), None if seconds == float("inf") else seconds)
