"""What a sampler made of a prompt."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

from loops_nb.errors import one_line

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.client.sampling import Answer, Choice
    from loops_nb.client.sampling.flow import Completed
    from loops_nb.tokenizing import Piece, Tokenizer

_LOG = logging.getLogger(__name__)
_LONGEST_REPR = 80


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion.

    Parameters
    ----------
    tokens
        Ids of its tokens; empty where the sampler sent texts only.
    logprobs
        Natural log-probability of each token, None where one is not known; None where none is.
    text
        Its text without marks; None where no tokenizer is known and the sampler sent none.
    stop_reason
        ``stop``, ``length``, or another word of the sampler's; None where it sent none.
    pieces
        The text cut into the pieces that tokens stand for, marks included; empty where no tokenizer is known.
    """

    tokens: list[int]
    logprobs: list[float | None] | None
    text: str | None
    stop_reason: str | None
    pieces: list[Piece] = field(default_factory=list, repr=False)

    @property
    def logprob(self) -> float | None:
        """Sum of the log-probabilities; None where one is not known."""
        if not self.logprobs or not self.tokens:
            return None
        known = [one for one in self.logprobs if one is not None]
        return sum(known) if len(known) == len(self.logprobs) else None

    @property
    def mean_logprob(self) -> float | None:
        """Mean of the log-probabilities; None where one is not known."""
        whole = self.logprob
        return None if whole is None else whole / len(self.tokens)


class Completions(Sequence[Completion]):
    """The completions of one prompt by one sampler: a sequence of `Completion`.

    In a notebook it shows itself, with the tokens that the model found unlikely marked.

    Attributes
    ----------
    source
        What was asked, as it was named.
    sampler_id, run_id, base_model
        The sampler, the run that it belongs to (None for a standalone one) and its base model.
    checkpoint
        ``bt://`` URI of the checkpoint that was asked for; None where none was, and for the live weights of a run.
    prompt
        The prompt as text, where it is known.
    prompt_tokens
        The prompt as token ids.
    prompt_logprobs, top_prompt_logprobs
        For each token of the prompt its log-probability, and the likeliest ones from id to log-probability; None unless asked for.
    policy_version
        Version of the weights that answered, where the sampler tells.
    seconds
        How long the answer took, without the time that the sampler took to come up.
    """

    def __init__(
        self,
        items: Sequence[Completion],
        *,
        source: str,
        sampler_id: str,
        run_id: str | None = None,
        base_model: str | None = None,
        checkpoint: str | None = None,
        prompt: str | None = None,
        prompt_tokens: Sequence[int] = (),
        prompt_logprobs: list[float | None] | None = None,
        top_prompt_logprobs: list[dict[int, float] | None] | None = None,
        policy_version: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._items = tuple(items)
        self.source = source
        self.sampler_id = sampler_id
        self.run_id = run_id
        self.base_model = base_model
        self.checkpoint = checkpoint
        self.prompt = prompt
        self.prompt_tokens = list(prompt_tokens)
        self.prompt_logprobs = prompt_logprobs
        self.top_prompt_logprobs = top_prompt_logprobs
        self.policy_version = policy_version
        self.seconds = seconds

    @overload
    def __getitem__(self, index: int) -> Completion: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Completion]: ...
    def __getitem__(self, index: int | slice) -> Completion | Sequence[Completion]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Completion]:
        return iter(self._items)

    @property
    def texts(self) -> list[str | None]:
        """The text of each."""
        return [one.text for one in self._items]

    @property
    def frame(self) -> pd.DataFrame:
        """One row a completion; columns as `loops_nb.frames.samples.completions_frame` has them."""
        from loops_nb import accessor  # noqa: F401, PLC0415 - registers df.loops; pandas takes 0.2 s to import
        from loops_nb.frames.samples import completions_frame  # noqa: PLC0415

        return completions_frame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the frame."""
        return [
            {
                "text": one.text,
                "source": self.source,
                "completion": number,
                "stop_reason": one.stop_reason,
                "token_count": len(one.tokens) if one.tokens or not one.text else None,
                "mean_logprob": one.mean_logprob,
                "logprob": one.logprob,
                "seconds": self.seconds,
                "policy_version": self.policy_version,
                "checkpoint": self.checkpoint,
                "sampler_id": self.sampler_id,
                "run_id": self.run_id,
                "base_model": self.base_model,
                "prompt": self.prompt,
                "prompt_token_count": len(self.prompt_tokens),
                "tokens": list(one.tokens),
                "logprobs": None if one.logprobs is None else list(one.logprobs),
            }
            for number, one in enumerate(self._items, start=1)
        ]

    def __repr__(self) -> str:
        """Return where they are from, and the beginning of each."""
        shown = "; ".join(one_line(repr(text), limit=_LONGEST_REPR) for text in self.texts[:4])
        more = f"; and {len(self) - 4} more" if len(self) > 4 else ""  # noqa: PLR2004 - as many as are shown
        return f"Completions({len(self)} of {self.source}: {shown}{more})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook shows and keeps."""
        del include, exclude
        from loops_nb.sampling.side_by_side import SideBySide  # noqa: PLC0415 - only when something is shown

        return SideBySide([self]).mimebundle()


def completions_of(completed: Completed, *, source: str, prompt: str | None, tokenizer: Tokenizer | None) -> Completions:
    """Return an answer as completions.

    Parameters
    ----------
    completed
        What came.
    source
        How the one who was asked is called.
    prompt
        The prompt as the person wrote it; None where it was given as ids.
    tokenizer
        Reads the tokens, where one is known.
    """
    chosen, answer = completed.chosen, completed.answer
    if prompt is None and tokenizer is not None:
        prompt = "".join(piece.text for piece in _pieces(answer.prompt_tokens, tokenizer)) or None
    return Completions(
        [_completion(choice, tokenizer) for choice in answer.choices],
        source=source,
        sampler_id=chosen.sampler.id,
        run_id=chosen.run.id if chosen.run is not None else None,
        base_model=chosen.sampler.base_model,
        checkpoint=_asked_for(completed, answer),
        prompt=prompt,
        prompt_tokens=answer.prompt_tokens,
        prompt_logprobs=answer.prompt_logprobs,
        top_prompt_logprobs=answer.top_prompt_logprobs,
        policy_version=answer.policy_version,
        seconds=completed.seconds,
    )


def _asked_for(completed: Completed, answer: Answer) -> str | None:
    chosen = completed.chosen
    # The newest one was named only in case that no weights were live; on shared capacity it is what answered.
    is_certain = chosen.by_caller or chosen.is_serverless or answer.policy_version == 0
    return chosen.pin if is_certain else None


def _completion(choice: Choice, tokenizer: Tokenizer | None) -> Completion:
    pieces = _pieces(choice.tokens, tokenizer)
    text = choice.text
    if not text and pieces:
        text = "".join(piece.text for piece in pieces if not piece.is_special)
    elif not text and choice.tokens:
        text = None
    return Completion(choice.tokens, choice.logprobs, text, choice.stop_reason, pieces)


def _pieces(tokens: list[int], tokenizer: Tokenizer | None) -> list[Piece]:
    from loops_nb.tokenizing import pieces_of  # noqa: PLC0415 - only with a tokenizer

    if tokenizer is None:
        return []
    try:
        return pieces_of(tokens, tokenizer)
    except Exception:  # noqa: BLE001 - of a sampler with another vocabulary; the ids are there all the same
        _LOG.debug("Tokens could not be shown as text.", exc_info=True)
        return []
