"""Routes of runs, with a sampler (``/runs``) or without one (``/trainers``)."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import json_response
from loops_nb.local.routes.common import owner_of, read_body, read_query, record_of, service_of, team_of, views_of
from loops_nb.local.routes.views import receipt, with_tokenizer
from loops_nb.local.rules import deletion, runs
from loops_nb.local.schemas import CreateRun, CreateTrainer, ListRunsQuery
from loops_nb.local.service import Service
from loops_nb.local.store.records import RunRecord


async def create_run(request: Request) -> Response:
    """Create a run with its paired sampler."""
    body = await read_body(request, CreateRun)
    return _create(request, body, with_sampler=True, sampler_num_replicas=body.sampler_num_replicas)


async def create_trainer(request: Request) -> Response:
    """Create a run without a sampler."""
    return _create(request, await read_body(request, CreateTrainer), with_sampler=False)


async def list_runs(request: Request) -> Response:
    """List runs, newest first."""
    service = service_of(request)
    query = read_query(request, ListRunsQuery)
    found = service.store.find(
        RunRecord,
        owner=owner_of(query.scope),
        id=query.run_id,
        base_model=query.base_model,
        team_id=team_of(request, service),
    )
    views = views_of(request, service)
    return json_response({"runs": [views.run(run) for run in found]})


async def get(request: Request) -> Response:
    """Return a run."""
    service = service_of(request)
    return json_response({"run": views_of(request, service).run(_run(request, service))})


async def deactivate(request: Request) -> Response:
    """End a run, its deployment and its sampler."""
    service = service_of(request)
    run = _run(request, service)
    runs.deactivate(service.store, service.statuses, run)
    return json_response(receipt(run))


async def delete(request: Request) -> Response:
    """Delete a run for good, with those of its checkpoints that nothing uses."""
    service = service_of(request)
    run = _run(request, service)
    done = deletion.delete_run(service.store, service.statuses, service.checkpoints, run)
    await asyncio.to_thread(service.checkpoints.remove_files, done.deleted, run_id=run.id)
    return json_response(
        {"id": run.id, "kept_checkpoints": [deletion.kept_checkpoint(checkpoint) for checkpoint in done.kept]}
    )


def _create(
    request: Request, body: CreateTrainer, *, with_sampler: bool, sampler_num_replicas: int | None = None
) -> Response:
    service = service_of(request)
    run = runs.create(
        service.store,
        service.statuses,
        body,
        with_sampler=with_sampler,
        sampler_num_replicas=sampler_num_replicas,
        team_id=team_of(request, service),
        prefer_serverless=service.settings.prefer_serverless,
    )
    # A run that takes over a deployment gets the trainer of the run before it; any other may have to wait for one.
    if body.reuse_from_run_id is None and body.reuse_from_session_id is None:
        service.workers.admit(run)
    return json_response({"run": with_tokenizer(views_of(request, service).run(run))})


def _run(request: Request, service: Service) -> RunRecord:
    return record_of(request, service, RunRecord, "run_id", "run")


ROUTES = [
    Route("/v1/loops/runs", create_run, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/runs", create_run, methods=["POST"]),
    Route("/v1/loops/trainers", create_trainer, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/trainers", create_trainer, methods=["POST"]),
    # Where the SDK creates what is to have a scope.
    Route("/v1/loops/debug/trainers", create_trainer, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/debug/trainers", create_trainer, methods=["POST"]),
    Route("/v1/loops/runs", list_runs, methods=["GET"]),
    Route("/v1/teams/{team_id}/loops/runs", list_runs, methods=["GET"]),
    Route("/v1/loops/runs/{run_id}", get, methods=["GET"]),
    Route("/v1/loops/runs/{run_id}", delete, methods=["DELETE"]),
    Route("/v1/loops/runs/{run_id}/deactivate", deactivate, methods=["POST"]),
]
