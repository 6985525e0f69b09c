"""Sessions."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.problems import json_response
from loops_nb.local.records import SessionRecord
from loops_nb.local.requests import CreateSession, path_id, read_body
from loops_nb.local.routes.common import service_of, team_of
from loops_nb.local.service import DEFAULT_TEAM, LOCAL_USER


async def create(request: Request) -> Response:
    """Make a session."""
    service = service_of(request)
    body = await read_body(request, CreateSession)
    team_id = team_of(request) or DEFAULT_TEAM
    with service.store.transaction():
        session = SessionRecord(
            id=service.store.fresh_id(SessionRecord),
            created_at=service.now(),
            owner=LOCAL_USER,
            team_id=team_id,
            training_project_id=body.training_project_id,
        )
        service.store.insert(session)
    return json_response({"session": {"id": session.id}})


async def get(request: Request) -> Response:
    """Return a session."""
    session = service_of(request).need(SessionRecord, path_id(request, "session_id", "session"), "session")
    return json_response({"session": {"id": session.id}})


ROUTES = [
    Route("/v1/loops/sessions", create, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/sessions", create, methods=["POST"]),
    Route("/v1/loops/sessions/{session_id}", get, methods=["GET"]),
]
