"""Records of checkpoints, and saving one with its files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

import msgspec

from loops_nb.local import base_models
from loops_nb.local.files import private_folder
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import LORA_CONFIG_VERSION, CheckpointRecord, FileRecord, RunRecord, timestamp
from loops_nb.local.weights.files import CHECKPOINTS, AdapterFile, WrittenFile, written_file


def save_checkpoint(
    store: RecordStore,
    run: RunRecord,
    *,
    key: str,
    name: str,
    target: str,
    files: Sequence[AdapterFile],
    at: int,
    sync_status: str | None = "COMPLETE",
) -> CheckpointRecord:
    """Write a checkpoint's files and its records, inside a transaction of the caller's.

    The caller flushes the files to the disk before the transaction ends.

    Parameters
    ----------
    store : RecordStore
        Holds the records; its folder gets the files.
    run : RunRecord
        The run that saves.
    key : str
        The checkpoint's id.
    name, target, sync_status : str
        As in the listing.
    files : sequence of AdapterFile
        What it consists of.
    at : int
        Epoch milliseconds.
    """
    folder = store.data_dir / CHECKPOINTS / key
    # What an interrupted save left behind has no record.
    shutil.rmtree(folder, ignore_errors=True)
    for folder_of_file in {(folder / file.name).parent for file in files}:
        private_folder(folder_of_file)
    for file in files:
        path = folder / file.name
        path.write_bytes(file.data)
        os.utime(path, ns=(at * 1_000_000, at * 1_000_000))
        store.insert(file_record(run, key, written_file(file), at=at))
    size = sum(len(file.data) for file in files)
    record = checkpoint_record(run, key=key, name=name, target=target, size_bytes=size, at=at, sync_status=sync_status)
    store.insert(record)
    return record


def file_record(run: RunRecord, key: str, file: WrittenFile, *, at: int) -> FileRecord:
    """Return the record of a file of a checkpoint."""
    return FileRecord(
        id=f"{key}/{file.name}",
        created_at=at,
        owner=run.owner,
        checkpoint_id=key,
        name=file.name,
        node_rank=file.node_rank,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
    )


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
    run, key, name, target, at, sync_status : RunRecord or str or int or str or None
        As in `save_checkpoint`.
    size_bytes : int
        Of all its files.
    modules : sequence of str, optional
        Modules that the adapter touches; those of the base model by default.
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


def checkpoint_document(record: CheckpointRecord, modules: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a checkpoint; the adapter config always has an integer ``r``, which clients need.

    Parameters
    ----------
    record : CheckpointRecord
        The checkpoint.
    modules : sequence of str, optional
        What the adapter touches; the base model's usual ones when left out.
    """
    shape = base_models.model(record.base_model)
    return {
        "id": record.id,
        "run_id": record.run_id,
        "target": record.target,
        "checkpoint_id": record.name,
        "created_at": timestamp(record.created_at),
        "checkpoint_type": "lora",
        "base_model": record.base_model,
        "lora_adapter_config": base_models.adapter_config(record.base_model, record.lora_rank, modules),
        "size_bytes": record.size_bytes,
        "sync_status": record.sync_status,
        "lora_config": {
            "config_version": record.lora_config_version,
            "targets": list(modules or shape.modules),
            "expert_layout": shape.experts,
        },
    }
