"""Helpers of the routes: the service behind the application, request parsing, path parameters."""

from __future__ import annotations

import logging
import re
import sqlite3
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct
from starlette.requests import Request

from loops_nb.local.errors import StoreError
from loops_nb.local.http_errors import HTTPError, invalid, not_found
from loops_nb.local.routes.views import Views
from loops_nb.local.rules.lookup import lookup
from loops_nb.local.service import Service
from loops_nb.local.store.ids import is_id
from loops_nb.local.store.records import LOCAL_USER, StoredRecord, TeamRecord

logger: logging.Logger = logging.getLogger(__name__)

B = TypeVar("B", bound=Struct)
R = TypeVar("R", bound=StoredRecord)
_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
#: Training clients wait ten seconds for an answer about readiness, and ten more before they ask again.
HOLD_HEALTH_SECONDS = 8.0
#: How the user agent of the training client begins.
TRAINING_CLIENT = "baseten-loops/"


def service_of(request: Request) -> Service:
    """Return the service behind the application, with what is due settled."""
    found = request.app.state.service
    if not isinstance(found, Service):
        raise HTTPError(503, "STOPPED", "The local service has been stopped.")
    try:
        found.checkpoints.settle_due()
    except (sqlite3.Error, OSError, StoreError):
        # A disk that takes nothing must not keep requests from reading; what is due stays due.
        logger.debug("checkpoints could not be settled", exc_info=True)
    return found


def views_of(request: Request, service: Service) -> Views:
    """Return the views, with URLs of the address that the caller used (its host was checked before)."""
    return Views(service.store, service.statuses, service.urls, f"http://{request.headers['host']}")


def team_of(request: Request, service: Service) -> str | None:
    """Return the team of the path, None on a route without one; 404 for an unknown team."""
    key = request.path_params.get("team_id")
    if key is None:
        return None
    if not is_id(key):
        raise not_found("team", key[:200])
    return lookup(service.store, TeamRecord, key, "team").id


def owner_of(scope: str | None) -> str | None:
    """Return the owner whose things a listing of a scope has; None for those of all."""
    if scope == "org":
        return None
    return LOCAL_USER


def record_of(request: Request, service: Service, kind: type[R], parameter: str, what: str) -> R:
    """Return the record whose id is a parameter of the path; 404 where there is none."""
    return lookup(service.store, kind, path_id(request, parameter, what), what)


async def read_body(request: Request, kind: type[B]) -> B:
    """Read a JSON body; an empty one counts as ``{}``.

    Raises
    ------
    HTTPError
        400, naming the field at fault.
    """
    body = await request.body()
    try:
        # msgspec does not look into the fields that it skips.
        body.decode()
        return msgspec.json.decode(body.strip() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPError(400, "INVALID_JSON", f"The request body is not JSON: {error}.") from None
    except RecursionError:
        raise HTTPError(400, "INVALID_JSON", "The request body is nested too deeply.") from None


def read_query(request: Request, kind: type[B]) -> B:
    """Read the query parameters that a Struct names; an empty one counts as left out.

    Raises
    ------
    HTTPError
        400, naming the parameter at fault.
    """
    found: dict[str, Any] = {}
    for name in msgspec.structs.fields(kind):
        values = request.query_params.getlist(name.name)
        if _is_list(name.type):
            found[name.name] = [value for value in values if value not in {"", "null"}]
            continue
        if len(values) > 1:
            raise invalid(name.name, f"{name.name} may be given once, not {len(values)} times.")
        if values and values[0] not in {"", "null"}:
            found[name.name] = values[0]
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None


def _is_list(annotation: Any) -> bool:
    """Return whether a field is a list, also where it may be None or has bounds."""
    return get_origin(annotation) is list or any(_is_list(part) for part in get_args(annotation))


def path_id(request: Request, name: str, what: str) -> str:
    """Return an id of the path.

    Raises
    ------
    HTTPError
        404, if it cannot be an id at all.
    """
    text = str(request.path_params[name])
    if not is_id(text):
        raise HTTPError(404, "NOT_FOUND", f"There is no {what} with such an id.", details={"resource": what})
    return text


def _refused(text: str) -> HTTPError:
    place = _PLACE.search(text)
    path = ""
    if place is not None:
        path = place["path"].lstrip(".")
    missing = _MISSING.search(text)
    if missing:
        path = f"{path}.{missing['name']}".lstrip(".")
        return invalid(path, f"{path} is required.")
    words = _PLACE.sub("", text).replace("`", "").replace("Expected", "expected")
    return invalid(path, f"{path or 'The body'}: {words}.")
