"""JSON of the records, with the field names of the first and of the current API documents."""

from __future__ import annotations

from typing import Any

import msgspec

from loops_nb.api.states import RUN_TERMINAL
from loops_nb.local import base_models
from loops_nb.local.base_models import Hardware
from loops_nb.local.presigned_urls import PresignedURLs
from loops_nb.local.rules.hardware import hardware_of
from loops_nb.local.rules.lookup import runs_on, sampler_of
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import LORA_CONFIG_VERSION, DeploymentRecord, RunRecord, SamplerRecord, timestamp


class Views:
    """Makes JSON objects of records.

    Parameters
    ----------
    store, statuses, urls : RecordStore or Statuses or PresignedURLs
        Hold the records, compute their statuses, sign the URLs of files.
    origin : str
        Scheme, host and port under which the caller reached the service, for the URLs in the answers.
    """

    def __init__(self, store: RecordStore, statuses: Statuses, urls: PresignedURLs, origin: str) -> None:
        self._store = store
        self._statuses = statuses
        self._urls = urls
        self._origin = origin

    def run(self, record: RunRecord) -> dict[str, Any]:
        """Return a run; it has both ``id`` and ``run_id``."""
        sampler = sampler_of(self._store, record)
        return {
            "id": record.id,
            "run_id": record.id,
            "session_id": record.session_id,
            "deployment_id": record.deployment_id,
            "name": record.name,
            "base_model": record.base_model,
            "lora_config_version": LORA_CONFIG_VERSION,
            "base_url": self.trainer_url(record.id),
            "created_at": timestamp(record.created_at),
            "status": {"name": self._statuses.of(record)},
            "user": {"email": record.owner},
            "sampler": self.sampler(sampler) if sampler else None,
            "base_checkpoint": record.base_checkpoint,
        }

    def sampler(self, record: SamplerRecord) -> dict[str, Any]:
        """Return a sampler."""
        return {
            "id": record.id,
            "base_url": self.sampler_url(record.id),
            "base_model": record.base_model,
            "created_at": timestamp(record.created_at),
            "model_id": record.model_id,
            "deployment_id": record.deployment_id,
            "status": {"name": self._statuses.of(record)},
            "user": {"email": record.owner},
            "instance_type": instance_type(hardware_of(self._store, record)) if record.model_id else None,
            "node_count": 1,
            "base_checkpoint": None,
        }

    def deployment(self, record: DeploymentRecord) -> dict[str, Any]:
        """Return a Loops deployment."""
        runs = runs_on(self._store, record)
        active = next((run.id for run in runs if self._statuses.of(run) not in RUN_TERMINAL), None)
        sampler = sampler_of(self._store, record)
        latest = runs[0].id if runs else None
        return {
            "id": record.id,
            "active_run_id": active,
            "latest_run_id": latest,
            "base_model": record.base_model,
            "base_url": self.trainer_url(active or latest or record.id),
            "status": {"name": self._statuses.of(record)},
            "user": {"email": record.owner},
            "created_at": timestamp(record.created_at),
            "availability_model": record.availability_model,
            "instance_type": instance_type(hardware_of(self._store, record)),
            "node_count": record.node_count,
            "sampler": self.sampler(sampler) if sampler else None,
        }

    def trainer_url(self, run_id: str) -> str:
        """Return the base URL of a run's trainer."""
        return f"{self._origin}/trainers/{run_id}"

    def sampler_url(self, sampler_id: str) -> str:
        """Return the base URL of a sampler."""
        return f"{self._origin}/samplers/{sampler_id}"

    def file(self, path: str, *, name: str, node_rank: int, size_bytes: int, last_modified: int) -> dict[str, Any]:
        """Return a file with its presigned URL; ``path`` is that of the files route."""
        return {
            "url": self._origin + self._urls.sign(path),
            "relative_file_name": name,
            "node_rank": node_rank,
            "size_bytes": size_bytes,
            "last_modified": timestamp(last_modified),
        }


def instance_type(shape: Hardware) -> dict[str, Any]:
    """Return hardware as the API has it."""
    found: dict[str, Any] = msgspec.to_builtins(shape)
    return found


def with_tokenizer(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a creation with the place of a local model's tokenizer, where training clients look for it.

    They load it from the base checkpoint, which ends at an ``@`` for them; or else from the base model.
    """
    folder = base_models.tokenizer_folder(answer["base_model"])
    if folder is None or answer["base_checkpoint"] is not None:
        return answer
    place = {"base_model": str(folder)} if "@" in str(folder) else {"base_checkpoint": f"hf://{folder}"}
    return {**answer, **place}


def receipt(record: RunRecord | SamplerRecord | DeploymentRecord) -> dict[str, Any]:
    """Return the answer to a deactivation."""
    return {"id": record.id, "base_model": record.base_model, "user": {"email": record.owner}}


def legacy_checkpoint(document: bytes) -> dict[str, Any]:
    """Return a checkpoint with the field names of the legacy routes."""
    fields: dict[str, Any] = msgspec.json.decode(document)
    return {
        "trainer_id": fields.pop("run_id"),
        **{name: value for name, value in fields.items() if name != "lora_config"},
    }
