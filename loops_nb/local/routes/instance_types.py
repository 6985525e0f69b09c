"""Routes of what a deployment needs: instance types, and names of secrets."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local import base_models
from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import service_of, team_of
from loops_nb.local.rules.secrets import SECRETS
from loops_nb.local.store.records import DEFAULT_TEAM, TeamRecord, timestamp


async def list_instance_types(request: Request) -> Response:
    """List the hardware of the table."""
    service_of(request)
    listed = [msgspec.to_builtins(shape) for shape in base_models.HARDWARE.values()]
    return json_response({"instance_types": listed})


async def list_secrets(request: Request) -> Response:
    """List the names of secrets; they belong to the default team, and there are no values."""
    service = service_of(request)
    team_id = team_of(request, service)
    default = next(team for team in service.store.find(TeamRecord) if team.id == DEFAULT_TEAM)
    listed: list[dict[str, Any]] = []
    if team_id in {None, DEFAULT_TEAM}:
        listed = [
            {
                "id": f"secret-{name}",
                "name": name,
                "team_name": default.name,
                "created_at": timestamp(default.created_at),
            }
            for name in SECRETS
        ]
    return json_response({"secrets": listed})


ROUTES = [
    Route("/v1/instance_types", list_instance_types, methods=["GET"]),
    Route("/v1/secrets", list_secrets, methods=["GET"]),
    Route("/v1/teams/{team_id}/secrets", list_secrets, methods=["GET"]),
]
