"""Norms, inner products and distances of LoRA updates, from their small factors.

An update is ``b @ a`` with ``b`` tall and ``a`` wide; the product itself, as large as the base model's weights, is never made.  Of a
product ``L @ R`` the Frobenius norm is the root of ``sum((L.T @ L) * (R @ R.T))``, which are small matrices.  Squares lose half of the
digits where much cancels out; then the triangular factors of L and R take their place, which keeps them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Below this share of what could be at most, the squares have lost too many digits (they are good to about 1e-16 of the most).
_CANCELLED = 1e-4


@dataclass(frozen=True, slots=True)
class Update:
    """A LoRA update as a batch of products ``b @ a``.

    Parameters
    ----------
    a
        (experts, rank, inputs); one expert for an ordinary module.
    b
        (experts, outputs, rank), with the adapter's scale in it.  One of both may have a single expert that counts for all.
    """

    a: Floats
    b: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        """Experts, outputs and inputs of the product."""
        return max(len(self.a), len(self.b)), self.b.shape[1], self.a.shape[2]


def norm(update: Update) -> float:
    """Return the Frobenius norm of an update."""
    return _norm_of_product(update.b, update.a)


def inner(one: Update, other: Update, *, norms: float) -> float:
    """Return the inner product of two updates of one shape: the sum over the products of their entries.

    Parameters
    ----------
    one, other
        The updates; their ranks may differ.
    norms
        The product of their norms, which the caller has already.
    """
    if norms == 0.0:
        return 0.0
    if norms > _CANCELLED * _length(one.a) * _length(one.b) * _length(other.a) * _length(other.b):
        return float(np.sum((_turned(one.b) @ other.b) * (one.a @ _turned(other.a))))
    left, right = _triangle(_beside(one.b, other.b, axis=2)), _triangle(_turned(_beside(one.a, other.a, axis=1)))
    rank = one.a.shape[1]
    return float(np.sum((left[..., :rank] @ _turned(right[..., :rank])) * (left[..., rank:] @ _turned(right[..., rank:]))))


def distance(one: Update, other: Update) -> float:
    """Return the Frobenius norm of the difference of two updates of one shape; their ranks may differ.

    Exactly 0 for equal factors, and right to many digits also where the updates are nearly the same: what is squared are differences of
    factors wherever that loses less than the difference of the squares would.
    """
    if one.a.shape == other.a.shape and one.b.shape == other.b.shape:
        # b' a' - b a  =  (b' - b) a'  +  b (a' - a)
        of_b, of_a = other.b - one.b, other.a - one.a
        if _most(of_b, other.a) + _most(one.b, of_a) <= _most(other.b, other.a) + _most(one.b, one.a):
            return _norm_of_sum((of_b, other.a), (one.b, of_a))
    return _norm_of_sum((other.b, other.a), (-one.b, one.a))


def _most(left: Floats, right: Floats) -> float:
    return _length(left) * _length(right)


def _norm_of_sum(*products: tuple[Floats, Floats]) -> float:
    (left, right), *others = [_balanced(*pair) for pair in products if pair[0].any() and pair[1].any()] or products
    for other_left, other_right in others:
        left, right = _beside(left, other_left, axis=2), _beside(right, other_right, axis=1)
    return _norm_of_product(left, right)


def _balanced(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return two factors of the same product, of about the same length: so that beside others neither drowns the other."""
    # By a power of two, which rounds nothing.
    ratio = _length(right) / (_length(left) or math.inf)
    power = 2.0 ** round(math.log2(ratio) / 2) if 0.0 < ratio < math.inf else 1.0
    return left * power, right / power


def _norm_of_product(left: Floats, right: Floats) -> float:
    of_left, of_right = _turned(left) @ left, right @ _turned(right)
    most = float(np.sum(np.trace(of_left, axis1=1, axis2=2) * np.trace(of_right, axis1=1, axis2=2)))
    if most == 0.0:
        return 0.0
    square = float(np.sum(of_left * of_right))
    if square > _CANCELLED * most:
        return math.sqrt(square)
    return _length(_triangle(left) @ _turned(_triangle(_turned(right))))


def _triangle(tall: Floats) -> Floats:
    return cast("Floats", np.linalg.qr(tall, mode="r"))


def _turned(batch: Floats) -> Floats:
    return batch.swapaxes(-1, -2)


def _length(values: Floats) -> float:
    flat = values.ravel()
    return math.sqrt(float(flat @ flat))


def _beside(one: Floats, other: Floats, *, axis: int) -> Floats:
    count = max(len(one), len(other))
    return np.concatenate([np.broadcast_to(part, (count, *part.shape[1:])) for part in (one, other)], axis=axis)
