"""The completions of a prompt by one sampler."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from loops_nb.errors import one_line
from loops_nb.sampling.completion import Completion

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.sampling.protocol import Completed
    from loops_nb.sampling.responses import Choice, SampleResponse
    from loops_nb.sampling.tokenizers import Piece, Tokenizer

logger: logging.Logger = logging.getLogger(__name__)
_LONGEST_REPR = 80


class Completions(Sequence[Completion]):
    """The completions of one prompt by one sampler: a sequence of `Completion`.

    A notebook displays it with unlikely tokens highlighted.

    Attributes
    ----------
    source : str
        The sampler, run or checkpoint, as it was given.
    sampler_id : str
        Id of the sampler.
    run_id, base_model : str or None
        The run of the sampler (None for a standalone one) and its base model.
    checkpoint : str or None
        ``bt://`` URI of the requested checkpoint; None for the live weights of a run.
    prompt : str or None
        The prompt as text, if known.
    prompt_tokens : list of int
        The prompt as token ids.
    prompt_logprobs : list of float or None
        Log-probability of each token of the prompt; None unless requested.
    top_prompt_logprobs : list of dict or None
        For each token of the prompt, log-probabilities of the likeliest token ids; None unless requested.
    policy_version : int or None
        Version of the weights that answered, if the sampler sends it.
    seconds : float or None
        Time of the answer, without the start of the sampler.

    Examples
    --------
    >>> completions = loops.samplers.sample("k4q95w5", "Dear customer,", n=4)
    >>> completions.frame.sort_values("mean_logprob")
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
        self.prompt_tokens: list[int] = list(prompt_tokens)
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
        """Texts of the completions."""
        return [one.text for one in self._items]

    @property
    def frame(self) -> pd.DataFrame:
        """DataFrame with one row a completion; columns as in `loops_nb.sampling.frames.completions_frame`."""
        from loops_nb.sampling.frames import completions_frame

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
                "logprobs": one.logprobs and list(one.logprobs),
            }
            for number, one in enumerate(self._items, start=1)
        ]

    def __repr__(self) -> str:
        """Return the source and the beginning of each completion."""
        shown = "; ".join(one_line(repr(text), limit=_LONGEST_REPR) for text in self.texts[:4])
        more = f"; and {len(self) - 4} more" if len(self) > 4 else ""  # noqa: PLR2004 - as many as are shown
        return f"Completions({len(self)} of {self.source}: {shown}{more})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return the display in a notebook."""
        del include, exclude
        from loops_nb.sampling.display import CompletionsDisplay  # only when something is shown

        return CompletionsDisplay([self]).mimebundle()


def completions_of(
    completed: Completed, *, source: str, prompt: str | None, tokenizer: Tokenizer | None
) -> Completions:
    """Return the public form of an answered request.

    Parameters
    ----------
    completed : Completed
        The answered request.
    source : str
        Name of the sampler, run or checkpoint.
    prompt : str or None
        The prompt as text; None if it was given as ids.
    tokenizer : Tokenizer or None
        Decodes the tokens.
    """
    selected, response = completed.selected, completed.response
    if prompt is None and tokenizer is not None:
        prompt = "".join(piece.text for piece in _pieces(response.prompt_tokens, tokenizer)) or None
    return Completions(
        [_completion(choice, tokenizer) for choice in response.choices],
        source=source,
        sampler_id=selected.sampler.id,
        run_id=selected.run.id if selected.run is not None else None,
        base_model=selected.sampler.base_model,
        checkpoint=_checkpoint_of(completed, response),
        prompt=prompt,
        prompt_tokens=response.prompt_tokens,
        prompt_logprobs=response.prompt_logprobs,
        top_prompt_logprobs=response.top_prompt_logprobs,
        policy_version=response.policy_version,
        seconds=completed.seconds,
    )


def _checkpoint_of(completed: Completed, response: SampleResponse) -> str | None:
    selected = completed.selected
    # The newest checkpoint is a fallback for runs without live weights; on shared capacity it answers.
    is_certain = selected.by_caller or selected.is_serverless or response.policy_version == 0
    return selected.checkpoint if is_certain else None


def _completion(choice: Choice, tokenizer: Tokenizer | None) -> Completion:
    pieces = _pieces(choice.tokens, tokenizer)
    text = choice.text
    if not text and pieces:
        text = "".join(piece.text for piece in pieces if not piece.is_special)
    elif not text and choice.tokens:
        text = None
    return Completion(choice.tokens, choice.logprobs, text, choice.stop_reason, pieces)


def _pieces(tokens: list[int], tokenizer: Tokenizer | None) -> list[Piece]:
    from loops_nb.sampling.tokenizers import pieces_of  # only with a tokenizer

    if tokenizer is None:
        return []
    try:
        return pieces_of(tokens, tokenizer)
    except Exception:
        logger.debug("Tokens could not be shown as text.", exc_info=True)
        return []
