"""HTTP errors of the service, with the JSON body ``{"code", "message", "details"}``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route


class HTTPError(Exception):
    """An HTTP response other than 200, raised.

    Parameters
    ----------
    status : int
        HTTP status.
    code : str
        Machine-readable error code.
    message : str
        Text for the user.
    details : dict, optional
        Machine-readable details; ``field`` names the invalid field.
    headers : dict, optional
        Extra response headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details: dict[str, Any] = details or {}
        self.headers = headers

    def response(self) -> Response:
        """Return the HTTP response."""
        return json_response(
            {"code": self.code, "message": self.message, "details": self.details}, self.status, self.headers
        )


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def invalid(field: str, message: str) -> HTTPError:
    """Return the 400 for one field of the body or the query."""
    return HTTPError(400, "VALIDATION_ERROR", message, details={"field": field})


def not_found(what: str, name: str) -> HTTPError:
    """Return the 404 for an unknown id."""
    return HTTPError(404, "NOT_FOUND", f"There is no {what} {name!r} here.", details={"resource": what, "id": name})


def conflict(message: str, **details: Any) -> HTTPError:
    """Return the 409 for an action that the current state does not allow."""
    return HTTPError(409, "CONFLICT", message, details=details)


async def on_http_error(_: Request, error: Exception) -> Response:
    """Answer an `HTTPError`."""
    if not isinstance(error, HTTPError):
        raise error
    return error.response()


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer the router's errors (no such route, other method) in the same form."""
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers) if error.headers else None
    if error.status_code == HTTPStatus.NOT_FOUND:
        return HTTPError(404, "NOT_FOUND", f"There is no route {request.method} {request.url.path[:200]!r}.").response()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = sorted(
            {method for route in request.app.routes if _has_path(route, request) for method in route.methods or ()}
        )
        text = f"{request.method} is not a method of {request.url.path[:200]!r}; it has {', '.join(allowed)}."
        return HTTPError(405, "METHOD_NOT_ALLOWED", text, headers={"Allow": ", ".join(allowed)}).response()
    return HTTPError(error.status_code, "HTTP_ERROR", str(error.detail), headers=headers).response()


def _has_path(route: Route, request: Request) -> bool:
    return route.matches(request.scope)[0] is not Match.NONE


async def on_unexpected_error(_: Request, error: Exception) -> Response:
    """Answer an unexpected exception; the traceback goes to the service's log."""
    return HTTPError(
        500, "INTERNAL_ERROR", f"The local service failed ({type(error).__name__}); its log has the details."
    ).response()
