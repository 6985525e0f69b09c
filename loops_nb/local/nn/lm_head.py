"""Language-model head: log-probabilities of targets and their gradients, in blocks of rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from loops_nb.local.nn.base_weights import Floats

_CELLS = 1 << 21


class ScoredTargets(NamedTuple):
    """Logprobs of targets.

    Parameters
    ----------
    logprobs : array
        One a target.
    top : tuple or None
        Slots and logprobs of the likeliest tokens for each target's row, or None.
    """

    logprobs: Floats
    top: tuple[Floats, Floats] | None


class LMHead:
    """The last projection, over the rows that have targets.

    Parameters
    ----------
    matrix : array
        (slots, width).
    hidden : array
        Last hidden states (tokens, width).
    rows, targets : array
        For each target its row of ``hidden`` and its slot; rows rise.
    """

    def __init__(self, matrix: Floats, hidden: Floats, rows: Floats, targets: Floats) -> None:
        self._matrix = matrix
        self._rows, self._of = np.unique(rows, return_inverse=True)
        self._hidden = hidden[self._rows]
        self._targets = targets
        self._alone = len(self._rows) == len(rows)
        step = max(1, _CELLS // max(1, len(matrix)))
        self._parts = [slice(start, min(start + step, len(self._rows))) for start in range(0, len(self._rows), step)]
        self._kept: Floats | None = None

    def score(self, top: int = 0) -> ScoredTargets:
        """Return the targets' logprobs, and the ``top`` likeliest of each target's row."""
        logprobs = np.empty(len(self._targets), self._matrix.dtype)
        most = min(top, len(self._matrix))
        best = np.empty((len(self._targets), most), np.int64)
        values = np.empty((len(self._targets), most), self._matrix.dtype)
        for part in self._parts:
            scores = log_softmax(self._hidden[part] @ self._matrix.T)
            here = self._inside(part)
            rows = self._of[here] - part.start
            logprobs[here] = scores[rows, self._targets[here]]
            if most:
                found, high = likeliest(scores, most)
                best[here], values[here] = found[rows], high[rows]
            if len(self._parts) == 1:
                self._kept = scores
        return ScoredTargets(logprobs, (best, values) if top else None)

    def backward(self, gradient: Floats, tokens: int, into: Floats) -> Floats:
        """Return the gradient of the hidden states (tokens, width), and add that of the matrix to ``into``."""
        out = np.zeros((tokens, self._matrix.shape[1]), self._matrix.dtype)
        for part in self._parts:
            scores = self._kept if self._kept is not None else log_softmax(self._hidden[part] @ self._matrix.T)
            here = self._inside(part)
            rows = self._of[here] - part.start
            along = (
                gradient[here] if self._alone else np.bincount(rows, gradient[here], len(scores)).astype(gradient.dtype)
            )
            slopes = np.exp(scores)
            slopes *= -along[:, None]
            if self._alone:
                slopes[rows, self._targets[here]] += gradient[here]
            else:
                np.add.at(slopes, (rows, self._targets[here]), gradient[here])
            into += slopes.T @ self._hidden[part]
            out[self._rows[part]] = slopes @ self._matrix
        return out

    def _inside(self, part: slice) -> slice:
        # Targets lie in the order of their rows.
        low, high = np.searchsorted(self._of, [part.start, part.stop])
        return slice(int(low), int(high))


def log_softmax(logits: Floats) -> Floats:
    """Return logprobs of rows of logits."""
    logits = logits - logits.max(axis=-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logits


def likeliest(logprobs: Floats, most: int) -> tuple[Floats, Floats]:
    """Return slots and logprobs of the likeliest tokens of each row, likeliest first; ties by lower slot."""
    # A stable sort of all is slower than a partition, and says what comes first among equals.
    order = np.argsort(-logprobs, axis=-1, kind="stable")[:, :most]
    return order, np.take_along_axis(logprobs, order, axis=-1)
