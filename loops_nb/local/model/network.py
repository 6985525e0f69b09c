"""The transformer itself: forwards with what the way back needs, and backwards to the gradient of every matrix.

It knows nothing of adapters: it gets the matrices that are in force, and returns a gradient of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from loops_nb.local.model.attention import Memory, attend, attend_back
from loops_nb.local.model.base import Floats, Layer, Precision, Weights
from loops_nb.local.model.sizes import Size

_EPSILON = 1e-6
_ROPE_BASE = 10_000.0
#: More tokens than these at a time, and each layer is worked out again on the way back instead of being kept.
_KEPT_TOKENS = 1024


class Group(NamedTuple):
    """Sequences of one length that lie one after the other: where they start, how many, how long."""

    start: int
    sequences: int
    length: int


class LayerMemory(NamedTuple):
    """What a layer's way back needs."""

    stream: Floats
    normed: Floats
    scale: Floats
    attention: list[Memory]
    mixed: Floats
    middle_normed: Floats
    middle_scale: Floats
    gate_up: Floats
    sigmoid: Floats
    active: Floats


class Trace(NamedTuple):
    """What the way back of a whole pass needs: a layer's memory, or only the stream that came into it."""

    groups: Sequence[Group]
    positions: Floats
    layers: list[LayerMemory | Floats]
    last: Floats
    last_scale: Floats


class LayerGradient(NamedTuple):
    """Gradients of a layer's matrices, added up."""

    qkv: Floats
    o: Floats
    gate_up: Floats
    down: Floats


def groups_of(lengths: Sequence[int]) -> list[Group]:
    """Return the groups of sequences that lie one after the other with these lengths."""
    found: list[Group] = []
    at = 0
    for length in lengths:
        if found and found[-1].length == length:
            found[-1] = found[-1]._replace(sequences=found[-1].sequences + 1)
        else:
            found.append(Group(at, 1, length))
        at += length
    return found


class Network:
    """A pass through the model.

    Parameters
    ----------
    size
        Of the model.
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self._head = size.width // size.heads

    def forward(self, weights: Weights, slots: Floats, groups: Sequence[Group], *, remember: bool) -> tuple[Floats, Trace]:
        """Return the last hidden state of every token (tokens, width), normed, and what the way back needs."""
        stream = weights.embedding[slots]
        positions = np.concatenate([np.tile(np.arange(group.length), group.sequences) for group in groups])
        kept: list[LayerMemory | Floats] = []
        small = len(slots) <= _KEPT_TOKENS
        for layer in weights.layers:
            before = stream
            stream, memory = self._layer(layer, before, groups, positions)
            if remember:
                kept.append(memory if small else before)
        normed, scale = norm(stream)
        return normed, Trace(groups, positions, kept, normed, scale)

    def backward(self, weights: Weights, gradient: Floats, trace: Trace, into: Sequence[LayerGradient]) -> None:
        """Add the gradients of all layers' matrices, given that of the last hidden state."""
        coming = norm_back(gradient, trace.last, trace.last_scale)
        for number in reversed(range(len(weights.layers))):
            layer, memory = weights.layers[number], trace.layers[number]
            if not isinstance(memory, LayerMemory):
                memory = self._layer(layer, memory, trace.groups, trace.positions)[1]
            # Nothing learns below the first layer.
            coming = self._layer_back(layer, coming, memory, trace, into[number], further=number > 0)

    def heads(self, flat: Floats, group: Group) -> Floats:
        """Return a group's part of (tokens, width) as (sequences, heads, tokens, size of a head)."""
        part = flat[group.start : group.start + group.sequences * group.length]
        split = part.reshape(group.sequences, group.length, self.size.heads, self._head)
        return np.ascontiguousarray(split.transpose(0, 2, 1, 3))

    def rotate(self, flat: Floats, positions: Floats, *, back: bool = False) -> Floats:
        """Return queries or keys (tokens, width) turned by their positions, or turned back."""
        cosine, sine = _turns(self._head, int(positions.max(initial=0)) + 1, flat.dtype)
        cosine, sine = cosine[positions][:, None, :], sine[positions][:, None, :]
        if back:
            sine = -sine
        split = flat.reshape(len(flat), self.size.heads, 2, self._head // 2)
        first, second = split[:, :, 0], split[:, :, 1]
        out = np.empty_like(split)
        out[:, :, 0] = first * cosine - second * sine
        out[:, :, 1] = second * cosine + first * sine
        return out.reshape(flat.shape)

    def _layer(self, layer: Layer, stream: Floats, groups: Sequence[Group], positions: Floats) -> tuple[Floats, LayerMemory]:
        width = self.size.width
        normed, scale = norm(stream)
        projected = normed @ layer.qkv
        query = self.rotate(projected[:, :width], positions)
        key = self.rotate(projected[:, width : 2 * width], positions)
        mixed = np.empty_like(stream)
        memories = []
        for group in groups:
            value = self.heads(projected[:, 2 * width :], group)
            out, memory = attend(self.heads(query, group), self.heads(key, group), value)
            self._put(mixed, out, group)
            memories.append(memory)
        middle = stream + mixed @ layer.o
        middle_normed, middle_scale = norm(middle)
        gate_up, sigmoid, active = gated(middle_normed, layer)
        out = middle + active @ layer.down
        return out, LayerMemory(stream, normed, scale, memories, mixed, middle_normed, middle_scale, gate_up, sigmoid, active)

    def _layer_back(self, layer: Layer, coming: Floats, memory: LayerMemory, trace: Trace, into: LayerGradient, *, further: bool) -> Floats:
        width, inner = self.size.width, self.size.inner
        into.down[...] += memory.active.T @ coming
        of_active = coming @ layer.down.T
        of_gate_up = np.empty_like(memory.gate_up)
        gate, up = memory.gate_up[:, :inner], memory.gate_up[:, inner:]
        silu = gate * memory.sigmoid
        np.multiply(of_active, silu, out=of_gate_up[:, inner:])
        slope = memory.sigmoid + silu * (1 - memory.sigmoid)
        np.multiply(of_active * up, slope, out=of_gate_up[:, :inner])
        into.gate_up[...] += memory.middle_normed.T @ of_gate_up
        of_middle = coming + norm_back(of_gate_up @ layer.gate_up.T, memory.middle_normed, memory.middle_scale)
        into.o[...] += memory.mixed.T @ of_middle
        of_mixed = of_middle @ layer.o.T
        of_projected = np.empty((len(coming), 3 * width), coming.dtype)
        of_query, of_key = np.empty_like(coming), np.empty_like(coming)
        for group, kept in zip(trace.groups, memory.attention, strict=True):
            query, key, value = attend_back(self.heads(of_mixed, group), kept)
            self._put(of_query, query, group)
            self._put(of_key, key, group)
            self._put(of_projected[:, 2 * width :], value, group)
        of_projected[:, :width] = self.rotate(of_query, trace.positions, back=True)
        of_projected[:, width : 2 * width] = self.rotate(of_key, trace.positions, back=True)
        into.qkv[...] += memory.normed.T @ of_projected
        if not further:
            return of_middle
        return of_middle + norm_back(of_projected @ layer.qkv.T, memory.normed, memory.scale)

    def _put(self, flat: Floats, heads: Floats, group: Group) -> None:
        part = heads.transpose(0, 2, 1, 3).reshape(group.sequences * group.length, self.size.width)
        flat[group.start : group.start + group.sequences * group.length] = part


def norm(stream: Floats) -> tuple[Floats, Floats]:
    """Return each row at a root mean square of one, and the factor that did it."""
    square = np.einsum("td,td->t", stream, stream)[:, None]
    scale = 1.0 / np.sqrt(square * stream.dtype.type(1.0 / stream.shape[1]) + stream.dtype.type(_EPSILON))
    return stream * scale, scale


def norm_back(gradient: Floats, normed: Floats, scale: Floats) -> Floats:
    """Return the gradient of what was normed."""
    along = np.einsum("td,td->t", gradient, normed)[:, None] * gradient.dtype.type(1.0 / normed.shape[1])
    out: Floats = gradient - normed * along
    out *= scale
    return out


def gated(normed: Floats, layer: Layer) -> tuple[Floats, Floats, Floats]:
    """Return gate and content of the MLP, the gate's sigmoid, and what goes on."""
    both = normed @ layer.gate_up
    gate, up = both[:, : both.shape[1] // 2], both[:, both.shape[1] // 2 :]
    sigmoid = 1.0 / (1.0 + np.exp(-gate))
    return both, sigmoid, gate * sigmoid * up


@lru_cache(maxsize=8)
def _turns(head: int, tokens: int, dtype: Precision) -> tuple[Floats, Floats]:
    rates = _ROPE_BASE ** (-np.arange(head // 2) / (head // 2))
    angles = np.arange(tokens)[:, None] * rates[None, :]
    return np.cos(angles).astype(dtype), np.sin(angles).astype(dtype)
