"""Routes of prices and billed usage."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local import base_models
from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import read_query, service_of
from loops_nb.local.rules import billing
from loops_nb.local.schemas import UsageQuery


async def list_prices(request: Request) -> Response:
    """List the made-up prices; each says that it is one, in a field that the hosted service does not have."""
    service_of(request)
    listed = [
        {
            "instance_type": msgspec.to_builtins(shape),
            "price": base_models.price(shape),
            "note": base_models.PRICE_NOTE,
        }
        for shape in base_models.HARDWARE.values()
    ]
    return json_response({"instance_types": listed})


async def usage_summary(request: Request) -> Response:
    """Return what was used between two dates."""
    service = service_of(request)
    start, end = billing.dates(read_query(request, UsageQuery))
    return json_response(billing.summary(service.store, service.statuses, start, end))


ROUTES = [
    Route("/v1/instance_type_prices", list_prices, methods=["GET"]),
    Route("/v1/billing/usage_summary", usage_summary, methods=["GET"]),
]
