"""Routes of model deployments: the engines of samplers, and models made from checkpoints."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import (
    HOLD_HEALTH_SECONDS,
    TRAINING_CLIENT,
    path_id,
    read_body,
    read_query,
    service_of,
)
from loops_nb.local.routes.views import instance_type
from loops_nb.local.rules import logs, metrics, samplers
from loops_nb.local.rules.samplers import ServedModel
from loops_nb.local.schemas import LogsQuery, ModelMetricsQuery, TimeRange
from loops_nb.local.service import Service
from loops_nb.local.store.records import SamplerRecord, timestamp


async def get(request: Request) -> Response:
    """Return a model deployment; its status is plain text.

    A training client asks for it while it waits for a sampler, and then again after ten seconds; so the answer is
    held until the sampler is up.
    """
    service = service_of(request)
    served = _served(request, service)
    if request.headers.get("user-agent", "").startswith(TRAINING_CLIENT):
        await _wait_until_up(service, served)
    status = service.statuses.of(served)
    sampler = isinstance(served, SamplerRecord)
    return json_response(
        {
            "id": served.deployment_id if isinstance(served, SamplerRecord) else served.id,
            "model_id": served.model_id,
            "name": f"sampler-{served.id}" if isinstance(served, SamplerRecord) else served.model_name,
            "created_at": timestamp(served.created_at),
            "is_production": not sampler,
            "is_development": False,
            "status": status,
            "active_replica_count": 1 if status in {"ACTIVE", "UPDATING"} else 0,
            "autoscaling_settings": None,
            "instance_type_name": instance_type(served.base_model)["name"],
            "environment": None,
            "request_backpressure_settings": {"policy": None},
        }
    )


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


async def get_logs(request: Request) -> Response:
    """Return log lines, newest first."""
    service = service_of(request)
    served = _served(request, service)
    return json_response(
        {
            "logs": logs.select(
                logs.served_lines(service.store, service.statuses, served),
                read_query(request, LogsQuery),
                service.statuses.now(),
            )
        }
    )


async def post_logs(request: Request) -> Response:
    """Return log lines of the body's window, newest first."""
    service = service_of(request)
    served = _served(request, service)
    body = await read_body(request, TimeRange)
    query = LogsQuery(start_epoch_millis=body.start_epoch_millis, end_epoch_millis=body.end_epoch_millis)
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


def _served(request: Request, service: Service) -> ServedModel:
    model_id = path_id(request, "model_id", "model")
    return samplers.find_model_deployment(
        service.store, model_id, path_id(request, "deployment_id", "model deployment")
    )


_ON_THE_WAY = {"BUILDING", "DEPLOYING", "LOADING_MODEL", "UPDATING", "WAKING_UP"}
_PAUSE = 0.02
_PATH = "/v1/models/{model_id}/deployments/{deployment_id}"
ROUTES = [
    Route(_PATH, get, methods=["GET"]),
    Route(_PATH + "/deactivate", deactivate, methods=["POST"]),
    Route(_PATH + "/logs", get_logs, methods=["GET"]),
    Route(_PATH + "/metrics", get_metrics, methods=["GET"]),
    Route(_PATH + "/logs", post_logs, methods=["POST"]),
]
