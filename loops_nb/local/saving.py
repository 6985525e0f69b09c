"""Saving a checkpoint: its files first, then the record that makes it exist."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence

import msgspec

from loops_nb.local.files import CHECKPOINTS, AdapterFile, private_folder
from loops_nb.local.records import CheckpointRecord, FileRecord, RunRecord
from loops_nb.local.store import Store
from loops_nb.local.views import LORA_CONFIG_VERSION, checkpoint_document


def save_checkpoint(
    store: Store,
    run: RunRecord,
    *,
    key: str,
    name: str,
    target: str,
    files: Sequence[AdapterFile],
    at: int,
    sync_status: str | None = "COMPLETE",
    flush: bool = True,
) -> CheckpointRecord:
    """Write a checkpoint's files and its records, inside a transaction of the caller's.

    Parameters
    ----------
    store
        Holds the records; its folder gets the files.
    run
        The run that saves.
    key
        The checkpoint's id.
    name, target, sync_status
        As in the listing.
    files
        What it consists of.
    at
        Epoch milliseconds.
    flush
        Wait until each file is on the disk.
    """
    folder = store.data_dir / CHECKPOINTS / key
    # What an interrupted save left behind has no record.
    shutil.rmtree(folder, ignore_errors=True)
    for folder_of_file in {(folder / file.name).parent for file in files}:
        private_folder(folder_of_file)
    for file in files:
        path = folder / file.name
        with path.open("wb") as opened:
            opened.write(file.data)
            if flush:
                opened.flush()
                os.fsync(opened.fileno())
        os.utime(path, ns=(at * 1_000_000, at * 1_000_000))
        store.insert(
            FileRecord(
                id=f"{key}/{file.name}",
                created_at=at,
                owner=run.owner,
                checkpoint_id=key,
                name=file.name,
                node_rank=file.node_rank,
                size_bytes=len(file.data),
                sha256=hashlib.sha256(file.data).hexdigest(),
            )
        )
    size = sum(len(file.data) for file in files)
    record = checkpoint_record(run, key=key, name=name, target=target, size_bytes=size, at=at, sync_status=sync_status)
    store.insert(record)
    return record


def checkpoint_record(
    run: RunRecord,
    *,
    key: str,
    name: str,
    target: str,
    size_bytes: int,
    at: int,
    sync_status: str | None,
    modules: Sequence[str] | None = None,
) -> CheckpointRecord:
    """Return the record of a checkpoint, with the document that listings answer.

    Parameters
    ----------
    run, key, name, target, at, sync_status
        As `save_checkpoint` has them.
    size_bytes
        Of all its files.
    modules
        What the adapter touches; the base model's usual ones when left out.
    """
    record = CheckpointRecord(
        id=key,
        created_at=at,
        owner=run.owner,
        run_id=run.id,
        name=name,
        target=target,
        base_model=run.base_model,
        lora_rank=run.lora_rank,
        lora_config_version=LORA_CONFIG_VERSION,
        size_bytes=size_bytes,
        sync_status=sync_status,
        document=b"",
    )
    return msgspec.structs.replace(record, document=msgspec.json.encode(checkpoint_document(record, modules)))
