"""What may be deployed, on what, at which price, and how it is called then; no requests of its own.

One copy of these rules for ``%loops deploy`` and for the panels, which make their requests in different ways: what has
to be read is passed in as a callable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.api.costs import MINUTES_AN_HOUR, PriceList, price_list
from loops_nb.api.serving import openai_base_url
from loops_nb.errors import (
    APIError,
    InvalidArgumentError,
    LoopsError,
    NotFoundError,
    PermissionDeniedError,
    one_line,
    with_hint,
)
from loops_nb.render.formatting import first_few, money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from loops_nb.api.models import DeployedModel, InstanceType, InstanceTypePrice, Model, SecretName
    from loops_nb.api.references import CheckpointRef

#: Name of the secret with the token of Hugging Face, as the guide of the hosted service calls it.
SECRET = "hf_access_token"  # noqa: S105 - the name of a secret, no value
BILLED = "It is billed until it is deactivated."
_BEING_SAVED = "SYNCING"
_MOST_LISTED = 12
_LONGEST_NOTE = 100


def check_deployable(refs: Sequence[CheckpointRef]) -> None:
    """Refuse checkpoints that cannot be served, or not together.

    Raises
    ------
    InvalidArgumentError
        If one is a trainer checkpoint, or they have different base models.
    """
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


def being_saved(refs: Iterable[CheckpointRef]) -> list[str]:
    """Return the labels of those that are still being written: the service refuses them."""
    return [one_line(ref.label, limit=100) for ref in refs if ref.sync_status == _BEING_SAVED]


def check_loadable(refs: Iterable[CheckpointRef], validate: Callable[[str], None]) -> None:
    """Have the service check that checkpoints can be loaded.

    Raises
    ------
    APIError
        What it answered, with the remark that nothing was deployed.
    """
    for ref in refs:
        if ref.uri is not None:
            try:
                validate(ref.uri)
            except APIError as error:
                raise with_hint(error, f"Nothing was deployed. {error.hint}") from None


def check_secret(
    name: str, list_secrets: Callable[[], Iterable[SecretName]], hint: Callable[[Sequence[str]], str]
) -> None:
    """Refuse a secret that is not there; by it the service fetches the base weights.

    Parameters
    ----------
    name : str
        Its name.
    list_secrets : callable
        Reads the names of the secrets.
    hint : callable
        Called with the names that there are; returns what to do.

    Raises
    ------
    InvalidArgumentError
        If there is no such secret.
    """
    try:
        known = [secret.name for secret in list_secrets()]
    except (PermissionDeniedError, NotFoundError):
        # Who may deploy may not always list secrets; the service checks the name too.
        return
    if name not in known:
        raise InvalidArgumentError(
            f"There is no secret {name!r:.100}, and the service needs one with a Hugging Face token to fetch the base"
            " weights. Nothing was deployed.",
            argument="secret",
            hint=hint(known),
        )


def those_there_are(names: Sequence[str], otherwise: str) -> str:
    """Return a sentence with some names, or another one where there are none."""
    return f"There are {first_few(names, _MOST_LISTED)}" if names else otherwise


def hardware_name(shape: InstanceType) -> str:
    """Return the name of an instance type with its id."""
    return f"{shape.name} ({shape.id})" if shape.name and shape.name != shape.id else str(shape.id)


def read_prices(list_prices: Callable[[], Iterable[InstanceTypePrice]]) -> tuple[PriceList, str]:
    """Return the prices that the service lists for this key, maybe none, and a sentence if they could not be read."""
    try:
        return price_list(list_prices()), ""
    except (PermissionDeniedError, NotFoundError):
        return PriceList({}), ""
    except LoopsError:
        return PriceList({}), "Its price could not be read."


def price_an_hour(prices: PriceList, shape: InstanceType) -> str:
    """Return what a node costs, such as ``$6.67 an hour``; empty where that is not listed."""
    per_minute = prices.per_minute.get(str(shape.id))
    return "" if per_minute is None else f"{money(per_minute * MINUTES_AN_HOUR)} an hour"


def price_remark(prices: PriceList) -> str:
    """Return what the service remarks about its prices, without a full stop."""
    return one_line(prices.note, limit=_LONGEST_NOTE).rstrip(".")


def list_models(read: Callable[[], list[Model]]) -> list[Model]:
    """Return the models that there are; none where this key may not list them."""
    try:
        return read()
    except (PermissionDeniedError, NotFoundError):
        return []


def taken_note(name: str, models: Iterable[Model]) -> str:
    """Return a warning if there are models of this name: then only ids tell them apart."""
    found = [model.id for model in models if model.name == name]
    if not found:
        return ""
    there = "is already a model" if len(found) == 1 else f"are already {len(found):,} models"
    return f"There {there} of this name ({first_few(found, _MOST_LISTED)}): only ids tell them apart then."


def deployed_note(made: DeployedModel, name: str, *, is_local: bool) -> str:
    """Return what was made, and that it is billed."""
    # Nothing costs anything in a service on this machine.
    billed = "" if is_local else " It is billed."
    return f"Deployed as model {name!r} ({made.model_id}), deployment {made.deployment_id}.{billed}"


def lines_to_call(
    made: DeployedModel, ref: CheckpointRef, service_url: str, *, is_local: bool, is_shell: bool = False
) -> str:
    """Return the three lines that call a deployed checkpoint with OpenAI's client.

    Parameters
    ----------
    made : DeployedModel
        The model.
    ref : CheckpointRef
        Which of its checkpoints is called.
    service_url : str
        Address of the service.
    is_local : bool
        Whether it is on this machine: its key is its token, which only its client knows.
    is_shell : bool, default False
        Whether they are for a script, where there are no magics.
    """
    address = openai_base_url(made.model_id, made.deployment_id, service_url)
    knows_key = is_local and not is_shell
    key = "loops.reveal_key()" if knows_key else 'os.environ["BASETEN_API_KEY"]'
    first = "loops = %loops connect" if knows_key else "import os"
    return (
        f"{first}\n"
        f'import openai; client = openai.OpenAI(base_url="{address}", api_key={key})\n'
        f"client.chat.completions.create(model={(ref.name or ref.id)!r}, messages=[dict(role='user', content='Hello')])"
    )
