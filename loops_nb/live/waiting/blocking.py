"""``wait`` of the sync client."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
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
#: A wait without any end cannot be interrupted everywhere.
_BREATH = 1.0


def wait(exchange: Exchange, aim: Aim[T], *, timeout: float | None, quiet: bool) -> T:
    """Block until the aim is reached, and return the thing.

    Raises
    ------
    NeverReachedError, WaitTimeoutError, NotFoundError, LoopsError
        As ``loops.runs.wait`` documents them.
    """
    allowed = checked_timeout(timeout)
    ends = time.monotonic() + allowed if allowed is not None else float("inf")
    news: News[T] = News("", None)
    inbox: SimpleQueue[News[T]] = SimpleQueue()
    line = Line(aim.name, aim.until, quiet=quiet)
    vigil = Vigil(poller_for(exchange), aim, inbox.put)
    try:
        line.show()
        while news.over is None:
            left = ends - time.monotonic()
            if left <= 0 and allowed is not None:
                raise timed_out(aim, allowed, news)
            try:
                news = inbox.get(timeout=max(0.0, min(left, line.tick or _BREATH)))
            except Empty:
                line.show()
            else:
                line.show(news)
    except KeyboardInterrupt as stop:
        stop.add_note(interrupted(aim, line))
        raise
    finally:
        vigil.close()
        line.end()
    if isinstance(news.over, LoopsError):
        raise news.over
    return news.over
