"""Validation of operations before they are queued."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from loops_nb.local import base_models
from loops_nb.local.errors import InvalidInputError
from loops_nb.local.http_errors import HTTPError
from loops_nb.local.nn.inputs import check_optim, check_sampling, check_training
from loops_nb.local.store.records import RunRecord

#: The operations that carry data.
TRAINING = frozenset({"forward", "forward_backward"})
#: Larger bodies are read by the worker alone: reading them here would block all other requests.
LARGEST_CHECKED = 256 << 10


class _Named(Struct):
    name: Annotated[str, Meta(pattern=r"^(?!\.+$)[A-Za-z0-9_.-]{1,255}\Z")]
    ttl_seconds: Annotated[int, Meta(ge=1, le=10**10)] | None = None
    bump_version: bool | None = None


class _Loaded(Struct):
    path: Annotated[str, Meta(min_length=1, max_length=4096)]


class _Init(Struct):
    lora_rank: int | None = None
    base_model: str | None = None


class _Shared(Struct):
    model: str | None = None
    lora: str | None = None


def check_operation(run: RunRecord, name: str, body: bytes) -> None:
    """Refuse what can be seen to be wrong.

    Raises
    ------
    HTTPError
        422, in words.
    """
    check = _CHECKS.get(name)
    if check is None:
        known = ", ".join(_CHECKS)
        raise HTTPError(
            422,
            "UNKNOWN_OPERATION",
            f"A trainer has no operation {name[:80]!r}; it has {known}.",
            details={"operation": name[:80]},
        )
    if len(body) > LARGEST_CHECKED:
        if name in TRAINING:
            return
        text = (
            f"The body of {name} has {len(body)} bytes; only forward and forward_backward take more than "
            f"{LARGEST_CHECKED}."
        )
        raise HTTPError(422, "INVALID_REQUEST", text, details={"operation": name})
    wanted = read_json(body)
    if wanted.get("run_id") not in {None, run.id}:
        raise HTTPError(
            422, "OTHER_RUN", f"The body names run {str(wanted['run_id'])[:80]}; this is the trainer of run {run.id}."
        )
    try:
        check(run, wanted)
    except InvalidInputError as error:
        raise HTTPError(422, "INVALID_REQUEST", str(error), details={"operation": name}) from None
    except msgspec.ValidationError as error:
        text = f"The body is not as it should be: {error}."
        raise HTTPError(422, "INVALID_REQUEST", text, details={"operation": name}) from None


def check_sample(body: bytes) -> None:
    """Refuse a ``/sample`` that can be seen to be wrong (see `check_operation`)."""
    if len(body) > LARGEST_CHECKED:
        return
    try:
        check_sampling(read_json(body))
    except InvalidInputError as error:
        raise HTTPError(422, "INVALID_REQUEST", str(error), details={"operation": "sample"}) from None


def asked_of_shared(body: bytes, base_model: str) -> str | None:
    """Return the checkpoint that a ``/sample`` on shared capacity names; it names the base model too.

    Raises
    ------
    HTTPError
        422, if that is not the sampler's, or either is no text.
    """
    try:
        asked = msgspec.json.decode(body.strip() or b"{}", type=_Shared)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPError(
            422, "INVALID_REQUEST", f"The body is not as it should be: {error}.", details={"operation": "sample"}
        ) from None
    if asked.model is not None and base_models.name_of(asked.model) != base_model:
        text = f"The request names base model {asked.model[:200]}, and the sampler is of {base_model}."
        raise HTTPError(422, "OTHER_BASE_MODEL", text)
    return asked.lora


def read_json(body: bytes) -> dict[str, Any]:
    """Return a JSON object; 422 for anything else."""
    try:
        return msgspec.json.decode(body.strip() or b"{}", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPError(422, "INVALID_JSON", f"The request body is not a JSON object: {error}.") from None


def _training(_: RunRecord, wanted: Mapping[str, Any]) -> None:
    check_training(wanted)


def _optim(_: RunRecord, wanted: Mapping[str, Any]) -> None:
    check_optim(wanted)


def _init(run: RunRecord, wanted: Mapping[str, Any]) -> None:
    asked = msgspec.convert(wanted, _Init)
    if asked.lora_rank not in {None, run.lora_rank}:
        raise InvalidInputError(
            f"Run {run.id} was created with lora_rank {run.lora_rank}, not {asked.lora_rank}; start a new run for "
            f"another rank."
        )
    if asked.base_model is not None and base_models.name_of(asked.base_model) != run.base_model:
        raise InvalidInputError(f"Run {run.id} is of base model {run.base_model}, not {asked.base_model[:200]}.")


def _save(_: RunRecord, wanted: Mapping[str, Any]) -> None:
    try:
        msgspec.convert(wanted, _Named)
    except msgspec.ValidationError as error:
        if str(error).endswith("`$.name`"):
            raise InvalidInputError(
                "name is 1 to 255 letters, digits, dots, dashes and underscores, and not dots alone."
            ) from None
        raise


def _load(_: RunRecord, wanted: Mapping[str, Any]) -> None:
    path = msgspec.convert(wanted, _Loaded).path
    if path.startswith("s3://"):
        raise InvalidInputError("The local trainer reaches no S3; give a bt:// path, or a folder on this machine.")


_CHECKS: Mapping[str, Callable[[RunRecord, Mapping[str, Any]], None]] = {
    "init_trainer_server": _init,
    "forward": _training,
    "forward_backward": _training,
    "optim_step": _optim,
    "save_state": _save,
    "save_weights_for_sampler": _save,
    "load_state": _load,
    "load_state_with_optimizer": _load,
}
