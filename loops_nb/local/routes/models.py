"""Routes of model deployments: the engines of samplers, and models made from checkpoints."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local import base_models
from loops_nb.local.http_errors import json_response, not_found
from loops_nb.local.routes.common import (
    HOLD_HEALTH_SECONDS,
    TRAINING_CLIENT,
    path_id,
    read_body,
    read_query,
    service_of,
)
from loops_nb.local.rules import logs, metrics, model_deployments, samplers
from loops_nb.local.rules.hardware import hardware_of
from loops_nb.local.rules.samplers import ServedModel
from loops_nb.local.schemas import ModelLogsQuery, ModelMetricsQuery
from loops_nb.local.service import Service
from loops_nb.local.store.records import (
    DEFAULT_TEAM,
    ModelDeploymentRecord,
    SamplerRecord,
    SessionRecord,
    TeamRecord,
    timestamp,
)


async def get(request: Request) -> Response:
    """Return a model deployment; its status is plain text.

    A training client asks for it while it waits for a sampler, and then again after ten seconds; so the answer is
    held until the sampler is up.
    """
    service = service_of(request)
    served = _served(request, service)
    if request.headers.get("user-agent", "").startswith(TRAINING_CLIENT):
        await _wait_until_up(service, served)
    return json_response(_deployment(service, served))


async def list_models(request: Request) -> Response:
    """List the models, the newest first: those behind samplers, and those made from checkpoints."""
    service = service_of(request)
    name = request.query_params.get("name") or None
    listed = [_model(service, served) for served in samplers.served_models(service.store)]
    return json_response({"models": [model for model in listed if name in {None, model["name"]}]})


async def get_model(request: Request) -> Response:
    """Return a model."""
    service = service_of(request)
    return json_response(_model(service, _of_model(request, service)))


async def list_deployments(request: Request) -> Response:
    """List the deployments of a model; each has one here."""
    service = service_of(request)
    deployment = _deployment(service, _of_model(request, service))
    name = request.query_params.get("name") or None
    return json_response({"deployments": [deployment] if name in {None, deployment["name"]} else []})


async def deactivate(request: Request) -> Response:
    """End a model deployment; that of a paired sampler ends with its run only."""
    service = service_of(request)
    served = _served(request, service)
    before = service.statuses.has_ended(served)
    if isinstance(served, SamplerRecord):
        samplers.deactivate(service.store, service.statuses, served)
    elif not before:
        with service.store.transaction():
            service.statuses.record(served, "deactivated", note="on request")
    return json_response({"success": True, "no_op": before})


async def activate(request: Request) -> Response:
    """Start a model deployment that has ended, or wake one that sleeps."""
    service = service_of(request)
    done = model_deployments.activate(service.store, service.statuses, _served(request, service))
    return json_response({"success": True, "no_op": not done})


async def retry(request: Request) -> Response:
    """Start a model deployment again that failed."""
    service = service_of(request)
    served = _served(request, service)
    done = model_deployments.retry(service.store, service.statuses, served)
    deployment = _deployment(service, served)
    return json_response({"retried": done.started, "reason": done.reason, "deployment": deployment})


async def delete_deployment(request: Request) -> Response:
    """Delete a model deployment."""
    service = service_of(request)
    served = _served(request, service)
    key = request.path_params["deployment_id"]
    model_deployments.delete(service.store, service.statuses, served)
    return json_response({"id": key, "deleted": True, "model_id": served.model_id})


async def delete_model(request: Request) -> Response:
    """Delete a model with its deployment."""
    service = service_of(request)
    served = _of_model(request, service)
    model_deployments.delete(service.store, service.statuses, served)
    return json_response({"id": served.model_id, "deleted": True})


async def get_logs(request: Request) -> Response:
    """Return log lines, newest first."""
    service = service_of(request)
    served = _served(request, service)
    return json_response(
        {
            "logs": logs.select(
                logs.served_lines(service.store, service.statuses, served),
                read_query(request, ModelLogsQuery),
                service.statuses.now(),
            )
        }
    )


async def post_logs(request: Request) -> Response:
    """Return log lines by the filters of the body, newest first."""
    service = service_of(request)
    served = _served(request, service)
    query = await read_body(request, ModelLogsQuery)
    return json_response(
        {"logs": logs.select(logs.served_lines(service.store, service.statuses, served), query, service.statuses.now())}
    )


async def get_metrics(request: Request) -> Response:
    """Return what was measured of the process that serves it, and of its requests."""
    service = service_of(request)
    served = _served(request, service)
    query = read_query(request, ModelMetricsQuery)
    now = service.statuses.now()
    return json_response(metrics.model_metrics(service.workers.measured, served.id, query, now))


async def _wait_until_up(service: Service, served: ServedModel) -> None:
    until = asyncio.get_running_loop().time() + min(HOLD_HEALTH_SECONDS, service.settings.hold_seconds)
    while not service.workers.stopping and asyncio.get_running_loop().time() < until:
        if service.statuses.of(served) not in _ON_THE_WAY:
            return
        await asyncio.sleep(_PAUSE)


def _deployment(service: Service, served: ServedModel) -> dict[str, Any]:
    """Return a model deployment; its status is plain text."""
    status = service.statuses.of(served)
    is_sampler = isinstance(served, SamplerRecord)
    return {
        "id": served.deployment_id if isinstance(served, SamplerRecord) else served.id,
        "model_id": served.model_id,
        "name": _name(served),
        "created_at": timestamp(served.created_at),
        "is_production": not is_sampler,
        "is_development": False,
        "status": status,
        "active_replica_count": 1 if status in {"ACTIVE", "UPDATING"} else 0,
        "autoscaling_settings": None,
        "instance_type_name": _instance_type_name(service, served),
        "environment": None if is_sampler else "production",
        "request_backpressure_settings": {"policy": None},
    }


def _model(service: Service, served: ServedModel) -> dict[str, Any]:
    deployment_id = served.deployment_id if isinstance(served, SamplerRecord) else served.id
    session = service.store.get(SessionRecord, served.session_id) if isinstance(served, SamplerRecord) else None
    team = service.store.get(TeamRecord, DEFAULT_TEAM if session is None else session.team_id)
    return {
        "id": served.model_id,
        "created_at": timestamp(served.created_at),
        "name": _name(served),
        "deployments_count": 1,
        "production_deployment_id": None if isinstance(served, SamplerRecord) else deployment_id,
        "development_deployment_id": None,
        "instance_type_name": _instance_type_name(service, served),
        "team_name": "" if team is None else team.name,
    }


def _name(served: ServedModel) -> str:
    return f"sampler-{served.id}" if isinstance(served, SamplerRecord) else served.model_name


def _instance_type_name(service: Service, served: ServedModel) -> str:
    if isinstance(served, ModelDeploymentRecord):
        # Those of older versions of the service may have any text.
        shape = base_models.HARDWARE.get(served.instance_type_id)
        return served.instance_type_id if shape is None else shape.name
    return hardware_of(service.store, served).name


def _of_model(request: Request, service: Service) -> ServedModel:
    model_id = path_id(request, "model_id", "model")
    found = next((one for one in samplers.served_models(service.store) if one.model_id == model_id), None)
    if found is None:
        raise not_found("model", model_id)
    return found


def _served(request: Request, service: Service) -> ServedModel:
    model_id = path_id(request, "model_id", "model")
    return samplers.find_model_deployment(
        service.store, model_id, path_id(request, "deployment_id", "model deployment")
    )


_ON_THE_WAY = {"BUILDING", "DEPLOYING", "LOADING_MODEL", "UPDATING", "WAKING_UP"}
_PAUSE = 0.02
_PATH = "/v1/models/{model_id}/deployments/{deployment_id}"
ROUTES = [
    Route("/v1/models", list_models, methods=["GET"]),
    Route("/v1/models/{model_id}", get_model, methods=["GET"]),
    Route("/v1/models/{model_id}/deployments", list_deployments, methods=["GET"]),
    Route("/v1/models/{model_id}", delete_model, methods=["DELETE"]),
    Route(_PATH, get, methods=["GET"]),
    Route(_PATH, delete_deployment, methods=["DELETE"]),
    Route(_PATH + "/activate", activate, methods=["POST"]),
    Route(_PATH + "/retry", retry, methods=["POST"]),
    Route(_PATH + "/deactivate", deactivate, methods=["POST"]),
    Route(_PATH + "/logs", get_logs, methods=["GET"]),
    Route(_PATH + "/metrics", get_metrics, methods=["GET"]),
    Route(_PATH + "/logs", post_logs, methods=["POST"]),
]
