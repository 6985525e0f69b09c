"""Sampler worker: completes prompts with the weights that a request selects."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from functools import partial

from loops_nb.api.uri import parse_uri
from loops_nb.errors import InvalidURIError
from loops_nb.local.http_errors import HTTPError
from loops_nb.local.rules.checkpoints import find_by_uri
from loops_nb.local.rules.lookup import lookup
from loops_nb.local.rules.samplers import ServedModel
from loops_nb.local.store.records import (
    CheckpointRecord,
    ModelDeploymentRecord,
    PublishedRecord,
    SamplerRecord,
    SaveRecord,
)
from loops_nb.local.workers.context import WorkerContext
from loops_nb.local.workers.operations import OperationTable
from loops_nb.local.workers.process import OperationError, WorkerDiedError, WorkerProcess
from loops_nb.local.workers.sampling_queue import SampleHeaders, SamplingQueue, ServedWeights

_PAUSE = 0.02
#: How many answers are kept for requests that are sent again.
_MOST_ANSWERS = 64


class SamplerWorker:
    """The process of a sampler.

    Parameters
    ----------
    context : WorkerContext
        The pool that it belongs to.
    sampler_id : str
        The sampler.
    """

    #: What it serves.
    record_type: type[SamplerRecord | ModelDeploymentRecord] = SamplerRecord

    def __init__(self, context: WorkerContext, sampler_id: str) -> None:
        self.sampler_id = sampler_id
        self._context = context
        self._store = context.store
        self._statuses = context.statuses
        self._folders = context.checkpoints.folders
        self._process: WorkerProcess | None = None
        self._start = asyncio.Lock()
        self._under_way = 0
        self._last_used = 0.0
        self.queue: SamplingQueue = SamplingQueue(
            self, OperationTable(context.statuses.now, context.settings.operation_ttl)
        )
        self._answers: OrderedDict[str, tuple[bytes, asyncio.Task[tuple[bytes, ServedWeights]]]] = OrderedDict()

    @property
    def busy(self) -> bool:
        """True while there is something to do."""
        return self._under_way > 0

    @property
    def live(self) -> bool:
        """True while it has a process, or is about to get one."""
        return self._process is not None or self.busy

    @property
    def idle_since(self) -> float | None:
        """Time of the event loop at which it answered last; None while it is busy or without a process."""
        if self._process is None or self.busy:
            return None
        return self._last_used

    async def evict(self) -> None:
        """End the process, so that another sampler can have one; the next request starts it again."""
        await self.end()

    @property
    def pid(self) -> int | None:
        """The id of its process."""
        if self._process is None:
            return None
        return self._process.pid

    async def sample(self, body: bytes, wanted: SampleHeaders, key: str) -> tuple[bytes, ServedWeights]:
        """Complete a prompt; a request that is sent again with the same key gets the same answer.

        Parameters
        ----------
        body : bytes
            The request (JSON).
        wanted : SampleHeaders
            Which weights are meant.
        key : str
            Its idempotency key, empty for none.

        Returns
        -------
        answer, weights
            JSON, and what it was made with.

        Raises
        ------
        HTTPError
            422 for what cannot be answered, 408 for what cannot be answered yet.
        """
        digest = hashlib.sha256(body + repr(wanted).encode()).digest()
        known = self._answers.get(key) if key else None
        if known is not None and known[0] != digest:
            raise HTTPError(
                422,
                "IDEMPOTENCY_KEY_REUSED",
                "This Idempotency-Key was used for another request; send a new one with each.",
            )
        if known is not None:
            return await asyncio.shield(known[1])
        task = asyncio.create_task(self._sample(body, wanted))
        if key:
            self._answers[key] = digest, task
            while len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except (HTTPError, OperationError, WorkerDiedError):
            # What failed may go well the next time.
            self._answers.pop(key, None)
            raise

    def check(self, wanted: SampleHeaders) -> None:
        """Refuse with 422 what no weights can answer."""
        self._weights(wanted)

    async def weights(self, wanted: SampleHeaders) -> ServedWeights:
        """Return the weights that a request means, waiting for a version that is still to come."""
        deadline = asyncio.get_running_loop().time() + self._context.settings.hold_seconds
        while True:
            found = self._weights(wanted)
            if found is not None:
                return found
            if self._context.stopping or asyncio.get_running_loop().time() > deadline:
                raise HTTPError(408, "BEHIND", f"Version {wanted.floor} of the weights has not been published yet.")
            await asyncio.sleep(_PAUSE)

    def live_weights(self) -> ServedWeights | None:
        """Return the newest weights that the sampler's run published."""
        sampler = self._record()
        published = self._store.get(PublishedRecord, sampler.run_id)
        if published is None:
            return None
        return ServedWeights(published.name, self._folders.published_weights(published), published.version)

    async def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            await process.end()
        self._context.sampler_slots.release(self)

    async def close(self) -> None:
        """End the process, and cancel the requests that wait for it."""
        self.queue.close()
        for _, task in self._answers.values():
            task.cancel()
        await self.end()

    def _record(self) -> SamplerRecord:
        sampler = lookup(self._store, SamplerRecord, self.sampler_id, "sampler")
        if self._statuses.has_ended(sampler):
            # Clients that see these two give up at once.
            headers = {"X-Baseten-Error-Source": "01", "X-Baseten-Error-Code": "631"}
            text = f"Sampler {sampler.id} is {self._statuses.of(sampler)}; it answers no more."
            raise HTTPError(422, "SAMPLER_ENDED", text, headers=headers)
        return sampler

    def _served(self) -> ServedModel:
        """Return the record of what answers, which must not have ended."""
        return self._record()

    def _weights(self, wanted: SampleHeaders) -> ServedWeights | None:
        """Return what a request means now; None while the version that it asks for is still to come.

        A pin is the checkpoint, a floor the weights that the run published, both together the checkpoint until the
        published weights reach the floor; neither is the base model (or a standalone sampler's own checkpoint).
        """
        sampler = self._record()
        if wanted.run_id not in {None, sampler.run_id}:
            raise HTTPError(
                422, "OTHER_RUN", f"X-Run-Id names run {wanted.run_id}; the sampler {sampler.id} is {_of(sampler)}."
            )
        if wanted.sampler_id not in {None, sampler.id}:
            raise HTTPError(
                422, "OTHER_SAMPLER", f"X-Sampler-Id names another sampler than {sampler.id}, whose URL this is."
            )
        live = self.live_weights()
        pinned = None
        if wanted.pin or (sampler.model_path and sampler.run_id is None):
            pinned = self._pinned(sampler, wanted)
        if wanted.floor:
            if live is not None and (live.version or 0) >= wanted.floor:
                return live
            return pinned
        return pinned or ServedWeights(sampler.base_model)

    def _pinned(self, sampler: SamplerRecord, wanted: SampleHeaders) -> ServedWeights:
        text = (wanted.pin or sampler.model_path or "").rstrip("/")
        try:
            uri = parse_uri(text, target="sampler", argument="X-Checkpoint-Path")
        except InvalidURIError as error:
            raise HTTPError(422, "INVALID_CHECKPOINT_PATH", str(error)) from None
        if wanted.run_id is not None and uri.run_id != wanted.run_id:
            raise HTTPError(
                422, "OTHER_RUN", f"X-Checkpoint-Path names run {uri.run_id}, X-Run-Id names {wanted.run_id}."
            )
        found = find_by_uri(self._store, uri)
        if found is None:
            raise HTTPError(
                422, "UNKNOWN_CHECKPOINT", f"There is no checkpoint {uri} here.", details={"resource": "checkpoint"}
            )
        self._check(sampler, found)
        saved = self._store.get(SaveRecord, found.id)
        return ServedWeights(found.name, self._folders.checkpoint(found.id), saved.step if saved else None)

    def _check(self, sampler: SamplerRecord, checkpoint: CheckpointRecord) -> None:
        if checkpoint.base_model != sampler.base_model:
            text = (
                f"The checkpoint is of base model {checkpoint.base_model}, the sampler {sampler.id} of "
                f"{sampler.base_model}."
            )
            raise HTTPError(422, "OTHER_BASE_MODEL", text)

    async def _sample(self, body: bytes, wanted: SampleHeaders) -> tuple[bytes, ServedWeights]:
        self._under_way += 1
        try:
            await self._up()
            weights = await self.weights(wanted)
            sampler = self._served()
            process = await self._ready(sampler)
            answer = await process.call(
                "sample",
                body,
                base_model=sampler.base_model,
                folder=str(weights.folder or ""),
                repeat_prompt=wanted.repeat_prompt,
            )
            self._statuses.touch(sampler, "POST /sample")
        finally:
            self._under_way -= 1
            self._last_used = asyncio.get_running_loop().time()
        return answer, weights

    async def _up(self) -> None:
        """Wait until the sampler is up by the clock."""
        deadline = asyncio.get_running_loop().time() + self._context.settings.hold_seconds
        while True:
            sampler = self._served()
            state = self._statuses.touch(sampler, "POST /sample")
            if state in {"ACTIVE", "UPDATING"}:
                return
            if self._context.stopping or asyncio.get_running_loop().time() > deadline:
                raise HTTPError(
                    408, "NOT_READY", f"Sampler {sampler.id} is {state}; ask again.", details={"status": state}
                )
            await asyncio.sleep(_PAUSE)

    async def _ready(self, sampler: ServedModel) -> WorkerProcess:
        async with self._start:
            if self._process is None:
                await self._slot()
                try:
                    process = await WorkerProcess.start(
                        self._context.command, said=partial(self._context.keep_lines, sampler), ended=self._ended
                    )
                except BaseException:
                    self._context.sampler_slots.release(self)
                    raise
                self._process = process
                self._remark(sampler, "remark", f"sampler process {process.pid} started")
            return self._process

    async def _slot(self) -> None:
        """Wait until one more sampler may live, as long as a request is held."""
        slots = self._context.sampler_slots
        try:
            async with asyncio.timeout(self._context.settings.hold_seconds):
                await slots.acquire(self)
        except TimeoutError:
            text = (
                f"All {slots.limit} samplers that may live at one time are busy; ask again, or start the service "
                f"with --max-samplers."
            )
            raise HTTPError(408, "NO_SAMPLER_FREE", text) from None

    def _ended(self, process: WorkerProcess) -> None:
        if self._process is not process:
            return
        self._process = None
        self._context.sampler_slots.release(self)
        sampler = self._store.get(self.record_type, self.sampler_id)
        if sampler is not None and not self._statuses.has_ended(sampler):
            self._remark(
                sampler,
                "trouble",
                f"sampler process {process.pid} {process.exit_description()}; the next request starts another",
            )

    def _remark(self, sampler: ServedModel, kind: str, note: str) -> None:
        with self._store.transaction():
            self._statuses.record(sampler, kind, note=note)


class DeployedModelWorker(SamplerWorker):
    """The process of a model that was made from checkpoints; a request names one of them, or the base model."""

    record_type = ModelDeploymentRecord

    def served_names(self) -> list[str]:
        """Return what a request can name: the checkpoints, then the base model."""
        record = self._served()
        return [*(checkpoint.name for checkpoint in self._checkpoints(record)), record.base_model]

    def _served(self) -> ModelDeploymentRecord:
        record = lookup(self._store, ModelDeploymentRecord, self.sampler_id, "model deployment")
        if self._statuses.has_ended(record):
            text = f"The deployment {record.id} is {self._statuses.of(record)}; it answers no more."
            raise HTTPError(404, "MODEL_ENDED", text)
        return record

    def _weights(self, wanted: SampleHeaders) -> ServedWeights:
        record = self._served()
        found = next((one for one in self._checkpoints(record) if one.name == wanted.pin), None)
        if found is not None:
            saved = self._store.get(SaveRecord, found.id)
            return ServedWeights(found.name, self._folders.checkpoint(found.id), saved.step if saved else None)
        if wanted.pin != record.base_model:
            names = ", ".join(self.served_names())
            raise HTTPError(
                404, "MODEL_NOT_FOUND", f"There is no model {(wanted.pin or '')[:200]!r}; there are {names}."
            )
        return ServedWeights(record.base_model)

    def _checkpoints(self, record: ModelDeploymentRecord) -> list[CheckpointRecord]:
        found = (self._store.get(CheckpointRecord, key) for key in record.checkpoint_ids.split())
        return [one for one in found if one is not None]


def _of(sampler: SamplerRecord) -> str:
    if sampler.run_id:
        return f"paired with run {sampler.run_id}"
    return "a standalone one"
