"""``%loops deploy CHECKPOINT`` and ``%loops deploy status|stop``."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from loops_nb.api.costs import MINUTES_AN_HOUR, price_list
from loops_nb.api.models import InstanceType
from loops_nb.api.references import CheckpointRef
from loops_nb.api.serving import openai_base_url
from loops_nb.errors import APIError, InvalidArgumentError, LoopsError, NotFoundError, PermissionDeniedError, one_line
from loops_nb.magics.arguments import YES
from loops_nb.magics.checkpoint_arguments import CHECKPOINTS, OF_RUN, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch
from loops_nb.magics.suggest import did_you_mean, is_plain
from loops_nb.render.formatting import first_few, many, money

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.api.models import DeployedModel

_STATUS, _STOP = "status", "stop"
#: The name that the guide of the hosted service uses.
_SECRET = "hf_access_token"  # noqa: S105 - the name of a secret, no value
_MOST_LISTED = 12
_BEING_SAVED = "SYNCING"
_SECONDS_BETWEEN_LOOKS = 0.5


def _run(context: MagicContext, values: Values) -> DeployedModel | pd.DataFrame | None:
    word = values.checkpoints[0] if values.checkpoints else ""
    if word == _STATUS:
        return _status(context, values)
    if word == _STOP:
        _stop(context, values)
        return None
    return _deploy(context, values)


def _deploy(context: MagicContext, values: Values) -> DeployedModel | None:
    if not values.name:
        raise InvalidArgumentError(
            "--name NAME is missing: the name of the new model. Nothing was deployed.", argument="name"
        )
    values.target = "sampler"
    refs = resolve_checkpoints(context, values)
    _check_refs(refs)
    shape = _instance_type(context, values.instance_type)
    secret = _secret(context, values.secret)
    refs = _saved(context, values, refs)
    for ref in refs:
        if ref.uri is not None:
            context.loops.checkpoints.validate(ref.uri)
    if not context.confirm(_question(refs, values.name, shape, _price(context, shape)), sure=values.sure):
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
    listed = f"There are {first_few(names, _MOST_LISTED)}"
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


def _price(context: MagicContext, shape: InstanceType) -> str:
    """Return what one node costs, as far as the service says it, and that it is billed."""
    try:
        prices = price_list(context.loops.billing.prices())
    except (PermissionDeniedError, NotFoundError):
        return " It is billed until it is stopped."
    billed = "" if context.loops.is_local else " It is billed until it is stopped."
    per_minute = prices.per_minute.get(str(shape.id))
    if per_minute is None:
        return billed
    note = f" ({one_line(prices.note, limit=100).rstrip('.')})" if prices.note else ""
    return f" A node of it is {money(per_minute * MINUTES_AN_HOUR)} an hour{note}.{billed}"


def _question(refs: list[CheckpointRef], name: str, shape: InstanceType, price: str) -> str:
    what = first_few([one_line(ref.label, limit=100) for ref in refs], _MOST_LISTED)
    hardware = f"{shape.name} ({shape.id})" if shape.name and shape.name != shape.id else shape.id
    return f"Deploy {what} as the new model {name!r} on {hardware}?{price}"


def _say_how_to_call(context: MagicContext, made: DeployedModel, ref: CheckpointRef) -> None:
    address = openai_base_url(made.model_id, made.deployment_id, context.loops.base_url)
    served = ref.name or ref.id
    # The key of a local service is its token, which only its client knows.
    key = "loops.reveal_key()" if context.loops.is_local else 'os.environ["BASETEN_API_KEY"]'
    first = "loops = %loops connect" if context.loops.is_local else "import os"
    context.say(
        "Call it with OpenAI's client (pip install openai):\n"
        f"    {first}\n"
        f'    import openai; client = openai.OpenAI(base_url="{address}", api_key={key})\n'
        f"    client.chat.completions.create(model={served!r}, messages=[dict(role='user', content='Hello')])"
    )
    word = made.model_id if is_plain(made.model_id) else "MODEL"
    context.say(f"%loops deploy status {word} shows its state; %loops deploy stop {word} ends it.")


def _status(context: MagicContext, values: Values) -> pd.DataFrame:
    _refuse_options(values, _STATUS)
    return context.loops.models.frame(values.checkpoints[1] if len(values.checkpoints) > 1 else None)


def _stop(context: MagicContext, values: Values) -> None:
    _refuse_options(values, _STOP)
    if len(values.checkpoints) == 1:
        raise InvalidArgumentError(
            "%loops deploy stop needs the model: its id or name.",
            argument="checkpoints",
            hint="%loops deploy status lists the models.",
        )
    frame = context.loops.models.frame(values.checkpoints[1])
    alive = frame[~frame["status"].isin(["INACTIVE", "DEACTIVATING"])]
    if not len(alive):
        context.say("It is stopped already. Nothing was changed.")
        return
    name, model_id = one_line(str(alive["name"].iloc[0]), limit=100), str(alive["model_id"].iloc[0])
    what = f"{many(len(alive), 'deployment')} of model {name!r} ({model_id})"
    if not context.confirm(f"Stop {what}? Calls of it fail then; its checkpoints are kept.", sure=values.sure):
        context.say("Nothing was changed.")
        return
    for stopped, deployment_id in enumerate(alive["deployment_id"]):
        try:
            context.loops.model_deployments.deactivate(model_id, str(deployment_id))
        except APIError as error:
            raise LoopsError(
                f"{stopped:,} of {what} were stopped; {deployment_id} was not: {error.message}", hint=error.hint
            ) from None
    context.say(f"Stopped {what}.")


def _refuse_options(values: Values, word: str) -> None:
    given = [
        flag
        for flag, value in (
            ("--instance-type", values.instance_type),
            ("--name", values.name),
            ("--secret", values.secret),
            ("--run", values.run_id),
            ("--no-wait", values.no_wait),
        )
        if value
    ]
    if given:
        raise InvalidArgumentError(
            f"{given[0]} is for deploying a checkpoint, not for %loops deploy {word}.", argument=given[0].lstrip("-")
        )
    if len(values.checkpoints) > 2:  # noqa: PLR2004 - the keyword and one model
        raise InvalidArgumentError(f"%loops deploy {word} takes one model, by its id or name.", argument="checkpoints")


VERB = Verb(
    name="deploy",
    summary="deploy sampler checkpoints as an inference model, follow it until it answers, show or stop it",
    run=_run,
    returns_frame=True,
    arguments=(
        dataclasses.replace(
            CHECKPOINTS,
            help="a sampler checkpoint: its id, bt:// URI, RUN/NAME, or with --run RUN its name; or status [MODEL], or "
            "stop MODEL",
            completes="deployed",
            keywords=(_STATUS, _STOP),
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
        switch("--no-wait", "return at once, do not follow it until it is ACTIVE"),
    ),
    notes="Checks the checkpoint, hardware and secret first, then asks, because a deployment is billed; use -y in "
    "scripts. Follows the state until it can be called, and shows the lines that call it with OpenAI's client; Ctrl-C "
    "stops only the following. Several checkpoints of one base model are served together.",
    examples=(
        "%loops deploy k4q95w5/step-100 --instance-type H100 --name support",
        "model = %loops deploy VqKXRGB --instance-type H100 --name support -y --no-wait",
        "%loops deploy status",
        "%loops deploy stop support",
    ),
    when_interrupted="If you had confirmed, it may have been deployed: see %loops deploy status.",
)
