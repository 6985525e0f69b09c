"""Bounded number of worker processes: holders wait in order, idle processes are evicted least recently used first."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

#: An idle process is left alone for this long: the next operation of a training loop is usually on its way.
IDLE_SECONDS = 2.0
_PAUSE = 0.02


class SlotHolder(Protocol):
    """What has at most one worker process: a trainer or a sampler."""

    @property
    def idle_since(self) -> float | None:
        """Time of the event loop at which it became idle; None while it is busy."""

    async def evict(self) -> None:
        """End the process without losing anything; the process may stay where that is not possible."""


class ProcessSlots:
    """Slots for worker processes.

    Parameters
    ----------
    limit : int
        How many processes may live at one time.
    idle_seconds : float, default `IDLE_SECONDS`
        How long a process must have been idle before it is evicted.
    """

    def __init__(self, limit: int, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.limit = limit
        self._idle_seconds = idle_seconds
        self._held: set[SlotHolder] = set()
        self._waiting: deque[SlotHolder] = deque()

    @property
    def available(self) -> bool:
        """Whether a worker that asks now would get a slot at once."""
        return not self._waiting and (len(self._held) < self.limit or self._longest_idle() is not None)

    async def acquire(self, holder: SlotHolder) -> None:
        """Wait for a slot, first come, first served; a worker that has one keeps it."""
        if holder in self._held:
            return
        self._waiting.append(holder)
        try:
            while True:
                if self._waiting[0] is holder and await self._make_room():
                    break
                await asyncio.sleep(_PAUSE)
            self._held.add(holder)
        finally:
            self._waiting.remove(holder)

    def release(self, holder: SlotHolder) -> None:
        """Give a slot back; without one this does nothing."""
        self._held.discard(holder)

    async def _make_room(self) -> bool:
        if len(self._held) >= self.limit:
            idle = self._longest_idle()
            if idle is not None:
                await idle.evict()
        return len(self._held) < self.limit

    def _longest_idle(self) -> SlotHolder | None:
        until = asyncio.get_running_loop().time() - self._idle_seconds
        idle = [(holder.idle_since, holder) for holder in self._held if holder.idle_since is not None]
        since, holder = min(idle, key=lambda found: found[0], default=(until + 1, None))
        return holder if since <= until else None
