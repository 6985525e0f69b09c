"""Routes of Loops deployments: status, logs, metrics, debug archive, deactivation."""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import invalid, json_response
from loops_nb.local.routes.common import owner_of, read_body, read_query, record_of, service_of, views_of
from loops_nb.local.routes.downloads import debug_file_path
from loops_nb.local.routes.views import receipt
from loops_nb.local.rules import logs, metrics, runs
from loops_nb.local.rules.debug_archive import write_archive
from loops_nb.local.schemas import DebugPageQuery, LogsQuery, ScopeQuery, TimeRange
from loops_nb.local.service import Service
from loops_nb.local.store.records import DeploymentRecord

_PAGE_TOKEN = re.compile("[0-9]{1,9}")


async def list_deployments(request: Request) -> Response:
    """List deployments of every status, newest first."""
    service = service_of(request)
    scope = read_query(request, ScopeQuery).scope
    found = service.store.find(DeploymentRecord, owner=owner_of(scope))
    views = views_of(request, service)
    return json_response({"deployments": [views.deployment(deployment) for deployment in found]})


async def get(request: Request) -> Response:
    """Return a deployment."""
    service = service_of(request)
    return json_response({"deployment": views_of(request, service).deployment(_deployment(request, service))})


async def deactivate(request: Request) -> Response:
    """Shut a deployment down."""
    service = service_of(request)
    deployment = _deployment(request, service)
    runs.deactivate_deployment(service.store, service.statuses, deployment)
    return json_response(receipt(deployment))


async def get_logs(request: Request) -> Response:
    """Return log lines, newest first."""
    service = service_of(request)
    lines = logs.deployment_lines(service.store, service.statuses, _deployment(request, service))
    return json_response({"logs": logs.select(lines, read_query(request, LogsQuery), service.statuses.now())})


async def get_metrics(request: Request) -> Response:
    """Return metrics series."""
    query = await read_body(request, TimeRange)
    service = service_of(request)
    deployment = _deployment(request, service)
    series = metrics.deployment_series(service.workers.measured, deployment, query, service.statuses.now())
    return json_response({"deployment_id": deployment.id, "metrics": series})


async def debug_files(request: Request) -> Response:
    """Return one page of the debug archive's files, written as of now."""
    service = service_of(request)
    deployment = _deployment(request, service)
    query = read_query(request, DebugPageQuery)
    offset = 0
    if query.page_token is not None:
        if _PAGE_TOKEN.fullmatch(query.page_token) is None:
            raise invalid("page_token", "page_token must be one that an earlier page gave.")
        offset = int(query.page_token)
    views = views_of(request, service)
    written = write_archive(
        service.store, service.statuses, deployment, msgspec.json.encode(views.deployment(deployment))
    )
    page = written[offset : offset + query.page_size]
    end = offset + len(page)
    return json_response(
        {
            "presigned_urls": [
                views.file(
                    debug_file_path(deployment.id, path.name),
                    name=path.name,
                    node_rank=0,
                    size_bytes=path.stat().st_size,
                    last_modified=path.stat().st_mtime_ns // 1_000_000,
                )
                for path in page
            ],
            "next_page_token": str(end) if page and end < len(written) else None,
        }
    )


def _deployment(request: Request, service: Service) -> DeploymentRecord:
    return record_of(request, service, DeploymentRecord, "deployment_id", "deployment")


ROUTES = [
    Route("/v1/loops/deployments", list_deployments, methods=["GET"]),
    Route("/v1/loops/deployments/{deployment_id}", get, methods=["GET"]),
    Route("/v1/loops/deployments/{deployment_id}/deactivate", deactivate, methods=["POST"]),
    Route("/v1/loops/deployments/{deployment_id}/logs", get_logs, methods=["GET"]),
    Route("/v1/loops/deployments/{deployment_id}/metrics", get_metrics, methods=["POST"]),
    Route("/v1/loops/deployments/{deployment_id}/debug_archive/files", debug_files, methods=["GET"]),
]
