"""All trainers and samplers of a service: how many may live, and what the clock does to them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from loops_nb.local.engine import saves
from loops_nb.local.engine.operations import Operation
from loops_nb.local.engine.process import WORKER
from loops_nb.local.engine.samplers import Sampler
from loops_nb.local.engine.slots import ProcessSlots
from loops_nb.local.engine.trainers import Trainer
from loops_nb.local.files import private_folder, write_private
from loops_nb.local.records import DeploymentRecord, RunRecord, SamplerRecord
from loops_nb.local.service import Service

_LOG = logging.getLogger(__name__)
#: Seconds between two looks at the clock.
_TICK = 0.1
#: Seconds that an admitted run has to send its first operation before the next one is admitted.
_ADMISSION_SECONDS = 5.0


class Engine:
    """Trainers and samplers by the ids of their runs and samplers.

    Parameters
    ----------
    service
        Holds the records, tells the states.
    command
        What a worker process runs.
    """

    def __init__(self, service: Service, *, command: Sequence[str] = WORKER) -> None:
        self.service = service
        self.command = tuple(command)
        self.folder = service.store.data_dir / "engine"
        self.log = self.folder / "workers.log"
        #: Set when the service is told to end: nobody is kept waiting any more.
        self.stopping = False
        self._stop = asyncio.Event()
        self._trainers: dict[str, Trainer] = {}
        self._samplers: dict[str, Sampler] = {}
        self.trainer_slots = ProcessSlots(service.settings.max_trainers)
        self.sampler_slots = ProcessSlots(service.settings.max_samplers)
        #: Ids of the deployments that wait for a trainer, oldest first.
        queued = (found for found in service.store.find(DeploymentRecord) if service.is_queued(found))
        self._queued = [found.id for found in sorted(queued, key=service.store.sequence)]
        self._next_admission = 0.0
        self._clock: asyncio.Task[None] | None = None
        private_folder(self.folder)
        write_private(self.log, b"")

    def start(self) -> None:
        """Begin to follow the clock."""
        self._clock = asyncio.create_task(self._follow_the_clock())

    def let_go(self) -> None:
        """Answer everybody who waits, because the service ends."""
        self.stopping = True
        self._stop.set()

    async def close(self) -> None:
        """Keep what the trainers know and end all processes."""
        self.let_go()
        if self._clock is not None:
            self._clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock
        await asyncio.gather(*(trainer.stop() for trainer in self._trainers.values()))
        await asyncio.gather(*(sampler.close() for sampler in self._samplers.values()))

    def trainer(self, run: RunRecord) -> Trainer:
        """Return the trainer of a run."""
        found = self._trainers.get(run.id)
        if found is None:
            found = self._trainers[run.id] = Trainer(self, run)
        return found

    def sampler(self, sampler: SamplerRecord) -> Sampler:
        """Return the model behind a sampler."""
        found = self._samplers.get(sampler.id)
        if found is None:
            found = self._samplers[sampler.id] = Sampler(self, sampler.id)
        return found

    def admit(self, run: RunRecord) -> None:
        """Let the new deployment of a run start, or queue it until a trainer is free."""
        deployment = self.service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
        if deployment is None or (self.trainer_slots.available and not self._queued):
            return
        with self.service.store.transaction():
            self.service.happened(deployment, "queued")
            self.service.happened(
                deployment, "remark", note=f"waits for one of {self.trainer_slots.limit} trainers; {self.live_trainers()}"
            )
        self._queued.append(deployment.id)

    def live_trainers(self) -> str:
        """Say which runs have a trainer, in words."""
        live = [key for key, trainer in self._trainers.items() if trainer.pid is not None]
        return f"runs {', '.join(live)} have them" if live else "none is free yet"

    async def wait(self, operation: Operation) -> bool:
        """Wait for an operation as long as a poll is held; return whether it is finished."""
        if not operation.finished.is_set() and not self.stopping:
            waiting = {asyncio.create_task(operation.finished.wait()), asyncio.create_task(self._stop.wait())}
            try:
                await asyncio.wait(waiting, timeout=self.service.settings.hold_seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
        return operation.finished.is_set()

    def processes(self) -> dict[str, int]:
        """Return the process id of each live run and sampler."""
        hosts: dict[str, Trainer | Sampler] = {**self._trainers, **self._samplers}
        return {key: host.pid for key, host in hosts.items() if host.pid is not None}

    def waiting_bytes(self) -> int:
        """Return the size of all bodies that were accepted and are not worked on yet."""
        return sum(trainer.operations.waiting_bytes for trainer in self._trainers.values())

    async def _follow_the_clock(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                saves.bring_up_to_date(self.service)
                for trainer in list(self._trainers.values()):
                    await self._look_at_trainer(trainer)
                for sampler in list(self._samplers.values()):
                    await self._look_at_sampler(sampler)
                self._admit_next()
            except Exception:  # noqa: BLE001 - a full disk, say: the next look may be luckier, and without it nothing would ever sleep
                _LOG.exception("following the clock failed")

    def _admit_next(self) -> None:
        """Let the deployment start that has waited longest, when a trainer is free."""
        now = asyncio.get_running_loop().time()
        while self._queued and now >= self._next_admission and self.trainer_slots.available:
            deployment = self.service.store.get(DeploymentRecord, self._queued.pop(0))
            if deployment is None or not self.service.is_queued(deployment):
                continue
            with self.service.store.transaction():
                self.service.happened(deployment, "admitted", note="a trainer is free")
            self._next_admission = now + _ADMISSION_SECONDS

    async def _look_at_trainer(self, trainer: Trainer) -> None:
        trainer.operations.forget()
        run = self.service.store.get(RunRecord, trainer.run_id)
        if run is None or self.service.ended(run):
            if trainer.live:
                await trainer.end(f"Run {trainer.run_id} has ended; start a new one from one of its checkpoints.")
            if not len(trainer.operations):
                del self._trainers[trainer.run_id]
                trainer.drop()
            return
        deployment = self.service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
        if deployment is None:
            return
        if trainer.busy:
            self.service.touch(deployment, "an operation is under way")
        elif trainer.live and self.service.status(deployment) == "SCALED_TO_ZERO":
            trainer.park()

    async def _look_at_sampler(self, sampler: Sampler) -> None:
        sampler.queue.forget()
        record = self.service.store.get(SamplerRecord, sampler.sampler_id)
        if record is None or self.service.ended(record):
            await sampler.close()
            del self._samplers[sampler.sampler_id]
        elif sampler.busy:
            self.service.touch(record, "a request is under way")
        elif sampler.live and self.service.status(record) == "SCALED_TO_ZERO":
            await sampler.end()
