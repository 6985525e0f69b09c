"""LoRA adapter: two low-rank matrices for every projection, in one flat array."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from loops_nb.local.base_models import ALPHA_BY_RANK, ATTENTION, HEAD, MLP, ModelSize
from loops_nb.local.nn.base_weights import BaseWeights, Floats, Layer, ModelWeights
from loops_nb.local.nn.transformer import LayerGradient
from loops_nb.local.nn.vocabulary import Vocabulary


class WeightGradients:
    """Room for the gradients of the matrices that are in force, as the network and the head return them."""

    def __init__(self, weights: ModelWeights) -> None:
        self.layers: list[LayerGradient] = [
            LayerGradient(*(np.zeros_like(matrix) for matrix in layer)) for layer in weights.layers
        ]
        self.head: Floats = np.zeros_like(weights.head)


class LoraAdapter:
    """Thin matrices: A (rank, inputs) random, B (outputs, rank) zero, so that a new adapter changes nothing.

    The head's B has a row a slot and lies last, so that it grows with the vocabulary without moving anything.

    Parameters
    ----------
    base : BaseWeights
        What it adapts.
    rank : int
        Of every pair.
    seed : int
        Of the matrices A.
    """

    def __init__(self, base: BaseWeights, rank: int, seed: int) -> None:
        self.base = base
        self.rank = rank
        self._places = _places(base.size, rank)
        self._head_at = sum(rows * columns for rows, columns in self._places.values())
        self.rows: int = 0
        self._frozen_rows: tuple[Vocabulary, tuple[Floats, Floats]] | None = None
        self.flat: Floats = np.zeros(self._head_at + base.size.slots * rank + rank, base.dtype)
        source = np.random.Generator(np.random.PCG64(seed))
        for name, tensor in self.tensors(self.flat):
            if name.endswith("lora_A.weight"):
                bound = 1.0 / np.sqrt(tensor.shape[1])
                tensor[...] = source.uniform(-bound, bound, tensor.shape).astype(np.float32)

    @property
    def used(self) -> int:
        """Number of weights, at the front of the flat array."""
        return self._head_at + self.rows * self.rank

    def grow(self, rows: int) -> None:
        """Give the head rows for new slots; they start at zero."""
        self.rows = rows

    def tensors(self, flat: Floats) -> Iterator[tuple[str, Floats]]:
        """Yield name and tensor of a flat array of this layout, as views."""
        at = 0
        for name, (rows, columns) in self._places.items():
            yield name, flat[at : at + rows * columns].reshape(rows, columns)
            at += rows * columns
        yield _named(None, HEAD, "B"), flat[at : at + self.rows * self.rank].reshape(self.rows, self.rank)

    @np.errstate(over="ignore", invalid="ignore")
    def merged(self, vocabulary: Vocabulary) -> ModelWeights:
        """Return the merged matrices of base and adapter, over a vocabulary that may be ahead of the adapter."""
        halves = dict(self.tensors(self.flat))
        scale: Any = self.base.dtype.type(ALPHA_BY_RANK)

        def product(layer: int, module: str) -> Floats:
            thin, wide = halves[_named(layer, module, "A")], halves[_named(layer, module, "B")]
            changed: Floats = (thin.T @ wide.T) * scale
            return changed

        layers = []
        for number, frozen in enumerate(self.base.layers):
            layers.append(
                Layer(
                    frozen.qkv
                    + np.concatenate([product(number, module) for module in ("q_proj", "k_proj", "v_proj")], axis=1),
                    frozen.o + product(number, "o_proj"),
                    frozen.gate_up
                    + np.concatenate([product(number, module) for module in ("gate_proj", "up_proj")], axis=1),
                    frozen.down + product(number, "down_proj"),
                )
            )
        embedding, frozen_head = self._rows_of(vocabulary)
        head = frozen_head.copy()
        head[: self.rows] += (halves[_named(None, HEAD, "B")] @ halves[_named(None, HEAD, "A")]) * scale
        return ModelWeights(embedding, layers, head)

    def _rows_of(self, vocabulary: Vocabulary) -> tuple[Floats, Floats]:
        if self._frozen_rows is None or self._frozen_rows[0] is not vocabulary:
            self._frozen_rows = (vocabulary, self.base.rows(vocabulary.ids))
        return self._frozen_rows[1]

    def add_gradient(self, gradient: WeightGradients, into: Floats) -> None:
        """Add to a flat gradient what the gradients of the matrices in force mean for the thin ones."""
        size = self.base.size
        targets = dict(self.tensors(into))
        halves = dict(self.tensors(self.flat))
        scale: Any = self.base.dtype.type(ALPHA_BY_RANK)

        def add(layer: int | None, module: str, whole: Floats) -> None:
            thin, wide = _named(layer, module, "A"), _named(layer, module, "B")
            targets[thin] += (halves[wide].T @ whole.T) * scale
            targets[wide] += (whole.T @ halves[thin].T) * scale

        for number, layer in enumerate(gradient.layers):
            for place, module in enumerate(("q_proj", "k_proj", "v_proj")):
                add(number, module, layer.qkv[:, place * size.width : (place + 1) * size.width])
            add(number, "o_proj", layer.o)
            add(number, "gate_proj", layer.gate_up[:, : size.inner])
            add(number, "up_proj", layer.gate_up[:, size.inner :])
            add(number, "down_proj", layer.down)
        add(None, HEAD, gradient.head[: self.rows].T)


def _places(size: ModelSize, rank: int) -> dict[str, tuple[int, int]]:
    """Return names and shapes of all tensors but the last, in their order."""
    sides = {
        **dict.fromkeys(ATTENTION, (size.width, size.width)),
        **dict.fromkeys(MLP[:2], (size.width, size.inner)),
        MLP[2]: (size.inner, size.width),
    }
    places = {}
    for layer in range(size.layers):
        for module, (inputs, outputs) in sides.items():
            places[_named(layer, module, "A")] = (rank, inputs)
            places[_named(layer, module, "B")] = (outputs, rank)
    places[_named(None, HEAD, "A")] = (rank, size.width)
    return places


def _named(layer: int | None, module: str, half: str) -> str:
    if layer is None:
        return f"base_model.model.{module}.lora_{half}.weight"
    part = "self_attn" if module in ATTENTION else "mlp"
    return f"base_model.model.model.layers.{layer}.{part}.{module}.lora_{half}.weight"
