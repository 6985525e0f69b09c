"""Request bodies with their bounds, and how a refused one is worded.

Unknown fields are tolerated, as the API asks for.  Whole numbers end at 64 bits, which is what the records can hold.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request

from loops_nb.local import catalogue
from loops_nb.local.ids import is_id
from loops_nb.local.model.sizes import LONGEST_RANK
from loops_nb.local.problems import Problem, invalid

_INT64 = 2**63 - 1
Int = Annotated[int, Meta(ge=-_INT64, le=_INT64)]
Positive = Annotated[int, Meta(ge=1, le=_INT64)]
#: Up to the end of the year 9999, the last one that a timestamp can name.
Millis = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
Seconds = Annotated[int, Meta(ge=1, le=2**31)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(min_length=1)]
Availability = Literal["dedicated", "spot"]
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
        self.base_model = catalogue.name_of(self.base_model)
        if self.base_checkpoint is not None and catalogue.name_of(self.base_checkpoint) == self.base_model:
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


class CreateRun(CreateTrainer, kw_only=True):
    """Body of ``POST /v1/loops/runs``."""

    sampler_num_replicas: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class CreateSampler(Struct, kw_only=True):
    """Body of ``POST /v1/loops/samplers``; the folder of a local model's tokenizer counts as its name."""

    def __post_init__(self) -> None:
        """Take a tokenizer's folder, which the answer to an earlier request named, for the model."""
        self.base_model = self.base_model and catalogue.name_of(self.base_model)

    session_id: str
    base_model: str | None = None
    run_id: str | None = None
    availability_model: Availability | None = None
    max_seq_length: Positive | None = None
    model_path: str | None = None
    reuse_from_session_id: str | None = None
    num_replicas: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


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
    """Body of the metrics route and of a model deployment's logs."""

    start_epoch_millis: Millis | None = None
    end_epoch_millis: Millis | None = None
    step_seconds: Seconds | None = None
    time_divisor_seconds: Seconds | None = None


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


B = TypeVar("B", bound=Struct)
_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")


async def read_body(request: Request, kind: type[B]) -> B:
    """Read a JSON body; an empty one counts as ``{}``.

    Raises
    ------
    Problem
        400, naming the field at fault.
    """
    body = await request.body()
    try:
        # msgspec does not look into the fields that it skips.
        body.decode()
        return msgspec.json.decode(body.strip() or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "INVALID_JSON", f"The request body is not JSON: {error}.") from None
    except RecursionError:
        raise Problem(400, "INVALID_JSON", "The request body is nested too deeply.") from None


def read_query(request: Request, kind: type[B]) -> B:
    """Read the query parameters that a Struct names; an empty one counts as left out.

    Raises
    ------
    Problem
        400, naming the parameter at fault.
    """
    found: dict[str, Any] = {}
    for name in msgspec.structs.fields(kind):
        values = request.query_params.getlist(name.name)
        if len(values) > 1:
            raise invalid(name.name, f"{name.name} may be given once, not {len(values)} times.")
        if values and values[0] not in {"", "null"}:
            found[name.name] = values[0]
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from None


def path_id(request: Request, name: str, what: str) -> str:
    """Return an id of the path.

    Raises
    ------
    Problem
        404, if it cannot be an id at all.
    """
    text = str(request.path_params[name])
    if not is_id(text):
        raise Problem(404, "NOT_FOUND", f"There is no {what} with such an id.", details={"resource": what})
    return text


def _refused(text: str) -> Problem:
    place = _PLACE.search(text)
    path = (place["path"] if place else "").lstrip(".")
    missing = _MISSING.search(text)
    if missing:
        path = f"{path}.{missing['name']}".lstrip(".")
        return invalid(path, f"{path} is required.")
    words = _PLACE.sub("", text).replace("`", "").replace("Expected", "expected")
    return invalid(path, f"{path or 'The body'}: {words}.")
