"""``%loops deactivate run|sampler|deployment ID``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs.options import SURE, identifier

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.models import Deactivated, Deployment, Run, Sampler

_UNCHANGED = "Nothing was changed."


def _run(desk: Desk, values: SimpleNamespace) -> Deactivated | None:
    with desk.naming("run", values.id):
        run = desk.loops.runs.get(desk.run_id(values.id, exact=True))
        what = "Its trainer and its sampler stop and it cannot go on; its checkpoints stay."
        if not desk.confirm(f"Deactivate run {_described(run)}? {what}", sure=values.sure):
            desk.say(_UNCHANGED)
            return None
        return desk.loops.runs.deactivate(run.id)


def _sampler(desk: Desk, values: SimpleNamespace) -> Deactivated | None:
    with desk.naming("sampler", values.id):
        sampler = desk.loops.samplers.get(values.id)
        if not desk.confirm(f"Deactivate sampler {_described(sampler)}? It stops answering.", sure=values.sure):
            desk.say(_UNCHANGED)
            return None
        return desk.loops.samplers.deactivate(values.id)


def _deployment(desk: Desk, values: SimpleNamespace) -> Deactivated | None:
    with desk.naming("deployment", values.id):
        deployment = desk.loops.deployments.get(values.id)
        what = f"Run {deployment.active_run_id} on it ends; " if deployment.active_run_id else ""
        question = f"Deactivate deployment {_described(deployment)}? {what}its trainer and its sampler stop; checkpoints stay."
        if not desk.confirm(question, sure=values.sure):
            desk.say(_UNCHANGED)
            return None
        return desk.loops.deployments.deactivate(values.id)


def _described(thing: Run | Sampler | Deployment) -> str:
    name = getattr(thing, "name", None)
    parts = [name if name != thing.base_model else None, thing.base_model, thing.status.name if thing.status else None]
    told = ", ".join(part for part in parts if part)
    return f"{thing.id} ({told})" if told else thing.id


VERB = Verb(
    name="deactivate",
    summary="end a run, a sampler or a deployment; asks first",
    verbs=(
        Verb(
            name="deactivate run",
            summary="end a run, its trainer and its sampler; its checkpoints stay",
            run=_run,
            when_interrupted="If you had said yes, it may be ending all the same: %loops runs tells.",
            arguments=(identifier("run", "the run's id, or its name where only one run has it"),),
            options=(SURE,),
            examples=("%loops deactivate run k4q95w5", "%loops deactivate run k4q95w5 -y"),
        ),
        Verb(
            name="deactivate sampler",
            summary="end a standalone sampler; a paired one ends with its run",
            run=_sampler,
            when_interrupted="If you had said yes, it may be ending all the same: %loops samplers tells.",
            arguments=(identifier("sampler", "the sampler's id"),),
            options=(SURE,),
            examples=("%loops deactivate sampler samp_def789",),
        ),
        Verb(
            name="deactivate deployment",
            summary="end a Loops deployment and the run on it; checkpoints stay",
            run=_deployment,
            when_interrupted="If you had said yes, it may be ending all the same: %loops deployments tells.",
            arguments=(identifier("deployment", "the Loops deployment's id"),),
            options=(SURE,),
            examples=("%loops deactivate deployment dep_def456",),
        ),
    ),
    notes="It asks before it acts; -y for scripts, where nobody can be asked.",
    examples=("%loops deactivate run k4q95w5", "%loops deactivate run k4q95w5 -y"),
)
