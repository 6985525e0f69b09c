"""Synthetic LoRA checkpoints of the sample workspace: real safetensors files, small enough for a laptop.

The tensors carry the names and the rank of a true adapter of the base model, over a narrow model (`WIDTH` wide,
`LAYERS` deep) so that two hundred checkpoints take megabytes, not terabytes.  Training pulls the weights from their
start to a goal of the run's own, with the noise of batches, and keeps the moments that an Adam optimizer would keep: so
weights drift from step to step, and the distance that is left falls like a loss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from loops_nb.local import base_models
from loops_nb.local.weights.files import AdapterFile

WIDTH = 64
LAYERS = 2

Floats = npt.NDArray[np.float32]


class SyntheticState(NamedTuple):
    """State after some steps: flat weights, both optimizer moments, and the remaining distance to the goal."""

    step: int
    weights: Floats
    first_moment: Floats
    second_moment: Floats
    loss: float


class AdapterShape(NamedTuple):
    """Names and shapes of an adapter's tensors, in the order in which they lie in the flat weights."""

    tensors: tuple[tuple[str, tuple[int, int]], ...]

    @property
    def size(self) -> int:
        """Number of weights."""
        return sum(rows * columns for _, (rows, columns) in self.tensors)

    def split(self, flat: Floats, dtype: npt.DTypeLike) -> dict[str, npt.NDArray[Any]]:
        """Return the tensors of flat weights."""
        found, at = {}, 0
        for name, (rows, columns) in self.tensors:
            found[name] = np.ascontiguousarray(flat[at : at + rows * columns].reshape(rows, columns).astype(dtype))
            at += rows * columns
        return found


def adapter_shape(base_model: str, rank: int) -> AdapterShape:
    """Return the tensors of an adapter: A (rank x width) and B (width x rank) for each module of each layer."""
    return AdapterShape(
        tuple(
            (f"base_model.model.model.layers.{layer}.self_attn.{module}.lora_{half}.weight", shape)
            for layer in range(LAYERS)
            for module in base_models.model(base_model).modules
            for half, shape in (("A", (rank, WIDTH)), ("B", (WIDTH, rank)))
        )
    )


def train(shape: AdapterShape, *, key: str, steps: list[int], rate: float = 0.02) -> Iterator[SyntheticState]:
    """Yield the trainer's state after each of some steps; the same key gives the same numbers.

    Parameters
    ----------
    shape : AdapterShape
        The adapter.
    key : str
        Names the run.
    steps : list of int
        Rising step numbers.
    rate : float, default 0.02
        Share of the way to the goal that ten steps go.
    """
    source = np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")))
    halves = np.concatenate(
        [np.full(rows * columns, name.endswith("lora_A.weight")) for name, (rows, columns) in shape.tensors]
    )
    # As LoRA starts: A random, B zero, so that the adapter changes nothing at first.
    weights = (source.standard_normal(shape.size) / np.sqrt(WIDTH) * halves).astype(np.float32)
    goal = (weights + source.standard_normal(shape.size) * 0.05).astype(np.float32)
    first = np.zeros_like(weights)
    second = np.zeros_like(weights)
    before = 0
    for step in steps:
        progress = 1.0 - (1.0 - rate) ** ((step - before) / 10)
        noise = source.standard_normal(shape.size).astype(np.float32) * np.float32(0.004)
        gradient = weights - goal + noise
        weights = weights - np.float32(progress) * gradient
        first = np.float32(0.9) * first + np.float32(0.1) * gradient
        second = np.float32(0.95) * second + np.float32(0.05) * gradient**2
        before = step
        yield SyntheticState(step, weights, first, second, float(np.mean((weights - goal) ** 2)))


def checkpoint_files(
    state: SyntheticState, shape: AdapterShape, *, base_model: str, rank: int, target: str, nodes: int = 1
) -> list[AdapterFile]:
    """Return the files of a checkpoint.

    Both targets have the adapter and its config.  A trainer's has 32-bit weights, the optimizer's moments (one shard a
    node) and where it stood; a sampler's has 16-bit weights, which is all that serving needs.
    """
    trainer = target == "trainer"
    config = msgspec.json.format(msgspec.json.encode(base_models.adapter_config(base_model, rank))) + b"\n"
    weights = save(shape.split(state.weights, np.float32 if trainer else np.float16), metadata={"format": "pt"})
    files = [AdapterFile("adapter_config.json", 0, config), AdapterFile("adapter_model.safetensors", 0, weights)]
    if not trainer:
        return files
    moments = {f"{name}.exp_avg": tensor for name, tensor in shape.split(state.first_moment, np.float16).items()}
    moments |= {f"{name}.exp_avg_sq": tensor for name, tensor in shape.split(state.second_moment, np.float16).items()}
    for node in range(nodes):
        shard = {name: tensor for index, (name, tensor) in enumerate(moments.items()) if index % nodes == node}
        files.append(AdapterFile(f"optimizer/shard-{node:05d}-of-{nodes:05d}.safetensors", node, save(shard)))
    progress = {"step": state.step, "loss": round(state.loss, 8), "lora_rank": rank, "base_model": base_model}
    files.append(AdapterFile("trainer_state.json", 0, msgspec.json.format(msgspec.json.encode(progress)) + b"\n"))
    return files
