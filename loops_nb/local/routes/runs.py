"""Runs, with a sampler (``/runs``) or without one (``/trainers``)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.problems import json_response
from loops_nb.local.queries import ListRuns
from loops_nb.local.records import RunRecord
from loops_nb.local.requests import CreateRun, CreateTrainer, path_id, read_body, read_query
from loops_nb.local.routes.common import engine_of, service_of, team_of, views_of
from loops_nb.local.rules import runs
from loops_nb.local.service import LOCAL_USER
from loops_nb.local.views import receipt, with_tokenizer


async def create_run(request: Request) -> Response:
    """Make a run with its paired sampler."""
    body = await read_body(request, CreateRun)
    run = runs.create(
        service_of(request), body, with_sampler=True, sampler_num_replicas=body.sampler_num_replicas, team_id=team_of(request)
    )
    _admit(request, body, run)
    return json_response({"run": with_tokenizer(views_of(request).run(run))})


async def create_trainer(request: Request) -> Response:
    """Make a run without a sampler."""
    body = await read_body(request, CreateTrainer)
    run = runs.create(service_of(request), body, with_sampler=False, team_id=team_of(request))
    _admit(request, body, run)
    return json_response({"run": with_tokenizer(views_of(request).run(run))})


async def list_runs(request: Request) -> Response:
    """List runs, newest first."""
    query = read_query(request, ListRuns)
    found = service_of(request).store.find(
        RunRecord,
        owner=None if query.scope == "org" else LOCAL_USER,
        id=query.run_id,
        base_model=query.base_model,
        team_id=team_of(request),
    )
    views = views_of(request)
    return json_response({"runs": [views.run(run) for run in found]})


async def get(request: Request) -> Response:
    """Return a run."""
    run = service_of(request).need(RunRecord, path_id(request, "run_id", "run"), "run")
    return json_response({"run": views_of(request).run(run)})


async def deactivate(request: Request) -> Response:
    """End a run, its deployment and its sampler."""
    service = service_of(request)
    run = service.need(RunRecord, path_id(request, "run_id", "run"), "run")
    runs.deactivate(service, run)
    return json_response(receipt(run))


def _admit(request: Request, body: CreateTrainer, run: RunRecord) -> None:
    """Queue a run whose trainer has to wait; one that takes over a deployment gets the trainer of the run before it."""
    if body.reuse_from_run_id is None and body.reuse_from_session_id is None:
        engine_of(request).admit(run)


ROUTES = [
    Route("/v1/loops/runs", create_run, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/runs", create_run, methods=["POST"]),
    Route("/v1/loops/trainers", create_trainer, methods=["POST"]),
    Route("/v1/teams/{team_id}/loops/trainers", create_trainer, methods=["POST"]),
    Route("/v1/loops/runs", list_runs, methods=["GET"]),
    Route("/v1/teams/{team_id}/loops/runs", list_runs, methods=["GET"]),
    Route("/v1/loops/runs/{run_id}", get, methods=["GET"]),
    Route("/v1/loops/runs/{run_id}/deactivate", deactivate, methods=["POST"]),
]
