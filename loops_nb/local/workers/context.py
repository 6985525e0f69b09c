"""What a trainer and a sampler need of the pool that they belong to."""

from __future__ import annotations

from typing import Protocol

from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.settings import Settings
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import StatefulRecord
from loops_nb.local.weights.checkpoints import SavedCheckpoints
from loops_nb.local.workers.output import OutputLine
from loops_nb.local.workers.slots import ProcessSlots


class WorkerContext(Protocol):
    """The parts of the service that workers use, and the state that they share."""

    @property
    def settings(self) -> Settings:
        """How the service was started."""

    @property
    def store(self) -> RecordStore:
        """Its records."""

    @property
    def statuses(self) -> Statuses:
        """Events, statuses and the clock."""

    @property
    def checkpoints(self) -> SavedCheckpoints:
        """What trainers saved."""

    @property
    def command(self) -> tuple[str, ...]:
        """What a worker process runs."""

    @property
    def trainer_slots(self) -> ProcessSlots:
        """Slots for the processes of trainers."""

    @property
    def sampler_slots(self) -> ProcessSlots:
        """Slots for the processes of samplers."""

    @property
    def stopping(self) -> bool:
        """Whether the service ends, so that no request is held any more."""

    def keep_lines(self, record: StatefulRecord, lines: list[OutputLine]) -> None:
        """Keep lines that the process of a record wrote."""

    def live_trainers(self) -> str:
        """Say which runs have a trainer, in words."""
