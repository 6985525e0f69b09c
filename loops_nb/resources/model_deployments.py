"""``loops.model_deployments``: the deployments of models, behind samplers or made from checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

from loops_nb.api.models import LogLine, ModelDeployment, ModelMetrics
from loops_nb.client.operations import server
from loops_nb.client.operations.line_filters import LineFilters
from loops_nb.resources.base import Resource
from loops_nb.sampling.blocking import sleep

# Inside the class the name `list` is the method.
LogLines: TypeAlias = list[LogLine]


class ModelDeployments(Resource):
    """The deployments of models, behind samplers or made from checkpoints, by model and deployment id."""

    def list(self, model_id: str) -> list[ModelDeployment]:
        """List the deployments of a model (``GET /v1/models/{model_id}/deployments``).

        Parameters
        ----------
        model_id : str
            As in a sampler, or as ``loops.checkpoints.deploy`` returned it.

        Returns
        -------
        list of ModelDeployment
            In the order of the service.

        Raises
        ------
        NotFoundError
            If there is no such model.

        Examples
        --------
        >>> [deployment.status for deployment in loops.model_deployments.list("mod_1")]
        """
        return self._transport.send(server.model_deployments(model_id))

    def get(self, model_id: str, deployment_id: str) -> ModelDeployment:
        """Fetch a model deployment (``GET /v1/models/{model_id}/deployments/{deployment_id}``).

        Parameters
        ----------
        model_id, deployment_id : str
            As in a sampler.

        Returns
        -------
        ModelDeployment
            With its ``status``.

        Raises
        ------
        NotFoundError
            If there is no such deployment.

        Examples
        --------
        >>> sampler = loops.samplers.get("samp_1")
        >>> loops.model_deployments.get(sampler.model_id, sampler.deployment_id).status
        'ACTIVE'
        """
        return self._transport.send(server.model_deployment(model_id, deployment_id))

    def wait(
        self,
        model_id: str,
        deployment_id: str,
        *,
        timeout: float | None = None,
        quiet: bool = False,
        former_status: str | None = None,
    ) -> ModelDeployment:
        """Wait until a deployment can be called (``GET /v1/models/{model_id}/deployments/{deployment_id}``).

        Parameters
        ----------
        model_id, deployment_id : str
            As ``loops.checkpoints.deploy`` returned them.
        timeout : float, optional
            Seconds to wait at most; default is no limit.
        quiet : bool, default False
            Write nothing.
        former_status : str, optional
            Its state before it was activated or retried: for half a minute that state is not taken for its end.

        Returns
        -------
        ModelDeployment
            Its ``status`` is ``ACTIVE``, or ``SCALED_TO_ZERO``, which the next call wakes.

        Raises
        ------
        NeverReachedError
            As soon as it has failed or ended.
        WaitTimeoutError
            If it took longer than ``timeout``; the deployment goes on.
        NotFoundError
            If there is no such deployment.

        Examples
        --------
        >>> made = loops.checkpoints.deploy(...)
        >>> loops.model_deployments.wait(made.model_id, made.deployment_id, timeout=1800).status
        'ACTIVE'
        """
        from loops_nb.live.wait.model_deployment import ModelDeploymentWait

        waiting = ModelDeploymentWait(
            model_id, deployment_id, timeout=timeout, quiet=quiet, former_status=former_status
        )
        with waiting:
            while True:
                found = self._transport.send(server.model_deployment(model_id, deployment_id))
                if waiting.is_over(found):
                    return found
                sleep(waiting.pause())

    def deactivate(self, model_id: str, deployment_id: str) -> dict[str, Any]:
        """End a model deployment (``POST /v1/models/{model_id}/deployments/{deployment_id}/deactivate``).

        Parameters
        ----------
        model_id, deployment_id : str
            As in a sampler.

        Returns
        -------
        dict
            The answer of the service; it has no documented shape.

        Raises
        ------
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> loops.model_deployments.deactivate("mod_1", "dep_1")
        """
        return self._transport.send(server.deactivate_model_deployment(model_id, deployment_id))

    def activate(self, model_id: str, deployment_id: str) -> dict[str, Any]:
        """Start a model deployment that was ended, or wake one that sleeps.

        Route: ``POST /v1/models/{model_id}/deployments/{deployment_id}/activate``.

        Parameters
        ----------
        model_id, deployment_id : str
            The deployment.

        Returns
        -------
        dict
            ``success``, and ``no_op`` if it was up already.

        Raises
        ------
        NotFoundError
            If there is no such deployment.
        ConflictError
            If it is the engine of a run's sampler, which lives and ends with that run.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> loops.model_deployments.activate("mod_1", "dep_1")
        """
        return self._transport.send(server.activate_model_deployment(model_id, deployment_id))

    def retry(self, model_id: str, deployment_id: str) -> dict[str, Any]:
        """Start a model deployment again that failed.

        Route: ``POST /v1/models/{model_id}/deployments/{deployment_id}/retry``.

        Parameters
        ----------
        model_id, deployment_id : str
            The deployment.

        Returns
        -------
        dict
            ``retried``, ``reason`` if it was not, and the ``deployment``.

        Raises
        ------
        NotFoundError
            If there is no such deployment.
        ConflictError
            If it is the engine of a run's sampler, which lives and ends with that run.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> loops.model_deployments.retry("mod_1", "dep_1")
        """
        return self._transport.send(server.retry_model_deployment(model_id, deployment_id))

    def delete(self, model_id: str, deployment_id: str) -> dict[str, Any]:
        """Delete a model deployment for good (``DELETE /v1/models/{model_id}/deployments/{deployment_id}``).

        Parameters
        ----------
        model_id, deployment_id : str
            The deployment.

        Returns
        -------
        dict
            ``id``, ``model_id`` and ``deleted``.

        Raises
        ------
        NotFoundError
            If there is no such deployment.
        ConflictError
            If it is the engine of a run's sampler, which lives and ends with that run.
        OutcomeUnknownError
            If the answer was lost each time; one that is gone at a repetition counts as deleted.

        Examples
        --------
        >>> loops.model_deployments.delete("mod_1", "dep_1")
        """
        return self._transport.send(server.delete_model_deployment(model_id, deployment_id))

    def logs(
        self,
        model_id: str,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        limit: int | None = 500,
        min_level: str | None = None,
        search_pattern: str | None = None,
        includes: Sequence[str] | None = None,
        excludes: Sequence[str] | None = None,
        replica: str | None = None,
        request_id: str | None = None,
        component: str | None = None,
    ) -> LogLines:
        """Fetch log lines (``GET /v1/models/{model_id}/deployments/{deployment_id}/logs``).

        Parameters
        ----------
        model_id, deployment_id : str
            As in a sampler.
        start, end : datetime.datetime, optional
            With a time zone; default is the last 30 minutes, 7 days at most.
        direction : {"asc", "desc"}, optional
            Order of time; default is newest first.
        limit : int, default 500
            1 to 1000 lines.
        min_level : {"DEBUG", "INFO", "WARNING", "ERROR"}, optional
            Lowest level; setting it leaves out lines without a level.
        search_pattern : str, optional
            RE2 pattern that is found in the text, of 256 characters at most.
        includes, excludes : sequence of str, optional
            Texts that are all in the text of a line, and of which none is; 8 each at most.
        replica, request_id, component : str, optional
            Only lines of this replica, inference request or component.

        Returns
        -------
        list of LogLine
            In that order.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> lines = loops.model_deployments.logs("mod_1", "dep_1", limit=100, includes=["CUDA"])
        """
        filters = LineFilters(
            search_pattern=search_pattern,
            includes=includes,
            excludes=excludes,
            replica=replica,
            request_id=request_id,
            component=component,
        )
        return self._transport.send(
            server.model_deployment_logs(
                model_id,
                deployment_id,
                start=start,
                end=end,
                direction=direction,
                limit=limit,
                min_level=min_level,
                filters=filters,
            )
        )

    def search_logs(
        self,
        model_id: str,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        limit: int | None = None,
        min_level: str | None = None,
        search_pattern: str | None = None,
        includes: Sequence[str] | None = None,
        excludes: Sequence[str] | None = None,
        replica: str | None = None,
        request_id: str | None = None,
        component: str | None = None,
    ) -> LogLines:
        """Fetch log lines by the older route (``POST /v1/models/{model_id}/deployments/{deployment_id}/logs``).

        Parameters
        ----------
        model_id, deployment_id : str
            As in a sampler.
        start, end : datetime.datetime, optional
            With a time zone, 7 days at most.
        direction, limit, min_level
            As in `logs`.
        search_pattern, includes, excludes, replica, request_id, component
            As in `logs`.

        Returns
        -------
        list of LogLine
            In the order of the service.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> lines = loops.model_deployments.search_logs("mod_1", "dep_1")
        """
        filters = LineFilters(
            search_pattern=search_pattern,
            includes=includes,
            excludes=excludes,
            replica=replica,
            request_id=request_id,
            component=component,
        )
        return self._transport.send(
            server.search_model_deployment_logs(
                model_id,
                deployment_id,
                start=start,
                end=end,
                direction=direction,
                limit=limit,
                min_level=min_level,
                filters=filters,
            )
        )

    def metrics(
        self,
        model_id: str,
        deployment_id: str,
        *,
        mode: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        metrics: Sequence[str] | None = None,
    ) -> ModelMetrics:
        """Fetch system metrics (``GET /v1/models/{model_id}/deployments/{deployment_id}/metrics``).

        Parameters
        ----------
        model_id, deployment_id : str
            As in a sampler.
        mode : {"SERIES", "SUMMARY", "CURRENT"}, default "SERIES"
            Points in even steps, one set of values over the window, or the values now.
        start, end : datetime.datetime, optional
            With a time zone; default is the last hour, 7 days at most.
        metrics : sequence of str, optional
            Names of metrics; by default active replicas, requests and response time.

        Returns
        -------
        ModelMetrics
            Descriptors, and by step the values of each.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> sampler = loops.samplers.get("samp_1")
        >>> loops.model_deployments.metrics(sampler.model_id, sampler.deployment_id).metric_values
        """
        return self._transport.send(
            server.model_deployment_metrics(model_id, deployment_id, mode=mode, start=start, end=end, metrics=metrics)
        )
