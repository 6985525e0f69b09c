"""Data plane: the URLs of trainers and samplers.

A trainer's operation is accepted with 202 and polled until it is done; a poll is held until there is something to say.
A bad request is 422: training clients take 400 and 404 as "still starting" and ask again for an hour.  What is final
for good (an ended run) carries the headers that they give up on at once.

Every call counts as activity: it keeps a deployment or a sampler awake, and wakes one that has scaled to zero.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.local.http_errors import HTTPError, conflict, json_response
from loops_nb.local.routes.common import HOLD_HEALTH_SECONDS, TRAINING_CLIENT, R, service_of
from loops_nb.local.rules.lookup import deployment_of
from loops_nb.local.service import Service
from loops_nb.local.store.ids import is_id
from loops_nb.local.store.records import DeletedRunRecord, RunRecord, SamplerRecord
from loops_nb.local.workers.operations import RunOperation
from loops_nb.local.workers.pool import WorkerPool
from loops_nb.local.workers.process import OperationError, WorkerDiedError
from loops_nb.local.workers.sampling_queue import SampleHeaders, SamplingQueue
from loops_nb.local.workers.validation import asked_of_shared, check_operation, check_sample

_PAUSE = 0.02
#: Training clients that see these two give up at once.
_FINAL = {"X-Baseten-Error-Source": "06", "X-Baseten-Error-Code": "run_ended"}


async def health(request: Request) -> Response:
    """Return whether a run's trainer is ready; held for a while when it is not."""
    service = service_of(request)
    workers, run = service.workers, _run(request, service)
    until = asyncio.get_running_loop().time() + min(HOLD_HEALTH_SECONDS, service.settings.hold_seconds)
    while True:
        _refuse_ended(service, run)
        state = _touch(service, run, "GET /health")
        if state in {"RUNNING", "ACTIVE"}:
            return json_response(
                {"status": "ok", "run_id": run.id, "base_model": run.base_model, "step": workers.trainer(run).step()}
            )
        if workers.stopping or asyncio.get_running_loop().time() > until:
            text = f"The trainer of run {run.id} is not ready: its deployment is {state}{_queued(service, run)}."
            raise HTTPError(503, "NOT_READY", text, details={"status": state})
        await asyncio.sleep(_PAUSE)


async def policy_version(request: Request) -> Response:
    """Return the number of steps that the optimizer has taken."""
    service = service_of(request)
    run = _run(request, service)
    _refuse_ended(service, run)
    _touch(service, run, "GET /policy_version")
    return json_response({"policy_version": service.workers.trainer(run).step()})


async def submit(request: Request) -> Response:
    """Accept an operation; a request that is sent again with the same ``Idempotency-Key`` gets the same one."""
    service = service_of(request)
    workers, run = service.workers, _run(request, service)
    name, key = request.path_params["operation"], request.headers.get("idempotency-key", "")
    body = await request.body()
    if workers.stopping:
        raise _stopping()
    trainer = workers.trainer(run)
    operation = trainer.operations.find_repeated(key, name, body)
    if operation is None:
        check_operation(run, name, body)
        _refuse_ended(service, run)
        _touch(service, run, f"POST /{name}")
        operation = RunOperation(name, body, key)
        trainer.submit(operation)
        if run.deployment_id is not None:
            workers.time_operation(run.deployment_id, operation)
    return _accepted(operation)


async def poll(request: Request) -> Response:
    """Return how an operation went; held while it is pending, then 408."""
    service = service_of(request)
    workers, run = service.workers, _run(request, service)
    operation = workers.trainer(run).operations.get(request.path_params["operation_id"])
    return await _finished(workers, operation)


async def _finished(workers: WorkerPool, operation: RunOperation | None) -> Response:
    if operation is None:
        raise _unknown("There is no such operation, or its result is no longer kept; send the request again.")
    if not await workers.wait(operation):
        if workers.stopping:
            raise _stopping()
        raise HTTPError(408, "PENDING", f"The operation {operation.name} is still pending; ask again.")
    if operation.answer is None:
        raise _unknown("The result of this operation is no longer kept; send the request again.")
    return Response(operation.answer, media_type="application/json")


async def no_such_call(request: Request) -> Response:
    """Refuse what a trainer or a sampler does not have."""
    text = f"{request.method} {request.url.path[:200]} is no call of a trainer or a sampler."
    raise HTTPError(422, "UNKNOWN_OPERATION", text)


async def wake(request: Request) -> Response:
    """Wake a sampler that has scaled to zero; 202 while it is on its way, 200 when it is up."""
    service = service_of(request)
    sampler = _sampler(request, service)
    if service.statuses.has_ended(sampler):
        raise conflict(
            f"Sampler {sampler.id} is {service.statuses.of(sampler)} and cannot be woken.", sampler_id=sampler.id
        )
    state = service.statuses.touch(sampler, "POST /wake")
    status = 202
    if state == "ACTIVE":
        status = 200
    return json_response({"status": {"name": state}}, status)


async def sample(request: Request) -> Response:
    """Complete a prompt; on shared capacity it is accepted with 202 and fetched when it is done."""
    service = service_of(request)
    record, workers = _sampler(request, service), service.workers
    body = await request.body()
    if workers.stopping:
        raise _stopping()
    check_sample(body)
    headers = request.headers
    wanted = SampleHeaders(
        pin=headers.get("x-checkpoint-path"),
        floor=_floor(headers.get("x-min-policy-version")),
        run_id=headers.get("x-run-id"),
        sampler_id=headers.get("x-sampler-id"),
        repeat_prompt=headers.get("user-agent", "").startswith(TRAINING_CLIENT),
    )
    key = headers.get("idempotency-key", "")
    if record.model_id is None:
        wanted = msgspec.structs.replace(wanted, pin=asked_of_shared(body, record.base_model) or wanted.pin)
        return _accepted(workers.sampler(record).queue.submit(body, wanted, key))
    try:
        with workers.measured.request(record.id):
            answer, weights = await workers.sampler(record).sample(body, wanted, key)
    except OperationError as error:
        status, code = 500, "SAMPLER_FAILED"
        if error.error_class == "ValueError":
            status, code = 422, "INVALID_REQUEST"
        raise HTTPError(status, code, str(error), details={"error_class": error.error_class}) from None
    except WorkerDiedError as error:
        raise HTTPError(
            502, "SAMPLER_DIED", f"The sampler's process {error} before it answered; send the request again."
        ) from None
    return Response(answer, media_type="application/json", headers=_version(weights.version))


async def poll_sample(request: Request) -> Response:
    """Return how a request on shared capacity went; held while it is pending, then 408."""
    workers, queue = _queue(request)
    asked = queue.get(request.path_params["operation_id"])
    answer = await _finished(workers, asked)
    if asked is not None:
        answer.headers.update(_version(asked.version))
    return answer


async def cancel_sample(request: Request) -> Response:
    """Give up a request on shared capacity; 409 when it is finished already."""
    _, queue = _queue(request)
    asked = queue.get(request.path_params["operation_id"])
    if asked is None:
        raise _unknown("There is no such operation, or its result is no longer kept.")
    if not queue.cancel(asked):
        raise conflict(f"The operation {asked.id} is finished already.", operation_id=asked.id)
    return json_response({"operation_id": asked.id, "status": "cancelled"})


async def list_served(request: Request) -> Response:
    """List what a sampler serves: the base model, and the weights that its run published."""
    service = service_of(request)
    record = _sampler(request, service)
    service.statuses.touch(record, "GET /v1/models")
    live = service.workers.sampler(record).live_weights()
    served = [{"id": record.base_model, "object": "model", "owned_by": record.owner, "parent": None}]
    if live is not None:
        served.append({"id": live.name, "object": "model", "owned_by": record.owner, "parent": record.base_model})
    return json_response({"object": "list", "data": served})


async def served_version(request: Request) -> Response:
    """Return the version of the weights that a paired sampler serves; 0 before there are any."""
    service = service_of(request)
    record = _sampler(request, service)
    service.statuses.touch(record, "GET /trainers_policy_version")
    live = service.workers.sampler(record).live_weights()
    return json_response({"policy_version": (live and live.version) or 0})


def _run(request: Request, service: Service) -> RunRecord:
    run = _record(service, RunRecord, request.path_params["run_id"], "run")
    meant = request.headers.get("x-run-id", run.id)
    if meant != run.id:
        raise HTTPError(422, "OTHER_RUN", f"X-Run-Id names run {meant[:80]}; this is the trainer of run {run.id}.")
    return run


def _sampler(request: Request, service: Service) -> SamplerRecord:
    return _record(service, SamplerRecord, request.path_params["sampler_id"], "sampler")


def _record(service: Service, kind: type[R], key: str, what: str) -> R:
    found = None
    if is_id(key):
        found = service.store.get(kind, key)
    if found is None and service.store.get(DeletedRunRecord, key) is not None:
        text = f"Run {key} was deleted; start a new one."
        raise HTTPError(422, "RUN_ENDED", text, details={"run_id": key}, headers=_FINAL)
    if found is None:
        # Not 404: training clients take that as "still starting" and ask again for an hour.
        raise HTTPError(422, "UNKNOWN_ID", f"There is no {what} {key[:200]!r} here.", details={"resource": what})
    return found


def _queue(request: Request) -> tuple[WorkerPool, SamplingQueue]:
    service = service_of(request)
    return service.workers, service.workers.sampler(_sampler(request, service)).queue


def _accepted(operation: RunOperation) -> Response:
    return json_response(
        {"operation_id": operation.id, "schema_version": 1}, 202, {"Location": f"/operations/{operation.id}"}
    )


def _version(version: int | None) -> dict[str, str]:
    if version is None:
        return {}
    return {"x-trainers-policy-version": str(version)}


def _touch(service: Service, run: RunRecord, note: str) -> str:
    deployment = deployment_of(service.store, run)
    if deployment is None:
        return service.statuses.of(run)
    return service.statuses.touch(deployment, note)


def _queued(service: Service, run: RunRecord) -> str:
    deployment = deployment_of(service.store, run)
    if deployment is None or not service.statuses.is_queued(deployment):
        return ""
    return f" and waits for one of {service.workers.trainer_slots.limit} trainers ({service.workers.live_trainers()})"


def _refuse_ended(service: Service, run: RunRecord) -> None:
    if service.statuses.has_ended(run):
        text = f"Run {run.id} has ended; start a new one from one of its checkpoints."
        raise HTTPError(422, "RUN_ENDED", text, details={"run_id": run.id}, headers=_FINAL)


def _floor(text: str | None) -> int | None:
    if text is None or not text.strip():
        return None
    try:
        return msgspec.convert(text.strip(), int, strict=False)
    except msgspec.ValidationError:
        raise HTTPError(
            422, "INVALID_REQUEST", f"X-Min-Policy-Version is {text[:80]!r}; it is a whole number."
        ) from None


def _unknown(text: str) -> HTTPError:
    return HTTPError(404, "UNKNOWN_OPERATION", text)


def _stopping() -> HTTPError:
    return HTTPError(503, "STOPPING", "The local service is being stopped.")


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
