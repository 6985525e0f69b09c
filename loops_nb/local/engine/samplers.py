"""The model behind one sampler: a process that completes prompts with the weights that a request means."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from loops_nb.errors import InvalidURIError
from loops_nb.local.engine import saves
from loops_nb.local.engine.process import OperationError, WorkerDiedError, WorkerProcess
from loops_nb.local.engine.queued import Queue
from loops_nb.local.problems import Problem
from loops_nb.local.records import CheckpointRecord, PublishedRecord, SamplerRecord, SaveRecord
from loops_nb.local.rules.checkpoints import find_by_uri
from loops_nb.uri import parse_uri

if TYPE_CHECKING:
    from loops_nb.local.engine.engine import Engine

_PAUSE = 0.02
#: How many answers are kept for requests that are sent again.
_MOST_ANSWERS = 64


class Weights(Struct, frozen=True):
    """What a request is answered with; no folder means the base model, ``version`` the optimizer's steps behind the weights."""

    name: str
    folder: Path | None = None
    version: int | None = None


class Wanted(Struct, frozen=True, kw_only=True):
    """What the headers of a request say.

    Parameters
    ----------
    pin, floor
        The weights: a checkpoint, the lowest version.
    run_id, sampler_id
        What the caller takes the sampler for.
    repeat_prompt
        The caller cuts the prompt off every completion that begins like it, and wants it in front there.
    """

    pin: str | None = None
    floor: int | None = None
    run_id: str | None = None
    sampler_id: str | None = None
    repeat_prompt: bool = False


class Sampler:
    """The process of a sampler.

    Parameters
    ----------
    engine
        What it belongs to.
    sampler_id
        The sampler.
    """

    def __init__(self, engine: Engine, sampler_id: str) -> None:
        self.sampler_id = sampler_id
        self._engine = engine
        self._service = engine.service
        self._process: WorkerProcess | None = None
        self._start = asyncio.Lock()
        self._under_way = 0
        self._last_used = 0.0
        self.queue = Queue(self, engine.service)
        self._answers: OrderedDict[str, tuple[bytes, asyncio.Task[tuple[bytes, Weights]]]] = OrderedDict()

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
        return self._last_used if self._process is not None and not self.busy else None

    async def evict(self) -> None:
        """End the process, so that another sampler can have one; the next request starts it again."""
        await self.end()

    @property
    def pid(self) -> int | None:
        """The id of its process."""
        return self._process.pid if self._process is not None else None

    async def sample(self, body: bytes, wanted: Wanted, key: str) -> tuple[bytes, Weights]:
        """Complete a prompt; a request that is sent again with the same key gets the same answer.

        Parameters
        ----------
        body
            The request (JSON).
        wanted
            Which weights are meant.
        key
            Its idempotency key, empty for none.

        Returns
        -------
        answer, weights
            JSON, and what it was made with.

        Raises
        ------
        Problem
            422 for what cannot be answered, 408 for what cannot be answered yet.
        """
        digest = hashlib.sha256(body + repr(wanted).encode()).digest()
        known = self._answers.get(key) if key else None
        if known is not None and known[0] != digest:
            raise Problem(422, "IDEMPOTENCY_KEY_REUSED", "This Idempotency-Key was used for another request; send a new one with each.")
        if known is not None:
            return await asyncio.shield(known[1])
        task = asyncio.create_task(self._sample(body, wanted))
        if key:
            self._answers[key] = digest, task
            while len(self._answers) > _MOST_ANSWERS:
                self._answers.popitem(last=False)
        try:
            return await asyncio.shield(task)
        except (Problem, OperationError, WorkerDiedError):
            # What failed may go well the next time.
            self._answers.pop(key, None)
            raise

    def check(self, wanted: Wanted) -> None:
        """Refuse with 422 what no weights can answer."""
        self._weights(wanted)

    async def weights(self, wanted: Wanted) -> Weights:
        """Return the weights that a request means, waiting for a version that is still to come."""
        deadline = asyncio.get_running_loop().time() + self._service.settings.hold_seconds
        while True:
            found = self._weights(wanted)
            if found is not None:
                return found
            if self._engine.stopping or asyncio.get_running_loop().time() > deadline:
                raise Problem(408, "BEHIND", f"Version {wanted.floor} of the weights has not been published yet.")
            await asyncio.sleep(_PAUSE)

    def live_weights(self) -> Weights | None:
        """Return the newest weights that the sampler's run published."""
        sampler = self._record()
        published = self._service.store.get(PublishedRecord, sampler.run_id) if sampler.run_id else None
        if published is None:
            return None
        return Weights(published.name, saves.published_folder(self._service, published), published.version)

    async def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            await process.end()
        self._engine.sampler_slots.release(self)

    async def close(self) -> None:
        """End the process and whoever waits for it."""
        self.queue.close()
        for _, task in self._answers.values():
            task.cancel()
        await self.end()

    def _record(self) -> SamplerRecord:
        sampler = self._service.need(SamplerRecord, self.sampler_id, "sampler")
        if self._service.ended(sampler):
            # Clients that see these two give up at once.
            headers = {"X-Baseten-Error-Source": "01", "X-Baseten-Error-Code": "631"}
            text = f"Sampler {sampler.id} is {self._service.status(sampler)}; it answers no more."
            raise Problem(422, "SAMPLER_ENDED", text, headers=headers)
        return sampler

    def _weights(self, wanted: Wanted) -> Weights | None:
        """Return what a request means now; None while the version that it asks for is still to come.

        A pin is the checkpoint, a floor the weights that the run published, both together the checkpoint until the published weights
        reach the floor; neither is the base model (or a standalone sampler's own checkpoint).
        """
        sampler = self._record()
        if wanted.run_id not in {None, sampler.run_id}:
            raise Problem(422, "OTHER_RUN", f"X-Run-Id names run {wanted.run_id}; the sampler {sampler.id} is {_of(sampler)}.")
        if wanted.sampler_id not in {None, sampler.id}:
            raise Problem(422, "OTHER_SAMPLER", f"X-Sampler-Id names another sampler than {sampler.id}, whose URL this is.")
        live = self.live_weights()
        pinned = self._pinned(sampler, wanted) if wanted.pin or (sampler.model_path and sampler.run_id is None) else None
        if wanted.floor:
            if live is not None and (live.version or 0) >= wanted.floor:
                return live
            return pinned
        return pinned or Weights(sampler.base_model)

    def _pinned(self, sampler: SamplerRecord, wanted: Wanted) -> Weights:
        text = (wanted.pin or sampler.model_path or "").rstrip("/")
        try:
            uri = parse_uri(text, target="sampler", argument="X-Checkpoint-Path")
        except InvalidURIError as error:
            raise Problem(422, "INVALID_CHECKPOINT_PATH", str(error)) from None
        if wanted.run_id is not None and uri.run_id != wanted.run_id:
            raise Problem(422, "OTHER_RUN", f"X-Checkpoint-Path names run {uri.run_id}, X-Run-Id names {wanted.run_id}.")
        found = find_by_uri(self._service, uri)
        if found is None:
            raise Problem(422, "UNKNOWN_CHECKPOINT", f"There is no checkpoint {uri} here.", details={"resource": "checkpoint"})
        self._check(sampler, found)
        saved = self._service.store.get(SaveRecord, found.id)
        return Weights(found.name, saves.folder(self._service, found.id), saved.step if saved else None)

    def _check(self, sampler: SamplerRecord, checkpoint: CheckpointRecord) -> None:
        if checkpoint.base_model != sampler.base_model:
            text = f"The checkpoint is of base model {checkpoint.base_model}, the sampler {sampler.id} of {sampler.base_model}."
            raise Problem(422, "OTHER_BASE_MODEL", text)

    async def _sample(self, body: bytes, wanted: Wanted) -> tuple[bytes, Weights]:
        self._under_way += 1
        try:
            await self._up()
            weights = await self.weights(wanted)
            sampler = self._record()
            process = await self._ready(sampler)
            answer = await process.call(
                "sample",
                body,
                base_model=sampler.base_model,
                folder=str(weights.folder) if weights.folder else "",
                repeat_prompt=wanted.repeat_prompt,
            )
            self._service.touch(sampler, "POST /sample")
        finally:
            self._under_way -= 1
            self._last_used = asyncio.get_running_loop().time()
        return answer, weights

    async def _up(self) -> None:
        """Wait until the sampler is up by the clock."""
        deadline = asyncio.get_running_loop().time() + self._service.settings.hold_seconds
        while True:
            sampler = self._record()
            state = self._service.touch(sampler, "POST /sample")
            if state in {"ACTIVE", "UPDATING"}:
                return
            if self._engine.stopping or asyncio.get_running_loop().time() > deadline:
                raise Problem(408, "NOT_READY", f"Sampler {sampler.id} is {state}; ask again.", details={"status": state})
            await asyncio.sleep(_PAUSE)

    async def _ready(self, sampler: SamplerRecord) -> WorkerProcess:
        async with self._start:
            if self._process is None:
                await self._slot()
                try:
                    process = await WorkerProcess.start(self._engine.command, log=self._engine.log, ended=self._ended)
                except BaseException:
                    self._engine.sampler_slots.release(self)
                    raise
                self._process = process
                self._remark(sampler, "remark", f"sampler process {process.pid} started")
            return self._process

    async def _slot(self) -> None:
        """Wait until one more sampler may live, as long as a request is held."""
        slots = self._engine.sampler_slots
        try:
            async with asyncio.timeout(self._service.settings.hold_seconds):
                await slots.acquire(self)
        except TimeoutError:
            text = f"All {slots.limit} samplers that may live at one time are busy; ask again, or start the service with --max-samplers."
            raise Problem(408, "NO_SAMPLER_FREE", text) from None

    def _ended(self, process: WorkerProcess) -> None:
        if self._process is not process:
            return
        self._process = None
        self._engine.sampler_slots.release(self)
        sampler = self._service.store.get(SamplerRecord, self.sampler_id)
        if sampler is not None and not self._service.ended(sampler):
            self._remark(sampler, "trouble", f"sampler process {process.pid} {process.how()}; the next request starts another")

    def _remark(self, sampler: SamplerRecord, kind: str, note: str) -> None:
        with self._service.store.transaction():
            self._service.happened(sampler, kind, note=note)


def _of(sampler: SamplerRecord) -> str:
    return f"paired with run {sampler.run_id}" if sampler.run_id else "a standalone one"
