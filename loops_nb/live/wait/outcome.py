"""Time limit, result and messages of waiting, the same for both flavours."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from loops_nb.api.models import Deployment, Run, Sampler
from loops_nb.client import checks
from loops_nb.errors import LoopsError, WaitTimeoutError
from loops_nb.live.wait.conditions import WaitCondition
from loops_nb.live.wait.status_line import StatusLine
from loops_nb.live.wait.waiter import WaitProgress

T = TypeVar("T", Run, Sampler, Deployment)


class Deadline:
    """The time limit of a wait; None for no limit."""

    def __init__(self, timeout: Any) -> None:
        self._timeout = None if timeout is None else checks.seconds("timeout", timeout)
        self._started = time.monotonic()

    def seconds_left(self, condition: WaitCondition[Any], progress: WaitProgress[Any]) -> float:
        """Return the seconds until the deadline; raise `WaitTimeoutError` after it."""
        if self._timeout is None:
            return float("inf")
        left = self._started + self._timeout - time.monotonic()
        if left <= 0:
            raise _timeout_error(condition, self._timeout, progress)
        return left


def result(outcome: T | LoopsError) -> T:
    """Return what was waited for, or raise why it will not happen."""
    if isinstance(outcome, LoopsError):
        raise outcome
    return outcome


def _timeout_error(condition: WaitCondition[Any], timeout: float, progress: WaitProgress[Any]) -> WaitTimeoutError:
    last = "the service did not send its state"
    if progress.states:
        last = f"it was {progress.states} when last seen"
    trouble = f" ({progress.trouble.rstrip('.')})" if progress.trouble else ""
    return WaitTimeoutError(
        f"{condition.name[0].upper()}{condition.name[1:]} is not {condition.until} after {timeout:g} s: "
        f"{last}{trouble}. Nothing was changed, it goes on.",
        status=progress.status,
        hint=f"Wait on: {condition.call}",
    )


def note_of_interrupt(condition: WaitCondition[Any], line: StatusLine) -> str:
    """End the status line, and return the note that only the waiting was stopped."""
    line.end(f"stopped waiting, it goes on ({line.words})")
    return f"Only the waiting was stopped: {condition.name} goes on ({line.words}). To wait on: {condition.call}"
