"""Adam optimizer with decoupled weight decay and gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from loops_nb.local.nn.base_weights import Floats, Precision
from loops_nb.local.nn.inputs import ADAM


class Adam:
    """The moments of a flat array of weights.

    Parameters
    ----------
    length : int
        Room for this many weights.
    dtype : dtype
        Of the weights.
    """

    def __init__(self, length: int, dtype: Precision) -> None:
        self.first: Floats = np.zeros(length, dtype)
        self.second: Floats = np.zeros(length, dtype)
        self.updates: int = 0

    def step(self, weights: Floats, gradient: Floats, params: Mapping[str, float]) -> float:
        """Move the weights in place, and return the norm of the gradient as it came.

        Parameters
        ----------
        weights, gradient : array
            Both flat, and as long as the weights that are in use.
        params : mapping
            As `requests.ADAM`, with all names.
        """
        norm = float(np.linalg.norm(gradient.astype(np.float64)))
        # The addend is torch's, so that both clip alike.
        shrink = params["grad_clip_norm"] / (norm + 1e-6)
        if 0 < shrink < 1:
            gradient = gradient * gradient.dtype.type(shrink)
        used = len(weights)
        first, second = self.first[:used], self.second[:used]
        self.updates += 1
        rate, beta1, beta2 = params["learning_rate"], params["beta1"], params["beta2"]
        if params["weight_decay"]:
            weights *= weights.dtype.type(1.0 - rate * params["weight_decay"])
        first *= first.dtype.type(beta1)
        first += gradient * first.dtype.type(1.0 - beta1)
        second *= second.dtype.type(beta2)
        second += np.square(gradient) * second.dtype.type(1.0 - beta2)
        bias = math.sqrt(1.0 - beta2**self.updates)
        below = np.sqrt(second) / weights.dtype.type(bias) + weights.dtype.type(params["eps"])
        weights -= first / below * weights.dtype.type(rate / (1.0 - beta1**self.updates))
        return norm


def complete(params: Mapping[str, float] | None) -> dict[str, float]:
    """Return Adam's parameters with the defaults for what is missing."""
    return {**ADAM, **{name: float(value) for name, value in (params or {}).items()}}
