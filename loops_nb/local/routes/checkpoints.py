"""Checkpoints: listing, files, source, validation, deployment as a model."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.problems import Problem, json_response
from loops_nb.local.queries import ListCheckpoints, Page
from loops_nb.local.records import CheckpointRecord, RunRecord
from loops_nb.local.requests import DeployCheckpoints, ValidateCheckpoint, path_id, read_body, read_query
from loops_nb.local.routes.common import service_of, views_of
from loops_nb.local.routes.downloads import checkpoint_file_path
from loops_nb.local.rules import checkpoints
from loops_nb.local.service import LOCAL_USER


async def list_checkpoints(request: Request) -> Response:
    """List the checkpoints of exactly one filter, newest first.

    A run that is not here is 404; a URI that names no checkpoint is an empty list.
    """
    service = service_of(request)
    query = read_query(request, ListCheckpoints)
    given = [name for name in ("run_id", "base_model", "checkpoint_path") if getattr(query, name) is not None]
    if len(given) != 1:
        text = f"Give exactly one of run_id, base_model and checkpoint_path (given: {' and '.join(given) or 'none'})."
        raise Problem(400, "VALIDATION_ERROR", text, details={"field": "run_id", "given": given})
    if query.run_id is not None:
        run = service.need(RunRecord, query.run_id, "run")
        documents = service.store.documents(run_id=run.id)
    elif query.base_model is not None:
        documents = service.store.documents(base_model=query.base_model, owner=LOCAL_USER)
    else:
        uri = checkpoints.read_uri(query.checkpoint_path or "", field="checkpoint_path")
        found = checkpoints.find_by_uri(service, uri)
        documents = [found.document] if found else []
    return Response(b'{"checkpoints":[' + b",".join(documents) + b"]}", media_type="application/json")


async def files(request: Request) -> Response:
    """Return one page of a checkpoint's files with presigned URLs; the path takes the checkpoint's id, not its name."""
    checkpoint = service_of(request).need(CheckpointRecord, path_id(request, "checkpoint_id", "checkpoint"), "checkpoint")
    return json_response(files_page(request, checkpoint))


def files_page(request: Request, checkpoint: CheckpointRecord) -> dict[str, Any]:
    """Return the page of files that the query asks for."""
    query = read_query(request, Page)
    rows, total = service_of(request).store.files(checkpoint.id, offset=query.page_token, limit=query.page_size)
    views = views_of(request)
    end = query.page_token + len(rows)
    return {
        "presigned_urls": [
            views.file(checkpoint_file_path(checkpoint.id, name), name=name, node_rank=rank, size_bytes=size, last_modified=modified)
            for name, rank, size, modified in rows
        ],
        "next_page_token": end if rows and end < total else None,
        "total_count": total,
    }


async def source(request: Request) -> Response:
    """Say where the files come from: always the files route."""
    service_of(request).need(CheckpointRecord, path_id(request, "checkpoint_id", "checkpoint"), "checkpoint")
    return json_response({"source": {"kind": "s3"}})


async def validate(request: Request) -> Response:
    """Check that a sampler checkpoint can be used."""
    checkpoints.validate(service_of(request), await read_body(request, ValidateCheckpoint))
    return json_response({})


async def deploy(request: Request) -> Response:
    """Make an inference model from sampler checkpoints."""
    made = checkpoints.deploy(service_of(request), await read_body(request, DeployCheckpoints))
    return json_response({"model_id": made.model_id, "deployment_id": made.id})


ROUTES = [
    Route("/v1/loops/checkpoints", list_checkpoints, methods=["GET"]),
    Route("/v1/loops/checkpoints/validate", validate, methods=["POST"]),
    Route("/v1/loops/checkpoints/deploy", deploy, methods=["POST"]),
    Route("/v1/loops/checkpoints/{checkpoint_id}/files", files, methods=["GET"]),
    Route("/v1/loops/checkpoints/{checkpoint_id}/source", source, methods=["GET"]),
]
