"""``%loops deploy CHECKPOINT``."""

from __future__ import annotations

import dataclasses
import textwrap
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from loops_nb.api.models import InstanceType
from loops_nb.api.references import CheckpointRef
from loops_nb.api.states import STUCK_SECONDS
from loops_nb.checkpoints import deploying
from loops_nb.errors import InvalidArgumentError, LoopsError, one_line
from loops_nb.magics.arguments import YES
from loops_nb.magics.checkpoint_arguments import CHECKPOINTS, OF_RUN, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option
from loops_nb.magics.model_deployments import NO_WAIT, VERBS, price_note
from loops_nb.magics.suggest import did_you_mean, is_plain, suggest_typo
from loops_nb.render.formatting import first_few, roughly

if TYPE_CHECKING:
    from loops_nb.api.models import DeployedModel

_MOST_LISTED = 12
_SECONDS_BETWEEN_LOOKS = 0.5


def _deploy(context: MagicContext, values: Values) -> DeployedModel | None:
    if not values.name:
        typed = values.checkpoints[0] if values.checkpoints else ""
        raise InvalidArgumentError(
            "--name NAME is missing: the name of the new model. Nothing was deployed.",
            argument="name",
            hint=suggest_typo(typed, [verb.word for verb in VERBS]),
        )
    values.target = "sampler"
    refs = resolve_checkpoints(context, values)
    deploying.check_deployable(refs)
    shape = _instance_type(context, values.instance_type)
    secret = _secret(context, values.secret)
    refs = _saved(context, values, refs)
    deploying.check_loadable(refs, context.loops.checkpoints.validate)
    taken = deploying.taken_note(
        values.name, deploying.list_models(partial(context.loops.models.list, name=values.name))
    )
    if values.sure and taken:
        context.say(taken)
    question = _question(refs, values.name, shape, price_note(context, shape))
    if not context.confirm(f"{question} {taken}".strip(), sure=values.sure):
        context.say("Nothing was deployed.")
        return None
    made = context.loops.checkpoints.deploy(
        checkpoint_ids=[ref.id for ref in refs],
        model_name=values.name,
        instance_type_id=str(shape.id),
        hf_secret_name=secret,
    )
    context.say(deploying.deployed_note(made, values.name, is_local=context.loops.is_local))
    if not values.no_wait:
        context.loops.model_deployments.wait(made.model_id, made.deployment_id)
    _say_how_to_call(context, made, refs[0])
    return made


def _saved(context: MagicContext, values: Values, refs: list[CheckpointRef]) -> list[CheckpointRef]:
    """Return the checkpoints when they are saved: the service refuses one that is still being written."""
    said = False
    until = time.monotonic() + STUCK_SECONDS
    while saving := deploying.being_saved(refs):
        if values.no_wait:
            raise InvalidArgumentError(
                f"{saving[0]} is still being saved. Nothing was deployed.",
                argument="checkpoints",
                hint="Without --no-wait it is waited for. %loops checkpoints RUN shows when it is COMPLETE.",
            )
        if not said:
            context.say(f"Waiting until {first_few(saving, _MOST_LISTED)} is saved. Ctrl-C: nothing is deployed.")
        said = True
        if time.monotonic() >= until:
            raise LoopsError(
                f"{saving[0]} is still being saved after {roughly(STUCK_SECONDS)}. Nothing was deployed.",
                hint="%loops checkpoints RUN shows when it is COMPLETE.",
            )
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        refs = resolve_checkpoints(context, values)
    return refs


def _instance_type(context: MagicContext, word: str | None) -> InstanceType:
    known = [item for item in context.loops.instance_types.list() if item.id]
    # The name of a GPU alone does not say how many of them are billed.
    of_gpu = [item for item in known if word and item.gpu_type and item.gpu_type.lower() == word.lower()]
    chosen = [item for item in known if word == item.id] or [item for item in known if word and word == item.name]
    if chosen:
        return chosen[0]
    names = [
        f"{item.id} ({item.name})" if item.name and item.name != item.id else str(item.id) for item in of_gpu or known
    ]
    listed = deploying.those_there_are(names, "The service lists none for this key.")
    if word is None:
        raise InvalidArgumentError(
            "--instance-type TYPE is missing: the hardware of the model. Nothing was deployed.",
            argument="instance_type",
            hint=listed,
        )
    raise InvalidArgumentError(
        f"There is no instance type {word!r:.100}. Nothing was deployed.",
        argument="instance_type",
        hint=listed if of_gpu else did_you_mean(word, [str(item.id) for item in known]) or listed,
    )


def _secret(context: MagicContext, word: str | None) -> str:
    """Return the name of the secret with the token of Hugging Face, by which the service fetches the base weights."""
    name = word or deploying.SECRET

    def hint(known: Sequence[str]) -> str:
        listed = deploying.those_there_are(known, "There is none: add one in the dashboard.")
        return did_you_mean(name, known) if word else f"Name another with --secret NAME. {listed}"

    deploying.check_secret(name, context.loops.secrets.list, hint)
    return name


def _question(refs: list[CheckpointRef], name: str, shape: InstanceType, price: str) -> str:
    what = first_few([one_line(ref.label, limit=100) for ref in refs], _MOST_LISTED)
    return f"Deploy {what} as the new model {name!r} on {deploying.hardware_name(shape)}?{price}"


def _say_how_to_call(context: MagicContext, made: DeployedModel, ref: CheckpointRef) -> None:
    is_local = context.loops.is_local
    if context.is_shell and is_local:
        context.say("Its key is the token of the local service: export BASETEN_API_KEY=$(loops-nb token)")
    lines = deploying.lines_to_call(made, ref, context.loops.base_url, is_local=is_local, is_shell=context.is_shell)
    context.say(f"Call it with OpenAI's client (pip install openai):\n{textwrap.indent(lines, '    ')}")
    word = made.model_id if is_plain(made.model_id) else "MODEL"
    context.say(f"%loops deploy status {word} shows its state; %loops deploy deactivate {word} ends it.")


VERB = Verb(
    name="deploy",
    summary="deploy sampler checkpoints as an inference model, and follow it until it answers",
    run=_deploy,
    verbs=VERBS,
    returns_frame=True,
    returns_object=True,
    arguments=(
        dataclasses.replace(
            CHECKPOINTS,
            help="a sampler checkpoint: its id, bt:// URI, RUN/NAME, or with --run RUN its name",
        ),
    ),
    options=(
        option("--instance-type", "TYPE", "hardware of the model, by its id or name", completes="instance_type"),
        option("--name", "NAME", "name of the new model", free_text=True),
        option(
            "--secret",
            "NAME",
            f"secret of the service with a Hugging Face token, for the base weights; default {deploying.SECRET}",
            completes="secret",
        ),
        OF_RUN,
        YES,
        NO_WAIT,
    ),
    notes="Checks the checkpoint, hardware and secret first, then asks, because a deployment is billed; use -y in "
    "scripts. Follows the state until it can be called, and shows the lines that call it with OpenAI's client; Ctrl-C "
    "stops only the following. Several checkpoints of one base model are served together.",
    examples=(
        "%loops deploy p2syas8/step-100 --instance-type local-h100-1 --name support",
        "model = %loops deploy h3wy7k5 --instance-type local-h100-1 --name support -y --no-wait",
        "%loops deploy status",
        "%loops deploy deactivate support",
    ),
    when_interrupted="If you had confirmed, it may have been deployed: see %loops deploy status.",
)
