"""Models and their deployments: which are chosen, and their DataFrame."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.api.states import SAMPLER_STATUSES
from loops_nb.errors import InvalidArgumentError, NotFoundError
from loops_nb.frames.attributes import EMPTY_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.api.models import Model, ModelDeployment

_EARLIEST = datetime.min.replace(tzinfo=UTC)

SERVED_MODELS = register_kind(
    Kind(
        "served_models",
        many=(),
        one=(),
        columns=(
            Column("model_id", Dtype.STRING, (), "Id of the model."),
            Column("name", Dtype.STRING, (), "Name of the model."),
            Column("deployment_id", Dtype.STRING, (), "Id of the deployment."),
            Column("status", Dtype.STATE, (), "State of the deployment.", SAMPLER_STATUSES),
            Column("environment", Dtype.STRING, (), "Environment, such as production."),
            Column("active_replica_count", Dtype.COUNT, (), "Replicas that run."),
            Column("instance_type", Dtype.STRING, (), "Name of its hardware."),
            Column("created_at", Dtype.TIME, (), "When it was made."),
        ),
    )
)


class ChosenModels(NamedTuple):
    """Models of a listing, newest first, and notes about those left out."""

    models: list[Model]
    notes: list[str]


def chosen_models(
    listed: Sequence[Model], wanted: str | None, of_samplers: Collection[str | None], limit: int
) -> ChosenModels:
    """Return the models to show; see ``loops.models.frame``."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidArgumentError(f"limit must be a whole number from 1, not {limit!r:.40}.", argument="limit")
    if wanted is not None:
        return ChosenModels(_models_named(listed, wanted), [])
    models = sorted(
        (model for model in listed if model.id not in of_samplers),
        key=lambda model: model.created_at or _EARLIEST,
        reverse=True,
    )
    notes = []
    if len(models) > limit:
        notes.append(f"The newest {limit:,} of {many(len(models), 'model')}; name one to see it.")
    return ChosenModels(models[:limit], notes)


def model_named(listed: Sequence[Model], word: str) -> Model:
    """Return the model with an id, or the only one with a name.

    Raises
    ------
    InvalidArgumentError
        If several have the name.
    NotFoundError
        If none has.
    """
    found = _models_named(listed, word)
    if len(found) > 1:
        raise InvalidArgumentError(
            f"{word!r:.100} is the name of {len(found)} models.",
            argument="model",
            hint=f"Say which: {', '.join(model.id for model in found[:5])}",
        )
    return found[0]


def _models_named(listed: Sequence[Model], word: str) -> list[Model]:
    found = [model for model in listed if model.id == word] or [model for model in listed if model.name == word]
    if not found:
        raise NotFoundError(
            f"There is no model with the id or name {word!r:.100}.",
            status=404,
            hint="%loops deploy status lists the models (loops.models.list() in Python).",
        )
    return found


def served_models_frame(found: Sequence[tuple[Model, Sequence[ModelDeployment]]], notes: Sequence[str]) -> pd.DataFrame:
    """Return models with their deployments, one row a deployment.

    Returns
    -------
    pandas.DataFrame
        Columns model_id, name, deployment_id, environment, instance_type (strings), status (category),
        active_replica_count (Int64), created_at (datetime, UTC).
    """
    rows = [(model, deployment) for model, deployments in found for deployment in deployments]
    frame = computed_frame(
        SERVED_MODELS,
        {
            "model_id": [model.id for model, _ in rows],
            "name": [model.name for model, _ in rows],
            "deployment_id": [deployment.id for _, deployment in rows],
            "status": [deployment.status for _, deployment in rows],
            "environment": [deployment.environment for _, deployment in rows],
            "active_replica_count": [deployment.active_replica_count for _, deployment in rows],
            "instance_type": [deployment.instance_type_name for _, deployment in rows],
            "created_at": [
                None if deployment.created_at is None else deployment.created_at.isoformat() for _, deployment in rows
            ],
        },
    )
    frame.attrs[NOTES_ATTR] = list(notes)
    frame.attrs[EMPTY_ATTR] = (
        "No model is deployed. %loops deploy CHECKPOINT --instance-type TYPE --name NAME deploys one."
    )
    return frame
