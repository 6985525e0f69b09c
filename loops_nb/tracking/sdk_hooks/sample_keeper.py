"""Keeps some samples of a tracked training, with their texts where a tokenizer is at hand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from loops_nb.tracking.samples import token_ids_text

if TYPE_CHECKING:
    from loops_nb.tracking.experiment import Experiment

logger: logging.Logger = logging.getLogger(__name__)


class SampleKeeper:
    """Keeps at most so many samples a step.

    Parameters
    ----------
    experiment : Experiment
        Where to keep them.
    most : int
        Samples a step; 0 keeps none.
    tokenizer : object or None
        Has ``decode(ids)``; None until the training's own code asks its client for one.
    """

    def __init__(self, experiment: Experiment, most: int, tokenizer: Any) -> None:
        self._experiment = experiment
        self._most = most
        self.tokenizer: Any = tokenizer
        self._lock = threading.Lock()
        self._place: tuple[int, int] = (-1, -1)
        self._count = 0

    @property
    def is_on(self) -> bool:
        """Whether any are kept."""
        return self._most > 0

    def keep(self, prompt: Any, sequences: Sequence[Any], *, step: int, attempt: int, at: int) -> None:
        """Keep the first of the sequences that a sampler answered to a prompt, as far as the step has room."""
        kept = sequences[: self._room(step, attempt, len(sequences))]
        if not kept:
            return
        text = self._text(_prompt_tokens(prompt))
        for sequence in kept:
            tokens = list(getattr(sequence, "tokens", ()) or ())
            reason = getattr(sequence, "stop_reason", None)
            fields = {"tokens": len(tokens)} | ({} if reason is None else {"stop_reason": str(reason)})
            sent = getattr(sequence, "text", None)
            # The sampler itself sends the text of what it has written.
            completion = sent if isinstance(sent, str) and sent else self._text(tokens)
            self._experiment.sample_in_attempt(
                text, completion, step=step, reward=None, fields=fields, attempt=attempt, at=at
            )

    def _room(self, step: int, attempt: int, wanted: int) -> int:
        with self._lock:
            if self._place != (step, attempt):
                self._place, self._count = (step, attempt), 0
            room = min(wanted, self._most - self._count)
            self._count += room
            return room

    def _text(self, tokens: str | Sequence[int]) -> str:
        if isinstance(tokens, str):
            return tokens
        if self.tokenizer is not None:
            try:
                return str(self.tokenizer.decode(list(tokens)))
            except Exception:
                logger.debug("Tokens of a sample could not be decoded.", exc_info=True)
        return token_ids_text(tokens)


def _prompt_tokens(prompt: Any) -> str | list[int]:
    """Return a prompt as token ids, or as the text that it is."""
    if isinstance(prompt, str):
        return prompt
    to_ints = getattr(prompt, "to_ints", None)
    if callable(to_ints):
        return [int(token) for token in to_ints()]
    chunks = getattr(prompt, "chunks", None)
    if chunks is not None:
        return [int(token) for chunk in chunks for token in getattr(chunk, "tokens", ())]
    return [int(token) for token in prompt]
