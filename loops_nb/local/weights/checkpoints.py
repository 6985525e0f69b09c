"""Checkpoints that trainers save: recorded, settled after a while, removed when they expire."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from loops_nb.api.uri import format_uri
from loops_nb.local.base_models import TARGET_MODULES
from loops_nb.local.files import private_folder, sync_folder
from loops_nb.local.rules.lookup import sampler_of
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import (
    CheckpointRecord,
    DeletedRunRecord,
    FileRecord,
    PublishedRecord,
    RunRecord,
    SaveRecord,
    TombstoneRecord,
)
from loops_nb.local.weights.files import CHECKPOINTS, WrittenFile
from loops_nb.local.weights.records import checkpoint_record, file_record

logger: logging.Logger = logging.getLogger(__name__)

#: How long a checkpoint is SYNCING, at the speed of the hosted service.
SYNCING_SECONDS = 2.0
#: Folder in the data folder: weights that were found without a record.
SET_ASIDE = "set-aside"
_PARTIAL = ".partial-"
_NEVER = 2**62


class WrittenCheckpoint(Struct, frozen=True, kw_only=True):
    """Files of a checkpoint that are on the disk: its id, what it is to be recorded as, and the optimizer's steps."""

    key: str
    name: str
    target: str
    files: list[WrittenFile]
    step: int


class WeightFolders:
    """Paths of weights in the data folder.

    Parameters
    ----------
    data_dir : Path
        The data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.checkpoints: Path = data_dir / CHECKPOINTS
        #: One folder a run: the state of a trainer whose process is suspended.
        self.suspended: Path = data_dir / "engine" / "trainers"
        #: One folder a run: the weights that it published to its sampler.
        self.published: Path = data_dir / "engine" / "published"

    def checkpoint(self, key: str) -> Path:
        """Return the folder of a checkpoint's files."""
        return self.checkpoints / key

    def partial(self, key: str) -> Path:
        """Return the folder that a checkpoint is written into until it is complete."""
        return self.checkpoints / f"{_PARTIAL}{key}"

    def complete(self, key: str) -> None:
        """Move a complete checkpoint to its folder, before its record is made."""
        made = self.checkpoint(key)
        self.partial(key).rename(made)
        sync_folder(made.parent)

    def published_weights(self, published: PublishedRecord) -> Path:
        """Return the folder of the weights that a run published, which outlives the checkpoint."""
        return self.published / published.id / published.checkpoint_id

    def drop_run(self, run_id: str) -> None:
        """Remove the suspended state and the published weights of a run that has ended."""
        for folder in (self.suspended, self.published):
            shutil.rmtree(folder / run_id, ignore_errors=True)

    def remove_partial(self) -> None:
        """Remove what interrupted saves left; no client was told of it."""
        for found in subfolders(self.checkpoints):
            if found.name.startswith(_PARTIAL):
                shutil.rmtree(found, ignore_errors=True)


class SavedCheckpoints:
    """The checkpoints of one service.

    Parameters
    ----------
    store : RecordStore
        Holds their records.
    statuses : Statuses
        Gives the time and the speed, and takes remarks for the logs.
    """

    def __init__(self, store: RecordStore, statuses: Statuses) -> None:
        self.folders: WeightFolders = WeightFolders(store.data_dir)
        self._store = store
        self._statuses = statuses
        #: When the next checkpoint settles or expires, in epoch milliseconds; None before the first look.
        self._due: int | None = None
        self._pending: dict[str, SaveRecord] = {}

    def new_id(self) -> str:
        """Return an id for a checkpoint, which has neither a record nor a folder."""
        while True:
            key = self._store.fresh_id(CheckpointRecord)
            if not self.folders.checkpoint(key).exists():
                return key

    def newest_save(self, run_id: str) -> SaveRecord | None:
        """Return the save of either target that was recorded last; by sequence, because a clock can go back."""
        return self._store.newest(SaveRecord, run_id=run_id)

    def newest_for_trainer(self, run_id: str) -> CheckpointRecord | None:
        """Return the trainer checkpoint of a run that was recorded last; by sequence, because a clock can go back."""
        return self._store.newest(CheckpointRecord, run_id=run_id, target="trainer")

    def record(self, run: RunRecord, written: WrittenCheckpoint, *, ttl_seconds: int | None, publish: bool) -> str:
        """Record a written checkpoint and return its URI; an earlier one of the same name and target is replaced."""
        store, now = self._store, self._statuses.now()
        earlier = store.find(CheckpointRecord, run_id=run.id, target=written.target, name=written.name)
        with store.transaction():
            for old in earlier:
                self._delete(old)
            for file in written.files:
                store.insert(file_record(run, written.key, file, at=now))
            checkpoint = checkpoint_record(
                run,
                key=written.key,
                name=written.name,
                target=written.target,
                size_bytes=sum(file.size_bytes for file in written.files),
                at=now,
                sync_status="SYNCING",
                modules=TARGET_MODULES,
            )
            store.insert(checkpoint)
            saved = SaveRecord(
                id=written.key,
                created_at=now,
                owner=run.owner,
                run_id=run.id,
                step=written.step,
                settles_at=now + round(SYNCING_SECONDS * 1000 / self._statuses.speed),
                expires_at=None if ttl_seconds is None else now + ttl_seconds * 1000,
            )
            store.insert(saved)
            unused = [self.folders.checkpoint(old.id) for old in earlier]
            if publish:
                unused += self._publish(run, written)
        for old in earlier:
            self._pending.pop(old.id, None)
        self._pending[saved.id] = saved
        if self._due is not None:
            self._due = min(self._due, saved.settles_at)
        for folder in unused:
            shutil.rmtree(folder, ignore_errors=True)
        return format_uri(run.id, "trainer" if written.target == "trainer" else "sampler", written.name)

    def forget(self, checkpoint: CheckpointRecord) -> None:
        """Replace the records of a checkpoint by a tombstone, inside a transaction of the caller's."""
        self._delete(checkpoint)
        self._store.insert(
            TombstoneRecord(
                id=checkpoint.id,
                created_at=self._statuses.now(),
                owner=checkpoint.owner,
                run_id=checkpoint.run_id,
                name=checkpoint.name,
                target=checkpoint.target,
            )
        )

    def forget_run(self, run: RunRecord) -> None:
        """Replace the record of a run by its id, inside a transaction of the caller's."""
        published = self._store.get(PublishedRecord, run.id)
        if published is not None:
            self._store.delete(published)
        self._store.delete(run)
        self._store.insert(DeletedRunRecord(id=run.id, created_at=self._statuses.now(), owner=run.owner))

    def remove_files(self, checkpoint_ids: Iterable[str], *, run_id: str | None = None) -> None:
        """Remove the files of deleted checkpoints, and what a deleted run kept; the start of the service does the rest.

        Parameters
        ----------
        checkpoint_ids : iterable of str
            Checkpoints without a record.
        run_id : str, optional
            A run without a record.
        """
        for key in checkpoint_ids:
            shutil.rmtree(self.folders.checkpoint(key), ignore_errors=True)
        if run_id is not None:
            self.folders.drop_run(run_id)

    def settle_due(self) -> None:
        """Complete the checkpoints that are due, and remove those that have expired; quick when there are none."""
        now = self._statuses.now()
        if self._due is None:
            self._pending = {saved.id: saved for saved in self._store.find(SaveRecord)}
        elif now < self._due:
            return
        self._settle(now)
        times = {key: _next_change(saved, now) for key, saved in self._pending.items()}
        self._pending = {key: saved for key, saved in self._pending.items() if times[key] is not None}
        self._due = min((at for at in times.values() if at is not None), default=_NEVER)

    def clean_up(self) -> str:
        """Clean the data folder at the start of the service; weights without a record are moved aside, never deleted.

        Interrupted saves and the suspended states of ended runs are deleted.  A folder that has no record may be all
        that is left of a training whose records were lost.

        Returns
        -------
        notice : str
            What was moved aside, where it is and how to use it; empty when nothing was.
        """
        self.folders.remove_partial()
        unknown = []
        for found in subfolders(self.folders.checkpoints):
            if self._store.get(TombstoneRecord, found.name) is not None:
                # Its deletion was interrupted before its files were gone.
                shutil.rmtree(found, ignore_errors=True)
            elif self._store.get(CheckpointRecord, found.name) is None:
                unknown.append(found)
        for folder in (self.folders.suspended, self.folders.published):
            for found in subfolders(folder):
                run = self._store.get(RunRecord, found.name)
                if self._store.get(DeletedRunRecord, found.name) is not None:
                    shutil.rmtree(found, ignore_errors=True)
                elif run is None:
                    unknown.append(found)
                elif self._statuses.has_ended(run):
                    shutil.rmtree(found, ignore_errors=True)
        if not unknown:
            return ""
        return _set_aside(self.folders.data_dir, unknown)

    def _settle(self, now: int) -> None:
        expired, settled = [], []
        for saved in self._pending.values():
            checkpoint = self._store.get(CheckpointRecord, saved.id)
            if checkpoint is None:
                continue
            if saved.expires_at is not None and saved.expires_at <= now:
                expired.append(checkpoint)
            elif saved.settles_at <= now and checkpoint.sync_status == "SYNCING":
                settled.append(checkpoint)
        if not expired and not settled:
            return
        with self._store.transaction():
            for checkpoint in expired:
                self._delete(checkpoint)
            for checkpoint in settled:
                self._complete(checkpoint)
        for checkpoint in expired:
            shutil.rmtree(self.folders.checkpoint(checkpoint.id), ignore_errors=True)

    def _complete(self, checkpoint: CheckpointRecord) -> None:
        document = {**msgspec.json.decode(checkpoint.document), "sync_status": "COMPLETE"}
        self._store.update(
            msgspec.structs.replace(checkpoint, sync_status="COMPLETE", document=msgspec.json.encode(document))
        )

    def _delete(self, checkpoint: CheckpointRecord) -> None:
        for file in self._store.find(FileRecord, checkpoint_id=checkpoint.id):
            self._store.delete(file)
        saved = self._store.get(SaveRecord, checkpoint.id)
        if saved is not None:
            self._store.delete(saved)
        self._store.delete(checkpoint)

    def _publish(self, run: RunRecord, written: WrittenCheckpoint) -> list[Path]:
        """Publish the weights to the run's sampler, in an own folder: the checkpoint may be replaced, or expire.

        Returns
        -------
        unused : list of Path
            The folder of the weights that were published before.
        """
        before = self._store.get(PublishedRecord, run.id)
        made = PublishedRecord(
            id=run.id,
            created_at=self._statuses.now(),
            owner=run.owner,
            version=written.step,
            checkpoint_id=written.key,
            name=written.name,
        )
        copy_weights(self.folders.checkpoint(written.key), self.folders.published_weights(made))
        if before is None:
            self._store.insert(made)
        else:
            self._store.update(made)
        sampler = sampler_of(self._store, run)
        if sampler is not None:
            self._statuses.record(sampler, "remark", note=f"serves {written.name}, version {written.step}")
        if before is None:
            return []
        return [self.folders.published_weights(before)]


def copy_weights(source: Path, folder: Path) -> None:
    """Copy the files of a folder of weights, by hard links where the disk has them."""
    for found in sorted(path for path in source.rglob("*") if path.is_file()):
        target = folder / found.relative_to(source)
        private_folder(target.parent)
        try:
            os.link(found, target)
        except OSError:
            logger.debug("no hard link to %s, copied", target)
            shutil.copyfile(found, target)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder; none if it does not exist."""
    if not folder.is_dir():
        return []
    return [found for found in folder.iterdir() if found.is_dir()]


def _next_change(saved: SaveRecord, now: int) -> int | None:
    """Return when a checkpoint settles or expires next, None if it does neither any more."""
    return min((at for at in (saved.settles_at, saved.expires_at) if at is not None and at > now), default=None)


def _set_aside(data_dir: Path, unknown: list[Path]) -> str:
    aside = data_dir / SET_ASIDE / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    folders = f"{len(unknown)} folder{'' if len(unknown) == 1 else 's'} of weights"
    try:
        for found in unknown:
            target = aside / found.relative_to(data_dir)
            private_folder(target.parent)
            found.rename(target)
    except OSError as error:
        return (
            f"The records in {data_dir} do not know {folders} there, which could not be moved to {aside} "
            f"({error.strerror or error}). Nothing was deleted."
        )
    return (
        f"The records in {data_dir} do not know {folders} there, which were moved to {aside}. Nothing was deleted. "
        "If records.sqlite3 was lost: stop the service, put the file back and move the folders back. "
        "To train on from one of them, load its path (load_state takes a folder); delete what you do not need."
    )
