"""``%loops deploy CHECKPOINT``."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from loops_nb.api.models import InstanceType
from loops_nb.api.references import CheckpointRef
from loops_nb.api.serving import openai_base_url
from loops_nb.api.states import STUCK_SECONDS
from loops_nb.errors import (
    APIError,
    InvalidArgumentError,
    LoopsError,
    NotFoundError,
    PermissionDeniedError,
    one_line,
    with_hint,
)
from loops_nb.magics.arguments import YES
from loops_nb.magics.checkpoint_arguments import CHECKPOINTS, OF_RUN, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option
from loops_nb.magics.model_deployments import NO_WAIT, VERBS, price_note
from loops_nb.magics.suggest import did_you_mean, is_plain, suggest_typo
from loops_nb.render.formatting import first_few, roughly

if TYPE_CHECKING:
    from loops_nb.api.models import DeployedModel

#: The name that the guide of the hosted service uses.
_SECRET = "hf_access_token"  # noqa: S105 - the name of a secret, no value
_MOST_LISTED = 12
_BEING_SAVED = "SYNCING"
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
    _check_refs(refs)
    shape = _instance_type(context, values.instance_type)
    secret = _secret(context, values.secret)
    refs = _saved(context, values, refs)
    for ref in refs:
        if ref.uri is not None:
            try:
                context.loops.checkpoints.validate(ref.uri)
            except APIError as error:
                raise with_hint(error, f"Nothing was deployed. {error.hint}") from None
    taken = _taken(context, values.name)
    if values.sure and taken:
        context.say(taken.strip())
    question = _question(refs, values.name, shape, price_note(context, shape))
    if not context.confirm(f"{question}{taken}", sure=values.sure):
        context.say("Nothing was deployed.")
        return None
    made = context.loops.checkpoints.deploy(
        checkpoint_ids=[ref.id for ref in refs],
        model_name=values.name,
        instance_type_id=str(shape.id),
        hf_secret_name=secret,
    )
    # Nothing costs anything in a service on this machine.
    billed = "" if context.loops.is_local else " It is billed."
    context.say(f"Deployed as model {values.name!r} ({made.model_id}), deployment {made.deployment_id}.{billed}")
    if not values.no_wait:
        context.loops.model_deployments.wait(made.model_id, made.deployment_id)
    _say_how_to_call(context, made, refs[0])
    return made


def _saved(context: MagicContext, values: Values, refs: list[CheckpointRef]) -> list[CheckpointRef]:
    """Return the checkpoints when they are saved: the service refuses one that is still being written."""
    said = False
    until = time.monotonic() + STUCK_SECONDS
    while saving := [one_line(ref.label, limit=100) for ref in refs if ref.sync_status == _BEING_SAVED]:
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


def _check_refs(refs: list[CheckpointRef]) -> None:
    trainer = next((ref for ref in refs if ref.target == "trainer"), None)
    if trainer is not None:
        raise InvalidArgumentError(
            f"{trainer.label} is a trainer checkpoint, and only sampler checkpoints can be deployed.",
            argument="checkpoints",
            hint="%loops checkpoints RUN lists both.",
        )
    models = sorted({ref.base_model for ref in refs if ref.base_model})
    if len(models) > 1:
        raise InvalidArgumentError(
            f"Checkpoints that are deployed together must have the same base model, not {', '.join(models)}. Nothing"
            " was deployed.",
            argument="checkpoints",
        )


def _instance_type(context: MagicContext, word: str | None) -> InstanceType:
    known = [item for item in context.loops.instance_types.list() if item.id]
    chosen = [item for item in known if word == item.id] or [item for item in known if word and word == item.name]
    if chosen:
        return chosen[0]
    names = [f"{item.id} ({item.name})" if item.name and item.name != item.id else str(item.id) for item in known]
    listed = f"There are {first_few(names, _MOST_LISTED)}" if names else "The service lists none for this key."
    if word is None:
        raise InvalidArgumentError(
            "--instance-type TYPE is missing: the hardware of the model. Nothing was deployed.",
            argument="instance_type",
            hint=listed,
        )
    raise InvalidArgumentError(
        f"There is no instance type {word!r:.100}. Nothing was deployed.",
        argument="instance_type",
        hint=did_you_mean(word, [str(item.id) for item in known]) or listed,
    )


def _secret(context: MagicContext, word: str | None) -> str:
    """Return the name of the secret with the token of Hugging Face, by which the service fetches the base weights."""
    name = word or _SECRET
    try:
        known = [secret.name for secret in context.loops.secrets.list()]
    except (PermissionDeniedError, NotFoundError):
        # Who may deploy may not always list secrets; the service checks the name too.
        return name
    if name in known:
        return name
    listed = f"There are {first_few(known, _MOST_LISTED)}" if known else "There is none: add one in the dashboard."
    raise InvalidArgumentError(
        f"There is no secret {name!r:.100}, and the service needs one with a Hugging Face token to fetch the base"
        " weights. Nothing was deployed.",
        argument="secret",
        hint=did_you_mean(name, known) if word else f"Name another with --secret NAME. {listed}",
    )


def _question(refs: list[CheckpointRef], name: str, shape: InstanceType, price: str) -> str:
    what = first_few([one_line(ref.label, limit=100) for ref in refs], _MOST_LISTED)
    hardware = f"{shape.name} ({shape.id})" if shape.name and shape.name != shape.id else shape.id
    return f"Deploy {what} as the new model {name!r} on {hardware}?{price}"


def _taken(context: MagicContext, name: str) -> str:
    """Return a warning if there are models of this name: then only ids tell them apart."""
    try:
        found = [model.id for model in context.loops.models.list(name=name) if model.name == name]
    except (PermissionDeniedError, NotFoundError):
        return ""
    if not found:
        return ""
    there = "is already a model" if len(found) == 1 else f"are already {len(found):,} models"
    return f" There {there} of this name ({first_few(found, _MOST_LISTED)}): only ids tell them apart then."


def _say_how_to_call(context: MagicContext, made: DeployedModel, ref: CheckpointRef) -> None:
    address = openai_base_url(made.model_id, made.deployment_id, context.loops.base_url)
    served = ref.name or ref.id
    # The key of a local service is its token, which only its client knows.
    key = "loops.reveal_key()" if context.loops.is_local else 'os.environ["BASETEN_API_KEY"]'
    first = "loops = %loops connect" if context.loops.is_local else "import os"
    if context.is_shell:
        first, key = "import os", 'os.environ["BASETEN_API_KEY"]'
        if context.loops.is_local:
            context.say("Its key is the token of the local service: export BASETEN_API_KEY=$(loops-nb token)")
    context.say(
        "Call it with OpenAI's client (pip install openai):\n"
        f"    {first}\n"
        f'    import openai; client = openai.OpenAI(base_url="{address}", api_key={key})\n'
        f"    client.chat.completions.create(model={served!r}, messages=[dict(role='user', content='Hello')])"
    )
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
            f"secret of the service with a Hugging Face token, for the base weights; default {_SECRET}",
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
        "%loops deploy k4q95w5/step-100 --instance-type H100 --name support",
        "model = %loops deploy VqKXRGB --instance-type H100 --name support -y --no-wait",
        "%loops deploy status",
        "%loops deploy deactivate support",
    ),
    when_interrupted="If you had confirmed, it may have been deployed: see %loops deploy status.",
)
