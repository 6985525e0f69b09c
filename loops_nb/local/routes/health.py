"""Is it there, and is it this one?  Needs no key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb._version import __version__
from loops_nb.local.problems import json_response
from loops_nb.local.routes.common import service_of


async def health(request: Request) -> Response:
    """Say who is answering."""
    instance = service_of(request).settings.instance
    return json_response({"status": "ok", "service": "loops_nb.local", "instance": instance, "version": __version__})


ROUTES = [Route("/health", health, methods=["GET"])]
