"""The table of all frames: columns, dtypes, sources in the JSON, and meaning.

A source is a path in one object of the listing.  ``a.b`` goes into a nested object (null when there is none), ``a | b``
takes the first that is there: two eras of the API name the same thing differently.  Several sources are combined by
`Column.combine`.

Dtypes
------
``string``
    ``str`` on pandas 3, ``string`` on pandas 2; missing values are NaN and ``<NA>``.
``state``, ``word``
    Categorical with the documented values, in documented order; ``state`` is an ordered categorical (a life cycle).  A
    value that is not documented becomes a further category, at the end.
``time``, ``nanos``
    ``datetime64[us, UTC]``, and ``datetime64[ns, UTC]`` for logs.  A time without an offset counts as UTC.
``count``
    ``Int64`` (nullable).
``flag``
    ``boolean`` (nullable).
``number``
    ``float64``; missing values are NaN.
``money``
    ``float64`` from a number or decimal text; what is neither is NaN.
``list``
    ``object``: a list in each row, None where missing.  Only in frames that are computed here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from loops_nb.api.costs import MINUTES_AN_HOUR, dollars
from loops_nb.api.gpus import total_gpus
from loops_nb.api.models import AVAILABILITY_MODELS, CHECKPOINT_TARGETS, LOG_LEVELS, Money
from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES, SYNC_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable


class Dtype(Enum):
    """Kinds of columns; the docstring of the module has the pandas dtype of each."""

    STRING = "string"
    STATE = "state"
    WORD = "word"
    TIME = "time"
    NANOS = "nanos"
    COUNT = "count"
    FLAG = "flag"
    NUMBER = "number"
    MONEY = "money"
    LIST = "list"


# Compared by identity: rows of the table are keys of caches, and a hash of all their texts would cost more than a short
# listing.
@dataclass(frozen=True, eq=False, slots=True)
class Column:
    """One column of a frame.

    Parameters
    ----------
    name : str
        Its name in the frame; the API's own name wherever there is one.
    dtype : Dtype
        Its dtype.
    sources : tuple of str
        Paths in the JSON; empty when the value comes from another listing (then ``meaning`` says which).
    meaning : str
        What it says, with the unit.
    words : tuple of str, default ()
        Documented values of a ``state`` or a ``word``.
    required : bool, default False
        A row without it is not the documented response.
    lenient : bool, default False
        The JSON around it is free in form: a value of another type is a missing value, never an error.
    combine : callable or None, default None
        From the lists of all sources to the list of values; by default there is one source.
    optional : bool, default False
        Left out of the frame unless it is requested.
    """

    name: str
    dtype: Dtype
    sources: tuple[str, ...]
    meaning: str
    words: tuple[str, ...] = ()
    required: bool = False
    lenient: bool = False
    combine: Callable[..., list[Any]] | None = None
    optional: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """One kind of frame.

    Parameters
    ----------
    name : str
        As in ``df.loops.kind``.
    many, one : tuple of str
        Keys of the envelope around a listing, and around a single object; both empty when the object is the response
        itself.
    columns : tuple of Column
        Its columns, in order.
    also : tuple of (str, Dtype), default ()
        Paths that are read for columns which the caller fills.
    """

    name: str
    many: tuple[str, ...]
    one: tuple[str, ...]
    columns: tuple[Column, ...]
    also: tuple[tuple[str, Dtype], ...] = ()


def _uris(run_ids: list[str | None], targets: list[str | None], names: list[str]) -> list[str]:
    # The same text as `loops_nb.api.uri.format_uri`, spelt out: a call a row would cost as much as decoding the row.
    return [
        f"bt://loops:{run_id}/{'weights' if target == 'trainer' else 'sampler_weights'}/{name}"
        for run_id, target, name in zip(run_ids, targets, names, strict=True)
    ]


def _gpus(node_counts: list[int | None], per_node: list[int | None]) -> list[int | None]:
    return list(map(total_gpus, per_node, node_counts))


def _an_hour(per_minute: list[Money | None]) -> list[float | None]:
    return [None if price is None else price * MINUTES_AN_HOUR for price in map(dollars, per_minute)]


_STRING, _STATE, _WORD, _TIME, _COUNT, _FLAG = (
    Dtype.STRING,
    Dtype.STATE,
    Dtype.WORD,
    Dtype.TIME,
    Dtype.COUNT,
    Dtype.FLAG,
)

_OWNER = Column("owner", _STRING, ("user.email",), "Email of the owner.")
_CREATED = Column("created_at", _TIME, ("created_at",), "When it was created.")
_BASE_MODEL = Column("base_model", _STRING, ("base_model",), "Hugging Face id of the base model.")
_BASE_URL = Column(
    "base_url", _STRING, ("base_url",), "Where clients reach it (the trainer half, for a run or a deployment)."
)
_GPU_TYPE = Column("gpu_type", _STRING, ("instance_type.gpu_type",), "GPU model of one node.")
_GPU_COUNT = Column(
    "gpu_count",
    _COUNT,
    ("node_count", "instance_type.gpu_count"),
    "GPUs it holds, or would hold when awake: nodes times GPUs of a node.",
    combine=_gpus,
)
_NODE_COUNT = Column("node_count", _COUNT, ("node_count",), "Nodes.")
_INSTANCE = Column("instance_type", _STRING, ("instance_type.name",), "Hardware shape of one node.")
_AVAILABILITY = Column("availability_model", _WORD, ("availability_model",), "Capacity class.", AVAILABILITY_MODELS)

RUNS = Kind(
    "runs",
    many=("runs", "trainers"),
    one=("run", "trainer_server"),
    columns=(
        Column("id", _STRING, ("id | run_id | trainer_id",), "Run id.", required=True),
        Column("name", _STRING, ("name",), "Display name."),
        _BASE_MODEL,
        Column("status", _STATE, ("status.name",), "State of the run.", RUN_STATUSES),
        Column(
            "deployment_status",
            _STATE,
            (),
            "State of the trainer half, from the deployments listing: a deployment may serve a later run by now.",
            DEPLOYMENT_STATUSES,
        ),
        Column(
            "sampler_status",
            _STATE,
            ("sampler.status.name | sampling_server.status.name",),
            "State of the sampler half.",
            SAMPLER_STATUSES,
        ),
        Column(
            "serverless",
            _FLAG,
            (),
            "Whether the run is on shared capacity, which holds no GPUs and is billed by tokens.",
        ),
        _CREATED,
        Column("session_id", _STRING, ("session_id",), "Session the run belongs to."),
        Column(
            "deployment_id",
            _STRING,
            ("deployment_id",),
            "Loops deployment the run executes on; missing on serverless capacity.",
        ),
        Column("sampler_id", _STRING, ("sampler.id | sampling_server.id",), "Paired sampler."),
        _OWNER,
        Column(
            "gpu_type",
            _STRING,
            (),
            "GPU model of both halves, 'H100 + L4' where they differ; from the deployments listing and the run's "
            "sampler.",
        ),
        Column(
            "gpu_count",
            _COUNT,
            (),
            "GPUs that the run's deployment and sampler hold, or would hold when awake; 0 on serverless capacity; "
            "missing unless all halves are known. Runs that share a deployment each show all of it: sum over "
            "deployments, not over runs.",
        ),
        Column("lora_config_version", _STRING, ("lora_config_version",), "Frozen LoRA configuration."),
        _BASE_URL,
    ),
    also=(
        ("sampler.deployment_id", _STRING),
        ("sampler.instance_type.gpu_type", _STRING),
        ("sampler.instance_type.gpu_count", _COUNT),
        ("sampler.node_count", _COUNT),
    ),
)

SAMPLERS = Kind(
    "samplers",
    many=("samplers",),
    one=("sampler", "sampling_server"),
    columns=(
        Column("id", _STRING, ("id",), "Sampler id.", required=True),
        _BASE_MODEL,
        Column("status", _STATE, ("status.name",), "State of the sampler.", SAMPLER_STATUSES),
        Column(
            "serverless", _FLAG, (), "Whether it is on shared capacity, which holds no GPUs and is billed by tokens."
        ),
        _CREATED,
        Column("model_id", _STRING, ("model_id",), "Baseten model behind it; missing on serverless capacity."),
        Column("deployment_id", _STRING, ("deployment_id",), "Deployment of that model (not a Loops deployment)."),
        _OWNER,
        _GPU_TYPE,
        _GPU_COUNT,
        _NODE_COUNT,
        _INSTANCE,
        Column(
            "base_checkpoint", _STRING, ("base_checkpoint",), "Checkpoint it started from, where the service says so."
        ),
        _BASE_URL,
    ),
)

CHECKPOINTS = Kind(
    "checkpoints",
    many=("checkpoints",),
    one=("checkpoint",),
    columns=(
        Column("id", _STRING, ("id",), "Global id; the files route takes it.", required=True),
        Column(
            "checkpoint_id",
            _STRING,
            ("checkpoint_id",),
            "Name it was saved under, unique per run and target.",
            required=True,
        ),
        Column("run_id", _STRING, ("run_id | trainer_id",), "Run that saved it.", required=True),
        Column(
            "target",
            _WORD,
            ("target",),
            "What can load it: the trainer (resumable) or the sampler (servable).",
            CHECKPOINT_TARGETS,
        ),
        _CREATED,
        Column("checkpoint_type", _WORD, ("checkpoint_type",), "Type of checkpoint.", ("lora",)),
        _BASE_MODEL,
        Column(
            "lora_rank",
            _COUNT,
            ("lora_adapter_config.r",),
            "LoRA rank of the adapter, where its configuration says so.",
            lenient=True,
        ),
        Column("size_bytes", _COUNT, ("size_bytes",), "Size of all its files in bytes."),
        Column(
            "sync_status",
            _STATE,
            ("sync_status",),
            "Progress of the upload; often missing although files can be fetched.",
            SYNC_STATUSES,
        ),
        Column("lora_config_version", _STRING, ("lora_config.config_version",), "Frozen LoRA configuration."),
        Column(
            "uri",
            _STRING,
            ("run_id | trainer_id", "target", "checkpoint_id"),
            "The bt:// form, for a run's path or a sampler's model_path.",
            combine=_uris,
        ),
    ),
)

FILES = Kind(
    "files",
    many=("presigned_urls",),
    one=(),
    columns=(
        Column(
            "relative_file_name", _STRING, ("relative_file_name",), "Path below the checkpoint's root.", required=True
        ),
        Column("size_bytes", _COUNT, ("size_bytes",), "Size in bytes."),
        Column("node_rank", _COUNT, ("node_rank",), "Rank of the node that wrote it."),
        Column(
            "last_modified",
            _TIME,
            ("last_modified",),
            "When it was written; missing when the text is no time.",
            lenient=True,
        ),
        Column(
            "url",
            _STRING,
            ("url",),
            "Presigned URL: a secret that works without a key until it expires.",
            required=True,
            optional=True,
        ),
    ),
)

DEPLOYMENTS = Kind(
    "deployments",
    many=("deployments",),
    one=("deployment",),
    columns=(
        Column("id", _STRING, ("id",), "Loops deployment id.", required=True),
        _BASE_MODEL,
        Column("status", _STATE, ("status.name",), "State of the trainer half.", DEPLOYMENT_STATUSES),
        Column("sampler_status", _STATE, ("sampler.status.name",), "State of the sampler half.", SAMPLER_STATUSES),
        _CREATED,
        Column("active_run_id", _STRING, ("active_run_id",), "Run it serves now."),
        Column("latest_run_id", _STRING, ("latest_run_id",), "Newest run it served."),
        Column("sampler_id", _STRING, ("sampler.id",), "Sampler half."),
        _OWNER,
        _AVAILABILITY,
        _GPU_TYPE,
        replace(
            _GPU_COUNT, meaning="GPUs the trainer half holds, or would hold when awake: nodes times GPUs of a node."
        ),
        Column("sampler_gpu_type", _STRING, ("sampler.instance_type.gpu_type",), "GPU model of the sampler half."),
        Column(
            "sampler_gpu_count",
            _COUNT,
            ("sampler.node_count", "sampler.instance_type.gpu_count"),
            "GPUs the sampler half holds, or would hold when awake.",
            combine=_gpus,
        ),
        _NODE_COUNT,
        _INSTANCE,
        _BASE_URL,
    ),
)

CAPABILITIES = Kind(
    "capabilities",
    many=("supported_models",),
    one=(),
    columns=(
        Column("model_name", _STRING, ("model_name",), "Hugging Face id.", required=True),
        Column("enabled", _FLAG, ("enabled",), "Whether a run can start now."),
        Column("serverless", _FLAG, ("serverless",), "Serverless access."),
        Column("max_seq_len", _COUNT, ("max_seq_len | max_context_length",), "Longest length supported, tokens."),
        Column(
            "max_enabled_seq_len", _COUNT, ("max_enabled_seq_len",), "Longest length this workspace may use, tokens."
        ),
        Column("supports_vision_language", _FLAG, ("supports_vision_language",), "Accepts images."),
        Column("reason", _STRING, ("enablement_details.reason",), "Why it cannot be used now."),
        Column("reason_detail", _STRING, ("enablement_details.reason_detail",), "The same, in a sentence."),
        Column("remediation", _STRING, ("enablement_details.remediation",), "What to do about it."),
    ),
)

LOGS = Kind(
    "logs",
    many=("logs",),
    one=(),
    columns=(
        Column("timestamp", Dtype.NANOS, ("timestamp",), "When the line was written.", required=True),
        Column("level", _STATE, ("level",), "Severity; missing on lines without one.", LOG_LEVELS),
        Column(
            "half", _WORD, (), "Half that wrote it; missing where one half was asked by id.", ("trainer", "sampler")
        ),
        Column("replica", _STRING, ("replica",), "Replica that wrote it."),
        Column("request_id", _STRING, ("request_id",), "Request it belongs to."),
        Column("message", _STRING, ("message",), "The line.", required=True),
    ),
)

SESSIONS = Kind(
    "sessions",
    many=("sessions",),
    one=("session",),
    columns=(Column("id", _STRING, ("id",), "Session id.", required=True),),
)

TEAMS = Kind(
    "teams",
    many=("teams",),
    one=("team",),
    columns=(
        Column("id", _STRING, ("id",), "Team id.", required=True),
        Column("name", _STRING, ("name",), "Its name."),
        Column("default", _FLAG, ("default",), "Whether it is the organisation's default team."),
        _CREATED,
    ),
)

PRICES = Kind(
    "prices",
    many=("instance_types",),
    one=(),
    columns=(
        Column("id", _STRING, ("instance_type.id",), "Id of the instance type."),
        Column("name", _STRING, ("instance_type.name",), "Its name."),
        Column("gpu_type", _STRING, ("instance_type.gpu_type",), "GPU model; missing without GPUs."),
        Column("gpu_count", _COUNT, ("instance_type.gpu_count",), "GPUs of one node."),
        Column("usd_per_minute", Dtype.MONEY, ("price",), "US dollars a minute of one node."),
        Column("usd_per_hour", Dtype.MONEY, ("price",), "The same an hour.", combine=_an_hour),
        Column("note", _STRING, ("note",), "What the service remarks about the price."),
    ),
)

RECEIPTS = Kind(
    "receipts",
    many=(),
    one=(),
    columns=(
        Column("id", _STRING, ("id",), "Id of what was deactivated.", required=True),
        _BASE_MODEL,
        _OWNER,
    ),
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (RUNS, SAMPLERS, CHECKPOINTS, FILES, DEPLOYMENTS, CAPABILITIES, LOGS, SESSIONS, TEAMS, PRICES, RECEIPTS)
}

# What `loops_nb.track` records beside the metrics of training itself.
_SECONDARY = ("sample/", "forward_backward/", "optim_step/")


def is_secondary_metric(name: str) -> bool:
    """Tell whether a metric, or its column, is about the run time of training and not about its result."""
    return name.endswith("_seconds") or name.startswith(_SECONDARY)
