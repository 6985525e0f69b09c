"""Route of teams."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import read_query, record_of, service_of
from loops_nb.local.schemas import TeamsQuery
from loops_nb.local.store.records import TeamRecord, timestamp


async def list_teams(request: Request) -> Response:
    """List the teams."""
    name = read_query(request, TeamsQuery).name
    teams = service_of(request).store.find(TeamRecord)
    return json_response({"teams": [_team(team) for team in teams if name is None or team.name == name]})


async def get(request: Request) -> Response:
    """Return a team, bare."""
    return json_response(_team(record_of(request, service_of(request), TeamRecord, "team_id", "team")))


def _team(team: TeamRecord) -> dict[str, Any]:
    return {"id": team.id, "name": team.name, "default": team.is_default, "created_at": timestamp(team.created_at)}


ROUTES = [
    Route("/v1/teams", list_teams, methods=["GET"]),
    Route("/v1/teams/{team_id}", get, methods=["GET"]),
]
