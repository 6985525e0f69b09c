"""Route of GraphQL, which command-line tools of Baseten use beside the API: a clear error.

What they do over it is to push a packaged model to a bucket of the hosted service, and nothing here is such a bucket.
The schema is not published either.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import service_of

_TEXT = (
    "The local service has no GraphQL: over it a command-line tool uploads a packaged model to the hosted service. "
    "Nothing was deployed. Deploy checkpoints with %loops deploy in a notebook, loops.checkpoints.deploy(...) in "
    "Python, or POST /v1/loops/checkpoints/deploy."
)


async def refuse(request: Request) -> Response:
    """Answer any query with an error in GraphQL's own form, which its clients show."""
    service_of(request)
    return json_response({"data": None, "errors": [{"message": _TEXT, "extensions": {"code": "NOT_SUPPORTED"}}]})


ROUTES = [Route("/graphql", refuse, methods=["POST"]), Route("/graphql/", refuse, methods=["POST"])]
