"""Advances the generator of actions, and shows the status of a sampler that is waited for."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from loops_nb.sampling.actions import Action, ShowStatus

if TYPE_CHECKING:
    from loops_nb.live.wait.status_line import StatusLine

T = TypeVar("T")


class ActionIterator(Generic[T]):
    """A generator of actions that can be read ahead.

    Attributes
    ----------
    action : Action or None
        The next action; None when there are no more.
    result : T
        What the generator returned; set when there are no more actions.
    """

    result: T

    def __init__(self, actions: Generator[Action, Any, T], *, quiet: bool) -> None:
        self._actions = actions
        self._quiet = quiet
        #: There is none as long as nothing is waited for.
        self._line: StatusLine | None = None
        self.action: Action | None = None
        self.resume(None)

    def resume(self, result: Any) -> None:
        """Continue with the result of the action."""
        self._advance(lambda: self._actions.send(result))

    def throw(self, error: BaseException) -> None:
        """Continue after an action that failed: the generator handles the error, or it is raised."""
        self._advance(lambda: self._actions.throw(error))

    def show_status(self) -> None:
        """Show what the action says about a sampler that is waited for."""
        action = self.action
        if not isinstance(action, ShowStatus):
            return
        # Most calls need no poller, which comes along with these.
        from loops_nb.live.wait.status_line import StatusLine
        from loops_nb.live.wait.waiter import WaitProgress

        if self._line is None:
            self._line = StatusLine(f"sampler {action.sampler_id}", "ACTIVE", quiet=self._quiet)
        if action.is_up:
            self._line.end("is ACTIVE")
        else:
            self._line.show(WaitProgress(action.status, None))

    def _advance(self, move: Callable[[], Action]) -> None:
        try:
            self.action = move()
        except StopIteration as end:
            self.action, self.result = None, end.value
        except BaseException:
            if self._line is not None:
                self._line.end()
            raise
