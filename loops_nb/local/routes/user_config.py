"""Routes of the user's GPU preferences."""

from __future__ import annotations

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import read_body, service_of
from loops_nb.local.rules.hardware import PREFERENCES, set_user_config, user_config
from loops_nb.local.schemas import PatchUserConfig


async def get(request: Request) -> Response:
    """Return the preferences."""
    return json_response({"user_config": user_config(service_of(request).store)})


async def patch(request: Request) -> Response:
    """Merge a patch into the preferences: left out keeps, null clears, a list sets."""
    service = service_of(request)
    body = await read_body(request, PatchUserConfig)
    config = user_config(service.store)
    config |= {name: getattr(body, name) for name in PREFERENCES if getattr(body, name) is not UNSET}
    with service.store.transaction():
        set_user_config(service.store, config)
    return json_response({"user_config": config})


ROUTES = [
    Route("/v1/loops/user_config", get, methods=["GET"]),
    Route("/v1/loops/user_config", patch, methods=["PATCH"]),
]
