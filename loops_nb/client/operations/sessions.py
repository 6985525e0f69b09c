"""``/v1/loops/sessions``."""

from __future__ import annotations

from functools import partial

from loops_nb.api.decoding import decode_one
from loops_nb.api.models import Session
from loops_nb.client import checks
from loops_nb.client.operations.paths import loops_path
from loops_nb.client.request import CREATE_SECONDS, Request, sent

_session = partial(decode_one, key="session", kind=Session)


def create(*, training_project_id: str | None = None, team_id: str | None = None) -> Request[Session]:
    """``POST /v1/loops/sessions``."""
    return Request(
        "POST",
        loops_path("sessions", team_id=team_id),
        _session,
        "create a session",
        body=sent(training_project_id=checks.optional_identifier("training_project_id", training_project_id)),
        safe=False,
        recovery="A session whose answer was lost costs nothing; it is safe to create another.",
        seconds=CREATE_SECONDS,
    )


def get(session_id: str) -> Request[Session]:
    """``GET /v1/loops/sessions/{session_id}``."""
    return Request(
        "GET", loops_path("sessions", checks.path_part("session_id", session_id)), _session, f"get session {session_id}"
    )
