"""File formats of saved weights: safetensors and small JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from loops_nb.local.base_models import TARGET_MODULES, adapter_config
from loops_nb.local.errors import InvalidInputError
from loops_nb.local.weights.files import AdapterFile

Floats = npt.NDArray[Any]

ADAPTER = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
OPTIMIZER = "optimizer.safetensors"
GRADIENT = "gradient.safetensors"
VOCABULARY = "vocabulary.json"
STATE = "trainer_state.json"


class PendingGradient(Struct, frozen=True):
    """The pending gradient: the kind of its divisor (empty: there is none), and the divisor."""

    kind: str = ""
    count: int = 0

    def check(self, kind: str) -> None:
        """Refuse to add a gradient of another kind.

        Raises
        ------
        InvalidInputError
            If this one is divided by something else.
        """
        if self.kind not in {"", kind}:
            raise InvalidInputError(
                f"The gradient that waits is normalized by {self.kind!r}, and this one by {kind!r}; they cannot "
                "share an optimizer step. "
                "Call optim_step between them."
            )


class TrainerState(Struct, frozen=True):
    """State of a trainer, as it is saved.

    Parameters
    ----------
    base_model, lora_rank, size : str or int
        What it trained.
    step : int
        Steps since the model was new.
    updates : int
        Steps of this optimizer, which restarts when weights are loaded without it.
    waiting : PendingGradient
        Gradient that waited.
    """

    base_model: str
    lora_rank: int
    size: str
    step: int
    updates: int
    waiting: PendingGradient


class _Vocabulary(Struct):
    ids: list[int]


def config_file(base_model: str, rank: int) -> AdapterFile:
    """Return the ``adapter_config.json`` that PEFT reads."""
    return _json_file(CONFIG, adapter_config(base_model, rank, TARGET_MODULES))


def tensors_file(name: str, tensors: Mapping[str, Floats], *, peft: bool = False) -> AdapterFile:
    """Return a safetensors file."""
    whole = {key: np.ascontiguousarray(tensor) for key, tensor in tensors.items()}
    return AdapterFile(name, 0, save(whole, metadata={"format": "pt"} if peft else None))


def vocabulary_file(ids: list[int]) -> AdapterFile:
    """Return the token ids in the order of their slots."""
    return AdapterFile(VOCABULARY, 0, msgspec.json.encode(_Vocabulary(ids)) + b"\n")


def state_file(state: TrainerState) -> AdapterFile:
    """Return where a trainer stands."""
    return _json_file(STATE, state)


def read_vocabulary(folder: Path) -> list[int]:
    """Return the token ids of saved files, in the order of their slots.

    Raises
    ------
    InvalidInputError
        If the files are not of a model of this kind.
    """
    try:
        words = msgspec.json.decode((folder / VOCABULARY).read_bytes(), type=_Vocabulary)
    except FileNotFoundError:
        raise InvalidInputError(
            f"This checkpoint has no {VOCABULARY}: the local trainer did not save it (it is from the "
            "sample workspace or another program). "
            "It can be compared and downloaded; training and sampling need one that was saved here."
        ) from None
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"{VOCABULARY} of this checkpoint cannot be read: {error}.") from None
    return words.ids


def read_state(folder: Path) -> TrainerState | None:
    """Return where a trainer stood; None for files that were saved for sampling.

    Raises
    ------
    InvalidInputError
        If the file cannot be read.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=TrainerState)
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"{STATE} of this checkpoint cannot be read: {error}.") from None


def read_tensors(path: Path, into: Mapping[str, Floats]) -> None:
    """Fill tensors from a safetensors file.

    Raises
    ------
    InvalidInputError
        If the file lacks a tensor, has one too many, or one of another shape.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if names != set(into):
                odd = sorted(names ^ set(into))
                raise InvalidInputError(
                    f"{path.name} of this checkpoint is of another model: {odd[0]} is in one of them only."
                )
            for name, tensor in into.items():
                found = file.get_tensor(name)
                if found.shape != tensor.shape:
                    raise InvalidInputError(
                        f"{path.name} of this checkpoint has {name} as {found.shape}, and this model has "
                        f"{tensor.shape}; "
                        "take the same base model and lora_rank."
                    )
                tensor[...] = found
    except FileNotFoundError:
        raise InvalidInputError(f"This checkpoint has no {path.name}.") from None
    except SafetensorError as error:
        raise InvalidInputError(f"{path.name} of this checkpoint cannot be read: {error}.") from None


def read_rank(folder: Path) -> int:
    """Return the rank of a saved adapter.

    Raises
    ------
    InvalidInputError
        If its config cannot be read.
    """
    try:
        config: dict[str, Any] = msgspec.json.decode((folder / CONFIG).read_bytes(), type=dict[str, Any])
        return int(config["r"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError):
        raise InvalidInputError(f"{CONFIG} of this checkpoint cannot be read.") from None


def check_rank(folder: Path, rank: int) -> None:
    """Refuse an adapter of another rank.

    Raises
    ------
    InvalidInputError
        Naming both.
    """
    found = read_rank(folder)
    if found != rank:
        raise InvalidInputError(
            f"This checkpoint has lora_rank {found}, and this run {rank}; start a run with lora_rank {found} for it."
        )


def _json_file(name: str, value: Any) -> AdapterFile:
    return AdapterFile(name, 0, msgspec.json.format(msgspec.json.encode(value)) + b"\n")
