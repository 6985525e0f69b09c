"""Pool of worker processes: one for each live trainer and sampler, started and ended as their states change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from loops_nb.local.rules.lookup import deployment_of
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.settings import Settings
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.process_logs import ProcessLine
from loops_nb.local.store.records import (
    DeploymentRecord,
    ModelDeploymentRecord,
    RunRecord,
    SamplerRecord,
    StatefulRecord,
    subject,
)
from loops_nb.local.weights.checkpoints import SavedCheckpoints
from loops_nb.local.workers.measurements import Measurements
from loops_nb.local.workers.operations import RunOperation
from loops_nb.local.workers.output import OutputLine
from loops_nb.local.workers.process import WORKER
from loops_nb.local.workers.sampler import DeployedModelWorker, SamplerWorker
from loops_nb.local.workers.slots import ProcessSlots
from loops_nb.local.workers.trainer import TrainerWorker

logger: logging.Logger = logging.getLogger(__name__)
#: Seconds between two checks.
_TICK = 0.1
#: Seconds that an admitted run has to send its first operation before the next one is admitted.
_ADMISSION_SECONDS = 5.0


class WorkerPool:
    """The trainers and samplers of a service (a `WorkerContext`).

    Parameters
    ----------
    settings, store, statuses, checkpoints : Settings or RecordStore or Statuses or SavedCheckpoints
        As in `loops_nb.local.service.Service`.
    command : sequence of str
        What a worker process runs.
    """

    def __init__(
        self,
        settings: Settings,
        store: RecordStore,
        statuses: Statuses,
        checkpoints: SavedCheckpoints,
        *,
        command: Sequence[str] = WORKER,
    ) -> None:
        self.settings = settings
        self.store = store
        self.statuses = statuses
        self.checkpoints = checkpoints
        self.command: tuple[str, ...] = tuple(command)
        #: Set when the service is told to end: no request is held any more.
        self.stopping: bool = False
        self._stop = asyncio.Event()
        self._trainers: dict[str, TrainerWorker] = {}
        self._samplers: dict[str, SamplerWorker] = {}
        self._timed: set[asyncio.Task[None]] = set()
        self.measured: Measurements = Measurements(statuses.now, store.data_dir)
        self.trainer_slots: ProcessSlots = ProcessSlots(settings.max_trainers)
        self.sampler_slots: ProcessSlots = ProcessSlots(settings.max_samplers)
        #: Ids of the deployments that wait for a trainer, oldest first.
        queued = (found for found in store.find(DeploymentRecord) if statuses.is_queued(found))
        self._queued = [found.id for found in sorted(queued, key=store.sequence)]
        self._next_admission = 0.0
        self._checks: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the periodic check."""
        self._checks = asyncio.create_task(self._check_periodically())

    def stop(self) -> None:
        """Answer every request that is held, because the service ends."""
        self.stopping = True
        self._stop.set()

    async def close(self) -> None:
        """Save the states of the trainers and end all processes."""
        self.stop()
        if self._checks is not None:
            self._checks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._checks
        for task in self._timed:
            task.cancel()
        await asyncio.gather(*(trainer.stop() for trainer in self._trainers.values()))
        await asyncio.gather(*(sampler.close() for sampler in self._samplers.values()))

    def trainer(self, run: RunRecord) -> TrainerWorker:
        """Return the worker of a run."""
        found = self._trainers.get(run.id)
        if found is None:
            found = self._trainers[run.id] = TrainerWorker(self, run)
        return found

    def sampler(self, sampler: SamplerRecord) -> SamplerWorker:
        """Return the worker of a sampler."""
        found = self._samplers.get(sampler.id)
        if found is None:
            found = self._samplers[sampler.id] = SamplerWorker(self, sampler.id)
        return found

    def deployed(self, model: ModelDeploymentRecord) -> DeployedModelWorker:
        """Return the worker of a model that was made from checkpoints."""
        found = self._samplers.get(model.id)
        if not isinstance(found, DeployedModelWorker):
            found = self._samplers[model.id] = DeployedModelWorker(self, model.id)
        return found

    def admit(self, run: RunRecord) -> None:
        """Let the new deployment of a run start, or queue it until a trainer is free."""
        deployment = deployment_of(self.store, run)
        if deployment is None or (self.trainer_slots.available and not self._queued):
            return
        with self.store.transaction():
            self.statuses.record(deployment, "queued")
            self.statuses.record(
                deployment,
                "remark",
                note=f"waits for one of {self.trainer_slots.limit} trainers; {self.live_trainers()}",
            )
        self._queued.append(deployment.id)

    def keep_lines(self, record: StatefulRecord, lines: list[OutputLine]) -> None:
        """Keep lines that the process of a record wrote, with the time now."""
        at = self.statuses.now()
        self.store.logs.add(subject(record), [ProcessLine(at, line.message, line.level) for line in lines])

    def live_trainers(self) -> str:
        """Say which runs have a trainer, in words."""
        live = [key for key, trainer in self._trainers.items() if trainer.pid is not None]
        return f"runs {', '.join(live)} have them" if live else "none is free yet"

    async def wait(self, operation: RunOperation) -> bool:
        """Wait for an operation as long as a poll is held; return whether it is finished."""
        if not operation.finished.is_set() and not self.stopping:
            waiting = {asyncio.create_task(operation.finished.wait()), asyncio.create_task(self._stop.wait())}
            try:
                await asyncio.wait(waiting, timeout=self.settings.hold_seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
        return operation.finished.is_set()

    def time_operation(self, deployment_id: str, operation: RunOperation) -> None:
        """Measure how long an operation takes, the wait for earlier ones included."""

        async def finish() -> None:
            with self.measured.request(deployment_id):
                await operation.finished.wait()

        task = asyncio.create_task(finish())
        # The event loop itself keeps no reference.
        self._timed.add(task)
        task.add_done_callback(self._timed.discard)

    def processes(self) -> dict[str, int]:
        """Return the process id of each live run and sampler."""
        workers: dict[str, TrainerWorker | SamplerWorker] = {**self._trainers, **self._samplers}
        return {key: worker.pid for key, worker in workers.items() if worker.pid is not None}

    def _measured_processes(self) -> dict[str, int]:
        """Return the process ids of trainers by the id of their deployment, and those of samplers by theirs."""
        found = {key: sampler.pid for key, sampler in self._samplers.items() if sampler.pid is not None}
        for key, trainer in self._trainers.items():
            run = None if trainer.pid is None else self.store.get(RunRecord, key)
            if run is not None and run.deployment_id is not None and trainer.pid is not None:
                found[run.deployment_id] = trainer.pid
        return found

    def waiting_bytes(self) -> int:
        """Return the size of all bodies that were accepted and are not worked on yet."""
        return sum(trainer.operations.waiting_bytes for trainer in self._trainers.values())

    async def _check_periodically(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                self.checkpoints.settle_due()
                for trainer in list(self._trainers.values()):
                    await self._check_trainer(trainer)
                for sampler in list(self._samplers.values()):
                    await self._check_sampler(sampler)
                self._admit_next()
                self.measured.measure(self._measured_processes())
            except Exception:
                logger.exception("the periodic check failed")

    def _admit_next(self) -> None:
        """Let the deployment start that has waited longest, when a trainer is free."""
        now = asyncio.get_running_loop().time()
        while self._queued and now >= self._next_admission and self.trainer_slots.available:
            deployment = self.store.get(DeploymentRecord, self._queued.pop(0))
            if deployment is None or not self.statuses.is_queued(deployment):
                continue
            with self.store.transaction():
                self.statuses.record(deployment, "admitted", note="a trainer is free")
            self._next_admission = now + _ADMISSION_SECONDS

    async def _check_trainer(self, trainer: TrainerWorker) -> None:
        trainer.operations.drop_expired()
        run = self.store.get(RunRecord, trainer.run_id)
        if run is None or self.statuses.has_ended(run):
            if trainer.live:
                await trainer.end(f"Run {trainer.run_id} has ended; start a new one from one of its checkpoints.")
            if not len(trainer.operations):
                del self._trainers[trainer.run_id]
                self.checkpoints.folders.drop_run(trainer.run_id)
            return
        deployment = deployment_of(self.store, run)
        if deployment is None:
            return
        if trainer.busy:
            self.statuses.touch(deployment, "an operation is under way")
        elif trainer.live and self.statuses.of(deployment) == "SCALED_TO_ZERO":
            trainer.suspend()

    async def _check_sampler(self, sampler: SamplerWorker) -> None:
        sampler.queue.drop_expired()
        record = self.store.get(sampler.record_type, sampler.sampler_id)
        if record is None or self.statuses.has_ended(record):
            await sampler.close()
            del self._samplers[sampler.sampler_id]
        elif sampler.busy:
            self.statuses.touch(record, "a request is under way")
        elif sampler.live and self.statuses.of(record) == "SCALED_TO_ZERO":
            await sampler.end()
