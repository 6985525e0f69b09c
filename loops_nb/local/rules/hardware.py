"""Rules of hardware: what a new trainer or sampler runs on, by the user's preferences, and what an earlier one got."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from loops_nb.local import base_models
from loops_nb.local.base_models import Hardware
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import DeploymentRecord, ModelDeploymentRecord, SamplerRecord, subject

Half = Literal["trainer", "sampler"]
PREFERENCES = ("trainer_accelerator_priority", "sampler_accelerator_priority")
_USER_CONFIG = "user_config"


def user_config(store: RecordStore) -> dict[str, Any]:
    """Return the user's preferences; None inherits, which here means what a model runs on by itself."""
    stored = store.setting(_USER_CONFIG)
    return dict.fromkeys(PREFERENCES) if stored is None else msgspec.json.decode(stored, type=dict[str, Any])


def set_user_config(store: RecordStore, config: dict[str, Any]) -> None:
    """Store the user's preferences, inside a transaction of the caller's."""
    store.set_setting(_USER_CONFIG, msgspec.json.encode(config).decode())


def assign(store: RecordStore, record: DeploymentRecord | SamplerRecord, half: Half) -> None:
    """Give a new record its hardware, inside a transaction of the caller's: the first preferred type that fits."""
    shape = _preferred(record.base_model, user_config(store)[f"{half}_accelerator_priority"] or [])
    if shape is not None:
        store.set_setting(_key(record), shape.id)


def hardware_of(store: RecordStore, record: DeploymentRecord | SamplerRecord | ModelDeploymentRecord) -> Hardware:
    """Return what a record runs on; it stays when preferences change."""
    if isinstance(record, ModelDeploymentRecord):
        chosen: str | None = record.instance_type_id
    else:
        chosen = store.setting(_key(record))
    found = base_models.HARDWARE.get(chosen or "")
    return found or base_models.hardware(record.base_model)


def _preferred(base_model: str, priority: list[str]) -> Hardware | None:
    """Return the smallest shape of the first type that has as much GPU memory as the model's own; None without one."""
    usual = base_models.hardware(base_model)
    if usual.gpu_type is None:
        # A model of this machine runs on its processor.
        return None
    for wanted in priority:
        fitting = [
            shape
            for shape in base_models.HARDWARE.values()
            if (shape.gpu_type or "").casefold() == wanted.casefold() and shape.gpu_memory >= usual.gpu_memory
        ]
        if fitting:
            return min(fitting, key=lambda shape: shape.gpu_count)
    return None


def _key(record: DeploymentRecord | SamplerRecord) -> str:
    return f"hardware of {subject(record)}"
