"""``%loops deploy status|activate|deactivate|retry|delete``: models that are deployed already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.api.serving import openai_base_url
from loops_nb.api.states import SAMPLER_FAILED
from loops_nb.checkpoints.deploying import BILLED, price_an_hour, price_remark, read_prices
from loops_nb.errors import APIError, InvalidArgumentError, LoopsError, NotFoundError, PermissionDeniedError, one_line
from loops_nb.magics.arguments import YES
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb, switch
from loops_nb.magics.suggest import is_plain
from loops_nb.render.formatting import first_few, many

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.api.models import InstanceType

_MOST_LISTED = 5
_ENDING, _ENDED, _ASLEEP = "DEACTIVATING", "INACTIVE", "SCALED_TO_ZERO"
_DOWN = frozenset({_ENDED, _ENDING})
NO_WAIT = switch("--no-wait", "return at once, do not follow it until it is ACTIVE")


class _Chosen(NamedTuple):
    """Deployments of one model, as a line names them."""

    model_id: str
    name: str
    rows: pd.DataFrame
    is_whole_model: bool

    @property
    def model(self) -> str:
        return f"model {self.name!r} ({self.model_id})"

    def described(self, rows: pd.DataFrame) -> str:
        if self.is_whole_model:
            return f"{many(len(rows), 'deployment')} of {self.model}"
        return f"deployment {one_line(str(rows['deployment_id'].iloc[0]), limit=100)} of {self.model}"


class _One(NamedTuple):
    """One deployment."""

    id: str
    status: str
    hardware: str


def price_note(context: MagicContext, shape: InstanceType | None) -> str:
    """Return what a node of some hardware costs, as far as the service says it, and that it is billed."""
    # Nothing costs anything in a service on this machine.
    billed = "" if context.loops.is_local else f" {BILLED}"
    if shape is None:
        return billed
    prices, problem = read_prices(context.loops.billing.prices)
    if problem:
        return f" {problem}{billed}"
    an_hour, remark = price_an_hour(prices, shape), price_remark(prices)
    if not an_hour:
        return billed
    return f" A node of it is {an_hour}{f' ({remark})' if remark else ''}.{billed}"


def _status(context: MagicContext, values: Values) -> pd.DataFrame:
    return context.loops.models.frame(values.model)


def _deactivate(context: MagicContext, values: Values) -> None:
    chosen = _chosen(context, values)
    alive = chosen.rows[~chosen.rows["status"].isin(_DOWN | SAMPLER_FAILED)]
    if not len(alive):
        context.say(f"{_states(chosen.rows)} Nothing was changed.")
        return
    what = chosen.described(alive)
    question = f"Deactivate {what}? Calls of it fail then; its checkpoints are kept.{_engine_of(context, chosen)}"
    if not context.confirm(question, sure=values.sure):
        context.say("Nothing was changed.")
        return
    failed: list[APIError] = []
    for deployment_id in alive["deployment_id"]:
        try:
            context.loops.model_deployments.deactivate(chosen.model_id, str(deployment_id))
        except APIError as error:
            # The others are billed, too.
            failed.append(error)
    if failed:
        why = " ".join(error.message for error in failed[:_MOST_LISTED])
        raise LoopsError(f"{len(alive) - len(failed):,} of {what} were deactivated. {why}", hint=failed[0].hint)
    context.say(f"Deactivated {what}.")


def _activate(context: MagicContext, values: Values) -> None:
    chosen = _chosen(context, values)
    one = _one_of(chosen, "activate", lambda status: status in {*_DOWN, _ASLEEP})
    if one.status in SAMPLER_FAILED:
        raise InvalidArgumentError(
            f"Deployment {one.id} is {one.status}. Nothing was changed.",
            argument="deployment",
            hint=f"Start it again: %loops deploy retry {_word(chosen.model_id)}",
        )
    if one.status == _ENDING:
        raise InvalidArgumentError(
            f"Deployment {one.id} is on its way down. Nothing was changed.",
            argument="deployment",
            hint=f"Try again when it is {_ENDED}: %loops deploy status {_word(chosen.model_id)}",
        )
    if one.status not in {_ENDED, _ASLEEP}:
        context.say(f"Deployment {one.id} is {one.status} already. Nothing was changed.")
        return
    if not _is_confirmed(context, values, chosen, one, "Activate"):
        return
    context.loops.model_deployments.activate(chosen.model_id, one.id)
    _follow(context, values, chosen, one, "Activated")


def _retry(context: MagicContext, values: Values) -> None:
    chosen = _chosen(context, values)
    one = _one_of(chosen, "retry", lambda status: status in SAMPLER_FAILED)
    if one.status not in SAMPLER_FAILED:
        activate = f"%loops deploy activate {_word(chosen.model_id)}" if one.status in {_ENDED, _ASLEEP} else ""
        raise InvalidArgumentError(
            f"Deployment {one.id} is {one.status}: only one that failed can be started again. Nothing was changed.",
            argument="deployment",
            hint=activate and f"To start it: {activate}",
        )
    if not _is_confirmed(context, values, chosen, one, "Retry"):
        return
    answer = context.loops.model_deployments.retry(chosen.model_id, one.id)
    if answer.get("retried") is False:
        reason = one_line(str(answer.get("reason") or "The service does not say why."), limit=300)
        raise LoopsError(f"Deployment {one.id} was not started again. {reason}")
    _follow(context, values, chosen, one, "Retried")


def _delete(context: MagicContext, values: Values) -> None:
    chosen = _chosen(context, values, may_be_empty=True)
    states = first_few([f"{row.deployment_id} ({row.status})" for row in chosen.rows.itertuples()], _MOST_LISTED)
    what = chosen.described(chosen.rows)
    if chosen.is_whole_model:
        of = f" with {many(len(chosen.rows), 'deployment')}: {states}" if len(chosen.rows) else ", without deployments"
        what = f"{chosen.model}{of}"
    question = f"Delete {what} for good? Calls fail then; its checkpoints are kept.{_engine_of(context, chosen)}"
    if not context.confirm(question, sure=values.sure):
        context.say("Nothing was deleted.")
        return
    if chosen.is_whole_model:
        context.loops.models.delete(chosen.model_id)
    else:
        context.loops.model_deployments.delete(chosen.model_id, str(chosen.rows["deployment_id"].iloc[0]))
    context.say(f"Deleted {chosen.model if chosen.is_whole_model else what}.")


def _chosen(context: MagicContext, values: Values, *, may_be_empty: bool = False) -> _Chosen:
    from loops_nb.frames.served_models import model_named  # needs no pandas, but the frame does

    model = model_named(context.loops.models.list(), values.model)
    rows = context.loops.models.frame(model.id)
    name = one_line(model.name or model.id, limit=100)
    if values.deployment is not None:
        rows = rows[rows["deployment_id"] == values.deployment]
        if not len(rows):
            raise NotFoundError(
                f"Model {name!r} ({model.id}) has no deployment {values.deployment!r:.100}.",
                status=404,
                hint=f"%loops deploy status {_word(model.id)} lists its deployments.",
            )
    if not len(rows) and not may_be_empty:
        raise NotFoundError(
            f"Model {name!r} ({model.id}) has no deployment.", status=404, hint="Its checkpoints can be deployed again."
        )
    return _Chosen(model.id, name, rows, is_whole_model=values.deployment is None)


def _one_of(chosen: _Chosen, word: str, fits: Callable[[str], bool]) -> _One:
    """Return the deployment of the line, or the only one that can be started: each that runs is billed."""
    fitting = chosen.rows[[fits(str(status)) for status in chosen.rows["status"]]]
    rows = fitting if len(fitting) else chosen.rows
    if len(rows) > 1:
        states = [f"{row.deployment_id} ({row.status})" for row in rows.itertuples()]
        raise InvalidArgumentError(
            f"{chosen.model[0].upper()}{chosen.model[1:]} has {len(rows)} deployments, and one at a time can be"
            " started. Nothing was changed.",
            argument="deployment",
            hint=f"Say which: %loops deploy {word} {_word(chosen.model_id)} DEPLOYMENT: "
            f"{first_few(states, _MOST_LISTED)}",
        )
    row = rows.iloc[0]
    hardware = row["instance_type"]
    return _One(str(row["deployment_id"]), str(row["status"]), hardware if isinstance(hardware, str) else "")


def _is_confirmed(context: MagicContext, values: Values, chosen: _Chosen, one: _One, verb: str) -> bool:
    if values.sure:
        return True
    shapes = context.loops.instance_types.list() if one.hardware else []
    shape = next((item for item in shapes if one.hardware in {item.name, item.id}), None)
    on = f" on {one_line(one.hardware, limit=100)}" if one.hardware else ""
    question = f"{verb} deployment {one.id} ({one.status}) of {chosen.model}{on}?{price_note(context, shape)}"
    if context.confirm(question, sure=False):
        return True
    context.say("Nothing was changed.")
    return False


def _follow(context: MagicContext, values: Values, chosen: _Chosen, one: _One, done: str) -> None:
    context.say(f"{done} deployment {one.id} of {chosen.model}.")
    if not values.no_wait:
        context.loops.model_deployments.wait(chosen.model_id, one.id, former_status=one.status)
    sampler = _sampler_of(context, chosen)
    if sampler is None:
        context.say(f"OpenAI's client calls it at {openai_base_url(chosen.model_id, one.id, context.loops.base_url)}")
    else:
        context.say(f"It is the engine of sampler {sampler}.")


def _engine_of(context: MagicContext, chosen: _Chosen) -> str:
    """Return a warning if the model is behind a sampler, which ends with it."""
    sampler = _sampler_of(context, chosen)
    return "" if sampler is None else f" It is the engine of sampler {sampler}, which ends with it."


def _sampler_of(context: MagicContext, chosen: _Chosen) -> str | None:
    try:
        samplers = context.loops.samplers.list(scope="org")
    except (PermissionDeniedError, NotFoundError):
        return None
    return next((sampler.id for sampler in samplers if sampler.model_id == chosen.model_id), None)


def _states(rows: pd.DataFrame) -> str:
    states = " and ".join(dict.fromkeys(map(str, rows["status"])))
    return f"{'It is' if len(rows) == 1 else 'Its deployments are'} {states}, so nothing runs."


def _word(model_id: str) -> str:
    return model_id if is_plain(model_id) else "MODEL"


_MODEL = Argument("model", "MODEL", "id or name of the model", completes="model", required=True)
_DEPLOYMENT = Argument(
    "deployment",
    "DEPLOYMENT",
    "id of one of its deployments; needed where several can be started",
    completes="model_deployment",
)
_SEE = "See its state: %loops deploy status."

VERBS = (
    Verb(
        name="deploy status",
        summary="models and the states of their deployments, newest first, without those behind samplers",
        run=_status,
        returns_frame=True,
        kinds=("served_models",),
        arguments=(Argument("model", "MODEL", "only this model, by its id or name", completes="model"),),
        examples=("%loops deploy status", "%loops deploy status support"),
    ),
    Verb(
        name="deploy activate",
        synonyms=("start", "wake"),
        summary="start a deployment that was deactivated, or wake one that sleeps, after confirmation",
        run=_activate,
        returns_frame=True,
        arguments=(_MODEL, _DEPLOYMENT),
        options=(YES, NO_WAIT),
        notes="Asks, because it is billed then; use -y in scripts. Follows its state until it can be called; Ctrl-C"
        " stops only the following.",
        examples=("%loops deploy activate support", "%loops deploy activate support -y --no-wait"),
        when_interrupted=f"If you had confirmed, it may have been started. {_SEE}",
    ),
    Verb(
        name="deploy deactivate",
        synonyms=("stop",),
        summary="end the deployments of a model, and what they cost, after confirmation; checkpoints are kept",
        run=_deactivate,
        returns_frame=True,
        arguments=(
            _MODEL,
            Argument(
                "deployment", "DEPLOYMENT", "only this one of its deployments, by its id", completes="model_deployment"
            ),
        ),
        options=(YES,),
        notes="%loops deploy activate starts it again.",
        examples=("%loops deploy deactivate support", "%loops deploy deactivate support -y"),
        when_interrupted=f"If you had confirmed, some may have been deactivated. {_SEE}",
    ),
    Verb(
        name="deploy retry",
        summary="start a deployment again that failed, after confirmation",
        run=_retry,
        returns_frame=True,
        arguments=(_MODEL, _DEPLOYMENT),
        options=(YES, NO_WAIT),
        notes="loops.model_deployments.logs(MODEL, DEPLOYMENT) has its log lines, which may say why it failed.",
        examples=("%loops deploy retry support",),
        when_interrupted=f"If you had confirmed, it may have been started. {_SEE}",
    ),
    Verb(
        name="deploy delete",
        summary="delete a model with its deployments, or one of them, for good, after confirmation",
        run=_delete,
        returns_frame=True,
        arguments=(
            _MODEL,
            Argument(
                "deployment",
                "DEPLOYMENT",
                "only this deployment, by its id; the model stays",
                completes="model_deployment",
            ),
        ),
        options=(YES,),
        notes="Its checkpoints are kept; they are in use by it no more, and can be deployed again.",
        examples=("%loops deploy delete support", "%loops deploy delete support -y"),
        when_interrupted="If you had confirmed, it may have been deleted: see %loops deploy status.",
    ),
)
