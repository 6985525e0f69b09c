"""One completion of a prompt: its tokens, text and log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loops_nb.sampling.responses import sum_logprobs

if TYPE_CHECKING:
    from loops_nb.sampling.tokenizers import Piece


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion.

    Parameters
    ----------
    tokens : list of int
        Token ids; empty if the sampler sent only text.
    logprobs : list of float or None
        Natural log-probability of each token, None for unknown ones; None if none is known.
    text : str or None
        Text without special tokens; None if no tokenizer is known and the sampler sent none.
    stop_reason : str or None
        ``stop``, ``length``, or another value of the sampler.
    pieces : list of Piece
        The text of each token or group of tokens, special tokens included; empty if no tokenizer is known.

    Examples
    --------
    >>> completion = loops.samplers.sample("k4q95w5", "Dear customer,")[0]
    >>> completion.stop_reason, completion.mean_logprob
    """

    tokens: list[int]
    logprobs: list[float | None] | None
    text: str | None
    stop_reason: str | None
    pieces: list[Piece] = field(default_factory=list, repr=False)

    @property
    def logprob(self) -> float | None:
        """Sum of the log-probabilities; None if one is not known."""
        if not self.tokens:
            return None
        return sum_logprobs(self.logprobs)

    @property
    def mean_logprob(self) -> float | None:
        """Mean of the log-probabilities; None if one is not known."""
        whole = self.logprob
        if whole is None:
            return None
        return whole / len(self.tokens)
