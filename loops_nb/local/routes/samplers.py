"""Samplers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.problems import json_response
from loops_nb.local.queries import Scope
from loops_nb.local.records import SamplerRecord
from loops_nb.local.requests import CreateSampler, path_id, read_body, read_query
from loops_nb.local.routes.common import service_of, team_of, views_of
from loops_nb.local.rules import samplers
from loops_nb.local.service import LOCAL_USER
from loops_nb.local.views import receipt, with_tokenizer


async def create(request: Request) -> Response:
    """Make a sampler, standalone or paired with a run."""
    body = await read_body(request, CreateSampler)
    sampler = samplers.create(service_of(request), body, team_id=team_of(request))
    return json_response({"sampler": with_tokenizer(views_of(request).sampler(sampler))})


async def list_samplers(request: Request) -> Response:
    """List samplers, newest first."""
    scope = read_query(request, Scope).scope
    found = service_of(request).store.find(SamplerRecord, owner=None if scope == "org" else LOCAL_USER, team_id=team_of(request))
    views = views_of(request)
    return json_response({"samplers": [views.sampler(sampler) for sampler in found]})


async def get(request: Request) -> Response:
    """Return a sampler."""
    sampler = service_of(request).need(SamplerRecord, path_id(request, "sampler_id", "sampler"), "sampler")
    return json_response({"sampler": views_of(request).sampler(sampler)})


async def deactivate(request: Request) -> Response:
    """End a standalone sampler."""
    service = service_of(request)
    sampler = service.need(SamplerRecord, path_id(request, "sampler_id", "sampler"), "sampler")
    samplers.deactivate(service, sampler)
    return json_response(receipt(sampler))


ROUTES = [
    Route("/v1/loops/samplers", create, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/samplers", create, methods=["POST"]),
    Route("/v1/loops/samplers", list_samplers, methods=["GET"]),
    Route("/v1/teams/{team_id}/loops/samplers", list_samplers, methods=["GET"]),
    Route("/v1/loops/samplers/{sampler_id}", get, methods=["GET"]),
    Route("/v1/loops/samplers/{sampler_id}/deactivate", deactivate, methods=["POST"]),
]
