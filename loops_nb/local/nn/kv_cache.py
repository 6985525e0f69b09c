"""Incremental decoding with a key-value cache."""

from __future__ import annotations

import numpy as np

from loops_nb.local.nn.attention import probabilities
from loops_nb.local.nn.base_weights import Floats, ModelWeights
from loops_nb.local.nn.transformer import SequenceGroup, Transformer, gated, norm

_BLOCK = 256


class CachedDecoder:
    """Sequences of one length that are read together.

    Parameters
    ----------
    network, weights : Transformer or ModelWeights
        The model.
    sequences : int, default 1
        How many.
    """

    def __init__(self, network: Transformer, weights: ModelWeights, sequences: int = 1) -> None:
        self._network = network
        self._weights = weights
        self._sequences = sequences
        self.length: int = 0
        size = network.size
        empty = np.empty((sequences, size.heads, 0, size.width // size.heads), weights.embedding.dtype)
        self._kept = [(empty, empty) for _ in weights.layers]

    def copies(self, sequences: int) -> CachedDecoder:
        """Return as many sequences, each of which has read what this one has."""
        made = CachedDecoder(self._network, self._weights, sequences)
        made.length = self.length
        made._kept = [
            (np.repeat(key, sequences, axis=0), np.repeat(value, sequences, axis=0)) for key, value in self._kept
        ]
        return made

    def read(self, slots: Floats) -> Floats:
        """Read the next tokens (sequences, tokens); return last hidden states (sequences * tokens, width)."""
        tokens = slots.shape[1]
        self._make_room(tokens)
        whole = SequenceGroup(0, self._sequences, tokens)
        stream = self._weights.embedding[slots.reshape(-1)]
        positions = np.tile(np.arange(self.length, self.length + tokens), self._sequences)
        turns = self._network.turns(positions, stream.dtype)
        width = stream.shape[1]
        for number, layer in enumerate(self._weights.layers):
            projected = self._network.projected(layer, norm(stream)[0], turns)
            query = self._network.heads(projected[:, :width], whole)
            key, value = self._kept[number]
            new = slice(self.length, self.length + tokens)
            key[:, :, new] = self._network.heads(projected[:, width : 2 * width], whole)
            value[:, :, new] = self._network.heads(projected[:, 2 * width :], whole)
            mixed = np.empty_like(stream)
            out = self._network.heads(mixed, whole)
            for start in range(0, tokens, _BLOCK):
                end = min(start + _BLOCK, tokens)
                known = self.length + end
                np.matmul(
                    probabilities(query[:, :, start:end], key[:, :, :known]),
                    value[:, :, :known],
                    out=out[:, :, start:end],
                )
            stream = stream + mixed @ layer.o
            stream = stream + gated(norm(stream)[0], layer).active @ layer.down
        self.length += tokens
        return norm(stream)[0]

    def _make_room(self, tokens: int) -> None:
        room = self._kept[0][0].shape[2]
        if self.length + tokens <= room:
            return
        more = max(self.length + tokens, 2 * room, 64)
        for number, pair in enumerate(self._kept):
            larger = []
            for old in pair:
                new = np.empty((*old.shape[:2], more, old.shape[3]), old.dtype)
                new[:, :, : self.length] = old[:, :, : self.length]
                larger.append(new)
            self._kept[number] = (larger[0], larger[1])
