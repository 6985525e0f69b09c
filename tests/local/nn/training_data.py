"""Data and models that the tests share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loops_nb.local import base_models as sizes
from loops_nb.local.nn.learner import Learner
from loops_nb.local.weights.files import AdapterFile

TEXT = b"the quick brown fox jumps over the lazy dog. "


def tensor(data: Sequence[Any], dtype: str = "float32", shape: Sequence[int] | None = None) -> dict[str, Any]:
    return {"data": list(data), "dtype": dtype, "shape": list(shape or [len(data)])}


def datum(tokens: Sequence[Any], targets: Sequence[Any] | None = None, **inputs: Sequence[float]) -> dict[str, Any]:
    """Return a datum; without targets, each token's target is the one after it."""
    if targets is None:
        tokens, targets = tokens[:-1], tokens[1:]
    more = {name: tensor(values) for name, values in inputs.items()}
    chunks = [{"type": "encoded_text", "tokens": list(tokens)}]
    return {"model_input": {"chunks": chunks}, "loss_fn_inputs": {"target_tokens": tensor(targets, "int64"), **more}}


def of_text(start: int = 0, length: int = 33) -> dict[str, Any]:
    text = TEXT * (2 + (start + length) // len(TEXT))
    return datum(list(text[start : start + length]))


def learner(**options: Any) -> Learner:
    return Learner(**{"base_model": sizes.TINY.name, "lora_rank": 4, "seed": 7, **options})


def steps(model: Learner, number: int, *, rate: float = 5e-3, start: int = 0) -> list[float]:
    """Train on the text, and return the losses."""
    losses = []
    for step in range(start, start + number):
        data = [of_text(7 * step + 11 * part) for part in range(2)]
        losses.append(model.forward(data, loss_fn="cross_entropy", backward=True)["loss"])
        model.optim_step({"learning_rate": rate})
    return losses


def written(files: Sequence[AdapterFile], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).write_bytes(file.data)
    return folder


def weights_of(model: Learner) -> np.ndarray[Any, Any]:
    """Return all weights of the adapter, copied."""
    flat: np.ndarray[Any, Any] = model._adapter.flat[: model._adapter.used].copy()
    return flat
