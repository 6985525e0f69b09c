"""What a caller of ``wait`` is told when it does not end well; the same for both flavours."""

from __future__ import annotations

from typing import Any

from loops_nb.client import checks
from loops_nb.errors import WaitTimeoutError
from loops_nb.live.waiting.aims import Aim
from loops_nb.live.waiting.line import Line
from loops_nb.live.waiting.vigil import News


def checked_timeout(timeout: Any) -> float | None:
    """Return the seconds that waiting may take; None for as long as it takes."""
    return None if timeout is None else checks.seconds("timeout", timeout)


def timed_out(aim: Aim[Any], timeout: float, news: News[Any]) -> WaitTimeoutError:
    """Return the error for a wait that took too long."""
    last = f"it was {news.words} when last seen" if news.words else "the service did not tell its state"
    trouble = f" ({news.trouble.rstrip('.')})" if news.trouble else ""
    return WaitTimeoutError(
        f"{aim.name[0].upper()}{aim.name[1:]} is not {aim.until} after {timeout:g} s: {last}{trouble}. Nothing was changed, it goes on.",
        status=news.status,
        hint=f"Wait on: {aim.call_again}",
    )


def interrupted(aim: Aim[Any], line: Line) -> str:
    """Say that only the waiting was stopped."""
    line.end(f"stopped waiting, it goes on ({line.words})")
    return f"Only the waiting was stopped: {aim.name} goes on ({line.words}). To wait on: {aim.call_again}"
