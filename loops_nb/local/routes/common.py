"""What the routes share: reaching the service, the caller's origin, the team of the path."""

from __future__ import annotations

import contextlib
import sqlite3

from starlette.requests import Request

from loops_nb.local.engine.engine import Engine
from loops_nb.local.engine.saves import bring_up_to_date
from loops_nb.local.ids import is_id
from loops_nb.local.problems import Problem, not_found
from loops_nb.local.service import Service
from loops_nb.local.store import StoreError
from loops_nb.local.views import Views

#: Training clients wait ten seconds for an answer about readiness, and ten more before they ask again.
HOLD_HEALTH_SECONDS = 8.0
#: How the user agent of the training client begins.
TRAINING_CLIENT = "baseten-loops/"


def service_of(request: Request) -> Service:
    """Return the service behind the application."""
    found = request.app.state.service
    if not isinstance(found, Service):
        raise Problem(503, "STOPPED", "The local service has been stopped.")
    # A disk that takes nothing must not keep anybody from reading; what is due stays due.
    with contextlib.suppress(sqlite3.Error, OSError, StoreError):
        bring_up_to_date(found)
    return found


def engine_of(request: Request) -> Engine:
    """Return what computes."""
    found = request.app.state.engine
    if not isinstance(found, Engine):
        raise Problem(503, "STOPPED", "The local service has been stopped.")
    return found


def views_of(request: Request) -> Views:
    """Return the maker of answers, with the URLs of the address that the caller used (its host was checked before)."""
    return Views(service_of(request), f"http://{request.headers['host']}")


def team_of(request: Request) -> str | None:
    """Return the team of the path, None on a route without one; 404 for an unknown team."""
    key = request.path_params.get("team_id")
    if key is None:
        return None
    if not is_id(key):
        raise not_found("team", key[:200])
    return service_of(request).team(key).id
