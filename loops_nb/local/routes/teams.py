"""Route of teams."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import service_of
from loops_nb.local.store.records import TeamRecord, timestamp


async def list_teams(request: Request) -> Response:
    """List the teams."""
    teams = [
        {"id": team.id, "name": team.name, "default": team.is_default, "created_at": timestamp(team.created_at)}
        for team in service_of(request).store.find(TeamRecord)
    ]
    return json_response({"teams": teams})


ROUTES = [Route("/v1/teams", list_teams, methods=["GET"])]
