"""Health check and welcome text; no key needed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb._version import __version__
from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import service_of


async def health(request: Request) -> Response:
    """Return the status, the version and the instance id."""
    instance = service_of(request).settings.instance
    return json_response({"status": "ok", "service": "loops_nb.local", "instance": instance, "version": __version__})


async def welcome(request: Request) -> Response:
    """Say what this is and how to connect, for a browser that opened the address."""
    url = f"http://{request.headers['host']}"
    text = f"This is the local service of the Loops API. In a notebook: %load_ext loops_nb, then %loops connect {url}"
    return json_response({"service": "loops_nb.local", "version": __version__, "message": text})


ROUTES = [
    Route("/", welcome, methods=["GET"]),
    Route("/health", health, methods=["GET"]),
]
