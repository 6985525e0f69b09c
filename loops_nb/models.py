"""The wire: the objects of the Loops HTTP API, as they are decoded.

Two eras of the same API are read.  The small shape of the first documents (a listed run has ``run_id``, a single run has
``id``, ``base_url`` and a sampler with two fields) and today's (everything).  So nearly every field may be missing and is then
``None``.  Enums are open: an unknown status passes as the text that it is.  Unknown fields are kept: see `Resource.extra`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from loops_nb.errors import UnreadableAnswerError
from loops_nb.uri import format_uri

#: What a decoder raises for bytes that are not the documented JSON; nesting without end is one of them.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

RUN_STATUSES = ("ACTIVE", "INACTIVE")
DEPLOYMENT_STATUSES = ("CREATED", "DEPLOYING", "RUNNING", "SCALED_TO_ZERO", "PREEMPTED", "FAILED", "STOPPED")
SAMPLER_STATUSES = (
    "BUILDING",
    "DEPLOYING",
    "LOADING_MODEL",
    "WAKING_UP",
    "UPDATING",
    "ACTIVE",
    "SCALED_TO_ZERO",
    "UNHEALTHY",
    "DEACTIVATING",
    "INACTIVE",
    "BUILD_FAILED",
    "BUILD_STOPPED",
    "DEPLOY_FAILED",
    "FAILED",
)
CHECKPOINT_TARGETS = ("trainer", "sampler")
SYNC_STATUSES = ("SYNCING", "COMPLETE")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
AVAILABILITY_MODELS = ("dedicated", "spot")
USE_CASES = ("rl", "sft")

#: Statuses in which a deployment or a sampler holds GPUs, or is about to.
DEPLOYMENT_ALIVE = frozenset({"CREATED", "DEPLOYING", "RUNNING"})
SAMPLER_ALIVE = frozenset({"BUILDING", "DEPLOYING", "LOADING_MODEL", "WAKING_UP", "UPDATING", "ACTIVE", "UNHEALTHY", "DEACTIVATING"})
#: Statuses that never change again by themselves.
RUN_TERMINAL = frozenset({"INACTIVE"})
DEPLOYMENT_TERMINAL = frozenset({"FAILED", "STOPPED", "PREEMPTED"})
SAMPLER_TERMINAL = frozenset({"INACTIVE", "BUILD_FAILED", "BUILD_STOPPED", "DEPLOY_FAILED", "FAILED"})


_NO_RAW = Raw(b"null")


def _plain(raw: Raw) -> Any:
    """Decode what was kept as it came; nothing has looked at it yet."""
    try:
        return msgspec.json.decode(raw)
    except UNDECODABLE as error:
        raise UnreadableAnswerError(f"The service answered a field that cannot be read: {error}.") from None


class Part(Struct, kw_only=True, gc=False):
    """An object that only occurs inside another one."""


class Resource(Struct, kw_only=True, gc=False):
    """An object of the API that remembers the JSON it came from."""

    # Always overwritten after decoding, so a service that sends this name gains nothing.
    raw_json: Raw = field(default=_NO_RAW, name="__raw_json__")

    @property
    def extra(self) -> dict[str, Any]:
        """Fields of the answer that this version of ``loops_nb`` does not know."""
        known = {f.encode_name for f in msgspec.structs.fields(self)}
        return {name: value for name, value in self.to_dict().items() if name not in known}

    def to_dict(self) -> dict[str, Any]:
        """Return the object as the service sent it: plain dicts, lists and scalars, unknown fields and presigned URLs included.

        Raises
        ------
        UnreadableAnswerError
            If an unknown field cannot be read.
        """
        if bytes(self.raw_json) != b"null":
            sent: dict[str, Any] = _plain(self.raw_json)
            return sent
        known: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        known.pop("__raw_json__")
        return known

    def __repr__(self) -> str:
        shown = []
        for f in msgspec.structs.fields(self):
            value = getattr(self, f.name)
            if value is None or isinstance(value, Raw):
                continue
            shown.append(f"{f.name}=<presigned>" if f.name == "url" else f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


class User(Part):
    """Owner of a resource."""

    email: str | None = None


class Status(Part):
    """Status of a run, a deployment or a sampler; ``name`` is one of the documented values or a newer one."""

    name: str | None = None


class InstanceType(Part):
    """Hardware shape of one node; memory in MiB, CPU in thousandths of a core."""

    id: str | None = None
    name: str | None = None
    memory_limit_mib: int | None = None
    millicpu_limit: int | None = None
    gpu_count: int | None = None
    gpu_type: str | None = None
    gpu_memory_limit_mib: int | None = None


class Session(Resource):
    """A container of runs and samplers (``/v1/loops/sessions``)."""

    id: str


class Sampler(Resource):
    """A sampling server, paired with a run or standalone (``/v1/loops/samplers``).

    ``model_id`` and ``deployment_id`` are those of the Baseten model behind it; both are None on serverless capacity.
    """

    id: str
    base_url: str | None = None
    base_model: str | None = None
    created_at: datetime | None = None
    model_id: str | None = None
    deployment_id: str | None = None
    status: Status | None = None
    user: User | None = None
    instance_type: InstanceType | None = None
    node_count: int | None = None
    base_checkpoint: str | None = None


class Run(Resource):
    """A training run (``/v1/loops/runs``); ``id`` and ``run_id`` are the same value, whichever one the service sent.

    ``deployment_id`` is that of the Loops deployment it executes on; None means serverless capacity, or the first documents' shape.
    """

    id: str = ""
    run_id: str = ""
    session_id: str | None = None
    deployment_id: str | None = None
    name: str | None = None
    base_model: str | None = None
    lora_config_version: str | None = None
    base_url: str | None = None
    created_at: datetime | None = None
    status: Status | None = None
    user: User | None = None
    sampler: Sampler | None = None
    base_checkpoint: str | None = None

    def __post_init__(self) -> None:
        same = self.id or self.run_id
        if not same:
            # msgspec turns a ValueError into its own ValidationError, with the place in the document.
            raise ValueError("Object missing required field `id` (or `run_id`)")
        self.id = self.run_id = same


class LoraConfig(Part):
    """Frozen LoRA configuration of a checkpoint."""

    config_version: str | None = None
    targets: list[str] | None = None
    expert_layout: str | None = None


class Checkpoint(Resource):
    """A saved checkpoint (``/v1/loops/checkpoints``); ``id`` is global, ``checkpoint_id`` is the name it was saved under."""

    id: str
    run_id: str
    checkpoint_id: str
    target: str | None = None
    created_at: datetime | None = None
    checkpoint_type: str | None = None
    base_model: str | None = None
    adapter_config_json: Raw = field(default=_NO_RAW, name="lora_adapter_config")
    size_bytes: int | None = None
    sync_status: str | None = None
    lora_config: LoraConfig | None = None

    @property
    def lora_adapter_config(self) -> dict[str, Any] | None:
        """The adapter's configuration; None where there is none, or where it is no object.

        It is decoded when it is asked for: ten thousand checkpoints are listed for their names, not for this.
        """
        config = _plain(self.adapter_config_json)
        return config if isinstance(config, dict) else None

    @property
    def uri(self) -> str:
        """The ``bt://`` form of this checkpoint."""
        return format_uri(self.run_id, self.target or "sampler", self.checkpoint_id)


class CheckpointFile(Resource):
    """One file of a checkpoint (``/v1/loops/checkpoints/{id}/files``) or of a debug archive.

    ``url`` is presigned: a secret that works without a key until it expires.  It is fetched without any credential, and a repr never
    shows it.  Pickles and copies leave it out, and the fields that this version does not know with it; `to_dict` and msgspec's own
    conversions have it.
    """

    url: str
    relative_file_name: str
    node_rank: int | None = None
    size_bytes: int | None = None
    last_modified: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self.relative_file_name, self.node_rank, self.size_bytes, self.last_modified)
        return _file_without_url, values

    def __copy__(self) -> CheckpointFile:
        make, values = self.__reduce__()
        copied: CheckpointFile = make(*values)
        return copied


#: What a copy of a file entry has in place of its URL; a client that is given it quotes it in its error.
URL_LEFT_OUT = "<the presigned URL was left out of this copy; loops.checkpoints.files(checkpoint_id) lists the file with a new one>"


def _file_without_url(relative_file_name: str, node_rank: int | None, size_bytes: int | None, last_modified: str | None) -> CheckpointFile:
    return CheckpointFile(
        url=URL_LEFT_OUT, relative_file_name=relative_file_name, node_rank=node_rank, size_bytes=size_bytes, last_modified=last_modified
    )


class CheckpointSource(Resource):
    """Where a checkpoint's files come from: ``kind`` is ``s3`` (the files route serves URLs) or ``volume``."""

    kind: str
    volume_ref: str | None = None
    path: str | None = None


class Deployment(Resource):
    """A Loops deployment: the long-lived pair of a trainer and a sampler (``/v1/loops/deployments``)."""

    id: str
    base_model: str | None = None
    base_url: str | None = None
    status: Status | None = None
    active_run_id: str | None = None
    latest_run_id: str | None = None
    user: User | None = None
    created_at: datetime | None = None
    availability_model: str | None = None
    instance_type: InstanceType | None = None
    node_count: int | None = None
    sampler: Sampler | None = None


class Deactivated(Resource):
    """Receipt of a deactivation."""

    id: str
    base_model: str | None = None
    user: User | None = None


class LogLine(Resource):
    """One log line; ``timestamp`` is the epoch in nanoseconds, as text."""

    timestamp: str
    message: str
    replica: str | None = None
    request_id: str | None = None
    level: str | None = None


class DeploymentMetrics(Resource):
    """System metrics of a deployment; every series is a list of ``{value, timestamp}``.  There are no training metrics in the API."""

    inference_volume: list[dict[str, Any]] = []
    concurrent_requests: list[dict[str, Any]] = []
    response_time_stats: list[dict[str, Any]] = []
    inference_volume_by_status: list[dict[str, Any]] = []
    gpu_memory_usage_bytes: dict[str, list[dict[str, Any]]] = {}
    gpu_utilization: dict[str, list[dict[str, Any]]] = {}
    cpu_usage: list[dict[str, Any]] = []
    cpu_memory_usage_bytes: list[dict[str, Any]] = []
    ephemeral_storage: dict[str, list[dict[str, Any]]] = {}
    per_node_metrics: list[dict[str, Any]] = []


class EnablementDetails(Part):
    """Why a model cannot be used now, and what to do about it."""

    reason: str | None = None
    reason_detail: str | None = None
    remediation: str | None = None


class SupportedModel(Resource):
    """A base model that can be trained (``/v1/loops/capabilities``); lengths in tokens."""

    model_name: str
    max_seq_len: int | None = None
    max_enabled_seq_len: int | None = None
    max_context_length: int | None = None
    supports_vision_language: bool | None = None
    enabled: bool | None = None
    serverless: bool | None = None
    enablement_details: EnablementDetails | None = None


class UserConfig(Resource):
    """GPU preferences of the caller, best first; None inherits the organisation's (``/v1/loops/user_config``)."""

    trainer_accelerator_priority: list[str] | None = None
    sampler_accelerator_priority: list[str] | None = None


class Team(Resource):
    """A team of the organisation (``/v1/teams``)."""

    id: str
    name: str | None = None
    default: bool | None = None
    created_at: datetime | None = None


class DeployedModel(Resource):
    """The inference model made from checkpoints (``/v1/loops/checkpoints/deploy``)."""

    model_id: str
    deployment_id: str


class ModelDeployment(Resource):
    """The model deployment behind a sampler (``/v1/models/{m}/deployments/{d}``); ``status`` is plain text here."""

    status: str
    id: str | None = None
    model_id: str | None = None
    is_development: bool | None = None


class LegacyTrainer(Resource):
    """A run as ``POST /v1/trainers/search`` lists it; ``trainer_id`` is the run's id."""

    trainer_id: str
    session_id: str | None = None
    base_model: str | None = None


class LegacySamplingServer(Resource):
    """A sampler as the legacy routes answer it."""

    id: str
    base_url: str | None = None
    model_id: str | None = None
    deployment_id: str | None = None


class LegacyTrainerServer(Resource):
    """A created run as the legacy routes answer it."""

    id: str
    base_url: str | None = None
    sampling_server: LegacySamplingServer | None = None


class LegacyCheckpoint(Resource):
    """A checkpoint as the legacy routes answer it: `Checkpoint` with ``trainer_id`` in place of ``run_id``."""

    id: str
    trainer_id: str
    checkpoint_id: str
    target: str | None = None
    created_at: datetime | None = None
    checkpoint_type: str | None = None
    base_model: str | None = None
    adapter_config_json: Raw = field(default=_NO_RAW, name="lora_adapter_config")
    size_bytes: int | None = None
    sync_status: str | None = None

    @property
    def lora_adapter_config(self) -> dict[str, Any] | None:
        """The adapter's configuration; None where there is none, or where it is no object.

        It is decoded when it is asked for: ten thousand checkpoints are listed for their names, not for this.
        """
        config = _plain(self.adapter_config_json)
        return config if isinstance(config, dict) else None

    @property
    def run_id(self) -> str:
        """Today's name of ``trainer_id``."""
        return self.trainer_id

    @property
    def uri(self) -> str:
        """The ``bt://`` form of this checkpoint."""
        return format_uri(self.trainer_id, self.target or "sampler", self.checkpoint_id)
