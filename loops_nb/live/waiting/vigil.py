"""The part of waiting that happens on the poller's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from loops_nb.client.operations import checkpoints
from loops_nb.errors import LoopsError, NeverReachedError, NotFoundError, with_hint
from loops_nb.live.board import Board
from loops_nb.live.needs import Attention
from loops_nb.live.poller import Poller
from loops_nb.live.subscription import Subscription
from loops_nb.live.waiting.aims import Aim
from loops_nb.live.writer import Later
from loops_nb.models import Checkpoint, Deployment, Run, Sampler

T = TypeVar("T", Run, Sampler, Deployment)

#: Where something is looked for: among one's own, then in the whole organisation; after that it is asked for alone.
_SCOPES: tuple[str | None, ...] = (None, "org")
#: What to go on from is worth so many seconds, not more.
_ADVICE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class News(Generic[T]):
    """What became known while waiting.

    Parameters
    ----------
    words
        The states, for people; empty when none is known yet.
    status
        The state that counts.
    trouble
        Why nothing newer is known, for people.
    over
        The thing, or why it never will be, when the waiting has come to its end.
    """

    words: str
    status: str | None
    trouble: str = ""
    over: T | LoopsError | None = None


class Vigil(Generic[T]):
    """Watches one thing until it is where it should be.

    Parameters
    ----------
    poller
        Who looks.
    aim
        What is waited for.
    tell
        Called on the poller's thread whenever something became known; nothing comes after the end.
    """

    def __init__(self, poller: Poller, aim: Aim[T], tell: Callable[[News[T]], None]) -> None:
        self._poller = poller
        self._aim: Aim[T] = aim
        self._tell: Callable[[News[T]], None] = tell
        self._subscription: Subscription | None = None
        self._scope = 0
        self._asking = False
        self._words = ""
        self._status: str | None = None
        self._last: T | None = None
        self._over = False
        self._began = poller.now
        poller.ask(aim.get(), self._found)

    def close(self) -> None:
        """Stop watching."""
        self._over = True
        if self._subscription is not None:
            self._subscription.close()

    def _found(self, thing: T | LoopsError) -> None:
        """Take in whether there is such a thing at all."""
        if self._over:
            return
        if isinstance(thing, LoopsError):
            self._end(thing)
            return
        self._last = thing
        self._subscription = self._poller.subscribe(self._aim.needs(None), self._news, Attention.WAITING)
        self._subscription.refresh()
        if self._over:
            # Closed by another thread in between.
            self._subscription.close()

    def _news(self, board: Board, changed: bool) -> None:  # noqa: ARG002, FBT001 - as subscribers are called
        if self._over:
            return
        health = board.health()
        trouble = health.reason if health.state == "failing" else ""
        if not board.is_since(self._began):
            # Others may have looked before something was done that this waits for.
            self._say(trouble)
            return
        thing = self._aim.find(board)
        if thing is not None:
            self._last = thing
            self._judge(thing, board, trouble)
        elif not trouble:
            self._look_elsewhere(board)
        else:
            self._say(trouble)

    def _look_elsewhere(self, board: Board) -> None:
        if self._subscription is not None and self._scope + 1 < len(_SCOPES):
            self._scope += 1
            self._subscription.needs = self._aim.needs(_SCOPES[self._scope])
            self._subscription.refresh()
        elif not self._asking:
            # What has ended may leave the listing.
            self._asking = True
            self._poller.ask(self._aim.get(), lambda thing: self._alone(thing, board))

    def _alone(self, thing: T | LoopsError, board: Board) -> None:
        self._asking = False
        if self._over:
            return
        if not isinstance(thing, LoopsError):
            self._judge(thing, board, "")
        elif isinstance(thing, NotFoundError):
            self._end(thing)
        else:
            self._say(thing.message)

    def _judge(self, thing: T, board: Board, trouble: str) -> None:
        verdict = self._aim.judge(thing, board)
        self._words, self._status = verdict.words, verdict.status
        if verdict.reached is not None:
            self._end(verdict.reached)
        elif verdict.never is None:
            self._say(trouble)
        elif isinstance(thing, Run):
            self._advise(thing, verdict.never)
        else:
            self._end(verdict.never)

    def _advise(self, run: Run, error: NeverReachedError) -> None:
        """Say from which checkpoint training can go on, if that can be found out soon."""
        self._over = True

        late: Later = self._poller.call_later(_ADVICE_SECONDS, lambda: self._end(error, whatever=True))

        def end(saved: list[Checkpoint] | LoopsError) -> None:
            if late.is_pending:
                late.cancel()
                self._end(error if isinstance(saved, LoopsError) else _with_way_on(error, run, saved), whatever=True)

        self._poller.ask(checkpoints.list_(run_id=run.id), end)

    def _say(self, trouble: str) -> None:
        self._tell(News(self._words, self._status, trouble))

    def _end(self, over: T | LoopsError, *, whatever: bool = False) -> None:
        if self._over and not whatever:
            return
        self.close()
        self._tell(News(self._words, self._status, over=over))


def _with_way_on(error: NeverReachedError, run: Run, saved: list[Checkpoint]) -> NeverReachedError:
    resumable = [c for c in saved if c.target == "trainer"]
    if not resumable:
        tail = "Its checkpoints stay" if saved else "It saved no checkpoint to go on from"
        hint = f"{tail}: %loops checkpoints --run {run.id}" if saved else f"{tail}."
    else:
        newest = max(resumable, key=lambda c: c.created_at.timestamp() if c.created_at is not None else 0.0)
        error.checkpoint_uri = newest.uri
        session, model = run.session_id or "SESSION", run.base_model or "MODEL"
        hint = (
            "Its checkpoints stay; start again from the last one: "
            f'loops.runs.create(session_id="{session}", base_model="{model}", path="{newest.uri}")'
        )
    with_hint(error, f"{error.hint} {hint}".strip())
    return error
