"""Rules of checkpoints: find by URI, validate, deploy."""

from __future__ import annotations

from loops_nb.api.uri import CheckpointURI, Target, parse_uri
from loops_nb.errors import InvalidURIError
from loops_nb.local import base_models
from loops_nb.local.http_errors import conflict, invalid, not_found
from loops_nb.local.rules.lookup import lookup
from loops_nb.local.rules.secrets import SECRETS
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.schemas import DeployCheckpoints, ValidateCheckpoint
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import (
    LOCAL_USER,
    LORA_CONFIG_VERSION,
    CheckpointRecord,
    ModelDeploymentRecord,
    RunRecord,
)


def read_uri(text: str, *, field: str, target: Target | None = None) -> CheckpointURI:
    """Read a URI, or refuse it with 400 and the field's name."""
    try:
        return parse_uri(text, target=target, argument=field)
    except InvalidURIError as error:
        raise invalid(field, str(error)) from None


def find_by_uri(store: RecordStore, uri: CheckpointURI) -> CheckpointRecord | None:
    """Return the checkpoint that a URI names."""
    found = store.find(CheckpointRecord, run_id=uri.run_id, target=uri.target, name=uri.name)
    return found[0] if found else None


def need_by_uri(store: RecordStore, text: str, *, field: str, target: Target | None = None) -> CheckpointRecord:
    """Return the checkpoint that a URI names, 400 for a bad one and 404 for an unknown one."""
    uri = read_uri(text, field=field, target=target)
    found = find_by_uri(store, uri)
    if found is None:
        raise not_found("checkpoint", str(uri))
    return found


def validate(store: RecordStore, body: ValidateCheckpoint) -> None:
    """Refuse a sampler checkpoint that cannot be used: malformed, unknown, or with another LoRA config than the run."""
    uri = read_uri(body.checkpoint_path, field="checkpoint_path", target="sampler")
    found = find_by_uri(store, uri)
    if found is None:
        raise invalid("checkpoint_path", f"There is no checkpoint {uri} here.")
    if body.run_id is None:
        return
    run = lookup(store, RunRecord, body.run_id, "run")
    if run.base_model != found.base_model:
        raise invalid(
            "run_id", f"The checkpoint is of base model {found.base_model}, the run {run.id} of {run.base_model}."
        )
    if found.lora_rank > run.lora_rank or found.lora_config_version != LORA_CONFIG_VERSION:
        raise invalid(
            "run_id",
            f"The checkpoint's LoRA rank is {found.lora_rank}, the run {run.id} was created with {run.lora_rank}.",
        )


def deploy(store: RecordStore, statuses: Statuses, body: DeployCheckpoints) -> ModelDeploymentRecord:
    """Make an inference model from sampler checkpoints; every call makes another one."""
    if body.instance_type_id not in base_models.HARDWARE:
        raise invalid(
            "instance_type_id",
            f"There is no instance type {body.instance_type_id[:200]!r}; there are {', '.join(base_models.HARDWARE)}.",
        )
    if body.hf_secret_name not in SECRETS:
        raise invalid(
            "hf_secret_name", f"There is no secret {body.hf_secret_name[:200]!r}; there are {', '.join(SECRETS)}."
        )
    found = []
    for key in body.checkpoint_ids:
        checkpoint = lookup(store, CheckpointRecord, key, "checkpoint")
        if checkpoint.target != "sampler":
            raise invalid(
                "checkpoint_ids",
                f"{checkpoint.id} ({checkpoint.name}) is a trainer checkpoint; only sampler checkpoints can be "
                f"deployed.",
            )
        if checkpoint.sync_status == "SYNCING":
            raise conflict(
                f"{checkpoint.id} ({checkpoint.name}) is still being written; try again when it is COMPLETE.",
                checkpoint_id=key,
            )
        found.append(checkpoint)
    if len({checkpoint.base_model for checkpoint in found}) > 1:
        raise invalid("checkpoint_ids", "Checkpoints that are deployed together must have the same base model.")
    with store.transaction():
        made = ModelDeploymentRecord(
            id=store.fresh_id(ModelDeploymentRecord),
            created_at=statuses.now(),
            owner=LOCAL_USER,
            model_id=store.fresh_id(ModelDeploymentRecord),
            model_name=body.model_name,
            base_model=found[0].base_model,
            instance_type_id=body.instance_type_id,
            checkpoint_ids=" ".join(checkpoint.id for checkpoint in found),
        )
        store.insert(made)
        statuses.record(
            made, "created", note=f"model {body.model_name!r} from {len(found)} checkpoints", idle_after_seconds=900
        )
    return made
