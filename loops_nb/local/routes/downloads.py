"""File downloads behind presigned URLs: ranges, conditional requests and HEAD."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from loops_nb.local.http_errors import HTTPError
from loops_nb.local.routes.common import service_of
from loops_nb.local.routes.ranges import usable_range
from loops_nb.local.store.records import CheckpointRecord, FileRecord
from loops_nb.local.weights.files import CHECKPOINTS

DEBUG = "debug"
DEBUG_FILES = ("deployment.json", "events.jsonl", "logs.jsonl", "sampler_logs.jsonl")


def checkpoint_file_path(checkpoint_id: str, name: str) -> str:
    """Return the URL path of a checkpoint's file."""
    return f"/files/{CHECKPOINTS}/{checkpoint_id}/{name}"


def debug_file_path(deployment_id: str, name: str) -> str:
    """Return the URL path of a file of a deployment's debug archive."""
    return f"/files/{DEBUG}/{deployment_id}/{name}"


async def checkpoint_file(request: Request) -> Response:
    """Send a file of a checkpoint."""
    _check(request)
    service = service_of(request)
    checkpoint_id, name = request.path_params["checkpoint_id"], request.path_params["name"]
    record = service.store.get(FileRecord, f"{checkpoint_id}/{name}")
    checkpoint = service.store.get(CheckpointRecord, checkpoint_id)
    if record is None or checkpoint is None:
        raise HTTPError(404, "NOT_FOUND", "There is no such file.")
    # The parts come from the records, not from the request.
    path = service.store.data_dir / CHECKPOINTS / checkpoint.id / record.name
    return _send(path, record.sha256)


async def debug_file(request: Request) -> Response:
    """Send a file of a deployment's debug archive."""
    _check(request)
    name = request.path_params["name"]
    if name not in DEBUG_FILES:
        raise HTTPError(404, "NOT_FOUND", "There is no such file.")
    path = service_of(request).store.data_dir / DEBUG / request.path_params["deployment_id"] / name
    return _send(path, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")


def _check(request: Request) -> None:
    service = service_of(request)
    expires, signature = request.query_params.get("expires", ""), request.query_params.get("signature", "")
    service.urls.check(request.scope["path"], expires=expires, signature=signature)


def _send(path: Path, sha256: str) -> Response:
    if not path.is_file():
        raise HTTPError(
            404, "FILE_MISSING", f"The file {path.name} is in the records but no longer in the data folder."
        )
    headers = {
        "ETag": f'"{sha256}"',
        # As S3 sends it: of the whole file, also with a part of it, so that a client can verify what it downloaded.
        "x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(sha256)).decode(),
        "x-amz-checksum-type": "FULL_OBJECT",
        # Weights must not get into a shared cache.
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return RangeFileResponse(path, headers=headers, media_type="application/octet-stream", stat_result=path.stat())


class RangeFileResponse(FileResponse):
    """A file that ignores the ``Range`` headers which HTTP says are to be ignored."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the file, or with parts of it."""
        asked = Headers(scope=scope).get("range")
        if asked is not None:
            usable = usable_range(asked, int(self.headers["content-length"]))
            headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
            scope = {**scope, "headers": headers if usable is None else [*headers, (b"range", usable.encode())]}
        await super().__call__(scope, receive, send)


ROUTES = [
    Route("/files/checkpoints/{checkpoint_id}/{name:path}", checkpoint_file, methods=["GET"]),
    Route("/files/debug/{deployment_id}/{name}", debug_file, methods=["GET"]),
]
