"""Frozen base weights, generated from a seed, so that no file holds them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loops_nb.local.base_models import ModelSize
from loops_nb.local.nn.vocabulary import OTHER

Floats = npt.NDArray[Any]
Precision = np.dtype[np.floating[Any]]

#: Logits of a model that has learnt nothing are small, so that its loss starts near that of guessing.
_HEAD_SCALE = 0.5


class Layer(NamedTuple):
    """The matrices of one layer, each (inputs, outputs).

    Parameters
    ----------
    qkv : array
        Query, key and value side by side.
    o : array
        Back from the heads.
    gate_up : array
        Gate and content of the MLP side by side.
    down : array
        Back from the MLP.
    """

    qkv: Floats
    o: Floats
    gate_up: Floats
    down: Floats


class ModelWeights(NamedTuple):
    """All matrices of a model; ``embedding`` and ``head`` have a row a slot."""

    embedding: Floats
    layers: list[Layer]
    head: Floats


class BaseWeights:
    """Frozen weights of one size.

    Parameters
    ----------
    size : ModelSize
        Of the model.
    dtype : type, optional
        ``float32``, or ``float64`` where gradients are proven.
    """

    def __init__(self, size: ModelSize, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.size = size
        self.dtype: Precision = np.dtype(dtype)
        self._seed = zlib.crc32(size.name.encode())
        self.layers: list[Layer] = [self._layer(number) for number in range(size.layers)]
        self._rows: dict[int, tuple[Floats, Floats]] = {}

    def rows(self, tokens: Sequence[int]) -> tuple[Floats, Floats]:
        """Return the rows of embedding and head for token ids.

        A row depends on its id alone, so models that met the same ids in another order still give the same numbers.
        """
        for token in tokens:
            if token not in self._rows:
                source = np.random.Generator(np.random.PCG64([self._seed, 1, token if token != OTHER else 1 << 40]))
                drawn = source.standard_normal((2, self.size.width))
                drawn[1] *= _HEAD_SCALE / np.sqrt(self.size.width)
                made = drawn.astype(np.float32).astype(self.dtype)
                self._rows[token] = (made[0], made[1])
        if not tokens:
            nothing = np.zeros((0, self.size.width), self.dtype)
            return nothing, nothing
        found = [self._rows[token] for token in tokens]
        return np.stack([row for row, _ in found]), np.stack([row for _, row in found])

    def _layer(self, number: int) -> Layer:
        source = np.random.Generator(np.random.PCG64([self._seed, 0, number]))
        width, inner = self.size.width, self.size.inner
        # What is added to the stream shrinks with depth, so that its size stays the same whatever the depth.
        back = 1.0 / np.sqrt(2 * self.size.layers)

        def matrix(inputs: int, outputs: int, scale: float = 1.0) -> Floats:
            drawn = source.standard_normal((inputs, outputs)) * (scale / np.sqrt(inputs))
            made: Floats = drawn.astype(np.float32).astype(self.dtype)
            return made

        return Layer(
            matrix(width, 3 * width), matrix(width, width, back), matrix(width, 2 * inner), matrix(inner, width, back)
        )


@cache
def base_weights_of(size: ModelSize) -> BaseWeights:
    """Return the frozen weights of a size in float32, made once a process."""
    return BaseWeights(size)
