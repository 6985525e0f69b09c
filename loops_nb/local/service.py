"""The parts of one running local service, put together once."""

from __future__ import annotations

from loops_nb.local.presigned_urls import PresignedURLs
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.settings import Settings
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import DEFAULT_TEAM, LOCAL_USER, TeamRecord
from loops_nb.local.weights.checkpoints import SavedCheckpoints
from loops_nb.local.workers.pool import WorkerPool


class Service:
    """What the routes work with.

    Parameters
    ----------
    settings : Settings
        How the service was started.
    store : RecordStore
        Its records.

    Attributes
    ----------
    statuses : Statuses
        Events and statuses of runs, deployments and samplers; the clock.
    urls : PresignedURLs
        Signs and checks URLs of files.
    checkpoints : SavedCheckpoints
        What trainers saved.
    workers : WorkerPool
        The processes that train and sample.
    """

    def __init__(self, settings: Settings, store: RecordStore) -> None:
        self.settings = settings
        self.store = store
        self.statuses: Statuses = Statuses(store, settings.clock, speed=settings.speed)
        self.urls: PresignedURLs = PresignedURLs(store.data_dir, settings.clock, ttl_seconds=settings.url_ttl)
        self.checkpoints: SavedCheckpoints = SavedCheckpoints(store, self.statuses)
        if store.get(TeamRecord, DEFAULT_TEAM) is None:
            with store.transaction():
                store.insert(
                    TeamRecord(
                        id=DEFAULT_TEAM,
                        created_at=settings.clock(),
                        owner=LOCAL_USER,
                        name="Default team",
                        is_default=True,
                    )
                )
        self.workers: WorkerPool = WorkerPool(settings, store, self.statuses, self.checkpoints)
