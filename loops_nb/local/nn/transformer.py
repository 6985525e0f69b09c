"""Transformer, forward and backward.

It knows nothing of adapters: it gets the matrices that are in force, and returns a gradient of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from loops_nb.local.base_models import ModelSize
from loops_nb.local.nn.attention import AttentionActivations, attend, attend_backward
from loops_nb.local.nn.base_weights import Floats, Layer, ModelWeights, Precision

_EPSILON = 1e-6
_ROPE_BASE = 10_000.0
#: More tokens than these at a time, and each layer is worked out again on the way back instead of being kept.
_KEPT_TOKENS = 1024


class SequenceGroup(NamedTuple):
    """Sequences of one length that lie one after the other: where they start, how many, how long."""

    start: int
    sequences: int
    length: int


class LayerActivations(NamedTuple):
    """What a layer's way back needs."""

    normed: Floats
    scale: Floats
    attention: list[AttentionActivations]
    mixed: Floats
    middle_normed: Floats
    middle_scale: Floats
    gated: MLPActivations


class MLPActivations(NamedTuple):
    """Activations of a gated MLP: gate and content side by side, sigmoid, gate times sigmoid, and the product."""

    both: Floats
    sigmoid: Floats
    silu: Floats
    active: Floats


class ForwardTrace(NamedTuple):
    """What the way back of a whole pass needs: a layer's memory, or only the stream that came into it."""

    groups: Sequence[SequenceGroup]
    turns: Floats
    layers: list[LayerActivations | Floats]
    last: Floats
    last_scale: Floats


class LayerGradient(NamedTuple):
    """Gradients of a layer's matrices, added up."""

    qkv: Floats
    o: Floats
    gate_up: Floats
    down: Floats


def group_sequences(lengths: Sequence[int]) -> list[SequenceGroup]:
    """Return the groups of sequences that lie one after the other with these lengths."""
    found: list[SequenceGroup] = []
    at = 0
    for length in lengths:
        if found and found[-1].length == length:
            found[-1] = found[-1]._replace(sequences=found[-1].sequences + 1)
        else:
            found.append(SequenceGroup(at, 1, length))
        at += length
    return found


class Transformer:
    """A pass through the model.

    Parameters
    ----------
    size : ModelSize
        Of the model.
    """

    def __init__(self, size: ModelSize) -> None:
        self.size = size
        self._head = size.width // size.heads

    def forward(
        self, weights: ModelWeights, slots: Floats, groups: Sequence[SequenceGroup], *, remember: bool
    ) -> tuple[Floats, ForwardTrace]:
        """Return the last hidden state of every token (tokens, width), normed, and what the way back needs."""
        stream = weights.embedding[slots]
        turns = self.turns(
            np.concatenate([np.tile(np.arange(group.length), group.sequences) for group in groups]), stream.dtype
        )
        kept: list[LayerActivations | Floats] = []
        small = len(slots) <= _KEPT_TOKENS
        for layer in weights.layers:
            before = stream
            stream, memory = self._layer(layer, before, groups, turns)
            if remember:
                kept.append(memory if small else before)
        normed, scale = norm(stream)
        return normed, ForwardTrace(groups, turns, kept, normed, scale)

    def backward(
        self, weights: ModelWeights, gradient: Floats, trace: ForwardTrace, into: Sequence[LayerGradient]
    ) -> None:
        """Add the gradients of all layers' matrices, given that of the last hidden state."""
        coming = norm_backward(gradient, trace.last, trace.last_scale)
        for number in reversed(range(len(weights.layers))):
            layer, memory = weights.layers[number], trace.layers[number]
            if not isinstance(memory, LayerActivations):
                memory = self._layer(layer, memory, trace.groups, trace.turns)[1]
            # Nothing learns below the first layer.
            coming = self._layer_backward(layer, coming, memory, trace, into[number], further=number > 0)

    def projected(self, layer: Layer, normed: Floats, turns: Floats) -> Floats:
        """Return query, key and value side by side, queries and keys turned by their positions, and queries scaled."""
        out = normed @ layer.qkv
        self._turn(out, turns)
        return out

    def heads(self, flat: Floats, group: SequenceGroup) -> Floats:
        """Return a group's part of (tokens, width) as (sequences, heads, tokens, size of a head); a view."""
        part = flat[group.start : group.start + group.sequences * group.length]
        return part.reshape(group.sequences, group.length, self.size.heads, self._head).transpose(0, 2, 1, 3)

    def turns(self, positions: Floats, dtype: Precision) -> Floats:
        """Return the rotary position factors of each token, as complex numbers; those of queries are scaled."""
        rates = _ROPE_BASE ** (-np.arange(self._head // 2) / (self._head // 2))
        turns = np.exp(1j * positions[:, None] * rates)
        scaled = [turns * self._head**-0.5] * self.size.heads
        return np.concatenate([*scaled, *([turns] * self.size.heads)], axis=1).astype(
            np.result_type(dtype, np.complex64)
        )

    def _turn(self, flat: Floats, turns: Floats) -> None:
        """Turn queries and keys, which come first in each row, where they lie."""
        pairs = flat[:, : 2 * self.size.width].view(turns.dtype)
        pairs *= turns

    def _layer(
        self, layer: Layer, stream: Floats, groups: Sequence[SequenceGroup], turns: Floats
    ) -> tuple[Floats, LayerActivations]:
        width = self.size.width
        normed, scale = norm(stream)
        projected = self.projected(layer, normed, turns)
        query, key, value = projected[:, :width], projected[:, width : 2 * width], projected[:, 2 * width :]
        mixed = np.empty_like(stream)
        memories = []
        for group in groups:
            memories.append(attend(self.heads(query, group), self.heads(key, group), self.heads(value, group)))
            self.heads(mixed, group)[...] = memories[-1].out
        middle = mixed @ layer.o
        middle += stream
        middle_normed, middle_scale = norm(middle)
        through = gated(middle_normed, layer)
        out = through.active @ layer.down
        out += middle
        return out, LayerActivations(normed, scale, memories, mixed, middle_normed, middle_scale, through)

    def _layer_backward(
        self,
        layer: Layer,
        coming: Floats,
        memory: LayerActivations,
        trace: ForwardTrace,
        into: LayerGradient,
        *,
        further: bool,
    ) -> Floats:
        width = self.size.width
        into.down[...] += memory.gated.active.T @ coming
        of_gate_up = gated_backward(coming @ layer.down.T, memory.gated)
        into.gate_up[...] += memory.middle_normed.T @ of_gate_up
        of_middle = norm_backward(of_gate_up @ layer.gate_up.T, memory.middle_normed, memory.middle_scale)
        of_middle += coming
        into.o[...] += memory.mixed.T @ of_middle
        of_mixed = of_middle @ layer.o.T
        of_projected = np.empty((len(coming), 3 * width), coming.dtype)
        sides = [of_projected[:, side * width : (side + 1) * width] for side in range(3)]
        for group, kept in zip(trace.groups, memory.attention, strict=True):
            for side, part in zip(sides, attend_backward(self.heads(of_mixed, group), kept), strict=True):
                self.heads(side, group)[...] = part
        self._turn(of_projected, trace.turns.conj())
        into.qkv[...] += memory.normed.T @ of_projected
        if further:
            of_middle += norm_backward(of_projected @ layer.qkv.T, memory.normed, memory.scale)
        return of_middle


def norm(stream: Floats) -> tuple[Floats, Floats]:
    """Return each row at a root mean square of one, and the factor that did it."""
    square = np.einsum("td,td->t", stream, stream)[:, None]
    scale = 1.0 / np.sqrt(square * stream.dtype.type(1.0 / stream.shape[1]) + stream.dtype.type(_EPSILON))
    return stream * scale, scale


def norm_backward(gradient: Floats, normed: Floats, scale: Floats) -> Floats:
    """Return the gradient of what was normed."""
    along = np.einsum("td,td->t", gradient, normed)[:, None] * gradient.dtype.type(1.0 / normed.shape[1])
    out: Floats = gradient - normed * along
    out *= scale
    return out


def gated(normed: Floats, layer: Layer) -> MLPActivations:
    """Return what the MLP does before its last matrix."""
    both = normed @ layer.gate_up
    gate, content = both[:, : both.shape[1] // 2], both[:, both.shape[1] // 2 :]
    sigmoid = np.negative(gate)
    # A gate far below zero overflows to infinity here, which is the right way to a sigmoid of zero.
    with np.errstate(over="ignore"):
        np.exp(sigmoid, out=sigmoid)
    sigmoid += 1
    np.reciprocal(sigmoid, out=sigmoid)
    silu = gate * sigmoid
    return MLPActivations(both, sigmoid, silu, silu * content)


def gated_backward(coming: Floats, through: MLPActivations) -> Floats:
    """Return the gradient of gate and content, side by side."""
    inner = coming.shape[1]
    out = np.empty_like(through.both)
    np.multiply(coming, through.silu, out=out[:, inner:])
    slope = 1 - through.sigmoid
    slope *= through.silu
    slope += through.sigmoid
    slope *= coming
    np.multiply(slope, through.both[:, inner:], out=out[:, :inner])
    return out
