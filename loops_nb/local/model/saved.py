"""The files of a model: safetensors and small JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from loops_nb.local.files import AdapterFile
from loops_nb.local.model.base import Floats
from loops_nb.local.model.problems import BadRequest
from loops_nb.local.model.sizes import ALPHA_BY_RANK, TARGET_MODULES, Size
from loops_nb.local.model.vocabulary import Vocabulary

ADAPTER = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
OPTIMIZER = "optimizer.safetensors"
GRADIENT = "gradient.safetensors"
VOCABULARY = "vocabulary.json"
STATE = "trainer_state.json"


class Waiting(Struct, frozen=True):
    """The gradient that waits for the next step: what it is divided by (empty: none waits), and how many of these there were."""

    kind: str = ""
    count: int = 0

    def check(self, kind: str) -> None:
        """Refuse to add a gradient of another kind.

        Raises
        ------
        BadRequest
            If this one is divided by something else.
        """
        if self.kind not in {"", kind}:
            raise BadRequest(
                f"The gradient that waits is normalized by {self.kind!r}, and this one by {kind!r}; they cannot share an optimizer step. "
                "Call optim_step between them."
            )


class State(Struct, frozen=True):
    """Where a trainer stood.

    Parameters
    ----------
    base_model, lora_rank, size
        What it trained.
    step
        Steps since the model was new.
    updates
        Steps of this optimizer, which starts anew when weights are loaded without it.
    waiting
        Gradient that waited.
    """

    base_model: str
    lora_rank: int
    size: str
    step: int
    updates: int
    waiting: Waiting


class _Words(Struct):
    ids: list[int]


def config_file(base_model: str, rank: int) -> AdapterFile:
    """Return the ``adapter_config.json`` that PEFT reads."""
    return _json_file(
        CONFIG,
        {
            "base_model_name_or_path": base_model,
            "bias": "none",
            "lora_alpha": ALPHA_BY_RANK * rank,
            "lora_dropout": 0.0,
            "peft_type": "LORA",
            "r": rank,
            "target_modules": list(TARGET_MODULES),
            "task_type": "CAUSAL_LM",
        },
    )


def tensors_file(name: str, tensors: Mapping[str, Floats], *, peft: bool = False) -> AdapterFile:
    """Return a safetensors file."""
    whole = {key: np.ascontiguousarray(tensor) for key, tensor in tensors.items()}
    return AdapterFile(name, 0, save(whole, metadata={"format": "pt"} if peft else None))


def vocabulary_file(vocabulary: Vocabulary) -> AdapterFile:
    """Return the token ids in the order of their slots."""
    return AdapterFile(VOCABULARY, 0, msgspec.json.encode(_Words(vocabulary.ids)) + b"\n")


def state_file(state: State) -> AdapterFile:
    """Return where a trainer stands."""
    return _json_file(STATE, state)


def read_vocabulary(folder: Path, size: Size) -> Vocabulary:
    """Return the vocabulary of saved files.

    Raises
    ------
    BadRequest
        If the files are not of a model of this kind.
    """
    try:
        words = msgspec.json.decode((folder / VOCABULARY).read_bytes(), type=_Words)
    except FileNotFoundError:
        raise BadRequest(
            f"This checkpoint has no {VOCABULARY}: the local trainer did not save it; the sample workspace brought it, or somebody else. "
            "It can be compared and downloaded; training and sampling need one that was saved here."
        ) from None
    except msgspec.MsgspecError as error:
        raise BadRequest(f"{VOCABULARY} of this checkpoint cannot be read: {error}.") from None
    return Vocabulary(words.ids, size.slots)


def read_state(folder: Path) -> State | None:
    """Return where a trainer stood; None for files that were saved for sampling.

    Raises
    ------
    BadRequest
        If the file cannot be read.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"{STATE} of this checkpoint cannot be read: {error}.") from None


def read_tensors(path: Path, into: Mapping[str, Floats]) -> None:
    """Fill tensors from a safetensors file.

    Raises
    ------
    BadRequest
        If the file lacks a tensor, has one too many, or one of another shape.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = set(file.keys())
            if names != set(into):
                odd = sorted(names ^ set(into))
                raise BadRequest(f"{path.name} of this checkpoint is of another model: {odd[0]} is in one of them only.")
            for name, tensor in into.items():
                found = file.get_tensor(name)
                if found.shape != tensor.shape:
                    raise BadRequest(
                        f"{path.name} of this checkpoint has {name} as {found.shape}, and this model has {tensor.shape}; "
                        "take the same base model and lora_rank."
                    )
                tensor[...] = found
    except FileNotFoundError:
        raise BadRequest(f"This checkpoint has no {path.name}.") from None
    except SafetensorError as error:
        raise BadRequest(f"{path.name} of this checkpoint cannot be read: {error}.") from None


def read_rank(folder: Path) -> int:
    """Return the rank of a saved adapter.

    Raises
    ------
    BadRequest
        If its config cannot be read.
    """
    try:
        config: dict[str, Any] = msgspec.json.decode((folder / CONFIG).read_bytes(), type=dict[str, Any])
        return int(config["r"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError):
        raise BadRequest(f"{CONFIG} of this checkpoint cannot be read.") from None


def check_rank(folder: Path, rank: int) -> None:
    """Refuse an adapter of another rank.

    Raises
    ------
    BadRequest
        Naming both.
    """
    found = read_rank(folder)
    if found != rank:
        raise BadRequest(f"This checkpoint has lora_rank {found}, and this run {rank}; start a run with lora_rank {found} for it.")


def _json_file(name: str, value: Any) -> AdapterFile:
    return AdapterFile(name, 0, msgspec.json.format(msgspec.json.encode(value)) + b"\n")
