"""The URLs of trainers and samplers: where training and sampling happen.

A trainer's operation is accepted with 202 and polled until it is done; a poll is held until there is something to say.  A bad request is
422: training clients take 400 and 404 as "still starting" and ask again for an hour.  What is final for good (an ended run) carries the
headers that they give up on at once.

Every call counts as activity: it keeps a deployment or a sampler awake, and wakes one that has scaled to zero.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.engine.engine import Engine
from loops_nb.local.engine.operations import Operation
from loops_nb.local.engine.process import OperationError, WorkerDiedError
from loops_nb.local.engine.queued import Queue
from loops_nb.local.engine.samplers import Wanted
from loops_nb.local.engine.submitting import asked_of_shared, check_operation, check_sample
from loops_nb.local.ids import is_id
from loops_nb.local.problems import Problem, conflict, json_response
from loops_nb.local.records import DeploymentRecord, RunRecord, SamplerRecord
from loops_nb.local.routes.common import HOLD_HEALTH_SECONDS, TRAINING_CLIENT, engine_of, service_of
from loops_nb.local.service import Service, refuse_data_plane

_PAUSE = 0.02


async def health(request: Request) -> Response:
    """Tell whether a run's trainer is ready; held for a while when it is not."""
    service, engine = service_of(request), engine_of(request)
    run = _run(request)
    until = asyncio.get_running_loop().time() + min(HOLD_HEALTH_SECONDS, service.settings.hold_seconds)
    while True:
        _refuse_ended(service, run)
        state = _touch(service, run, "GET /health")
        if state in {"RUNNING", "ACTIVE"}:
            return json_response({"status": "ok", "run_id": run.id, "base_model": run.base_model, "step": engine.trainer(run).step()})
        if engine.stopping or asyncio.get_running_loop().time() > until:
            text = f"The trainer of run {run.id} is not ready: its deployment is {state}{_queued(service, engine, run)}."
            raise Problem(503, "NOT_READY", text, details={"status": state})
        await asyncio.sleep(_PAUSE)


async def policy_version(request: Request) -> Response:
    """Return the number of steps that the optimizer has taken."""
    service, run = service_of(request), _run(request)
    _refuse_ended(service, run)
    _touch(service, run, "GET /policy_version")
    return json_response({"policy_version": engine_of(request).trainer(run).step()})


async def submit(request: Request) -> Response:
    """Accept an operation; a request that is sent again with the same ``Idempotency-Key`` gets the same one."""
    service, engine, run = service_of(request), engine_of(request), _run(request)
    name, key = request.path_params["operation"], request.headers.get("idempotency-key", "")
    body = await request.body()
    if engine.stopping:
        raise _stopping()
    trainer = engine.trainer(run)
    operation = trainer.operations.again(key, name, body) if key else None
    if operation is None:
        check_operation(run, name, body)
        _refuse_ended(service, run)
        _touch(service, run, f"POST /{name}")
        operation = Operation(name, body, key)
        trainer.submit(operation)
    return _accepted(operation)


async def poll(request: Request) -> Response:
    """Return how an operation went; held while it is pending, then 408."""
    engine, run = engine_of(request), _run(request)
    operation = engine.trainer(run).operations.get(request.path_params["operation_id"])
    return await _finished(engine, operation)


async def _finished(engine: Engine, operation: Operation | None) -> Response:
    if operation is None:
        raise Problem(404, "UNKNOWN_OPERATION", "There is no such operation, or its result is no longer kept; send the request again.")
    if not await engine.wait(operation):
        if engine.stopping:
            raise _stopping()
        raise Problem(408, "PENDING", f"The operation {operation.name} is still pending; ask again.")
    if operation.answer is None:
        raise Problem(404, "UNKNOWN_OPERATION", "The result of this operation is no longer kept; send the request again.")
    return Response(operation.answer, media_type="application/json")


async def no_such_call(request: Request) -> Response:
    """Refuse what a trainer or a sampler does not have."""
    text = f"{request.method} {request.url.path[:200]} is no call of a trainer or a sampler."
    raise Problem(422, "UNKNOWN_OPERATION", text)


async def wake(request: Request) -> Response:
    """Wake a sampler that has scaled to zero; 202 while it is on its way, 200 when it is up."""
    sampler = _sampler(request)
    service = service_of(request)
    if service.ended(sampler):
        raise conflict(f"Sampler {sampler.id} is {service.status(sampler)} and cannot be woken.", sampler_id=sampler.id)
    state = service.touch(sampler, "POST /wake")
    return json_response({"status": {"name": state}}, 200 if state == "ACTIVE" else 202)


async def sample(request: Request) -> Response:
    """Complete a prompt; on shared capacity it is accepted with 202 and fetched when it is done."""
    record, engine = _sampler(request), engine_of(request)
    body = await request.body()
    if engine.stopping:
        raise _stopping()
    check_sample(body)
    headers = request.headers
    wanted = Wanted(
        pin=headers.get("x-checkpoint-path"),
        floor=_floor(headers.get("x-min-policy-version")),
        run_id=headers.get("x-run-id"),
        sampler_id=headers.get("x-sampler-id"),
        repeat_prompt=headers.get("user-agent", "").startswith(TRAINING_CLIENT),
    )
    key = headers.get("idempotency-key", "")
    if record.model_id is None:
        wanted = msgspec.structs.replace(wanted, pin=asked_of_shared(body, record.base_model) or wanted.pin)
        return _accepted(engine.sampler(record).queue.submit(body, wanted, key))
    try:
        answer, weights = await engine.sampler(record).sample(body, wanted, key)
    except OperationError as error:
        status, code = (422, "INVALID_REQUEST") if error.error_class == "ValueError" else (500, "SAMPLER_FAILED")
        raise Problem(status, code, str(error), details={"error_class": error.error_class}) from None
    except WorkerDiedError as error:
        raise Problem(502, "SAMPLER_DIED", f"The sampler's process {error} before it answered; send the request again.") from None
    return Response(answer, media_type="application/json", headers=_version(weights.version))


async def poll_sample(request: Request) -> Response:
    """Return how a request on shared capacity went; held while it is pending, then 408."""
    engine, queue = _queue(request)
    asked = queue.get(request.path_params["operation_id"])
    answer = await _finished(engine, asked)
    if asked is not None:
        answer.headers.update(_version(asked.version))
    return answer


async def cancel_sample(request: Request) -> Response:
    """Give up a request on shared capacity; 409 when it is finished already."""
    _, queue = _queue(request)
    asked = queue.get(request.path_params["operation_id"])
    if asked is None:
        raise Problem(404, "UNKNOWN_OPERATION", "There is no such operation, or its result is no longer kept.")
    if not queue.cancel(asked):
        raise conflict(f"The operation {asked.id} is finished already.", operation_id=asked.id)
    return json_response({"operation_id": asked.id, "status": "cancelled"})


async def list_served(request: Request) -> Response:
    """List what a sampler serves: the base model, and the weights that its run published."""
    record, service = _sampler(request), service_of(request)
    service.touch(record, "GET /v1/models")
    live = engine_of(request).sampler(record).live_weights()
    served = [{"id": record.base_model, "object": "model", "owned_by": record.owner, "parent": None}]
    if live is not None:
        served.append({"id": live.name, "object": "model", "owned_by": record.owner, "parent": record.base_model})
    return json_response({"object": "list", "data": served})


async def served_version(request: Request) -> Response:
    """Return the version of the weights that a paired sampler serves; 0 before there are any."""
    record = _sampler(request)
    service_of(request).touch(record, "GET /trainers_policy_version")
    live = engine_of(request).sampler(record).live_weights()
    return json_response({"policy_version": live.version if live is not None else 0})


def _run(request: Request) -> RunRecord:
    key = request.path_params["run_id"]
    run = service_of(request).store.get(RunRecord, key) if is_id(key) else None
    if run is None:
        raise refuse_data_plane("run", key)
    meant = request.headers.get("x-run-id", run.id)
    if meant != run.id:
        raise Problem(422, "OTHER_RUN", f"X-Run-Id names run {meant[:80]}; this is the trainer of run {run.id}.")
    return run


def _sampler(request: Request) -> SamplerRecord:
    key = request.path_params["sampler_id"]
    found = service_of(request).store.get(SamplerRecord, key) if is_id(key) else None
    if found is None:
        raise refuse_data_plane("sampler", key)
    return found


def _queue(request: Request) -> tuple[Engine, Queue]:
    record, engine = _sampler(request), engine_of(request)
    return engine, engine.sampler(record).queue


def _accepted(operation: Operation) -> Response:
    return json_response({"operation_id": operation.id, "schema_version": 1}, 202, {"Location": f"/operations/{operation.id}"})


def _version(version: int | None) -> dict[str, str]:
    return {} if version is None else {"x-trainers-policy-version": str(version)}


def _touch(service: Service, run: RunRecord, note: str) -> str:
    deployment = service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
    return service.touch(deployment, note) if deployment is not None else service.status(run)


def _queued(service: Service, engine: Engine, run: RunRecord) -> str:
    deployment = service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
    if deployment is None or not service.is_queued(deployment):
        return ""
    return f" and waits for one of {engine.trainer_slots.limit} trainers ({engine.live_trainers()})"


def _refuse_ended(service: Service, run: RunRecord) -> None:
    if service.ended(run):
        text = f"Run {run.id} has ended; start a new one from one of its checkpoints."
        raise Problem(422, "RUN_ENDED", text, details={"run_id": run.id}, headers=_final("run_ended"))


def _final(code: str) -> dict[str, str]:
    return {"X-Baseten-Error-Source": "06", "X-Baseten-Error-Code": code}


def _floor(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    try:
        return msgspec.convert(text.strip(), int, strict=False)
    except msgspec.ValidationError:
        raise Problem(422, "INVALID_REQUEST", f"X-Min-Policy-Version is {text[:80]!r}; it is a whole number.") from None


def _stopping() -> Problem:
    return Problem(503, "STOPPING", "The local service is being stopped.")


_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
ROUTES = [
    Route("/trainers/{run_id}/health", health, methods=["GET"]),
    Route("/trainers/{run_id}/policy_version", policy_version, methods=["GET"]),
    Route("/trainers/{run_id}/operations/{operation_id}", poll, methods=["GET"]),
    Route("/trainers/{run_id}/{operation}", submit, methods=["POST"]),
    Route("/trainers/{run_id}/{operation:path}", no_such_call, methods=_METHODS),
    Route("/trainers/{run_id}", no_such_call, methods=_METHODS),
    Route("/samplers/{sampler_id}/wake", wake, methods=["POST"]),
    Route("/samplers/{sampler_id}/sample", sample, methods=["POST"]),
    Route("/samplers/{sampler_id}/operations/{operation_id}", poll_sample, methods=["GET"]),
    Route("/samplers/{sampler_id}/operations/{operation_id}/cancel", cancel_sample, methods=["POST"]),
    Route("/samplers/{sampler_id}/v1/models", list_served, methods=["GET"]),
    Route("/samplers/{sampler_id}/trainers_policy_version", served_version, methods=["GET"]),
    Route("/samplers/{sampler_id}/{operation:path}", no_such_call, methods=_METHODS),
    Route("/samplers/{sampler_id}", no_such_call, methods=_METHODS),
]
