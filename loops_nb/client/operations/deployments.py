"""``/v1/loops/deployments``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from loops_nb.api.decoding import decode_many, decode_object, decode_one
from loops_nb.api.models import LOG_LEVELS, Deactivated, Deployment, DeploymentMetrics, LogLine
from loops_nb.client import checks
from loops_nb.client.operations.paths import loops_path
from loops_nb.client.pagination import FilesPage, PageToken, PageWalk, files_page, page
from loops_nb.client.request import Request, sent

MOST_LOG_LINES = 1000
MOST_FILES_A_PAGE = 1000


def list_(*, scope: str | None = None) -> Request[list[Deployment]]:
    """``GET /v1/loops/deployments``."""
    decode = partial(decode_many, key="deployments", kind=Deployment)
    return Request(
        "GET",
        loops_path("deployments"),
        decode,
        "list deployments",
        query={"scope": checks.optional_text("scope", scope)},
    )


def get(deployment_id: str) -> Request[Deployment]:
    """``GET /v1/loops/deployments/{deployment_id}``."""
    decode = partial(decode_one, key="deployment", kind=Deployment)
    return Request("GET", _path(deployment_id), decode, f"get deployment {deployment_id}")


def deactivate(deployment_id: str) -> Request[Deactivated]:
    """``POST /v1/loops/deployments/{deployment_id}/deactivate``."""
    return Request(
        "POST",
        _path(deployment_id, "deactivate"),
        partial(decode_object, kind=Deactivated),
        f"deactivate deployment {deployment_id}",
        body={},
        safe=False,
        recovery=f"See its state: %loops deployment {deployment_id}",
    )


def logs(
    deployment_id: str,
    *,
    start: datetime | None,
    end: datetime | None,
    direction: str | None,
    limit: int | None,
    min_level: str | None,
) -> Request[list[LogLine]]:
    """``GET /v1/loops/deployments/{deployment_id}/logs``."""
    query = log_query(start=start, end=end, direction=direction, limit=limit, min_level=min_level)
    decode = partial(decode_many, key="logs", kind=LogLine)
    return Request(
        "GET", _path(deployment_id, "logs"), decode, f"get the logs of deployment {deployment_id}", query=query
    )


def log_query(
    *, start: datetime | None, end: datetime | None, direction: str | None, limit: int | None, min_level: str | None
) -> dict[str, str | int | None]:
    """Return the query of a log route."""
    first, last = checks.epoch_millis("start", start), checks.epoch_millis("end", end)
    checks.window(first, last, longest=checks.MAX_LOG_WINDOW)
    return {
        "start_epoch_millis": first,
        "end_epoch_millis": last,
        "direction": checks.optional_one_of("direction", direction, ("asc", "desc")),
        "limit": checks.optional_whole("limit", limit, least=1, most=MOST_LOG_LINES),
        "min_level": checks.optional_one_of("min_level", min_level, LOG_LEVELS),
    }


def metrics(
    deployment_id: str,
    *,
    start: datetime | None,
    end: datetime | None,
    step_seconds: int | None,
    time_divisor_seconds: int | None,
) -> Request[DeploymentMetrics]:
    """``POST /v1/loops/deployments/{deployment_id}/metrics``; it reads, so it may be repeated."""
    first, last = checks.epoch_millis("start", start), checks.epoch_millis("end", end)
    checks.window(first, last)
    body = sent(
        start_epoch_millis=first,
        end_epoch_millis=last,
        step_seconds=checks.optional_whole("step_seconds", step_seconds, least=1),
        time_divisor_seconds=checks.optional_whole("time_divisor_seconds", time_divisor_seconds, least=1),
    )
    decode = partial(decode_one, key="metrics", kind=DeploymentMetrics)
    return Request(
        "POST", _path(deployment_id, "metrics"), decode, f"get the metrics of deployment {deployment_id}", body=body
    )


def debug_files(deployment_id: str, *, page_size: int) -> PageWalk:
    """``GET /v1/loops/deployments/{deployment_id}/debug_archive/files``, page by page."""
    checked = _debug_files(deployment_id, page_size)
    return PageWalk(lambda token: checked(token).with_decoder(page), first=None)


def one_debug_page(deployment_id: str, *, page_size: int, page_token: str | None) -> Request[FilesPage]:
    """``GET /v1/loops/deployments/{deployment_id}/debug_archive/files``, one page; the token is opaque."""
    token = checks.optional_text("page_token", page_token)
    return _debug_files(deployment_id, page_size)(token).with_decoder(files_page)


def _debug_files(deployment_id: str, page_size: int) -> Callable[[PageToken], Request[bytes]]:
    path = _path(deployment_id, "debug_archive", "files")
    size = checks.whole("page_size", page_size, least=1, most=MOST_FILES_A_PAGE)
    description = f"list the debug files of deployment {deployment_id}"
    return lambda token: Request("GET", path, bytes, description, query={"page_size": size, "page_token": token})


def _path(deployment_id: str, *more: str) -> str:
    return loops_path("deployments", checks.path_part("deployment_id", deployment_id), *more)
