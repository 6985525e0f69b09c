"""Deletion of a run or a checkpoint from a panel: the plan first, then what became of it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.outcome import CommandOutcome, PendingPlans
from loops_nb.render.formatting import first_and_more

if TYPE_CHECKING:
    from loops_nb.api.models import Checkpoint
    from loops_nb.checkpoints.deletion import DeletionPlan
    from loops_nb.client.config import ClientConfig

_MOST_REASONS = 5


class PlannedDeletions:
    """The deletions of one panel: nothing is deleted but what a plan of it names.

    Both methods make requests, and belong on a thread of their own.

    Parameters
    ----------
    config : ClientConfig
        The connection.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._plans: PendingPlans[DeletionPlan] = PendingPlans()

    def plan(self, key: str, thing: str | Checkpoint) -> CommandOutcome:
        """Return the question of a plan, and what uses the things that it names.

        Parameters
        ----------
        key : str
            By which `execute` finds the plan.
        thing : str or Checkpoint
            Id of a run, or a checkpoint.

        Raises
        ------
        LoopsError
            If there is no plan, for example because the run is gone.
        """
        from loops_nb.checkpoints.service import CheckpointService
        from loops_nb.client.transport import Transport  # a panel that deletes nothing needs none of it

        with closing(Transport(self._config)) as transport:
            service = CheckpointService(transport)
            if isinstance(thing, str):
                plan = service.plan_run_deletion(thing)
            else:
                plan = service.plan_deletion(service.resolve(thing))
        self._plans.keep(key, plan)
        return CommandOutcome("done", plan.short_question, " ".join(filter(None, (plan.uses, *plan.notes))))

    def execute(self, key: str) -> CommandOutcome:
        """Delete what a plan names, and return what became of it; a plan is carried out once.

        Raises
        ------
        InvalidArgumentError
            If there is no such plan; nothing was deleted.
        """
        from loops_nb.checkpoints import deletion
        from loops_nb.client.transport import Transport

        plan = self._plans.take(key)
        if plan is None:
            raise InvalidArgumentError(
                "There is no plan of this deletion. Nothing was deleted.",
                argument="delete",
                hint="Choose Delete… again.",
            )
        with closing(Transport(self._config)) as transport:
            results = deletion.execute(transport, plan)
        first = results[0]
        if first.result == "failed":
            return CommandOutcome("failed", first.reason)
        if first.result == "kept":
            return CommandOutcome("failed", "Nothing was deleted.", _sentence(first.reason))
        reasons = first_and_more(deletion.reasons_of(results), _MOST_REASONS)
        return CommandOutcome("done", deletion.summary_of(results), _sentence(reasons))


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return f"{text}." if text and not text.endswith((".", "!", "?")) else text
