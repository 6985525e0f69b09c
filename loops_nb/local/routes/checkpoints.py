"""Routes of checkpoints: listing, files, source, validation, deployment as a model."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import HTTPError, json_response
from loops_nb.local.routes.common import read_body, read_query, record_of, service_of, views_of
from loops_nb.local.routes.downloads import checkpoint_file_path
from loops_nb.local.rules import checkpoints, deletion
from loops_nb.local.rules.lookup import lookup
from loops_nb.local.schemas import DeployCheckpoints, FilePageQuery, ListCheckpointsQuery, ValidateCheckpoint
from loops_nb.local.service import Service
from loops_nb.local.store.ids import is_id
from loops_nb.local.store.records import (
    LOCAL_USER,
    CheckpointRecord,
    DeletedRunRecord,
    RunRecord,
    TombstoneRecord,
)


async def list_checkpoints(request: Request) -> Response:
    """List the checkpoints of exactly one filter, newest first.

    A run that is not here is 404; a URI that names no checkpoint is an empty list.
    """
    service = service_of(request)
    query = read_query(request, ListCheckpointsQuery)
    given = [name for name in ("run_id", "base_model", "checkpoint_path") if getattr(query, name) is not None]
    if len(given) != 1:
        text = f"Give exactly one of run_id, base_model and checkpoint_path (given: {' and '.join(given) or 'none'})."
        raise HTTPError(400, "VALIDATION_ERROR", text, details={"field": "run_id", "given": given})
    if query.run_id is not None:
        # What was kept of a deleted run is still listed.
        if service.store.get(DeletedRunRecord, query.run_id) is None:
            lookup(service.store, RunRecord, query.run_id, "run")
        documents = service.store.documents(run_id=query.run_id)
    elif query.base_model is not None:
        documents = service.store.documents(base_model=query.base_model, owner=LOCAL_USER)
    else:
        uri = checkpoints.read_uri(query.checkpoint_path or "", field="checkpoint_path")
        found = checkpoints.find_by_uri(service.store, uri)
        documents = [found.document] if found else []
    return Response(b'{"checkpoints":[' + b",".join(documents) + b"]}", media_type="application/json")


async def files(request: Request) -> Response:
    """Return one page of a checkpoint's files with presigned URLs; the path takes the checkpoint's id, not its name."""
    service = service_of(request)
    return json_response(files_page(request, service, _checkpoint(request, service)))


def files_page(request: Request, service: Service, checkpoint: CheckpointRecord) -> dict[str, Any]:
    """Return the page of files that the query asks for."""
    query = read_query(request, FilePageQuery)
    rows, total = service.store.files(checkpoint.id, offset=query.page_token, limit=query.page_size)
    views = views_of(request, service)
    end = query.page_token + len(rows)
    return {
        "presigned_urls": [
            views.file(
                checkpoint_file_path(checkpoint.id, name),
                name=name,
                node_rank=rank,
                size_bytes=size,
                last_modified=modified,
            )
            for name, rank, size, modified in rows
        ],
        "next_page_token": end if rows and end < total else None,
        "total_count": total,
    }


async def source(request: Request) -> Response:
    """Say where the files come from: always the files route."""
    _checkpoint(request, service_of(request))
    return json_response({"source": {"kind": "s3"}})


async def validate(request: Request) -> Response:
    """Check that a sampler checkpoint can be used."""
    body = await read_body(request, ValidateCheckpoint)
    checkpoints.validate(service_of(request).store, body)
    return json_response({})


async def deploy(request: Request) -> Response:
    """Deploy sampler checkpoints as an inference model."""
    body = await read_body(request, DeployCheckpoints)
    service = service_of(request)
    made = checkpoints.deploy(service.store, service.statuses, body)
    return json_response({"model_id": made.model_id, "deployment_id": made.id})


async def delete(request: Request) -> Response:
    """Delete a checkpoint for good; once more answers the same."""
    service = service_of(request)
    store, key = service.store, str(request.path_params["checkpoint_id"])
    if not is_id(key):
        raise deletion.unknown_checkpoint(store, key)
    gone = store.get(TombstoneRecord, key)
    if gone is not None:
        return json_response(deletion.tombstone(gone))
    checkpoint = store.get(CheckpointRecord, key)
    if checkpoint is None:
        raise deletion.unknown_checkpoint(store, key)
    deletion.refuse_used(store, service.statuses, checkpoint)
    run = store.get(RunRecord, checkpoint.run_id)
    if checkpoint.target == "trainer" and run is not None and not service.statuses.has_ended(run):
        service.workers.trainer(run).keep_state(checkpoint)
    with store.transaction():
        service.checkpoints.forget(checkpoint)
    await asyncio.to_thread(service.checkpoints.remove_files, [key])
    return json_response(deletion.tombstone(lookup(store, TombstoneRecord, key, "checkpoint")))


def _checkpoint(request: Request, service: Service) -> CheckpointRecord:
    return record_of(request, service, CheckpointRecord, "checkpoint_id", "checkpoint")


ROUTES = [
    Route("/v1/loops/checkpoints", list_checkpoints, methods=["GET"]),
    Route("/v1/loops/checkpoints/validate", validate, methods=["POST"]),
    Route("/v1/loops/checkpoints/deploy", deploy, methods=["POST"]),
    Route("/v1/loops/checkpoints/{checkpoint_id}", delete, methods=["DELETE"]),
    Route("/v1/loops/checkpoints/{checkpoint_id}/files", files, methods=["GET"]),
    Route("/v1/loops/checkpoints/{checkpoint_id}/source", source, methods=["GET"]),
]
