"""The URLs of trainers and samplers.

This version of the service keeps records and files and has no trainer, so the operations themselves are answered with 501.  A call
still counts as activity: it keeps a deployment or a sampler awake, and wakes one that has scaled to zero.  ``POST /wake`` on a
sampler is answered in full.

``GET /health`` of a trainer is refused in the one form that training clients take as final; any other error they would take as
"still starting" and ask again for an hour.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.ids import is_id
from loops_nb.local.problems import Problem, conflict, json_response
from loops_nb.local.records import DeploymentRecord, RunRecord, SamplerRecord
from loops_nb.local.routes.common import service_of
from loops_nb.local.service import refuse_data_plane

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def trainer(request: Request) -> Response:
    """Count the activity, then say that there is no trainer."""
    service, key = service_of(request), request.path_params["run_id"]
    run = service.store.get(RunRecord, key) if is_id(key) else None
    if run is None:
        raise refuse_data_plane("run", key)
    deployment = service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
    if deployment is not None and not service.ended(run):
        service.touch(deployment, f"{request.method} /{request.path_params.get('operation', '')[:80]}")
    state = service.status(deployment) if deployment else service.status(run)
    raise _no_data_plane("trainer", state, final=request.path_params.get("operation") == "health")


async def wake(request: Request) -> Response:
    """Wake a sampler that has scaled to zero; 202 while it is on its way, 200 when it is up."""
    sampler = _sampler(request)
    service = service_of(request)
    if service.ended(sampler):
        raise conflict(f"Sampler {sampler.id} is {service.status(sampler)} and cannot be woken.", sampler_id=sampler.id)
    state = service.touch(sampler, "POST /wake")
    return json_response({"status": {"name": state}}, 200 if state == "ACTIVE" else 202)


async def sampler_call(request: Request) -> Response:
    """Count the activity, then say that there is no model behind the sampler."""
    sampler = _sampler(request)
    raise _no_data_plane(
        "sampler", service_of(request).touch(sampler, f"{request.method} /{request.path_params.get('operation', '')[:80]}")
    )


def _sampler(request: Request) -> SamplerRecord:
    key = request.path_params["sampler_id"]
    found = service_of(request).store.get(SamplerRecord, key) if is_id(key) else None
    if found is None:
        raise refuse_data_plane("sampler", key)
    return found


def _no_data_plane(half: str, state: str, *, final: bool = False) -> Problem:
    text = f"This version of the local service keeps records and files; it has no {half} that computes. The call was recorded as activity."
    details = {"half": half, "status": state}
    if final:
        headers = {"X-Baseten-Error-Source": "06", "X-Baseten-Error-Code": "no_data_plane"}
        return Problem(422, "NO_DATA_PLANE", text, details=details, headers=headers)
    return Problem(501, "NO_DATA_PLANE", text, details=details)


ROUTES = [
    Route("/trainers/{run_id}/{operation:path}", trainer, methods=_METHODS),
    Route("/trainers/{run_id}", trainer, methods=_METHODS),
    Route("/samplers/{sampler_id}/wake", wake, methods=["POST"]),
    Route("/samplers/{sampler_id}/{operation:path}", sampler_call, methods=_METHODS),
    Route("/samplers/{sampler_id}", sampler_call, methods=_METHODS),
]
