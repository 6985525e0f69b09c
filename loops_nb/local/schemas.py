"""Request bodies and query parameters with their bounds.

Unknown fields are ignored.  Integers have 64 bits, which is what the records can hold.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from loops_nb.local import base_models
from loops_nb.local.base_models import LONGEST_RANK

_INT64 = 2**63 - 1
Int = Annotated[int, Meta(ge=-_INT64, le=_INT64)]
Positive = Annotated[int, Meta(ge=1, le=_INT64)]
#: Up to the end of the year 9999, the last one that a timestamp can name.
Millis = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Seconds = Annotated[int, Meta(ge=1, le=2**31)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(min_length=1)]
Availability = Literal["dedicated", "spot"]
FilterText = Annotated[str, Meta(max_length=256)]
FilterTexts = Annotated[list[str], Meta(max_length=8)]
Priority = Annotated[list[Text], Meta(min_length=1)]

DEFAULT_SCALE_DOWN_DELAY = 900
LEGACY_SCALE_DOWN_DELAY = 3600
MAX_SCALE_DOWN_DELAY = 3600


class CreateSession(Struct):
    """Body of ``POST /v1/loops/sessions``."""

    training_project_id: str | None = None


class CreateTrainer(Struct, kw_only=True):
    """Body of ``POST /v1/loops/trainers``; the folder of a local model's tokenizer counts as its name."""

    def __post_init__(self) -> None:
        """Take a tokenizer's folder, which the answer to an earlier request named, for the model."""
        self.base_model = base_models.name_of(self.base_model)
        if self.base_checkpoint is not None and base_models.name_of(self.base_checkpoint) == self.base_model:
            self.base_checkpoint = None

    session_id: str
    base_model: str
    name: Name | None = None
    max_seq_len: Positive | None = None
    lora_rank: Annotated[int, Meta(ge=1, le=LONGEST_RANK)] = 64
    seed: Int | None = None
    scale_down_delay_seconds: Annotated[int, Meta(ge=1, le=MAX_SCALE_DOWN_DELAY)] = DEFAULT_SCALE_DOWN_DELAY
    availability_model: Availability = "dedicated"
    replicas: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    path: str | None = None
    reuse_from_run_id: str | None = None
    reuse_from_session_id: str | None = None
    base_checkpoint: str | None = None
    scope: str | None = None


class CreateRun(CreateTrainer, kw_only=True):
    """Body of ``POST /v1/loops/runs``."""

    sampler_num_replicas: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class CreateSampler(Struct, kw_only=True):
    """Body of ``POST /v1/loops/samplers``; the folder of a local model's tokenizer counts as its name."""

    def __post_init__(self) -> None:
        """Take a tokenizer's folder, which the answer to an earlier request named, for the model."""
        self.base_model = self.base_model and base_models.name_of(self.base_model)

    session_id: str
    base_model: str | None = None
    run_id: str | None = None
    availability_model: Availability | None = None
    max_seq_length: Positive | None = None
    model_path: str | None = None
    reuse_from_session_id: str | None = None
    num_replicas: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    scope: str | None = None


class ValidateCheckpoint(Struct):
    """Body of ``POST /v1/loops/checkpoints/validate``."""

    checkpoint_path: str
    run_id: str | None = None


class DeployCheckpoints(Struct):
    """Body of ``POST /v1/loops/checkpoints/deploy``."""

    checkpoint_ids: Annotated[list[str], Meta(min_length=1)]
    model_name: Text
    instance_type_id: Text
    hf_secret_name: Text


class TimeRange(Struct):
    """Body of the metrics route of deployments."""

    start_epoch_millis: Millis | None = None
    end_epoch_millis: Millis | None = None
    step_seconds: Seconds | None = None
    time_divisor_seconds: Seconds | None = None


class ModelMetricsQuery(Struct):
    """Query of the metrics of a model deployment."""

    mode: Literal["CURRENT", "SUMMARY", "SERIES"] = "CURRENT"
    start_epoch_millis: Millis | None = None
    end_epoch_millis: Millis | None = None
    metrics: list[str] = []


class PatchUserConfig(Struct):
    """Body of ``PATCH /v1/loops/user_config``: left out keeps, null clears, a list sets."""

    trainer_accelerator_priority: Priority | UnsetType | None = UNSET
    sampler_accelerator_priority: Priority | UnsetType | None = UNSET


class LegacyTrainerSearch(Struct):
    """Body of ``POST /v1/trainers/search``."""

    trainer_id: str | None = None


class LegacyCheckpointSearch(Struct):
    """Body of ``POST /v1/trainers/checkpoints/search``."""

    checkpoint_path: str


class LegacyCreateTrainer(Struct):
    """Body of ``POST /v1/trainer_sessions/{session_id}/trainers``."""

    model: str
    max_seq_len: Positive | None = None
    lora_rank: Annotated[int, Meta(ge=1, le=LONGEST_RANK)] = 64
    seed: Int | None = None
    scale_down_delay_seconds: Positive = LEGACY_SCALE_DOWN_DELAY
    checkpoint_path: str | None = None


class LegacyCreateSampler(Struct):
    """Body of ``POST /v1/trainer_sessions/{session_id}/samplers``."""

    model: str
    max_seq_length: Positive | None = None
    checkpoint_path: str | None = None


class ListRunsQuery(Struct):
    """Query of ``GET /v1/loops/runs``."""

    run_id: str | None = None
    base_model: str | None = None
    scope: str | None = None

    def __post_init__(self) -> None:
        """Take the folder of a local model's tokenizer for the model."""
        self.base_model = self.base_model and base_models.name_of(self.base_model)


class ScopeQuery(Struct):
    """Query of the listings of samplers and deployments; ``org`` lists those of all owners."""

    scope: str | None = None


class TeamsQuery(Struct):
    """Query of ``GET /v1/teams``."""

    name: str | None = None


class ListCheckpointsQuery(Struct):
    """Query of ``GET /v1/loops/checkpoints``."""

    run_id: str | None = None
    base_model: str | None = None
    checkpoint_path: str | None = None

    def __post_init__(self) -> None:
        """Take the folder of a local model's tokenizer for the model."""
        self.base_model = self.base_model and base_models.name_of(self.base_model)


class FilePageQuery(Struct):
    """Query of the file listings; the token is an offset."""

    page_size: Positive = 1000
    page_token: Annotated[int, Meta(ge=0, le=2**62)] = 0


class DebugPageQuery(Struct):
    """Query of the debug archive; the token is opaque."""

    page_size: Annotated[int, Meta(ge=1, le=1000)] = 1000
    page_token: str | None = None


class UsageQuery(Struct):
    """Query of the billed usage."""

    start_date: Text
    end_date: Text


class LogsQuery(Struct):
    """Query of the log route of a Loops deployment, and what that of a model deployment has with it."""

    start_epoch_millis: Millis | None = None
    end_epoch_millis: Millis | None = None
    direction: Literal["asc", "desc"] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None
    min_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None


class ModelLogsQuery(LogsQuery):
    """Query of the log route of a model deployment, and the body of its POST form."""

    replica: FilterText | None = None
    request_id: FilterText | None = None
    component: FilterText | None = None
    search_pattern: FilterText | None = None
    includes: FilterTexts | None = None
    excludes: FilterTexts | None = None


class CapabilitiesQuery(Struct):
    """Query of ``GET /v1/loops/capabilities``."""

    model: str | None = None
    use_case: Literal["rl", "sft"] = "rl"
    max_seq_len: Positive | None = None

    def __post_init__(self) -> None:
        """Take the folder of a local model's tokenizer for the model."""
        self.model = self.model and base_models.name_of(self.model)
