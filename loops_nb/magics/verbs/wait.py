"""``%loops wait RUN``."""

from __future__ import annotations

from loops_nb.api.models import Run
from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES
from loops_nb.errors import WaitTimeoutError, with_hint
from loops_nb.magics.arguments import to_float
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, InShell, Values, Verb, option

_DEFAULT = "RUNNING"


def _run(context: MagicContext, values: Values) -> Run:
    with context.explain_unknown_id("run", values.run_id):
        run_id = context.resolve_run_id(values.run_id)
        line = f"%loops wait {run_id} --until {values.until}"
        try:
            return context.loops.runs.wait(run_id, until=values.until, timeout=values.timeout)
        except WaitTimeoutError as error:
            raise with_hint(error, f"Wait on: {line}") from None
        except KeyboardInterrupt:
            stop = KeyboardInterrupt()
            stop.add_note(f"Only the waiting was stopped: run {run_id} goes on. To wait on: {line}")
            raise stop from None


VERB = Verb(
    name="wait",
    summary="wait until a run is in a state",
    run=_run,
    returns_object=True,
    arguments=(Argument("run_id", "RUN", "the run's id or name", completes="run", required=True),),
    options=(
        option(
            "--until",
            "STATE",
            f"state of the run or of its trainer; default {_DEFAULT}",
            choices=(*RUN_STATUSES, *DEPLOYMENT_STATUSES),
            default=_DEFAULT,
        ),
        option("--timeout", "SECONDS", "longest wait; default as long as it takes", convert=to_float, free_text=True),
    ),
    notes="Of CREATED, DEPLOYING and RUNNING a later state counts too. A run that cannot reach the state any more is "
    "an error at once, which names the checkpoint to go on from. While the service does not answer, it waits on.",
    shell=InShell(
        notes="Of CREATED, DEPLOYING and RUNNING a later state counts too. While the service does not answer, it waits "
        "on. Exit status: 0 when the state is reached, 1 as soon as it cannot be reached any more (the message names "
        "the checkpoint to go on from), 4 after --timeout, 3 without a connection."
    ),
    examples=("%loops wait p2syas8", "%loops wait math-1 --until RUNNING --timeout 600"),
    when_interrupted="Only the waiting was stopped; the run goes on.",
)
