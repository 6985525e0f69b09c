"""Routes of sessions."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import read_body, record_of, service_of, team_of
from loops_nb.local.schemas import CreateSession
from loops_nb.local.store.records import DEFAULT_TEAM, LOCAL_USER, SessionRecord


async def create(request: Request) -> Response:
    """Make a session."""
    service = service_of(request)
    body = await read_body(request, CreateSession)
    team_id = team_of(request, service) or DEFAULT_TEAM
    with service.store.transaction():
        session = SessionRecord(
            id=service.store.fresh_id(SessionRecord),
            created_at=service.statuses.now(),
            owner=LOCAL_USER,
            team_id=team_id,
            training_project_id=body.training_project_id,
        )
        service.store.insert(session)
    return json_response({"session": {"id": session.id}})


async def get(request: Request) -> Response:
    """Return a session."""
    session = record_of(request, service_of(request), SessionRecord, "session_id", "session")
    return json_response({"session": {"id": session.id}})


ROUTES = [
    Route("/v1/loops/sessions", create, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/sessions", create, methods=["POST"]),
    Route("/v1/loops/sessions/{session_id}", get, methods=["GET"]),
]
