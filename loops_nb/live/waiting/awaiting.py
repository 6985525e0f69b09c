"""``wait`` of the async client: the same poller, awaited."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TypeVar

from loops_nb.client.exchange import Exchange
from loops_nb.errors import LoopsError
from loops_nb.live.registry import poller_for
from loops_nb.live.waiting.aims import Aim
from loops_nb.live.waiting.endings import checked_timeout, interrupted, timed_out
from loops_nb.live.waiting.line import Line
from loops_nb.live.waiting.vigil import News, Vigil
from loops_nb.models import Deployment, Run, Sampler

T = TypeVar("T", Run, Sampler, Deployment)


async def wait_async(exchange: Exchange, aim: Aim[T], *, timeout: float | None, quiet: bool) -> T:  # noqa: ASYNC109 - as the sync twin
    """Wait until the aim is reached, and return the thing; cancelling stops the waiting, nothing else.

    Raises
    ------
    NeverReachedError, WaitTimeoutError, NotFoundError, LoopsError
        As ``loops.runs.wait`` documents them.
    """
    allowed = checked_timeout(timeout)
    ends = time.monotonic() + allowed if allowed is not None else float("inf")
    news: News[T] = News("", None)
    loop = asyncio.get_running_loop()
    inbox: asyncio.Queue[News[T]] = asyncio.Queue()

    def tell(told: News[T]) -> None:
        # The loop may have ended without this being cancelled.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(inbox.put_nowait, told)

    line = Line(aim.name, aim.until, quiet=quiet)
    vigil = Vigil(poller_for(exchange), aim, tell)
    try:
        line.show()
        while news.over is None:
            left = ends - time.monotonic()
            if left <= 0 and allowed is not None:
                raise timed_out(aim, allowed, news)
            patience = min(left, line.tick or float("inf"))
            try:
                news = await asyncio.wait_for(inbox.get(), None if patience == float("inf") else patience)
            except TimeoutError:
                line.show()
            else:
                line.show(news)
    except asyncio.CancelledError as stop:
        stop.add_note(interrupted(aim, line))
        raise
    finally:
        vigil.close()
        line.end()
    if isinstance(news.over, LoopsError):
        raise news.over
    return news.over
