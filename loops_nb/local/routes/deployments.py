"""Loops deployments: state, logs, metrics, debug archive, shutdown."""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local import logs, metrics
from loops_nb.local.debug_archive import write_archive
from loops_nb.local.problems import invalid, json_response
from loops_nb.local.queries import DebugPage, Logs, Scope
from loops_nb.local.records import DeploymentRecord
from loops_nb.local.requests import TimeRange, path_id, read_body, read_query
from loops_nb.local.routes.common import service_of, views_of
from loops_nb.local.routes.downloads import debug_file_path
from loops_nb.local.rules import runs
from loops_nb.local.service import LOCAL_USER
from loops_nb.local.views import receipt

_PAGE_TOKEN = re.compile("[0-9]{1,9}")


async def list_deployments(request: Request) -> Response:
    """List deployments of every status, newest first."""
    scope = read_query(request, Scope).scope
    found = service_of(request).store.find(DeploymentRecord, owner=None if scope == "org" else LOCAL_USER)
    views = views_of(request)
    return json_response({"deployments": [views.deployment(deployment) for deployment in found]})


async def get(request: Request) -> Response:
    """Return a deployment."""
    return json_response({"deployment": views_of(request).deployment(_deployment(request))})


async def deactivate(request: Request) -> Response:
    """Shut a deployment down."""
    deployment = _deployment(request)
    runs.deactivate_deployment(service_of(request), deployment)
    return json_response(receipt(deployment))


async def get_logs(request: Request) -> Response:
    """Return log lines, newest first."""
    service = service_of(request)
    deployment = _deployment(request)
    return json_response({"logs": logs.select(logs.deployment_lines(service, deployment), read_query(request, Logs), service.now())})


async def get_metrics(request: Request) -> Response:
    """Return metrics series."""
    deployment = _deployment(request)
    query = await read_body(request, TimeRange)
    return json_response({"deployment_id": deployment.id, "metrics": metrics.series(service_of(request), deployment, query)})


async def debug_files(request: Request) -> Response:
    """Return one page of the debug archive's files, written as of now."""
    deployment = _deployment(request)
    query = read_query(request, DebugPage)
    offset = 0
    if query.page_token is not None:
        if _PAGE_TOKEN.fullmatch(query.page_token) is None:
            raise invalid("page_token", "page_token must be one that an earlier page gave.")
        offset = int(query.page_token)
    service, views = service_of(request), views_of(request)
    written = write_archive(service, deployment, msgspec.json.encode(views.deployment(deployment)))
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


def _deployment(request: Request) -> DeploymentRecord:
    return service_of(request).need(DeploymentRecord, path_id(request, "deployment_id", "deployment"), "deployment")


ROUTES = [
    Route("/v1/loops/deployments", list_deployments, methods=["GET"]),
    Route("/v1/loops/deployments/{deployment_id}", get, methods=["GET"]),
    Route("/v1/loops/deployments/{deployment_id}/deactivate", deactivate, methods=["POST"]),
    Route("/v1/loops/deployments/{deployment_id}/logs", get_logs, methods=["GET"]),
    Route("/v1/loops/deployments/{deployment_id}/metrics", get_metrics, methods=["POST"]),
    Route("/v1/loops/deployments/{deployment_id}/debug_archive/files", debug_files, methods=["GET"]),
]
