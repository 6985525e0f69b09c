"""Records as the API answers them: the superset of the first documents' shape and today's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from loops_nb.local import catalogue
from loops_nb.local.records import CheckpointRecord, DeploymentRecord, RunRecord, SamplerRecord
from loops_nb.local.service import Service
from loops_nb.models import RUN_TERMINAL

LORA_CONFIG_VERSION = "v1"


def timestamp(millis: int) -> str:
    """Return ISO 8601 in UTC; without a fraction on a whole second, as the hosted service writes it."""
    seconds, rest = divmod(millis, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
    return moment.isoformat(timespec="milliseconds" if rest else "seconds").replace("+00:00", "Z")


class Views:
    """Makes JSON objects of records.

    Parameters
    ----------
    service
        Tells the status of things.
    origin
        Scheme, host and port under which the caller reached the service, for the URLs in the answers.
    """

    def __init__(self, service: Service, origin: str) -> None:
        self._service = service
        self._origin = origin

    def run(self, record: RunRecord) -> dict[str, Any]:
        """Return a run; it has both ``id`` and ``run_id``."""
        sampler = self._service.store.get(SamplerRecord, record.sampler_id) if record.sampler_id else None
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
            "status": {"name": self._service.status(record)},
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
            "status": {"name": self._service.status(record)},
            "user": {"email": record.owner},
            "instance_type": instance_type(record.base_model) if record.model_id else None,
            "node_count": 1,
            "base_checkpoint": None,
        }

    def deployment(self, record: DeploymentRecord) -> dict[str, Any]:
        """Return a Loops deployment."""
        runs = self._service.runs_on(record)
        active = next((run.id for run in runs if self._service.status(run) not in RUN_TERMINAL), None)
        sampler = self._service.store.get(SamplerRecord, record.sampler_id) if record.sampler_id else None
        latest = runs[0].id if runs else None
        return {
            "id": record.id,
            "active_run_id": active,
            "latest_run_id": latest,
            "base_model": record.base_model,
            "base_url": self.trainer_url(active or latest or record.id),
            "status": {"name": self._service.status(record)},
            "user": {"email": record.owner},
            "created_at": timestamp(record.created_at),
            "availability_model": record.availability_model,
            "instance_type": instance_type(record.base_model),
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
        expires = self._service.now() // 1000 + self._service.settings.url_ttl
        return {
            "url": self._origin + self._service.signer.sign(path, expires=expires),
            "relative_file_name": name,
            "node_rank": node_rank,
            "size_bytes": size_bytes,
            "last_modified": timestamp(last_modified),
        }


def instance_type(base_model: str) -> dict[str, Any]:
    """Return the hardware of a model's trainer or sampler."""
    found: dict[str, Any] = msgspec.to_builtins(catalogue.hardware(base_model))
    return found


def with_tokenizer(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a creation with the place of a local model's tokenizer, where training clients look for it.

    They load it from the base checkpoint, which ends at an ``@`` for them; or else from the base model.
    """
    folder = catalogue.tokenizer_folder(answer["base_model"])
    if folder is None or answer["base_checkpoint"] is not None:
        return answer
    place = {"base_model": str(folder)} if "@" in str(folder) else {"base_checkpoint": f"hf://{folder}"}
    return {**answer, **place}


def receipt(record: RunRecord | SamplerRecord | DeploymentRecord) -> dict[str, Any]:
    """Return the answer to a deactivation."""
    return {"id": record.id, "base_model": record.base_model, "user": {"email": record.owner}}


def checkpoint_document(record: CheckpointRecord, modules: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a checkpoint; the adapter config always has an integer ``r``, which clients need.

    Parameters
    ----------
    record
        The checkpoint.
    modules
        What the adapter touches; the base model's usual ones when left out.
    """
    shape = catalogue.model(record.base_model)
    return {
        "id": record.id,
        "run_id": record.run_id,
        "target": record.target,
        "checkpoint_id": record.name,
        "created_at": timestamp(record.created_at),
        "checkpoint_type": "lora",
        "base_model": record.base_model,
        "lora_adapter_config": adapter_config(record.base_model, record.lora_rank, modules),
        "size_bytes": record.size_bytes,
        "sync_status": record.sync_status,
        "lora_config": {
            "config_version": record.lora_config_version,
            "targets": list(modules or shape.modules),
            "expert_layout": shape.experts,
        },
    }


def adapter_config(base_model: str, rank: int, modules: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the ``adapter_config.json`` of a LoRA adapter."""
    return {
        "base_model_name_or_path": base_model,
        "bias": "none",
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": list(modules or catalogue.model(base_model).modules),
        "task_type": "CAUSAL_LM",
    }


def legacy_checkpoint(document: bytes) -> dict[str, Any]:
    """Return a checkpoint with the field names of the legacy routes."""
    fields: dict[str, Any] = msgspec.json.decode(document)
    return {"trainer_id": fields.pop("run_id"), **{name: value for name, value in fields.items() if name != "lora_config"}}
