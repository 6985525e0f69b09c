"""Wire models: the objects of the Loops HTTP API.

Two versions of the API are decoded: the first documents (a listed run has ``run_id``, a single run ``id``, ``base_url``
and a sampler with two fields) and today's (all fields).  So nearly every field may be missing and is then None.  Enums
are open: an unknown status stays a string.  Unknown fields are kept, see `APIObject.extra`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from loops_nb.api.uri import format_uri
from loops_nb.errors import UnreadableAnswerError

#: What a decoder raises for bytes that are not the documented JSON, endless nesting included.
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

CHECKPOINT_TARGETS = ("trainer", "sampler")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
AVAILABILITY_MODELS = ("dedicated", "spot")
#: Where a run or a sampler may be created; ``team`` is one that only the official SDK names.
RUN_SCOPES = ("default", "serverless", "deployment", "team")
SAMPLER_SCOPES = ("default", "serverless", "deployment")
USE_CASES = ("rl", "sft")


_NO_RAW = Raw(b"null")


def _plain(raw: Raw) -> Any:
    """Decode JSON that was kept raw."""
    try:
        return msgspec.json.decode(raw)
    except UNDECODABLE as error:
        raise UnreadableAnswerError(f"The service answered a field that cannot be read: {error}.") from None


class Part(Struct, kw_only=True, gc=False):
    """An object that only occurs inside another one."""


class APIObject(Struct, kw_only=True, gc=False):
    """An object of the API with the JSON it was decoded from."""

    # Always overwritten after decoding, so that a service cannot set it.
    raw_json: Raw = field(default=_NO_RAW, name="__raw_json__")

    @property
    def extra(self) -> dict[str, Any]:
        """Fields of the answer that this version of ``loops_nb`` does not know."""
        known = {f.encode_name for f in msgspec.structs.fields(self)}
        return {name: value for name, value in self.to_dict().items() if name not in known}

    def to_dict(self) -> dict[str, Any]:
        """Return the object as dicts, lists and scalars, as sent, including unknown fields and presigned URLs.

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
    """Status of a run, a deployment or a sampler; ``name`` is one of the documented values, or a newer one."""

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


class Session(APIObject):
    """A container of runs and samplers (``/v1/loops/sessions``)."""

    id: str


class Sampler(APIObject):
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


class Run(APIObject):
    """A training run (``/v1/loops/runs``); ``id`` and ``run_id`` are the same value, whichever one the service sent.

    ``deployment_id`` is that of the Loops deployment it executes on; None means serverless capacity, or the first
    documents' shape.
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
            # msgspec converts a ValueError to its ValidationError with the place in the document.
            raise ValueError("Object missing required field `id` (or `run_id`)")
        self.id = self.run_id = same


class LoraConfig(Part):
    """Frozen LoRA configuration of a checkpoint."""

    config_version: str | None = None
    targets: list[str] | None = None
    expert_layout: str | None = None


class Checkpoint(APIObject):
    """A saved checkpoint (``/v1/loops/checkpoints``); ``id`` is global, ``checkpoint_id`` is its name."""

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
        """The adapter's configuration; None if there is none, or it is not an object.

        Decoded on access, as listings of ten thousand checkpoints do not need it.
        """
        config = _plain(self.adapter_config_json)
        return config if isinstance(config, dict) else None

    @property
    def uri(self) -> str:
        """The ``bt://`` URI of this checkpoint."""
        return format_uri(self.run_id, self.target or "sampler", self.checkpoint_id)


class CheckpointFile(APIObject):
    """One file of a checkpoint (``/v1/loops/checkpoints/{id}/files``) or of a debug archive.

    ``url`` is presigned: a secret that works without a key until it expires.  It is fetched without any credential, and
    a repr never shows it.  Pickles and copies leave it out, together with unknown fields; `to_dict` and msgspec's own
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


#: In place of the URL in a copy of a file entry; clients that get it quote it in their error.
URL_LEFT_OUT = (
    "<the presigned URL was left out of this copy; loops.checkpoints.files(checkpoint_id) lists the file "
    "with a new one>"
)


def _file_without_url(
    relative_file_name: str, node_rank: int | None, size_bytes: int | None, last_modified: str | None
) -> CheckpointFile:
    return CheckpointFile(
        url=URL_LEFT_OUT,
        relative_file_name=relative_file_name,
        node_rank=node_rank,
        size_bytes=size_bytes,
        last_modified=last_modified,
    )


class CheckpointSource(APIObject):
    """Where a checkpoint's files come from: ``kind`` is ``s3`` (the files route serves URLs) or ``volume``."""

    kind: str
    volume_ref: str | None = None
    path: str | None = None


class Deployment(APIObject):
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


class Deactivated(APIObject):
    """Receipt of a deactivation."""

    id: str
    base_model: str | None = None
    user: User | None = None


class CheckpointTombstone(APIObject):
    """What stays of a deleted checkpoint; ``checkpoint_id`` is the name it had, ``path`` its ``bt://`` URI."""

    id: str
    run_id: str | None = None
    checkpoint_id: str | None = None
    target: str | None = None
    path: str | None = None


class DeletedRun(APIObject):
    """Receipt of a run's deletion; of ``kept_json`` read `kept_checkpoints`."""

    id: str
    kept_json: Raw = field(default=_NO_RAW, name="kept_checkpoints")

    @property
    def kept_checkpoints(self) -> list[CheckpointTombstone] | None:
        """The checkpoints that were kept because something uses them; None if the answer does not say.

        The documents do not show what an item is: an object, or an id alone, is read.
        """
        kept = _plain(self.kept_json)
        if not isinstance(kept, list):
            return None
        return [found for found in map(_kept_checkpoint, kept) if found is not None]


_KEPT_FIELDS = ("id", "run_id", "checkpoint_id", "target", "path")


def _kept_checkpoint(item: Any) -> CheckpointTombstone | None:
    if isinstance(item, str):
        return CheckpointTombstone(id=item)
    if not isinstance(item, dict):
        return None
    texts = {name: item[name] for name in _KEPT_FIELDS if isinstance(item.get(name), str)}
    key = texts.pop("id", "") or texts.get("path", "") or texts.get("checkpoint_id", "")
    return CheckpointTombstone(id=key, **texts) if key else None


class LogLine(APIObject):
    """One log line; ``timestamp`` is the epoch in nanoseconds, as text."""

    timestamp: str
    message: str
    replica: str | None = None
    request_id: str | None = None
    level: str | None = None


class DeploymentMetrics(APIObject):
    """System metrics of a deployment, each series a list of ``{value, timestamp}``; the API has no training metrics.

    ``note`` is a remark of the service; the local service says there what it has measured.
    """

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
    note: str | None = None


class MetricDescriptor(Part):
    """What a metric of a model deployment is; its place in the list is its index in every set of values."""

    name: str
    unit_hint: str | None = None
    kind: str | None = None
    label_sets: list[dict[str, str]] = []


class MetricValues(Part):
    """The values of one step: by metric, then by its label sets; None where the step has no data."""

    start_epoch_millis: int
    values: list[list[float | None]] = []


class ModelMetrics(APIObject):
    """System metrics of a model deployment (``/v1/models/{m}/deployments/{d}/metrics``), in a form of their own."""

    start_epoch_millis: int | None = None
    end_epoch_millis: int | None = None
    mode: str | None = None
    step_seconds: int | None = None
    metric_descriptors: list[MetricDescriptor] = []
    metric_values: list[MetricValues] = []
    note: str | None = None


#: US dollars, as a number or as decimal text; `loops_nb.api.costs.dollars` reads both.
Money = float | str


class InstanceTypePrice(APIObject):
    """An instance type and its price in US dollars a minute of one node (``/v1/instance_type_prices``).

    ``note`` is a remark of the service; the local service says there that its prices are made up.
    """

    instance_type: InstanceType | None = None
    price: Money | None = None
    note: str | None = None


class BillableResource(Part):
    """What was billed; ``kind`` is such as ``LOOPS_TRAINER``, ``LOOPS_SAMPLER`` or ``MODEL_DEPLOYMENT``."""

    id: str | None = None
    kind: str | None = None
    name: str | None = None
    model_id: str | None = None
    model_name: str | None = None
    is_deleted: bool | None = None
    instance_type: str | None = None
    base_model: str | None = None
    environment_name: str | None = None
    team_id: str | None = None
    team_name: str | None = None


class UsageAmounts(Part):
    """Money, minutes, requests and tokens of one resource, of one day of it, or of a part of the usage."""

    subtotal: Money | None = None
    compute_cost: Money | None = None
    surcharge_cost: Money | None = None
    minutes: int | None = None
    inference_requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None


class DailyUsage(UsageAmounts):
    """One day (UTC, ``2026-07-01``) of a billed resource."""

    date: str | None = None


class UsageItem(UsageAmounts):
    """One billed resource; of a model API only ``model_name`` says what it is."""

    billable_resource: BillableResource | None = None
    model_name: str | None = None
    daily: list[DailyUsage] | None = None


class UsagePart(UsageAmounts):
    """Sums of one part of the usage: ``subtotal`` is after credits, ``total`` before them."""

    credits_used: Money | None = None
    total: Money | None = None
    breakdown: list[UsageItem] | None = None


class UsageSummary(APIObject):
    """Billed usage of the organisation in a range of dates (``/v1/billing/usage_summary``); a missing part is None."""

    dedicated_usage: UsagePart | None = None
    training_usage: UsagePart | None = None
    model_apis_usage: UsagePart | None = None


class EnablementDetails(Part):
    """Why a model cannot be used now, and what to do about it."""

    reason: str | None = None
    reason_detail: str | None = None
    remediation: str | None = None


class SupportedModel(APIObject):
    """A base model that can be trained (``/v1/loops/capabilities``); lengths in tokens."""

    model_name: str
    max_seq_len: int | None = None
    max_enabled_seq_len: int | None = None
    max_context_length: int | None = None
    supports_vision_language: bool | None = None
    enabled: bool | None = None
    serverless: bool | None = None
    enablement_details: EnablementDetails | None = None


class UserConfig(APIObject):
    """GPU preferences of the caller, best first; None inherits the organisation's (``/v1/loops/user_config``)."""

    trainer_accelerator_priority: list[str] | None = None
    sampler_accelerator_priority: list[str] | None = None


class Team(APIObject):
    """A team of the organisation (``/v1/teams``)."""

    id: str
    name: str | None = None
    default: bool | None = None
    created_at: datetime | None = None


class DeployedModel(APIObject):
    """The inference model made from checkpoints (``/v1/loops/checkpoints/deploy``)."""

    model_id: str
    deployment_id: str


class ModelDeployment(APIObject):
    """A deployment of a model (``/v1/models/{m}/deployments/{d}``); ``status`` is plain text here.

    It is behind a sampler, or was made from checkpoints.
    """

    status: str
    id: str | None = None
    model_id: str | None = None
    name: str | None = None
    created_at: datetime | None = None
    is_production: bool | None = None
    is_development: bool | None = None
    active_replica_count: int | None = None
    instance_type_name: str | None = None
    environment: str | None = None


class Model(APIObject):
    """An inference model of the organisation (``/v1/models``)."""

    id: str
    name: str | None = None
    created_at: datetime | None = None
    deployments_count: int | None = None
    production_deployment_id: str | None = None
    development_deployment_id: str | None = None
    instance_type_name: str | None = None
    team_name: str | None = None


class SecretName(APIObject):
    """Name of a secret (``/v1/secrets``); the service never sends its value."""

    name: str
    id: str | None = None
    created_at: datetime | None = None
    team_name: str | None = None


class LegacyTrainer(APIObject):
    """A run as ``POST /v1/trainers/search`` lists it; ``trainer_id`` is the run's id."""

    trainer_id: str
    session_id: str | None = None
    base_model: str | None = None


class LegacySamplingServer(APIObject):
    """A sampler as the legacy routes answer it."""

    id: str
    base_url: str | None = None
    model_id: str | None = None
    deployment_id: str | None = None


class LegacyTrainerServer(APIObject):
    """A created run as the legacy routes answer it."""

    id: str
    base_url: str | None = None
    sampling_server: LegacySamplingServer | None = None


class LegacyCheckpoint(APIObject):
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
        """The adapter's configuration; None if there is none, or it is not an object.

        Decoded on access, as listings of ten thousand checkpoints do not need it.
        """
        config = _plain(self.adapter_config_json)
        return config if isinstance(config, dict) else None

    @property
    def run_id(self) -> str:
        """Today's name of ``trainer_id``."""
        return self.trainer_id

    @property
    def uri(self) -> str:
        """The ``bt://`` URI of this checkpoint."""
        return format_uri(self.trainer_id, self.target or "sampler", self.checkpoint_id)
