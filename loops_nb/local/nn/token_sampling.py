"""Token sampling: temperature, top-k and top-p."""

from __future__ import annotations

import numpy as np

from loops_nb.local.nn.base_weights import Floats

#: Below this temperature the likeliest token is taken.
_GREEDY = 1e-5


class TokenSampler:
    """Draws tokens from logprobs.

    Parameters
    ----------
    temperature : float
        0 for the likeliest token.
    top_k : int
        Draw among so many of the likeliest only; 0 or less: among all.
    top_p : float
        Draw among the fewest of the likeliest that have this share together.
    seed : tuple
        Numbers that name the draws.
    """

    def __init__(self, *, temperature: float, top_k: int, top_p: float, seed: tuple[int, ...]) -> None:
        self._temperature = temperature
        self._top_k = top_k
        self._top_p = top_p
        self._source = np.random.Generator(np.random.PCG64(seed))

    def draw(self, logprobs: Floats) -> int:
        """Return the slot that was drawn."""
        if self._temperature < _GREEDY:
            return int(logprobs.argmax())
        scores = logprobs.astype(np.float64) / self._temperature
        # Equal ones in the order of their slots, so that draws can be repeated.
        order = np.argsort(-scores, kind="stable")
        if self._top_k > 0:
            order = order[: self._top_k]
        shares = np.exp(scores[order] - scores[order[0]])
        running = np.cumsum(shares)
        if self._top_p < 1:
            enough = int(np.searchsorted(running, self._top_p * running[-1])) + 1
            running = running[:enough]
        at = int(np.searchsorted(running, self._source.random() * running[-1], side="right"))
        return int(order[min(at, len(running) - 1)])
