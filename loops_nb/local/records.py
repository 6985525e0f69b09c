"""The rows of the store.  Times are epoch milliseconds; ids are opaque."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class Record(Struct, frozen=True, kw_only=True):
    """A row of one table."""

    table: ClassVar[str]
    indexed: ClassVar[tuple[str, ...]] = ()
    #: The version of the records that brought the table.
    since: ClassVar[int] = 1

    id: str
    created_at: int
    owner: str


class SessionRecord(Record, frozen=True, kw_only=True):
    """A session."""

    table = "sessions"

    team_id: str
    training_project_id: str | None = None


class RunRecord(Record, frozen=True, kw_only=True):
    """A run; ``deployment_id`` is None on shared (serverless) capacity."""

    table = "runs"
    indexed = ("owner", "session_id", "base_model", "deployment_id")

    team_id: str
    session_id: str
    base_model: str
    name: str
    lora_rank: int
    scale_down_delay_seconds: int
    availability_model: str = "dedicated"
    replicas: int = 1
    max_seq_len: int | None = None
    seed: int | None = None
    path: str | None = None
    base_checkpoint: str | None = None
    deployment_id: str | None = None
    sampler_id: str | None = None


class SamplerRecord(Record, frozen=True, kw_only=True):
    """A sampler; ``run_id`` is the run that it is paired with, None for a standalone one."""

    table = "samplers"
    indexed = ("owner", "session_id", "run_id", "deployment_id")

    team_id: str
    session_id: str
    base_model: str
    run_id: str | None = None
    model_id: str | None = None
    deployment_id: str | None = None
    availability_model: str = "dedicated"
    num_replicas: int = 1
    max_seq_length: int | None = None
    model_path: str | None = None


class DeploymentRecord(Record, frozen=True, kw_only=True):
    """A Loops deployment: trainer and sampler over the time of several runs."""

    table = "deployments"
    indexed = ("owner",)

    team_id: str
    base_model: str
    availability_model: str
    node_count: int
    sampler_id: str | None = None


class CheckpointRecord(Record, frozen=True, kw_only=True):
    """A checkpoint; ``document`` is the JSON that listings answer, stored so that a long listing is one copy."""

    table = "checkpoints"
    indexed = ("run_id", "base_model")

    run_id: str
    name: str
    target: str
    base_model: str
    lora_rank: int
    lora_config_version: str
    size_bytes: int
    document: bytes
    sync_status: str | None = None


class FileRecord(Record, frozen=True, kw_only=True):
    """A file of a checkpoint; ``id`` is ``<checkpoint id>/<name>``."""

    table = "files"
    indexed = ("checkpoint_id",)

    checkpoint_id: str
    name: str
    node_rank: int
    size_bytes: int
    sha256: str


class ModelDeploymentRecord(Record, frozen=True, kw_only=True):
    """An inference model made from checkpoints; ``checkpoint_ids`` are separated by spaces."""

    table = "model_deployments"

    model_id: str
    model_name: str
    base_model: str
    instance_type_id: str
    checkpoint_ids: str


class TeamRecord(Record, frozen=True, kw_only=True):
    """A team."""

    table = "teams"

    name: str
    is_default: bool = False


class SaveRecord(Record, frozen=True, kw_only=True):
    """How a trainer saved a checkpoint, which has the same id: the optimizer's steps, when it is synced, and when it is to vanish."""

    table = "saves"
    indexed = ("run_id",)
    since = 2

    run_id: str
    step: int
    settles_at: int
    expires_at: int | None = None


class PublishedRecord(Record, frozen=True, kw_only=True):
    """The newest weights that a run gave to its sampler; the id is the run's, ``version`` the optimizer's steps so far."""

    table = "published"
    since = 2

    version: int
    checkpoint_id: str
    name: str


TABLES: tuple[type[Record], ...] = (
    SessionRecord,
    RunRecord,
    SamplerRecord,
    DeploymentRecord,
    CheckpointRecord,
    FileRecord,
    ModelDeploymentRecord,
    TeamRecord,
    SaveRecord,
    PublishedRecord,
)
