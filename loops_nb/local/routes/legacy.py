"""Legacy routes: the same records under older names."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import invalid, json_response, not_found
from loops_nb.local.routes import sessions
from loops_nb.local.routes.checkpoints import files_page
from loops_nb.local.routes.common import path_id, read_body, record_of, service_of, views_of
from loops_nb.local.routes.views import legacy_checkpoint
from loops_nb.local.rules import checkpoints, runs, samplers
from loops_nb.local.rules.lookup import lookup
from loops_nb.local.schemas import (
    CreateSampler,
    CreateTrainer,
    LegacyCheckpointSearch,
    LegacyCreateSampler,
    LegacyCreateTrainer,
    LegacyTrainerSearch,
)
from loops_nb.local.service import Service
from loops_nb.local.store.records import LOCAL_USER, CheckpointRecord, RunRecord, SamplerRecord


async def search_trainers(request: Request) -> Response:
    """List runs, newest first, or the one with an id."""
    body = await read_body(request, LegacyTrainerSearch)
    found = service_of(request).store.find(RunRecord, owner=LOCAL_USER, id=body.trainer_id)
    return json_response(
        {
            "trainers": [
                {"trainer_id": run.id, "session_id": run.session_id, "base_model": run.base_model} for run in found
            ]
        }
    )


async def search_checkpoint(request: Request) -> Response:
    """Return the checkpoint that a URI names."""
    body = await read_body(request, LegacyCheckpointSearch)
    found = checkpoints.need_by_uri(service_of(request).store, body.checkpoint_path, field="checkpoint_path")
    return json_response({"checkpoint": legacy_checkpoint(found.document)})


async def create_trainer(request: Request) -> Response:
    """Make a run with its sampler."""
    service = service_of(request)
    session_id = path_id(request, "session_id", "session")
    body = await read_body(request, LegacyCreateTrainer)
    samplers.check_base_model(body.model, field="model")
    wanted = CreateTrainer(
        session_id=session_id,
        base_model=body.model,
        max_seq_len=body.max_seq_len,
        lora_rank=body.lora_rank,
        seed=body.seed,
        scale_down_delay_seconds=body.scale_down_delay_seconds,
        path=body.checkpoint_path,
    )
    run = runs.create(service.store, service.statuses, wanted, with_sampler=True)
    sampler = lookup(service.store, SamplerRecord, run.sampler_id or "", "sampler")
    server = {
        "id": run.id,
        "base_url": views_of(request, service).trainer_url(run.id),
        "sampling_server": _sampling_server(request, service, sampler),
    }
    return json_response({"trainer_server": server})


async def create_sampler(request: Request) -> Response:
    """Make a standalone sampler."""
    session_id = path_id(request, "session_id", "session")
    body = await read_body(request, LegacyCreateSampler)
    samplers.check_base_model(body.model, field="model")
    wanted = CreateSampler(
        session_id=session_id,
        base_model=body.model,
        max_seq_length=body.max_seq_length,
        model_path=body.checkpoint_path,
    )
    service = service_of(request)
    sampler = samplers.create(service.store, service.statuses, wanted)
    return json_response({"sampling_server": _sampling_server(request, service, sampler)})


async def list_checkpoints(request: Request) -> Response:
    """List a run's checkpoints, newest first."""
    service = service_of(request)
    run = _run(request, service)
    documents = service.store.documents(run_id=run.id)
    return json_response({"trainer_id": run.id, "checkpoints": [legacy_checkpoint(document) for document in documents]})


async def files(request: Request) -> Response:
    """Return one page of a checkpoint's files."""
    service = service_of(request)
    run = _run(request, service)
    key = path_id(request, "checkpoint_id", "checkpoint")
    checkpoint = lookup(service.store, CheckpointRecord, key, "checkpoint")
    if checkpoint.run_id != run.id:
        raise not_found(f"checkpoint of run {run.id} with the id", key)
    return json_response(files_page(request, service, checkpoint))


def _run(request: Request, service: Service) -> RunRecord:
    session_id = path_id(request, "session_id", "session")
    run = record_of(request, service, RunRecord, "trainer_id", "run")
    if run.session_id != session_id:
        raise not_found(f"run {run.id} in the session", session_id)
    return run


def _sampling_server(request: Request, service: Service, sampler: SamplerRecord) -> dict[str, Any]:
    if sampler.model_id is None or sampler.deployment_id is None:
        raise invalid("model", "A sampler on shared capacity has no legacy form.")
    return {
        "id": sampler.id,
        "base_url": views_of(request, service).sampler_url(sampler.id),
        "model_id": sampler.model_id,
        "deployment_id": sampler.deployment_id,
    }


_TRAINER = "/v1/trainer_sessions/{session_id}/trainers"
ROUTES = [
    Route("/v1/trainers/search", search_trainers, methods=["POST"]),
    Route("/v1/trainers/checkpoints/search", search_checkpoint, methods=["POST"]),
    Route("/v1/trainer_sessions", sessions.create, methods=["POST"]),
    Route(_TRAINER, create_trainer, methods=["POST"]),
    Route("/v1/trainer_sessions/{session_id}/samplers", create_sampler, methods=["POST"]),
    Route(_TRAINER + "/{trainer_id}/checkpoints", list_checkpoints, methods=["GET"]),
    Route(_TRAINER + "/{trainer_id}/checkpoints/{checkpoint_id}/files", files, methods=["GET"]),
]
