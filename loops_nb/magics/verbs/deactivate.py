"""``%loops deactivate run|sampler|deployment ID``."""

from __future__ import annotations

from loops_nb.api.models import Deactivated, Deployment, Run, Sampler
from loops_nb.magics.arguments import YES, id_argument
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb


def _run(context: MagicContext, values: Values) -> Deactivated | None:
    with context.explain_unknown_id("run", values.id):
        run = context.loops.runs.get(context.resolve_run_id(values.id, exact=True))
        what = "Its trainer and sampler stop for good; its checkpoints are kept."
        if _is_confirmed(context, values, f"run {_described(run)}? {what}"):
            return context.loops.runs.deactivate(run.id)
    return None


def _sampler(context: MagicContext, values: Values) -> Deactivated | None:
    with context.explain_unknown_id("sampler", values.id):
        sampler = context.loops.samplers.get(values.id)
        if _is_confirmed(context, values, f"sampler {_described(sampler)}? It stops serving requests."):
            return context.loops.samplers.deactivate(values.id)
    return None


def _deployment(context: MagicContext, values: Values) -> Deactivated | None:
    with context.explain_unknown_id("deployment", values.id):
        deployment = context.loops.deployments.get(values.id)
        question = f"deployment {_described(deployment)}? "
        if deployment.active_run_id:
            question += f"Run {deployment.active_run_id} on it ends. "
        question += "Its trainer and sampler stop; checkpoints are kept."
        if _is_confirmed(context, values, question):
            return context.loops.deployments.deactivate(values.id)
    return None


def _is_confirmed(context: MagicContext, values: Values, question: str) -> bool:
    if context.confirm(f"Deactivate {question}", sure=values.sure):
        return True
    context.say("Nothing was changed.")
    return False


def _described(thing: Run | Sampler | Deployment) -> str:
    parts = [getattr(thing, "name", None), thing.base_model]
    if thing.status is not None:
        parts.append(thing.status.name)
    details = ", ".join(dict.fromkeys(part for part in parts if part))
    if not details:
        return thing.id
    return f"{thing.id} ({details})"


VERB = Verb(
    name="deactivate",
    summary="deactivate a run, a sampler or a deployment, after confirmation",
    verbs=(
        Verb(
            name="deactivate run",
            summary="deactivate a run, its trainer and its sampler; its checkpoints are kept",
            run=_run,
            returns_object=True,
            when_interrupted="If you had confirmed, it may have been deactivated: see %loops runs.",
            arguments=(id_argument("run", "the run's id, or its name if only one run has it"),),
            options=(YES,),
            examples=("%loops deactivate run p2syas8", "%loops deactivate run p2syas8 -y"),
        ),
        Verb(
            name="deactivate sampler",
            summary="deactivate a standalone sampler; a paired one ends with its run",
            run=_sampler,
            returns_object=True,
            when_interrupted="If you had confirmed, it may have been deactivated: see %loops samplers.",
            arguments=(id_argument("sampler", "the sampler's id"),),
            options=(YES,),
            examples=("%loops deactivate sampler f156oar",),
        ),
        Verb(
            name="deactivate deployment",
            summary="deactivate a Loops deployment and the run on it; checkpoints are kept",
            run=_deployment,
            returns_object=True,
            when_interrupted="If you had confirmed, it may have been deactivated: see %loops deployments.",
            arguments=(id_argument("deployment", "the Loops deployment's id"),),
            options=(YES,),
            examples=("%loops deactivate deployment shecwtx",),
        ),
    ),
    notes="Asks for confirmation; use -y in scripts.",
    examples=("%loops deactivate run p2syas8", "%loops deactivate run p2syas8 -y"),
)
