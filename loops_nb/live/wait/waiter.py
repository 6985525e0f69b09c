"""State machine behind ``wait``; runs on the poller's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from loops_nb.api.models import Checkpoint, Deployment, Run, Sampler
from loops_nb.client.operations import checkpoints
from loops_nb.errors import LoopsError, NeverReachedError, NotFoundError, with_hint
from loops_nb.live.listings import created_at
from loops_nb.live.poller import Poller
from loops_nb.live.queries import Priority
from loops_nb.live.snapshot import Snapshot
from loops_nb.live.subscription import Subscription
from loops_nb.live.threads import TimerHandle
from loops_nb.live.wait.conditions import WaitCondition

T = TypeVar("T", Run, Sampler, Deployment)

#: Where an object is looked for: in the caller's listing, then in the organisation's; after that it is requested alone.
_SCOPES: tuple[str | None, ...] = (None, "org")
#: How long the error of a run waits for the checkpoint to start again from.
_ADVICE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class WaitProgress(Generic[T]):
    """What is known while waiting.

    Parameters
    ----------
    states : str
        The states, in words; empty when none is known yet.
    status : str or None
        The state that decides.
    trouble : str, default ""
        Why nothing newer is known.
    outcome : Run, Sampler, Deployment, LoopsError or None, default None
        The object, or the error, when the waiting is over.
    """

    states: str
    status: str | None
    trouble: str = ""
    outcome: T | LoopsError | None = None


class Waiter(Generic[T]):
    """Polls one object until a condition is met or never will be.

    Parameters
    ----------
    poller : Poller
        Of the connection.
    condition : WaitCondition
        What is waited for.
    on_progress : callable
        Called on the poller's thread with each `WaitProgress`; the one with an outcome is the last.
    """

    def __init__(
        self, poller: Poller, condition: WaitCondition[T], on_progress: Callable[[WaitProgress[T]], None]
    ) -> None:
        self._poller = poller
        self._condition: WaitCondition[T] = condition
        self._on_progress: Callable[[WaitProgress[T]], None] = on_progress
        self._subscription: Subscription | None = None
        self._scope = 0
        self._is_requesting = False
        self._states = ""
        self._status: str | None = None
        self._over = False
        self._began = poller.now
        poller.send(condition.request(), self._start)

    def close(self) -> None:
        """Stop polling."""
        self._over = True
        if self._subscription is not None:
            self._subscription.close()

    def _start(self, item: T | LoopsError) -> None:
        if self._over:
            return
        if isinstance(item, LoopsError):
            # There is no such object, or no service.
            self._end(item)
            return
        self._subscription = self._poller.subscribe(
            self._condition.queries(None), self._handle_snapshot, Priority.WAITING
        )
        self._subscription.refresh()
        if self._over:
            # Closed by another thread in between.
            self._subscription.close()

    def _handle_snapshot(self, snapshot: Snapshot, changed: bool) -> None:  # noqa: ARG002, FBT001 - as subscribers are called
        if self._over:
            return
        health = snapshot.health()
        trouble = health.reason if health.state == "failing" else ""
        if not snapshot.is_since(self._began):
            # Polled for other subscribers, maybe before something was done that this waits for.
            self._report(trouble)
            return
        item = self._condition.find(snapshot)
        if item is not None:
            self._evaluate(item, snapshot, trouble)
        elif trouble:
            self._report(trouble)
        else:
            self._look_elsewhere(snapshot)

    def _look_elsewhere(self, snapshot: Snapshot) -> None:
        if self._subscription is not None and self._scope + 1 < len(_SCOPES):
            self._scope += 1
            self._subscription.queries = self._condition.queries(_SCOPES[self._scope])
            self._subscription.refresh()
        elif not self._is_requesting:
            # What has ended may leave the listing.
            self._is_requesting = True
            self._poller.send(self._condition.request(), lambda item: self._handle_item(item, snapshot))

    def _handle_item(self, item: T | LoopsError, snapshot: Snapshot) -> None:
        self._is_requesting = False
        if self._over:
            return
        if not isinstance(item, LoopsError):
            self._evaluate(item, snapshot, "")
        elif isinstance(item, NotFoundError):
            self._end(item)
        else:
            self._report(item.message)

    def _evaluate(self, item: T, snapshot: Snapshot, trouble: str) -> None:
        result = self._condition.evaluate(item, snapshot)
        self._states, self._status = result.states, result.status
        if result.item is not None:
            self._end(result.item)
        elif result.error is None:
            self._report(trouble)
        elif isinstance(item, Run):
            self._end_with_advice(item, result.error)
        else:
            self._end(result.error)

    def _end_with_advice(self, run: Run, error: NeverReachedError) -> None:
        """Add to the error from which checkpoint training can go on, if that is known soon."""
        self._over = True
        timer: TimerHandle = self._poller.call_later(_ADVICE_SECONDS, lambda: self._deliver_outcome(error))

        def end(saved: list[Checkpoint] | LoopsError) -> None:
            if timer.is_pending:
                timer.cancel()
                if not isinstance(saved, LoopsError):
                    _add_advice(error, run, saved)
                self._deliver_outcome(error)

        self._poller.send(checkpoints.list_(run_id=run.id), end)

    def _report(self, trouble: str) -> None:
        self._on_progress(WaitProgress(self._states, self._status, trouble))

    def _end(self, outcome: T | LoopsError) -> None:
        if not self._over:
            self._deliver_outcome(outcome)

    def _deliver_outcome(self, outcome: T | LoopsError) -> None:
        self.close()
        self._on_progress(WaitProgress(self._states, self._status, outcome=outcome))


def _add_advice(error: NeverReachedError, run: Run, saved: list[Checkpoint]) -> None:
    resumable = [c for c in saved if c.target == "trainer"]
    if resumable:
        newest = max(resumable, key=created_at)
        error.checkpoint_uri = newest.uri
        session, model = run.session_id or "SESSION", run.base_model or "MODEL"
        advice = (
            "Its checkpoints stay; start again from the last one: "
            f'loops.runs.create(session_id="{session}", base_model="{model}", path="{newest.uri}")'
        )
    elif saved:
        advice = f"Its checkpoints stay: %loops checkpoints --run {run.id}"
    else:
        advice = "It saved no checkpoint to go on from."
    with_hint(error, f"{error.hint} {advice}".strip())
