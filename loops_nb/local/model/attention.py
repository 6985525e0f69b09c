"""Causal attention forwards and backwards, over sequences of one length at a time and in blocks of queries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from loops_nb.local.model.base import Floats, Precision

_BLOCK = 256
#: Probabilities of all heads together that are kept for the way back; more are worked out again.
_KEPT = 1 << 20


class Memory(NamedTuple):
    """What the way back needs of one group: queries, keys, values (sequences, heads, tokens, size) and the probabilities of each block."""

    query: Floats
    key: Floats
    value: Floats
    blocks: list[Floats | None]


def attend(query: Floats, key: Floats, value: Floats) -> tuple[Floats, Memory]:
    """Return what every token takes from those up to itself, and what the way back needs.

    Parameters
    ----------
    query, key, value
        (sequences, heads, tokens, size of a head).
    """
    sequences, heads, tokens, _ = query.shape
    keep = sequences * heads * tokens * tokens <= _KEPT
    out = np.empty_like(query)
    blocks: list[Floats | None] = []
    for start in range(0, tokens, _BLOCK):
        end = min(start + _BLOCK, tokens)
        shares = probabilities(query[:, :, start:end], key[:, :, :end], start)
        out[:, :, start:end] = shares @ value[:, :, :end]
        blocks.append(shares if keep else None)
    return out, Memory(query, key, value, blocks)


def probabilities(query: Floats, key: Floats, start: int) -> Floats:
    """Return how much queries at ``start`` and after take from each key; none from a later one."""
    scores = query @ key.swapaxes(-1, -2)
    scores *= query.dtype.type(1.0 / np.sqrt(query.shape[-1]))
    queries, keys = scores.shape[-2:]
    if queries > 1:
        scores += _later(queries, keys, start, scores.dtype)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def attend_back(gradient: Floats, memory: Memory) -> tuple[Floats, Floats, Floats]:
    """Return the gradients of query, key and value."""
    query, key, value, blocks = memory
    scale = query.dtype.type(1.0 / np.sqrt(query.shape[-1]))
    of_query, of_key, of_value = np.empty_like(query), np.zeros_like(key), np.zeros_like(value)
    for start, kept in zip(range(0, query.shape[2], _BLOCK), blocks, strict=True):
        end = min(start + _BLOCK, query.shape[2])
        shares = kept if kept is not None else probabilities(query[:, :, start:end], key[:, :, :end], start)
        coming = gradient[:, :, start:end]
        of_value[:, :, :end] += shares.swapaxes(-1, -2) @ coming
        of_scores = coming @ value[:, :, :end].swapaxes(-1, -2)
        # The softmax's way back: each score's share of what its row gains over the row's mean.
        mean = np.einsum("shtd,shtd->sht", of_scores, shares)[..., None]
        of_scores -= mean
        of_scores *= shares
        of_scores *= scale
        np.matmul(of_scores, key[:, :, :end], out=of_query[:, :, start:end])
        of_key[:, :, :end] += of_scores.swapaxes(-1, -2) @ query[:, :, start:end]
    return of_query, of_key, of_value


def _later(queries: int, keys: int, start: int, dtype: Precision) -> Floats:
    mask = np.zeros((queries, keys), dtype)
    mask[np.arange(keys)[None, :] > np.arange(start, start + queries)[:, None]] = -np.inf
    return mask
