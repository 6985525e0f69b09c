"""``loops.*.wait``."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TypeVar

from loops_nb.api.models import Deployment, Run, Sampler
from loops_nb.client.config import ClientConfig
from loops_nb.live.poller import poller_for
from loops_nb.live.wait.conditions import WaitCondition
from loops_nb.live.wait.inbox import Inbox
from loops_nb.live.wait.outcome import Deadline, note_of_interrupt, result
from loops_nb.live.wait.status_line import StatusLine
from loops_nb.live.wait.waiter import Waiter, WaitProgress

T = TypeVar("T", Run, Sampler, Deployment)


def wait(config: ClientConfig, condition: WaitCondition[T], *, timeout: float | None, quiet: bool) -> T:
    """Wait until a condition is met.

    An interruption stops the waiting and nothing else.

    Parameters
    ----------
    config : ClientConfig
        The connection.
    condition : WaitCondition
        What is waited for.
    timeout : float or None
        Seconds; None waits as long as it takes.
    quiet : bool
        Whether to print nothing.

    Returns
    -------
    Run, Sampler or Deployment
        The object that is in its state.

    Raises
    ------
    NeverReachedError, WaitTimeoutError, NotFoundError, LoopsError
        As ``loops.runs.wait`` documents them.
    """
    deadline = Deadline(timeout)
    progress: WaitProgress[T] = WaitProgress("", None)
    inbox: Inbox[WaitProgress[T]] = Inbox()
    line = StatusLine(condition.name, condition.until, quiet=quiet)
    waiter = Waiter(poller_for(config), condition, inbox.put)
    try:
        line.show()
        while progress.outcome is None:
            left = deadline.seconds_left(condition, progress)
            try:
                progress = inbox.get(min(left, line.tick or left))
            except TimeoutError:
                line.show()
            else:
                line.show(progress)
    except (KeyboardInterrupt, CancelledError) as interrupt:
        interrupt.add_note(note_of_interrupt(condition, line))
        raise
    finally:
        waiter.close()
        line.end()
    return result(progress.outcome)
