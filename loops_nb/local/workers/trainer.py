"""Trainer worker of one run: executes its operations in order, in a process that follows the deployment's state."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct

from loops_nb.api.uri import parse_uri
from loops_nb.errors import InvalidURIError
from loops_nb.local.files import private_folder, write_private
from loops_nb.local.rules.checkpoints import find_by_uri
from loops_nb.local.rules.lookup import deployment_of
from loops_nb.local.store.records import CheckpointRecord, RunRecord, SaveRecord
from loops_nb.local.weights.checkpoints import WrittenCheckpoint, copy_weights
from loops_nb.local.workers.context import WorkerContext
from loops_nb.local.workers.messages import WriteReply
from loops_nb.local.workers.operations import OperationTable, RunOperation
from loops_nb.local.workers.output import OutputLine
from loops_nb.local.workers.process import OperationError, WorkerDiedError, WorkerProcess
from loops_nb.local.workers.validation import TRAINING

logger: logging.Logger = logging.getLogger(__name__)
#: Seconds between two looks at whether the deployment is up.
_PAUSE = 0.02
#: Seconds that the end of the service waits for an operation, and for a state to be written.
_LAST_WAIT = 5.0
_NOTE = "state.json"
#: An operation of the service itself: save the state, end the process.
_SUSPEND = "suspend"
#: Operations that change the state, which is lost with the process.
_STATEFUL = {"forward_backward", "optim_step", "load_state", "load_state_with_optimizer", "init_trainer_server"}
#: Operations that replace the state, so that nothing which was lost before matters.
_RESTARTS = {"load_state", "load_state_with_optimizer", "init_trainer_server"}


class RunEndedError(Exception):
    """The run has ended; the text says so."""


class SuspendedState(Struct):
    """State of a trainer whose process is suspended.

    Parameters
    ----------
    folder : str
        Name of the folder of its weights.
    step : int
        Optimizer steps behind them.
    saved_at : int
        Epoch milliseconds.
    sequence : int, optional
        Number of the checkpoint that was recorded last before it (see `RecordStore.last_sequence`), by which it is
        older or newer than others; None in states of earlier versions, which only have the time.
    """

    folder: str
    step: int
    saved_at: int
    sequence: int | None = None


class StartingPoint(Struct, frozen=True):
    """Weights that a trainer starts from; without a folder, a fresh adapter."""

    folder: Path | None
    words: str


class TrainerWorker:
    """The trainer of a run.

    Parameters
    ----------
    context : WorkerContext
        The pool that it belongs to.
    run : RunRecord
        The run.
    """

    def __init__(self, context: WorkerContext, run: RunRecord) -> None:
        self.run_id: str = run.id
        self.operations: OperationTable = OperationTable(context.statuses.now, context.settings.operation_ttl)
        self._context = context
        self._store = context.store
        self._statuses = context.statuses
        self._checkpoints = context.checkpoints
        self._queue: deque[RunOperation] = deque()
        self._work: asyncio.Task[None] | None = None
        self._process: WorkerProcess | None = None
        self._folder = context.checkpoints.folders.suspended / run.id
        self._step: int | None = None
        #: True when the process knows what no file has.
        self._unsaved = False
        self._suspend_again_at = 0.0
        self._last_used = 0.0
        #: What was lost with a process that ended between two operations; reported with the next one.
        self._lost = ""

    @property
    def busy(self) -> bool:
        """True while a client's operation is queued."""
        return any(operation.name != _SUSPEND for operation in self._queue)

    @property
    def live(self) -> bool:
        """True while it has a process, or is about to get one."""
        return self._process is not None or self.busy

    @property
    def pid(self) -> int | None:
        """The id of its process."""
        if self._process is None:
            return None
        return self._process.pid

    @property
    def idle_since(self) -> float | None:
        """Loop time at which it became idle; None while it is busy, or when its process could not be ended."""
        now = asyncio.get_running_loop().time()
        if self._process is None or self._queue or now <= self._suspend_again_at:
            return None
        return self._last_used

    async def evict(self) -> None:
        """Keep the state and end the process, so that another trainer can have one."""
        self.suspend()
        # Not until its queue is empty: an operation that came in the meantime may wait for the slot that is made free
        # here.
        while True:
            if self._process is None or not self._queue or self._queue[0].name != _SUSPEND:
                return
            await asyncio.sleep(_PAUSE)

    def step(self) -> int:
        """Return how many steps the optimizer has taken."""
        if self._step is None:
            self._step = self._stored_step()
        return self._step

    def _stored_step(self) -> int:
        state, saved = self._suspended_state(), self._checkpoints.newest_save(self.run_id)
        if saved is None:
            return state.step if state is not None else 0
        checkpoint = self._store.get(CheckpointRecord, saved.id)
        if state is not None and (checkpoint is None or self._is_newer(state, checkpoint)):
            return state.step
        return saved.step

    def keep_state(self, checkpoint: CheckpointRecord) -> None:
        """Keep the state of the run apart from a checkpoint that is about to be deleted, if only the checkpoint has it.

        Parameters
        ----------
        checkpoint : CheckpointRecord
            A checkpoint of the run.
        """
        newest, state = self._checkpoints.newest_for_trainer(self.run_id), self._suspended_state()
        if newest is None or newest.id != checkpoint.id or (state is not None and self._is_newer(state, checkpoint)):
            return
        private_folder(self._folder)
        at, saved = self._statuses.now(), self._store.get(SaveRecord, checkpoint.id)
        name = self._unused_name(at)
        copy_weights(self._checkpoints.folders.checkpoint(checkpoint.id), self._folder / name)
        sequence = self._store.last_sequence(CheckpointRecord)
        made = SuspendedState(
            folder=name, step=self.step() if saved is None else saved.step, saved_at=at, sequence=sequence
        )
        write_private(self._folder / _NOTE, msgspec.json.encode(made))
        if state is not None:
            shutil.rmtree(self._folder / state.folder, ignore_errors=True)

    def submit(self, operation: RunOperation) -> None:
        """Put an operation at the end of the queue."""
        if operation.name != _SUSPEND:
            self.operations.add(operation)
        self._queue.append(operation)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._do_all())

    def suspend(self) -> None:
        """Keep the state and end the process, after what is waiting."""
        now = asyncio.get_running_loop().time()
        if self._process is not None and not self._queue and now > self._suspend_again_at:
            # A disk that was full is not better at once.
            self._suspend_again_at = now + _LAST_WAIT
            self.submit(RunOperation(_SUSPEND, b"", ""))

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
        self._fail_all(
            "The local service was stopped before this operation was done; start it again and send it again.",
            keep_first=True,
        )
        if self._work is not None and self._process is not None:
            await asyncio.wait({self._work}, timeout=_LAST_WAIT)
        if self._process is not None and not self._queue and self._unsaved:
            try:
                async with asyncio.timeout(_LAST_WAIT):
                    await self._save_suspended(self._process)
            except (OperationError, WorkerDiedError, OSError, TimeoutError):
                logger.warning("the state of run %s was not saved before the end", self.run_id, exc_info=True)
        await self.end(
            "The local service was stopped before this operation was done; start it again and send it again."
        )

    # The queue

    async def _do_all(self) -> None:
        while self._queue:
            operation = self._queue[0]
            self._last_used = asyncio.get_running_loop().time()
            try:
                result = await self._do(operation)
            except OperationError as error:
                self._finish(operation, error.error_class, str(error))
            except (RunEndedError, WorkerDiedError) as error:
                self._fail_all(str(error))
            except Exception as error:
                logger.exception("operation %s of run %s failed", operation.name, self.run_id)
                self._finish(
                    operation, type(error).__name__, f"The local service could not do this ({type(error).__name__})."
                )
            else:
                if self._queue and self._queue[0] is operation:
                    self._queue.popleft()
                    if operation.name != _SUSPEND:
                        self.operations.complete(operation, result)
            self._last_used = asyncio.get_running_loop().time()

    def _finish(self, operation: RunOperation, error_class: str, text: str) -> None:
        with contextlib.suppress(ValueError):
            self._queue.remove(operation)
        if operation.name != _SUSPEND and operation.finished_at is None:
            self.operations.fail(operation, error_class, text)

    def _fail_all(self, text: str, *, keep_first: bool = False) -> None:
        for operation in list(self._queue)[int(keep_first) :]:
            self._finish(operation, "RuntimeError", text)

    async def _do(self, operation: RunOperation) -> bytes:
        if operation.name == _SUSPEND:
            return await self._end_suspended()
        run = await self._up(operation)
        if self._lost:
            lost, self._lost = self._lost, ""
            if operation.name not in _RESTARTS:
                raise OperationError("RuntimeError", lost)
        process = await self._ready(run, fresh=operation.name == "init_trainer_server")
        try:
            result = await self._ask(process, run, operation)
        except WorkerDiedError:
            # Reported here, with the operation that failed.
            self._lost = ""
            raise WorkerDiedError(
                f"The trainer's process {process.exit_description()} before this operation was done. "
                f"{self._resume_notice(run)} Send it again."
            ) from None
        self._unsaved = self._unsaved or operation.name in _STATEFUL
        try:
            self._touch(run, operation)
        except Exception:
            logger.warning("the activity of run %s was not recorded", run.id, exc_info=True)
        return result

    async def _up(self, operation: RunOperation) -> RunRecord:
        """Wait until the deployment is running."""
        while True:
            run = self._run()
            if self._touch(run, operation) in {"RUNNING", "ACTIVE"}:
                return run
            await asyncio.sleep(_PAUSE)

    def _run(self) -> RunRecord:
        run = self._recorded_run()
        if self._statuses.has_ended(run):
            raise RunEndedError(f"Run {run.id} has ended; start a new one from one of its checkpoints.")
        return run

    def _recorded_run(self) -> RunRecord:
        run = self._store.get(RunRecord, self.run_id)
        if run is None:
            raise RunEndedError(f"Run {self.run_id} was deleted.")
        return run

    def _touch(self, run: RunRecord, operation: RunOperation) -> str:
        deployment = deployment_of(self._store, run)
        if deployment is None:
            return self._statuses.of(run)
        return self._statuses.touch(deployment, f"POST /{operation.name}")

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
                process = await WorkerProcess.start(
                    self._context.command, said=partial(self._keep_lines, run), ended=self._ended
                )
            except BaseException:
                self._context.trainer_slots.release(self)
                raise
            self._process = process
            self._remark(run, "remark", f"trainer process {process.pid} started; run {run.id} begins {origin.words}")
        try:
            answer = await process.call(
                "open",
                base_model=run.base_model,
                lora_rank=run.lora_rank,
                seed=run.seed,
                folder=str(origin.folder or ""),
            )
        except OperationError:
            await self._end_process()
            raise
        self._step = msgspec.json.decode(answer)["step"]
        self._unsaved = False
        return process

    async def _slot(self, run: RunRecord) -> None:
        """Wait until one more trainer may live; the logs say so where that takes time."""
        slots = self._context.trainer_slots
        if not slots.available:
            self._remark(
                run, "remark", f"run {run.id} waits for one of {slots.limit} trainers; {self._context.live_trainers()}"
            )
        await slots.acquire(self)

    def _origin(self, run: RunRecord) -> StartingPoint:
        """Return the newest state of the run: its own, or a checkpoint that it saved; else its beginning."""
        state = self._suspended_state()
        saved = self._checkpoints.newest_for_trainer(run.id)
        if state is not None and (saved is None or self._is_newer(state, saved)):
            return StartingPoint(self._folder / state.folder, f"where it stood at step {state.step}")
        if saved is not None:
            return StartingPoint(self._checkpoints.folders.checkpoint(saved.id), f"from its checkpoint {saved.name}")
        return self._beginning(run)

    def _is_newer(self, state: SuspendedState, checkpoint: CheckpointRecord) -> bool:
        """Return whether a private state was kept after a checkpoint was recorded."""
        if state.sequence is None:
            return state.saved_at >= checkpoint.created_at
        return state.sequence >= self._store.sequence(checkpoint)

    def _beginning(self, run: RunRecord) -> StartingPoint:
        if run.path is None:
            return StartingPoint(None, "with a fresh adapter")
        found = find_by_uri(self._store, parse_uri(run.path, target="trainer", argument="path"))
        if found is None:
            raise OperationError(
                "ValueError", f"The checkpoint {run.path} that the run was to start from is no longer here."
            )
        return StartingPoint(self._checkpoints.folders.checkpoint(found.id), f"from {run.path}")

    def _resume_notice(self, run: RunRecord) -> str:
        with contextlib.suppress(OperationError):
            return f"The run goes on {self._origin(run).words}; what came after that is lost."
        return "What was not saved is lost."

    def _ended(self, process: WorkerProcess) -> None:
        if self._process is not process:
            return
        # It was not asked to end.
        self._process = None
        self._context.trainer_slots.release(self)
        run = self._store.get(RunRecord, self.run_id)
        if run is None or self._statuses.has_ended(run):
            return
        unsaved, self._unsaved, self._step = self._unsaved, False, None
        words = f"trainer process {process.pid} {process.exit_description()}"
        if unsaved:
            self._lost = (
                f"The trainer's process {process.exit_description()} since the last operation. "
                f"{self._resume_notice(run)} Send this operation again."
            )
            words += f". {self._resume_notice(run)}"
        try:
            self._remark(run, "trouble", words)
        except Exception:
            logger.warning("not recorded: %s", words, exc_info=True)

    async def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.end()
        self._context.trainer_slots.release(self)

    def _keep_lines(self, run: RunRecord, lines: list[OutputLine]) -> None:
        self._context.keep_lines(deployment_of(self._store, run) or run, lines)

    def _remark(self, run: RunRecord, kind: str, note: str) -> None:
        deployment = deployment_of(self._store, run)
        with self._store.transaction():
            self._statuses.record(deployment or run, kind, note=note)

    # The state that it keeps for itself

    def _suspended_state(self) -> SuspendedState | None:
        try:
            found = msgspec.json.decode((self._folder / _NOTE).read_bytes(), type=SuspendedState)
        except (OSError, msgspec.MsgspecError):
            return None
        if not (self._folder / found.folder).is_dir():
            return None
        return found

    async def _end_suspended(self) -> bytes:
        process = self._process
        if process is not None:
            if self._unsaved:
                await self._save_suspended(process)
            await self._end_process()
        self._suspend_again_at = 0.0
        return b""

    async def _save_suspended(self, process: WorkerProcess) -> None:
        await asyncio.to_thread(private_folder, self._folder)
        before, at = self._suspended_state(), self._statuses.now()
        name = self._unused_name(at)
        answer = await process.call("write", target="trainer", folder=str(self._folder / name))
        sequence = self._store.last_sequence(CheckpointRecord)
        state = SuspendedState(folder=name, step=msgspec.json.decode(answer)["step"], saved_at=at, sequence=sequence)
        write_private(self._folder / _NOTE, msgspec.json.encode(state))
        self._unsaved = False
        if before is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder / before.folder, ignore_errors=True)

    def _unused_name(self, at: int) -> str:
        number = 0
        while (self._folder / f"{at}-{number}").exists():
            number += 1
        return f"{at}-{number}"

    # What an operation is

    async def _ask(self, process: WorkerProcess, run: RunRecord, operation: RunOperation) -> bytes:
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
        folder = self._readable_folder(path)
        result = await process.call("restore", folder=str(folder), optimizer=optimizer)
        self._step = msgspec.json.decode(result)["step"]
        return result

    async def _save(self, process: WorkerProcess, run: RunRecord, name: str, wanted: dict[str, Any]) -> bytes:
        target = "trainer" if name == "save_state" else "sampler"
        key = self._checkpoints.new_id()
        partial = self._checkpoints.folders.partial(key)
        try:
            reply = await process.call("write", target=target, folder=str(partial))
            answer = msgspec.json.decode(reply, type=WriteReply)
            await asyncio.to_thread(self._checkpoints.folders.complete, key)
            self._recorded_run()
            uri = self._checkpoints.record(
                run,
                WrittenCheckpoint(key=key, name=wanted["name"], target=target, files=answer.files, step=answer.step),
                ttl_seconds=wanted.get("ttl_seconds"),
                publish=bool(wanted.get("bump_version")),
            )
        except BaseException:
            for folder in (partial, self._checkpoints.folders.checkpoint(key)):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        if target == "trainer":
            self._unsaved = False
            return msgspec.json.encode({"mode": "lora", "path": uri})
        return msgspec.json.encode({"version": answer.step, "path": uri})

    def _readable_folder(self, path: str) -> Path:
        """Return the folder that a path means: that of a checkpoint (``bt://``), or one on this machine.

        Raises
        ------
        OperationError
            If there is none.
        """
        if path.startswith("bt://"):
            try:
                found = find_by_uri(self._store, parse_uri(path.rstrip("/"), argument="path"))
            except InvalidURIError as error:
                raise OperationError("ValueError", str(error)) from None
            if found is None:
                raise OperationError("ValueError", f"There is no checkpoint {path[:300]} here.")
            return self._checkpoints.folders.checkpoint(found.id)
        place = Path(unquote(urlsplit(path).path) if path.startswith("file://") else path)
        if not place.is_absolute() or not place.is_dir():
            text = (
                f"{path[:300]!r} is neither a checkpoint (bt://loops:<run>/weights/<name>) nor an absolute path of a "
                f"folder on this machine."
            )
            raise OperationError("ValueError", text)
        return place
