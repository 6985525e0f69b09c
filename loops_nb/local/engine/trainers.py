"""The trainer of one run: its operations one after the other, in a process that comes and goes with the deployment's state."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct

from loops_nb.errors import InvalidURIError
from loops_nb.local.engine import saves
from loops_nb.local.engine.operations import Operation, Operations
from loops_nb.local.engine.process import OperationError, WorkerDiedError, WorkerProcess
from loops_nb.local.engine.submitting import TRAINING
from loops_nb.local.files import private_folder, write_private
from loops_nb.local.records import CheckpointRecord, DeploymentRecord, RunRecord
from loops_nb.local.rules.checkpoints import find_by_uri
from loops_nb.local.service import Service
from loops_nb.uri import parse_uri

if TYPE_CHECKING:
    from loops_nb.local.engine.engine import Engine

_LOG = logging.getLogger(__name__)
#: How often an operation looks whether its deployment is up by now.
_PAUSE = 0.02
#: How long the end of the service may wait for an operation, and for a state to be written.
_LAST_WAIT = 5.0
_NOTE = "state.json"
#: An operation of the service itself: keep the state, end the process.
_PARK = "park"
#: What makes it matter that a process is lost.
_CHANGES = {"forward_backward", "optim_step", "load_state", "load_state_with_optimizer", "init_trainer_server"}
#: What starts from something that is named, so that nothing which was lost before matters.
_STARTS_ANEW = {"load_state", "load_state_with_optimizer", "init_trainer_server"}


class EndedError(Exception):
    """The run has ended; the text says how."""


class PrivateState(Struct):
    """What a trainer keeps for itself while its process sleeps.

    Parameters
    ----------
    folder
        Name of the folder of its weights.
    step
        Optimizer steps behind them.
    saved_at
        Epoch milliseconds.
    sequence
        Number of the checkpoint that was recorded last before it (see `Store.last_sequence`), by which it is older or newer than
        others; None in states of earlier versions, which only have the time.
    """

    folder: str
    step: int
    saved_at: int
    sequence: int | None = None


class Origin(Struct, frozen=True):
    """What a trainer starts from; no folder means the very beginning."""

    folder: Path | None
    words: str


class Trainer:
    """The trainer of a run.

    Parameters
    ----------
    engine
        What it belongs to.
    run
        The run.
    """

    def __init__(self, engine: Engine, run: RunRecord) -> None:
        self.run_id = run.id
        self.operations = Operations(engine.service.now, engine.service.settings.operation_ttl)
        self._engine = engine
        self._service = engine.service
        self._queue: deque[Operation] = deque()
        self._work: asyncio.Task[None] | None = None
        self._process: WorkerProcess | None = None
        self._folder = saves.private_folders(engine.service)[0] / run.id
        self._step: int | None = None
        #: True when the process knows what no file has.
        self._unsaved = False
        self._park_again = 0.0
        self._last_used = 0.0
        #: What was lost with a process that ended between two operations; told with the next one.
        self._lost = ""

    @property
    def busy(self) -> bool:
        """True while there is something to do for somebody."""
        return any(operation.name != _PARK for operation in self._queue)

    @property
    def live(self) -> bool:
        """True while it has a process, or is about to get one."""
        return self._process is not None or self.busy

    @property
    def pid(self) -> int | None:
        """The id of its process."""
        return self._process.pid if self._process is not None else None

    @property
    def idle_since(self) -> float | None:
        """Time of the event loop at which its last operation ended; None while there is one, or when its process could not be ended."""
        now = asyncio.get_running_loop().time()
        return self._last_used if self._process is not None and not self._queue and now > self._park_again else None

    async def evict(self) -> None:
        """Keep the state and end the process, so that another trainer can have one."""
        self.park()
        # Not until its queue is empty: an operation that came in the meantime may wait for the slot that is made free here.
        while True:
            if self._process is None or not self._queue or self._queue[0].name != _PARK:
                return
            await asyncio.sleep(_PAUSE)

    def step(self) -> int:
        """Return how many steps the optimizer has taken."""
        if self._step is None:
            state, saved = self._private(), saves.newest(self._service, self.run_id)
            checkpoint = self._service.store.get(CheckpointRecord, saved.id) if saved is not None else None
            if state is not None and (checkpoint is None or self._is_newer(state, checkpoint)):
                self._step = state.step
            else:
                self._step = saved.step if saved is not None else 0
        return self._step

    def submit(self, operation: Operation) -> None:
        """Put an operation at the end of the queue."""
        if operation.name != _PARK:
            self.operations.add(operation)
        self._queue.append(operation)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._do_all())

    def park(self) -> None:
        """Keep the state and end the process, after what is waiting."""
        now = asyncio.get_running_loop().time()
        if self._process is not None and not self._queue and now > self._park_again:
            # A disk that was full is not better at once.
            self._park_again = now + _LAST_WAIT
            self.submit(Operation(_PARK, b"", ""))

    async def end(self, text: str) -> None:
        """End the process; what waits becomes an error with this text."""
        self._fail_all(text)
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        await self._end_process()

    async def stop(self) -> None:
        """Keep the state if there is something to keep, then end the process, because the service ends."""
        self._fail_all("The local service was stopped before this operation was done; start it again and send it again.", keep_first=True)
        if self._work is not None and self._process is not None:
            await asyncio.wait({self._work}, timeout=_LAST_WAIT)
        if self._process is not None and not self._queue and self._unsaved:
            with contextlib.suppress(OperationError, WorkerDiedError, OSError, TimeoutError):
                async with asyncio.timeout(_LAST_WAIT):
                    await self._keep(self._process)
        await self.end("The local service was stopped before this operation was done; start it again and send it again.")

    def drop(self) -> None:
        """Remove what it kept for itself and for its sampler, because the run has ended."""
        for place in saves.private_folders(self._service):
            shutil.rmtree(place / self.run_id, ignore_errors=True)

    # The queue

    async def _do_all(self) -> None:
        while self._queue:
            operation = self._queue[0]
            self._last_used = asyncio.get_running_loop().time()
            try:
                result = await self._do(operation)
            except OperationError as error:
                self._finish(operation, error.error_class, str(error))
            except (EndedError, WorkerDiedError) as error:
                self._fail_all(str(error))
            except Exception as error:  # noqa: BLE001 - one operation that fails must not keep the next ones waiting
                _LOG.exception("operation %s of run %s failed", operation.name, self.run_id)
                self._finish(operation, type(error).__name__, f"The local service could not do this ({type(error).__name__}).")
            else:
                if self._queue and self._queue[0] is operation:
                    self._queue.popleft()
                    if operation.name != _PARK:
                        self.operations.done(operation, result)
            self._last_used = asyncio.get_running_loop().time()

    def _finish(self, operation: Operation, error_class: str, text: str) -> None:
        with contextlib.suppress(ValueError):
            self._queue.remove(operation)
        if operation.name != _PARK and operation.finished_at is None:
            self.operations.failed(operation, error_class, text)

    def _fail_all(self, text: str, *, keep_first: bool = False) -> None:
        for operation in list(self._queue)[1 if keep_first else 0 :]:
            self._finish(operation, "RuntimeError", text)

    async def _do(self, operation: Operation) -> bytes:
        if operation.name == _PARK:
            return await self._park()
        run = await self._up(operation)
        if self._lost:
            lost, self._lost = self._lost, ""
            if operation.name not in _STARTS_ANEW:
                raise OperationError("RuntimeError", lost)
        process = await self._ready(run, fresh=operation.name == "init_trainer_server")
        try:
            result = await self._ask(process, run, operation)
        except WorkerDiedError:
            # Told here, to those who wait for it.
            self._lost = ""
            raise WorkerDiedError(
                f"The trainer's process {process.how()} before this operation was done. {self._to_come(run)} Send it again."
            ) from None
        self._unsaved = self._unsaved or operation.name in _CHANGES
        # It is done, whether that can be noted or not.
        with contextlib.suppress(Exception):
            self._touch(run, operation)
        return result

    async def _up(self, operation: Operation) -> RunRecord:
        """Wait until the deployment is running."""
        while True:
            run = self._run()
            if self._touch(run, operation) in {"RUNNING", "ACTIVE"}:
                return run
            await asyncio.sleep(_PAUSE)

    def _run(self) -> RunRecord:
        run = self._service.need(RunRecord, self.run_id, "run")
        if self._service.ended(run):
            raise EndedError(f"Run {run.id} has ended; start a new one from one of its checkpoints.")
        return run

    def _touch(self, run: RunRecord, operation: Operation) -> str:
        deployment = self._service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
        if deployment is None:
            return self._service.status(run)
        return self._service.touch(deployment, f"POST /{operation.name}")

    # The process

    async def _ready(self, run: RunRecord, *, fresh: bool) -> WorkerProcess:
        """Return the process, opened: with what it was at, or from the run's beginning."""
        process = self._process
        if process is not None and not fresh:
            return process
        origin = self._beginning(run) if fresh else self._origin(run)
        if process is None:
            await self._slot(run)
            try:
                process = await WorkerProcess.start(self._engine.command, log=self._engine.log, ended=self._ended)
            except BaseException:
                self._engine.trainer_slots.release(self)
                raise
            self._process = process
            self._remark(run, "remark", f"trainer process {process.pid} started; run {run.id} begins {origin.words}")
        try:
            answer = await process.call(
                "open",
                base_model=run.base_model,
                lora_rank=run.lora_rank,
                seed=run.seed,
                folder=str(origin.folder) if origin.folder else "",
            )
        except OperationError:
            await self._end_process()
            raise
        self._step = msgspec.json.decode(answer)["step"]
        self._unsaved = False
        return process

    async def _slot(self, run: RunRecord) -> None:
        """Wait until one more trainer may live; the logs say so where that takes time."""
        slots = self._engine.trainer_slots
        if not slots.available:
            self._remark(run, "remark", f"run {run.id} waits for one of {slots.limit} trainers; {self._engine.live_trainers()}")
        await slots.acquire(self)

    def _origin(self, run: RunRecord) -> Origin:
        """Return the newest state of the run: its own, or a checkpoint that it saved; else its beginning."""
        state = self._private()
        saved = saves.newest_trainer(self._service, run.id)
        if state is not None and (saved is None or self._is_newer(state, saved)):
            return Origin(self._folder / state.folder, f"where it stood at step {state.step}")
        if saved is not None:
            return Origin(saves.folder(self._service, saved.id), f"from its checkpoint {saved.name}")
        return self._beginning(run)

    def _is_newer(self, state: PrivateState, checkpoint: CheckpointRecord) -> bool:
        """Tell whether a private state was kept after a checkpoint was recorded."""
        if state.sequence is None:
            return state.saved_at >= checkpoint.created_at
        return state.sequence >= self._service.store.sequence(checkpoint)

    def _beginning(self, run: RunRecord) -> Origin:
        if run.path is None:
            return Origin(None, "with a fresh adapter")
        found = find_by_uri(self._service, parse_uri(run.path, target="trainer", argument="path"))
        if found is None:
            raise OperationError("ValueError", f"The checkpoint {run.path} that the run was to start from is no longer here.")
        return Origin(saves.folder(self._service, found.id), f"from {run.path}")

    def _to_come(self, run: RunRecord) -> str:
        with contextlib.suppress(OperationError):
            return f"The run goes on {self._origin(run).words}; what came after that is lost."
        return "What was not saved is lost."

    def _ended(self, process: WorkerProcess) -> None:
        if self._process is not process:
            return
        # It was not asked to end.
        self._process = None
        self._engine.trainer_slots.release(self)
        run = self._service.store.get(RunRecord, self.run_id)
        if run is None or self._service.ended(run):
            return
        unsaved, self._unsaved, self._step = self._unsaved, False, None
        words = f"trainer process {process.pid} {process.how()}"
        if unsaved:
            self._lost = f"The trainer's process {process.how()} since the last operation. {self._to_come(run)} Send this operation again."
            words += f". {self._to_come(run)}"
        with contextlib.suppress(Exception):
            self._remark(run, "trouble", words)

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.end()
        self._engine.trainer_slots.release(self)

    def _remark(self, run: RunRecord, kind: str, note: str) -> None:
        deployment = self._service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
        with self._service.store.transaction():
            self._service.happened(deployment or run, kind, note=note)

    # The state that it keeps for itself

    def _private(self) -> PrivateState | None:
        try:
            found = msgspec.json.decode((self._folder / _NOTE).read_bytes(), type=PrivateState)
        except (OSError, msgspec.MsgspecError):
            return None
        return found if (self._folder / found.folder).is_dir() else None

    async def _park(self) -> bytes:
        process = self._process
        if process is not None:
            if self._unsaved:
                await self._keep(process)
            await self._end_process()
        self._park_again = 0.0
        return b""

    async def _keep(self, process: WorkerProcess) -> None:
        await asyncio.to_thread(private_folder, self._folder)
        before, at = self._private(), self._service.now()
        name = next(name for number in range(1000) if not (self._folder / (name := f"{at}-{number}")).exists())
        answer = await process.call("write", target="trainer", folder=str(self._folder / name))
        sequence = self._service.store.last_sequence(CheckpointRecord)
        state = PrivateState(folder=name, step=msgspec.json.decode(answer)["step"], saved_at=at, sequence=sequence)
        write_private(self._folder / _NOTE, msgspec.json.encode(state))
        self._unsaved = False
        if before is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder / before.folder, ignore_errors=True)

    # What an operation is

    async def _ask(self, process: WorkerProcess, run: RunRecord, operation: Operation) -> bytes:
        name = operation.name
        if name in TRAINING:
            return await process.call("forward", operation.body, backward=name == "forward_backward", run_id=run.id)
        if name == "optim_step":
            result = await process.call("optim_step", operation.body)
            self._step = self.step() + 1
            return result
        if name == "init_trainer_server":
            return msgspec.json.encode({"step": self.step(), "lora_rank": run.lora_rank})
        wanted: dict[str, Any] = msgspec.json.decode(operation.body)
        if name in {"load_state", "load_state_with_optimizer"}:
            return await self._load(process, wanted["path"], optimizer=name == "load_state_with_optimizer")
        return await self._save(process, run, name, wanted)

    async def _load(self, process: WorkerProcess, path: str, *, optimizer: bool) -> bytes:
        folder = readable_folder(self._service, path)
        result = await process.call("restore", folder=str(folder), optimizer=optimizer)
        self._step = msgspec.json.decode(result)["step"]
        return result

    async def _save(self, process: WorkerProcess, run: RunRecord, name: str, wanted: dict[str, Any]) -> bytes:
        target = "trainer" if name == "save_state" else "sampler"
        key = saves.fresh_id(self._service)
        partial = saves.partial_folder(self._service, key)
        try:
            answer = msgspec.json.decode(await process.call("write", target=target, folder=str(partial)))
            await asyncio.to_thread(saves.complete, self._service, key)
            uri = saves.record(
                self._service,
                run,
                saves.Written(key=key, name=wanted["name"], target=target, files=answer["files"], step=answer["step"]),
                ttl_seconds=wanted.get("ttl_seconds"),
                publish=bool(wanted.get("bump_version")),
            )
        except BaseException:
            for folder in (partial, saves.folder(self._service, key)):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        if target == "trainer":
            self._unsaved = False
            return msgspec.json.encode({"mode": "lora", "path": uri})
        return msgspec.json.encode({"version": answer["step"], "path": uri})


def readable_folder(service: Service, path: str) -> Path:
    """Return the folder that a path means: that of a checkpoint (``bt://``), or one on this machine.

    Raises
    ------
    OperationError
        If there is none.
    """
    if path.startswith("bt://"):
        try:
            found = find_by_uri(service, parse_uri(path.rstrip("/"), argument="path"))
        except InvalidURIError as error:
            raise OperationError("ValueError", str(error)) from None
        if found is None:
            raise OperationError("ValueError", f"There is no checkpoint {path[:300]} here.")
        return saves.folder(service, found.id)
    place = Path(unquote(urlsplit(path).path) if path.startswith("file://") else path)
    if not place.is_absolute() or not place.is_dir():
        text = f"{path[:300]!r} is neither a checkpoint (bt://loops:<run>/weights/<name>) nor an absolute path of a folder on this machine."
        raise OperationError("ValueError", text)
    return place
