"""Rows of the record store.  Times are epoch milliseconds; ids are opaque."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from msgspec import Struct

#: Owner of everything that is created through this service.
LOCAL_USER = "you@localhost"
DEFAULT_TEAM = "default"
LORA_CONFIG_VERSION = "v1"


class StoredRecord(Struct, frozen=True, kw_only=True):
    """A row of one table."""

    table: ClassVar[str]
    indexed: ClassVar[tuple[str, ...]] = ()
    #: The version of the records that brought the table.
    since: ClassVar[int] = 1

    id: str
    created_at: int
    owner: str


class SessionRecord(StoredRecord, frozen=True, kw_only=True):
    """A session."""

    table = "sessions"

    team_id: str
    training_project_id: str | None = None


class RunRecord(StoredRecord, frozen=True, kw_only=True):
    """A run; ``deployment_id`` is None on shared (serverless) capacity."""

    table = "runs"
    indexed: ClassVar[tuple[str, ...]] = ("owner", "session_id", "base_model", "deployment_id")

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


class SamplerRecord(StoredRecord, frozen=True, kw_only=True):
    """A sampler; ``run_id`` is the run that it is paired with, None for a standalone one."""

    table = "samplers"
    indexed: ClassVar[tuple[str, ...]] = ("owner", "session_id", "run_id", "deployment_id")

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


class DeploymentRecord(StoredRecord, frozen=True, kw_only=True):
    """A Loops deployment: trainer and sampler over the time of several runs."""

    table = "deployments"
    indexed: ClassVar[tuple[str, ...]] = ("owner",)

    team_id: str
    base_model: str
    availability_model: str
    node_count: int
    sampler_id: str | None = None


class CheckpointRecord(StoredRecord, frozen=True, kw_only=True):
    """A checkpoint; ``document`` is the JSON that listings answer, stored so that a long listing is one copy."""

    table = "checkpoints"
    indexed: ClassVar[tuple[str, ...]] = ("run_id", "base_model")

    run_id: str
    name: str
    target: str
    base_model: str
    lora_rank: int
    lora_config_version: str
    size_bytes: int
    document: bytes
    sync_status: str | None = None


class FileRecord(StoredRecord, frozen=True, kw_only=True):
    """A file of a checkpoint; ``id`` is ``<checkpoint id>/<name>``."""

    table = "files"
    indexed: ClassVar[tuple[str, ...]] = ("checkpoint_id",)

    checkpoint_id: str
    name: str
    node_rank: int
    size_bytes: int
    sha256: str


class ModelDeploymentRecord(StoredRecord, frozen=True, kw_only=True):
    """An inference model made from checkpoints; ``checkpoint_ids`` are separated by spaces."""

    table = "model_deployments"

    model_id: str
    model_name: str
    base_model: str
    instance_type_id: str
    checkpoint_ids: str


class TeamRecord(StoredRecord, frozen=True, kw_only=True):
    """A team."""

    table = "teams"

    name: str
    is_default: bool = False


class SaveRecord(StoredRecord, frozen=True, kw_only=True):
    """A save of a checkpoint, which has the same id: the optimizer's steps, when it is synced, when it expires."""

    table = "saves"
    indexed: ClassVar[tuple[str, ...]] = ("run_id",)
    since = 2

    run_id: str
    step: int
    settles_at: int
    expires_at: int | None = None


class PublishedRecord(StoredRecord, frozen=True, kw_only=True):
    """The newest weights that a run published; the id is the run's, ``version`` the optimizer's steps."""

    table = "published"
    since = 2

    version: int
    checkpoint_id: str
    name: str


class TombstoneRecord(StoredRecord, frozen=True, kw_only=True):
    """What stays of a deleted checkpoint, so that deleting it once more answers the same."""

    table = "tombstones"
    since = 3

    run_id: str
    name: str
    target: str


class DeletedRunRecord(StoredRecord, frozen=True, kw_only=True):
    """What stays of a deleted run: its id, under which the checkpoints that were kept are listed."""

    table = "deleted_runs"
    since = 3


TABLES: tuple[type[StoredRecord], ...] = (
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
    TombstoneRecord,
    DeletedRunRecord,
)

#: Records whose status follows from their events.
StatefulRecord = RunRecord | DeploymentRecord | SamplerRecord | ModelDeploymentRecord


class Event(Struct, frozen=True, kw_only=True):
    """An event of a run, a deployment or a sampler, from which its states follow.

    Parameters
    ----------
    at : int
        Epoch milliseconds.
    kind : str
        Such as ``created``, ``activity`` or ``deactivated``.
    pace : float, default 1.0
        How many times faster than real time the steps started by it run.
    idle_after_seconds : int, optional
        New delay before scaling to zero; None keeps the one in force.
    note : str, default ""
        One line for the logs.
    """

    at: int
    kind: str
    pace: float = 1.0
    idle_after_seconds: int | None = None
    note: str = ""


def subject(record: StatefulRecord) -> str:
    """Return the key under which the events of a record are stored."""
    return f"{record.table}/{record.id}"


def timestamp(millis: int) -> str:
    """Return ISO 8601 in UTC; without a fraction on a whole second, as the hosted service writes it."""
    seconds, rest = divmod(millis, 1000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)
    return moment.isoformat(timespec="milliseconds" if rest else "seconds").replace("+00:00", "Z")
