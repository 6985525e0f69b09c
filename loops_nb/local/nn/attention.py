"""Causal attention, forward and backward, in blocks of queries."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from loops_nb.local.nn.base_weights import Floats, Precision

_BLOCK = 64
#: Probabilities of all heads together that are kept for the way back; more are worked out again.
_KEPT = 1 << 20


class AttentionActivations(NamedTuple):
    """What the way back needs of one group.

    Parameters
    ----------
    query, key, value, out : array
        (sequences, heads, tokens, size of a head); queries are scaled already.
    blocks : list of array
        The probabilities of each block of queries, where they were kept.
    """

    query: Floats
    key: Floats
    value: Floats
    out: Floats
    blocks: list[Floats | None]


def attend(query: Floats, key: Floats, value: Floats) -> AttentionActivations:
    """Return what every token takes from those up to itself, and what the way back needs.

    Parameters
    ----------
    query, key, value : array
        (sequences, heads, tokens, size of a head); queries are scaled already.
    """
    sequences, heads, tokens, _ = query.shape
    keep = sequences * heads * tokens * tokens <= _KEPT
    out = np.empty(query.shape, query.dtype)
    blocks: list[Floats | None] = []
    for start in range(0, tokens, _BLOCK):
        end = min(start + _BLOCK, tokens)
        shares = probabilities(query[:, :, start:end], key[:, :, :end])
        np.matmul(shares, value[:, :, :end], out=out[:, :, start:end])
        blocks.append(shares if keep else None)
    return AttentionActivations(query, key, value, out, blocks)


def probabilities(query: Floats, key: Floats) -> Floats:
    """Return causal attention probabilities of the last queries over all keys."""
    scores = query @ key.swapaxes(-1, -2)
    queries = scores.shape[-2]
    if queries > 1:
        scores[..., -queries:] += _later(queries, scores.dtype)
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def attend_backward(gradient: Floats, memory: AttentionActivations) -> tuple[Floats, Floats, Floats]:
    """Return the gradients of the scaled query, of key and of value."""
    query, key, value, out, blocks = memory
    of_query, of_key, of_value = (
        np.empty(query.shape, query.dtype),
        np.zeros(key.shape, key.dtype),
        np.zeros(value.shape, value.dtype),
    )
    # What the softmax's way back takes off each score: the mean of what its row gains, which is also this product.
    means = np.einsum("shtd,shtd->sht", gradient, out)[..., None]
    for start, kept in zip(range(0, query.shape[2], _BLOCK), blocks, strict=True):
        end = min(start + _BLOCK, query.shape[2])
        shares = kept if kept is not None else probabilities(query[:, :, start:end], key[:, :, :end])
        coming = gradient[:, :, start:end]
        of_value[:, :, :end] += shares.swapaxes(-1, -2) @ coming
        of_scores = coming @ value[:, :, :end].swapaxes(-1, -2)
        of_scores -= means[:, :, start:end]
        of_scores *= shares
        np.matmul(of_scores, key[:, :, :end], out=of_query[:, :, start:end])
        of_key[:, :, :end] += of_scores.swapaxes(-1, -2) @ query[:, :, start:end]
    return of_query, of_key, of_value


def _later(queries: int, dtype: Precision) -> Floats:
    return (
        _all_later(dtype)[:queries, :queries]
        if queries <= _BLOCK
        else np.triu(np.full((queries, queries), -np.inf, dtype), 1)
    )


@cache
def _all_later(dtype: Precision) -> Floats:
    return np.triu(np.full((_BLOCK, _BLOCK), -np.inf, dtype), 1)
