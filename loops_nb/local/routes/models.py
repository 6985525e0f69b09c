"""Model deployments: the engines of samplers, and models made from checkpoints."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local import logs
from loops_nb.local.problems import json_response
from loops_nb.local.queries import Logs
from loops_nb.local.records import SamplerRecord
from loops_nb.local.requests import TimeRange, path_id, read_body, read_query
from loops_nb.local.routes.common import HOLD_HEALTH_SECONDS, TRAINING_CLIENT, engine_of, service_of
from loops_nb.local.rules import samplers
from loops_nb.local.rules.samplers import Served
from loops_nb.local.views import instance_type, timestamp


async def get(request: Request) -> Response:
    """Return a model deployment; its status is plain text.

    A training client asks for it while it waits for a sampler, and then again after ten seconds; so it is told late rather than early.
    """
    served = _served(request)
    if request.headers.get("user-agent", "").startswith(TRAINING_CLIENT):
        await _wait_until_up(request, served)
    status = service_of(request).status(served)
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
    service, served = service_of(request), _served(request)
    before = service.ended(served)
    if isinstance(served, SamplerRecord):
        samplers.deactivate(service, served)
    elif not before:
        with service.store.transaction():
            service.happened(served, "deactivated", note="on request")
    return json_response({"success": True, "no_op": before})


async def get_logs(request: Request) -> Response:
    """Return log lines, newest first."""
    service, served = service_of(request), _served(request)
    return json_response({"logs": logs.select(logs.served_lines(service, served), read_query(request, Logs), service.now())})


async def post_logs(request: Request) -> Response:
    """Return log lines of the body's window, newest first."""
    service, served = service_of(request), _served(request)
    body = await read_body(request, TimeRange)
    query = Logs(start_epoch_millis=body.start_epoch_millis, end_epoch_millis=body.end_epoch_millis)
    return json_response({"logs": logs.select(logs.served_lines(service, served), query, service.now())})


async def _wait_until_up(request: Request, served: Served) -> None:
    service, engine = service_of(request), engine_of(request)
    until = asyncio.get_running_loop().time() + min(HOLD_HEALTH_SECONDS, service.settings.hold_seconds)
    while not engine.stopping and asyncio.get_running_loop().time() < until:
        if service.status(served) not in _ON_THE_WAY:
            return
        await asyncio.sleep(_PAUSE)


def _served(request: Request) -> Served:
    model_id = path_id(request, "model_id", "model")
    return samplers.find_model_deployment(service_of(request), model_id, path_id(request, "deployment_id", "model deployment"))


_ON_THE_WAY = {"BUILDING", "DEPLOYING", "LOADING_MODEL", "UPDATING", "WAKING_UP"}
_PAUSE = 0.02
_PATH = "/v1/models/{model_id}/deployments/{deployment_id}"
ROUTES = [
    Route(_PATH, get, methods=["GET"]),
    Route(_PATH + "/deactivate", deactivate, methods=["POST"]),
    Route(_PATH + "/logs", get_logs, methods=["GET"]),
    Route(_PATH + "/logs", post_logs, methods=["POST"]),
]
