"""Checkpoints that trainers save: recorded, settled after a while, gone when their time is over."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from loops_nb.local.files import CHECKPOINTS, private_folder, sync_folder
from loops_nb.local.model.sizes import TARGET_MODULES
from loops_nb.local.records import CheckpointRecord, FileRecord, PublishedRecord, RunRecord, SamplerRecord, SaveRecord
from loops_nb.local.saving import checkpoint_record
from loops_nb.local.service import Service
from loops_nb.uri import format_uri

#: How long a checkpoint is SYNCING, in seconds of life.
SYNCING_SECONDS = 2.0
#: Folder in the data folder: weights that were found without a record.
SET_ASIDE = "set-aside"
_PARTIAL = ".partial-"
NEVER = 2**62


class Written(Struct, frozen=True, kw_only=True):
    """Files of a checkpoint that are on the disk: its id, as what it is to be recorded, and the optimizer's steps."""

    key: str
    name: str
    target: str
    files: list[dict[str, Any]]
    step: int


def folder(service: Service, key: str) -> Path:
    """Return the folder of a checkpoint's files."""
    return service.store.data_dir / CHECKPOINTS / key


def partial_folder(service: Service, key: str) -> Path:
    """Return the folder that a checkpoint is written into before it is whole."""
    return service.store.data_dir / CHECKPOINTS / f"{_PARTIAL}{key}"


def complete(service: Service, key: str) -> None:
    """Give a checkpoint that is whole its folder, before its record is made."""
    made = folder(service, key)
    partial_folder(service, key).rename(made)
    sync_folder(made.parent)


def private_folders(service: Service) -> tuple[Path, Path]:
    """Return the folders of what trainers keep for themselves, and of what they published; each has one folder a run."""
    return service.store.data_dir / "engine" / "trainers", service.store.data_dir / "engine" / "published"


def published_folder(service: Service, published: PublishedRecord) -> Path:
    """Return the folder of the weights that a run published, which outlives the checkpoint."""
    return private_folders(service)[1] / published.id / published.checkpoint_id


def fresh_id(service: Service) -> str:
    """Return an id for a checkpoint, whose folder is not there."""
    while True:
        key = service.store.fresh_id(CheckpointRecord)
        if not folder(service, key).exists():
            return key


def newest(service: Service, run_id: str) -> SaveRecord | None:
    """Return the save of either target that was recorded last; by sequence, because a clock can go back."""
    return service.store.newest(SaveRecord, run_id=run_id)


def newest_trainer(service: Service, run_id: str) -> CheckpointRecord | None:
    """Return the checkpoint that a run can go on from and that was recorded last; by sequence, because a clock can go back."""
    return service.store.newest(CheckpointRecord, run_id=run_id, target="trainer")


def record(service: Service, run: RunRecord, written: Written, *, ttl_seconds: int | None, publish: bool) -> str:
    """Record what was written and return its URI; an earlier one of the same name and target is replaced."""
    store, now = service.store, service.now()
    earlier = store.find(CheckpointRecord, run_id=run.id, target=written.target, name=written.name)
    with store.transaction():
        for old in earlier:
            _forget(service, old)
        for file in written.files:
            store.insert(
                FileRecord(
                    id=f"{written.key}/{file['name']}",
                    created_at=now,
                    owner=run.owner,
                    checkpoint_id=written.key,
                    name=file["name"],
                    node_rank=file["node_rank"],
                    size_bytes=file["size_bytes"],
                    sha256=file["sha256"],
                )
            )
        checkpoint = checkpoint_record(
            run,
            key=written.key,
            name=written.name,
            target=written.target,
            size_bytes=sum(file["size_bytes"] for file in written.files),
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
            settles_at=now + round(SYNCING_SECONDS * 1000 / service.settings.speed),
            expires_at=None if ttl_seconds is None else now + ttl_seconds * 1000,
        )
        store.insert(saved)
        unused = [folder(service, old.id) for old in earlier] + (_publish(service, run, written) if publish else [])
    for old in earlier:
        service.under_way.pop(old.id, None)
    service.under_way[saved.id] = saved
    service.due = min(service.due, saved.settles_at)
    for place in unused:
        shutil.rmtree(place, ignore_errors=True)
    return format_uri(run.id, "trainer" if written.target == "trainer" else "sampler", written.name)


def bring_up_to_date(service: Service) -> None:
    """Settle what is due, and remove what has expired; quick when nothing is."""
    now = service.now()
    if now < service.due:
        return
    if service.due == 0:
        service.under_way = {saved.id: saved for saved in service.store.find(SaveRecord)}
    gone, settled = [], []
    for saved in list(service.under_way.values()):
        checkpoint = service.store.get(CheckpointRecord, saved.id)
        if checkpoint is not None and saved.expires_at is not None and saved.expires_at <= now:
            gone.append(checkpoint)
        elif checkpoint is not None and saved.settles_at <= now and checkpoint.sync_status == "SYNCING":
            settled.append(checkpoint)
    if gone or settled:
        with service.store.transaction():
            for checkpoint in gone:
                _forget(service, checkpoint)
            for checkpoint in settled:
                _settle(service, checkpoint)
        for checkpoint in gone:
            shutil.rmtree(folder(service, checkpoint.id), ignore_errors=True)
    service.under_way = {key: saved for key, saved in service.under_way.items() if _next(saved, now) is not None}
    service.due = min((_next(saved, now) or NEVER for saved in service.under_way.values()), default=NEVER)


def _next(saved: SaveRecord, now: int) -> int | None:
    """Return when something happens to a checkpoint, None if nothing will."""
    return min((at for at in (saved.settles_at, saved.expires_at) if at is not None and at > now), default=None)


def sweep(service: Service) -> str:
    """Clean the data folder at the start of the service; weights that the records do not know are moved aside, never deleted.

    Interrupted saves, which no client was told of, and the private states of ended runs are deleted.  A folder that has no record may
    be all that is left of a training whose records were lost.

    Returns
    -------
    notice
        What was moved aside, where it is and how to use it; empty when nothing was.
    """
    data_dir = service.store.data_dir
    for found in _folders(data_dir / CHECKPOINTS):
        if found.name.startswith(_PARTIAL):
            shutil.rmtree(found, ignore_errors=True)
    unknown = [found for found in _folders(data_dir / CHECKPOINTS) if service.store.get(CheckpointRecord, found.name) is None]
    for place in private_folders(service):
        for found in _folders(place):
            run = service.store.get(RunRecord, found.name)
            if run is None:
                unknown.append(found)
            elif service.ended(run):
                shutil.rmtree(found, ignore_errors=True)
    return _set_aside(data_dir, unknown) if unknown else ""


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


def _folders(place: Path) -> list[Path]:
    return [found for found in place.iterdir() if found.is_dir()] if place.is_dir() else []


def _settle(service: Service, checkpoint: CheckpointRecord) -> None:
    document = {**msgspec.json.decode(checkpoint.document), "sync_status": "COMPLETE"}
    service.store.update(msgspec.structs.replace(checkpoint, sync_status="COMPLETE", document=msgspec.json.encode(document)))


def _forget(service: Service, checkpoint: CheckpointRecord) -> None:
    for file in service.store.find(FileRecord, checkpoint_id=checkpoint.id):
        service.store.delete(file)
    saved = service.store.get(SaveRecord, checkpoint.id)
    if saved is not None:
        service.store.delete(saved)
    service.store.delete(checkpoint)


def _publish(service: Service, run: RunRecord, written: Written) -> list[Path]:
    """Make it the newest weights of the run, in a folder of their own (the checkpoint may be replaced, or expire).

    Returns
    -------
    unused
        The folder of the weights before.
    """
    before = service.store.get(PublishedRecord, run.id)
    made = PublishedRecord(
        id=run.id, created_at=service.now(), owner=run.owner, version=written.step, checkpoint_id=written.key, name=written.name
    )
    place, source = published_folder(service, made), folder(service, written.key)
    for file in written.files:
        target = place / file["name"]
        private_folder(target.parent)
        try:
            os.link(source / file["name"], target)
        except OSError:
            shutil.copyfile(source / file["name"], target)
    if before is None:
        service.store.insert(made)
    else:
        service.store.update(made)
    sampler = service.store.get(SamplerRecord, run.sampler_id) if run.sampler_id else None
    if sampler is not None:
        service.happened(sampler, "remark", note=f"serves {written.name}, version {written.step}")
    return [] if before is None else [published_folder(service, before)]
