"""``sample`` of the samplers, in both flavours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loops_nb.client import checks
from loops_nb.client.async_transport import AsyncTransport
from loops_nb.client.sampling import Wish, sampling
from loops_nb.client.sampling.flow import Completed
from loops_nb.client.transport import Transport
from loops_nb.models import Checkpoint, Run, Sampler
from loops_nb.references import CheckpointRef
from loops_nb.sampling.completions import Completions, completions_of
from loops_nb.sampling.driving import drive, drive_async
from loops_nb.tokenizing import Tokenizer, find_tokenizer, given_tokenizer

#: Seconds for all of it; a sampler that sleeps takes minutes to come up.
TIMEOUT = 600.0
MAX_TOKENS = 128


class SamplersSampling:
    """What ``loops.samplers`` does to sample."""

    _transport: Transport

    def sample(
        self,
        sampler: str | Sampler | Run,
        prompt: str | Sequence[int],
        *,
        n: int = 1,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | Sequence[int] | None = None,
        prompt_logprobs: int | None = None,
        checkpoint: str | Checkpoint | CheckpointRef | None = None,
        min_policy_version: int | None = None,
        tokenizer: Any = None,
        timeout: float = TIMEOUT,
        quiet: bool = False,
    ) -> Completions:
        """Complete a prompt (``POST {base_url}/sample`` of the sampler).

        A sampler that sleeps is woken, and one that is coming up is waited for.  The prompt is completed as it stands: no chat template is
        put around it.

        Parameters
        ----------
        sampler
            A sampler or a run, or the id of one; of a run, its paired sampler.
        prompt
            A text, or token ids.  For a text the tokenizer of the base model is needed: that of the ``loops-local`` models is always there,
            others come from the package ``tokenizers`` and the cache or the hub of Hugging Face.
        n
            How many completions.
        max_tokens
            Tokens of a completion at most.
        temperature
            0 always takes the likeliest token.
        top_p
            Only the likeliest tokens that together have this probability, above 0 and at most 1.
        top_k
            Only so many of the likeliest tokens.
        seed
            The same seed gives the same completions.
        stop
            A text, texts or token ids that end a completion.
        prompt_logprobs
            Also score the prompt, with so many of the likeliest tokens at each place (0 to 20).
        checkpoint
            These weights: a ``bt://`` URI of a sampler checkpoint, an object of a listing, or a name that the sampler's run saved.  When
            left out, a run's sampler answers with the weights that the run published last, or with its newest sampler checkpoint where none
            are live, and a standalone one as it was made.
        min_policy_version
            Live weights of at least this version; waits until they are there.  Together with ``checkpoint``: that one until then.  0 alone
            asks a run's sampler for the base model.
        tokenizer
            Your own: anything with ``encode(text)`` and ``decode(ids)``.
        timeout
            Seconds for all of it, the waiting included.
        quiet
            Write nothing while waiting for the sampler.

        Returns
        -------
        Completions
            A sequence of completions with ``tokens``, ``text``, ``logprobs`` and ``stop_reason``; its ``frame`` is a DataFrame.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.
        NotFoundError
            If there is no such sampler.
        NeverReachedError
            If the sampler has ended or failed.
        WaitTimeoutError
            If it took longer than ``timeout``.
        CredentialsError
            If the sampler is at an address that the key must not be sent to.
        BadRequestError
            If the sampler refuses the request.
        LoopsError
            If there is no tokenizer for a text.
        """
        asked = _Asked(
            sampler,
            prompt,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            seed=seed,
            stop=stop,
            prompt_logprobs=prompt_logprobs,
            checkpoint=checkpoint,
            min_policy_version=min_policy_version,
            tokenizer=tokenizer,
            timeout=timeout,
        )
        steps = asked.steps(self._transport)
        return asked.result(drive(steps, self._transport, tokenizer=asked.tokenizer, quiet=quiet))


class AsyncSamplersSampling:
    """The same as `SamplersSampling`, awaited."""

    _transport: AsyncTransport

    async def sample(
        self,
        sampler: str | Sampler | Run,
        prompt: str | Sequence[int],
        *,
        n: int = 1,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | Sequence[int] | None = None,
        prompt_logprobs: int | None = None,
        checkpoint: str | Checkpoint | CheckpointRef | None = None,
        min_policy_version: int | None = None,
        tokenizer: Any = None,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - as the sync twin
        quiet: bool = False,
    ) -> Completions:
        """Complete a prompt; parameters and errors as ``sample`` of `Loops` has them."""
        asked = _Asked(
            sampler,
            prompt,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            seed=seed,
            stop=stop,
            prompt_logprobs=prompt_logprobs,
            checkpoint=checkpoint,
            min_policy_version=min_policy_version,
            tokenizer=tokenizer,
            timeout=timeout,
        )
        steps = asked.steps(self._transport)
        return asked.result(await drive_async(steps, self._transport, tokenizer=asked.tokenizer, quiet=quiet))


class _Asked:
    """The checked arguments of one call."""

    def __init__(
        self,
        sampler: str | Sampler | Run,
        prompt: str | Sequence[int],
        *,
        checkpoint: str | Checkpoint | CheckpointRef | None,
        min_policy_version: int | None,
        tokenizer: Any,
        timeout: float,
        **wanted: Any,
    ) -> None:
        self._sampler = sampler
        self._wish = Wish.of(prompt, **wanted)
        self._checkpoint = checkpoint
        self._floor = min_policy_version
        self._timeout = checks.seconds("timeout", timeout)
        self.tokenizer: Tokenizer | None = None if tokenizer is None else given_tokenizer(tokenizer)

    def steps(self, transport: Transport | AsyncTransport) -> Any:
        """Return what is to be done."""
        return sampling(
            self._sampler,
            self._wish,
            checkpoint=self._checkpoint,
            min_policy_version=self._floor,
            timeout=self._timeout,
            exchange=transport.exchange,
        )

    def result(self, completed: Completed) -> Completions:
        """Return what came, for people."""
        sampler = completed.chosen.sampler
        tokenizer = self.tokenizer or find_tokenizer(sampler.base_model, sampler.base_checkpoint)
        return completions_of(completed, source=self._source(completed), prompt=self._wish.text, tokenizer=tokenizer)

    def _source(self, completed: Completed) -> str:
        chosen = completed.chosen
        if chosen.by_caller and chosen.pin:
            return chosen.pin.removeprefix("bt://loops:")
        named = self._sampler if isinstance(self._sampler, str) else self._sampler.id
        return str(named)
