"""Routes of the user's GPU preferences."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import read_body, service_of
from loops_nb.local.schemas import PatchUserConfig
from loops_nb.local.service import Service

FIELDS = ("trainer_accelerator_priority", "sampler_accelerator_priority")
_KEY = "user_config"


async def get(request: Request) -> Response:
    """Return the preferences."""
    return json_response({"user_config": _read(service_of(request))})


async def patch(request: Request) -> Response:
    """Merge a patch into the preferences: left out keeps, null clears, a list sets."""
    service = service_of(request)
    body = await read_body(request, PatchUserConfig)
    config = _read(service)
    config |= {name: getattr(body, name) for name in FIELDS if getattr(body, name) is not UNSET}
    with service.store.transaction():
        service.store.set_setting(_KEY, msgspec.json.encode(config).decode())
    return json_response({"user_config": config})


def _read(service: Service) -> dict[str, Any]:
    stored = service.store.setting(_KEY)
    return dict.fromkeys(FIELDS) if stored is None else msgspec.json.decode(stored, type=dict[str, Any])


ROUTES = [
    Route("/v1/loops/user_config", get, methods=["GET"]),
    Route("/v1/loops/user_config", patch, methods=["PATCH"]),
]
