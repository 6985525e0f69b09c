"""What became of a command of a page, and the plans that wait for an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from loops_nb.panels.messages import CommandState, DeploymentPlan

P = TypeVar("P")
#: A page may be closed without giving an answer.
_MOST_PLANS = 20


class CommandOutcome(NamedTuple):
    """State, text, hint, code and plan of a `loops_nb.panels.messages.CommandStatus`."""

    state: CommandState
    text: str
    hint: str = ""
    code: str = ""
    plan: DeploymentPlan | None = None


class PendingPlans(Generic[P]):
    """The newest plans that were shown and not carried out, each by its key."""

    def __init__(self) -> None:
        self._plans: dict[str, P] = {}

    def keep(self, key: str, plan: P) -> None:
        """Add a plan; the oldest is forgotten where there are too many."""
        while len(self._plans) >= _MOST_PLANS:
            del self._plans[next(iter(self._plans))]
        self._plans[key] = plan

    def take(self, key: str) -> P | None:
        """Return a plan once, or None."""
        return self._plans.pop(key, None)
