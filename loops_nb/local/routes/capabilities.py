"""Route of the base models that can be trained."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local import base_models
from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import read_query
from loops_nb.local.schemas import CapabilitiesQuery


async def list_models(request: Request) -> Response:
    """List the supported models."""
    query = read_query(request, CapabilitiesQuery)
    found = base_models.capabilities(name=query.model, use_case=query.use_case, max_seq_len=query.max_seq_len)
    return json_response({"supported_models": found})


ROUTES = [Route("/v1/loops/capabilities", list_models, methods=["GET"])]
