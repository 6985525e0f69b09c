"""Routes of samplers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import owner_of, read_body, read_query, record_of, service_of, team_of, views_of
from loops_nb.local.routes.views import receipt, with_tokenizer
from loops_nb.local.rules import samplers
from loops_nb.local.schemas import CreateSampler, ScopeQuery
from loops_nb.local.service import Service
from loops_nb.local.store.records import SamplerRecord


async def create(request: Request) -> Response:
    """Create a sampler, standalone or paired with a run."""
    body = await read_body(request, CreateSampler)
    service = service_of(request)
    sampler = samplers.create(
        service.store,
        service.statuses,
        body,
        team_id=team_of(request, service),
        prefer_serverless=service.settings.prefer_serverless,
    )
    return json_response({"sampler": with_tokenizer(views_of(request, service).sampler(sampler))})


async def list_samplers(request: Request) -> Response:
    """List samplers, newest first."""
    service = service_of(request)
    scope = read_query(request, ScopeQuery).scope
    found = service.store.find(SamplerRecord, owner=owner_of(scope), team_id=team_of(request, service))
    views = views_of(request, service)
    return json_response({"samplers": [views.sampler(sampler) for sampler in found]})


async def get(request: Request) -> Response:
    """Return a sampler."""
    service = service_of(request)
    return json_response({"sampler": views_of(request, service).sampler(_sampler(request, service))})


async def deactivate(request: Request) -> Response:
    """End a standalone sampler."""
    service = service_of(request)
    sampler = _sampler(request, service)
    samplers.deactivate(service.store, service.statuses, sampler)
    return json_response(receipt(sampler))


def _sampler(request: Request, service: Service) -> SamplerRecord:
    return record_of(request, service, SamplerRecord, "sampler_id", "sampler")


ROUTES = [
    Route("/v1/loops/samplers", create, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/samplers", create, methods=["POST"]),
    # Where the SDK creates what is to have a scope.
    Route("/v1/loops/debug/samplers", create, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/debug/samplers", create, methods=["POST"]),
    Route("/v1/loops/samplers", list_samplers, methods=["GET"]),
    Route("/v1/teams/{team_id}/loops/samplers", list_samplers, methods=["GET"]),
    Route("/v1/loops/samplers/{sampler_id}", get, methods=["GET"]),
    Route("/v1/loops/samplers/{sampler_id}/deactivate", deactivate, methods=["POST"]),
]
