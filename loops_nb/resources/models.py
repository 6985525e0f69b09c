"""``loops.models``: the inference models of the organisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.api.models import Model, ModelDeployment
from loops_nb.client.operations import samplers, server
from loops_nb.resources.base import Resource
from loops_nb.resources.frames import served_models_frame

if TYPE_CHECKING:
    import pandas as pd


class Models(Resource):
    """The inference models of the organisation: those made from checkpoints, and others."""

    def list(self, *, name: str | None = None) -> list[Model]:
        """List models (``GET /v1/models``).

        Parameters
        ----------
        name : str, optional
            Only the model with this name.

        Returns
        -------
        list of Model
            In the order of the service.

        Examples
        --------
        >>> {model.name: model.id for model in loops.models.list()}
        """
        return self._transport.send(server.models(name=name))

    def get(self, model_id: str) -> Model:
        """Fetch a model (``GET /v1/models/{model_id}``).

        Parameters
        ----------
        model_id : str
            As ``loops.checkpoints.deploy`` returned it.

        Returns
        -------
        Model
            With ``name`` and ``deployments_count``.

        Raises
        ------
        NotFoundError
            If there is no such model.

        Examples
        --------
        >>> loops.models.get("mod_1").name
        """
        return self._transport.send(server.model(model_id))

    def frame(self, model: str | None = None, *, limit: int = 20) -> pd.DataFrame:
        """List models with their deployments as a DataFrame, without the models behind samplers.

        Routes: ``GET /v1/models``, ``GET /v1/loops/samplers``, and ``GET /v1/models/{model_id}/deployments`` for each
        model.

        Parameters
        ----------
        model : str, optional
            Only this one, by id, or all of a name; also one behind a sampler.
        limit : int, default 20
            Largest number of models, the newest ones.

        Returns
        -------
        pandas.DataFrame
            One row a deployment, those of the newest model first: model_id, name, deployment_id, status, environment,
            active_replica_count, instance_type, created_at.

        Raises
        ------
        InvalidArgumentError
            If ``limit`` is less than 1.
        NotFoundError
            If there is no such model.

        Examples
        --------
        >>> loops.models.frame().query("status == 'ACTIVE'")
        """
        from loops_nb.frames.served_models import chosen_models

        listed = self._transport.send(server.models(name=None))
        serving = [] if model is not None else self._transport.send(samplers.list_(scope="org", team_id=None))
        chosen = chosen_models(listed, model, {sampler.model_id for sampler in serving}, limit)
        found: list[tuple[Model, list[ModelDeployment]]] = []
        for one in chosen.models:
            deployments = self._transport.send(server.model_deployments(one.id))
            found += [(one, deployments)]
        return served_models_frame(found, chosen.notes)

    def delete(self, model_id: str) -> dict[str, Any]:
        """Delete a model with its deployments for good (``DELETE /v1/models/{model_id}``).

        The checkpoints that it was made of stay, and are in use by it no more.

        Parameters
        ----------
        model_id : str
            Id of the model.

        Returns
        -------
        dict
            ``id`` and ``deleted``.

        Raises
        ------
        NotFoundError
            If there is no such model.
        ConflictError
            If it is the engine of a run's sampler, which ends with that run.
        OutcomeUnknownError
            If the answer was lost each time; a model that is gone at a repetition counts as deleted.

        Examples
        --------
        >>> loops.models.delete("mod_1")
        """
        return self._transport.send(server.delete_model(model_id))
