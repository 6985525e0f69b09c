"""Norms, inner products and distances of LoRA updates, from their small factors.

An update is ``b @ a`` with ``b`` tall and ``a`` wide; the product, as large as the base model's weights, is never
computed.  The Frobenius norm of ``L @ R`` is the root of ``sum((L.T @ L) * (R @ R.T))``, a sum over small matrices.
Squares lose half of the digits under cancellation; then the triangular factors of QR decompositions of L and R.T are
multiplied instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Below this share of their upper bound, squares have lost too many digits (their error is about 1e-16 of the bound).
_CANCELLED = 1e-4


@dataclass(frozen=True, slots=True)
class LoraUpdate:
    """A LoRA update as a batch of products ``b @ a``.

    Parameters
    ----------
    a : numpy.ndarray of float64, shape (experts, rank, inputs)
        One expert for an ordinary module.
    b : numpy.ndarray of float64, shape (experts, outputs, rank)
        Multiplied with the scale of the adapter.  One of both may have a single expert that applies to all.
    """

    a: Floats
    b: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Experts, outputs and inputs of the product."""
        return max(len(self.a), len(self.b)), self.b.shape[1], self.a.shape[2]


def norm(update: LoraUpdate) -> float:
    """Return the Frobenius norm of an update."""
    return _norm_of_product(update.b, update.a)


def inner(one: LoraUpdate, other: LoraUpdate, *, norms: float) -> float:
    """Return the Frobenius inner product of two updates with the same shape.

    Parameters
    ----------
    one, other : LoraUpdate
        The updates; their ranks may differ.
    norms : float
        Product of their norms.
    """
    if norms == 0.0:
        return 0.0
    if norms > _CANCELLED * _frobenius(one.a) * _frobenius(one.b) * _frobenius(other.a) * _frobenius(other.b):
        return float(np.sum((_transposed(one.b) @ other.b) * (one.a @ _transposed(other.a))))
    left, right = (
        _qr_triangle(_stacked(one.b, other.b, axis=2)),
        _qr_triangle(_transposed(_stacked(one.a, other.a, axis=1))),
    )
    rank = one.a.shape[1]
    return float(
        np.sum(
            (left[..., :rank] @ _transposed(right[..., :rank])) * (left[..., rank:] @ _transposed(right[..., rank:]))
        )
    )


def distance(one: LoraUpdate, other: LoraUpdate) -> float:
    """Return the Frobenius norm of the difference of two updates of one shape; their ranks may differ.

    Exactly 0 for equal factors, and accurate for nearly equal updates: differences of factors are squared wherever that
    loses less than a difference of squares.
    """
    if one.a.shape == other.a.shape and one.b.shape == other.b.shape:
        # b' a' - b a  =  (b' - b) a'  +  b (a' - a)
        of_b, of_a = other.b - one.b, other.a - one.a
        if _norm_bound(of_b, other.a) + _norm_bound(one.b, of_a) <= _norm_bound(other.b, other.a) + _norm_bound(
            one.b, one.a
        ):
            return _norm_of_sum((of_b, other.a), (one.b, of_a))
    return _norm_of_sum((other.b, other.a), (-one.b, one.a))


def _norm_bound(left: Floats, right: Floats) -> float:
    return _frobenius(left) * _frobenius(right)


def _norm_of_sum(*products: tuple[Floats, Floats]) -> float:
    (left, right), *others = [_balanced(*pair) for pair in products if pair[0].any() and pair[1].any()] or products
    for other_left, other_right in others:
        left, right = _stacked(left, other_left, axis=2), _stacked(right, other_right, axis=1)
    return _norm_of_product(left, right)


def _balanced(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return two factors of the same product with about the same norm, so that neither dominates when stacked."""
    # Multiplied by a power of two, which does not round.
    ratio = _frobenius(right) / (_frobenius(left) or math.inf)
    power = 2.0 ** round(math.log2(ratio) / 2) if 0.0 < ratio < math.inf else 1.0
    return left * power, right / power


def _norm_of_product(left: Floats, right: Floats) -> float:
    of_left, of_right = _transposed(left) @ left, right @ _transposed(right)
    most = float(np.sum(np.trace(of_left, axis1=1, axis2=2) * np.trace(of_right, axis1=1, axis2=2)))
    if most == 0.0:
        return 0.0
    square = float(np.sum(of_left * of_right))
    if square > _CANCELLED * most:
        return math.sqrt(square)
    return _frobenius(_qr_triangle(left) @ _transposed(_qr_triangle(_transposed(right))))


def _qr_triangle(tall: Floats) -> Floats:
    return cast("Floats", np.linalg.qr(tall, mode="r"))


def _transposed(batch: Floats) -> Floats:
    return batch.swapaxes(-1, -2)


def _frobenius(values: Floats) -> float:
    flat = values.ravel()
    return math.sqrt(float(flat @ flat))


def _stacked(one: Floats, other: Floats, *, axis: int) -> Floats:
    count = max(len(one), len(other))
    return np.concatenate([np.broadcast_to(part, (count, *part.shape[1:])) for part in (one, other)], axis=axis)
