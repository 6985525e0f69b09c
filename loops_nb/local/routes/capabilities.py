"""Base models that can be trained."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local import catalogue
from loops_nb.local.problems import json_response
from loops_nb.local.queries import Capabilities
from loops_nb.local.requests import read_query


async def list_models(request: Request) -> Response:
    """List the supported models."""
    query = read_query(request, Capabilities)
    found = catalogue.capabilities(name=query.model, use_case=query.use_case, max_seq_len=query.max_seq_len)
    return json_response({"supported_models": found})


ROUTES = [Route("/v1/loops/capabilities", list_models, methods=["GET"])]
