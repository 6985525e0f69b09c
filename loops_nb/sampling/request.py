"""One call of ``loops.samplers.sample``: its checked arguments and its result; no I/O."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from loops_nb.api.models import Checkpoint, Run, Sampler
from loops_nb.api.references import CheckpointRef
from loops_nb.client import checks
from loops_nb.client.config import ClientConfig
from loops_nb.sampling.actions import Action
from loops_nb.sampling.completions import Completions, completions_of
from loops_nb.sampling.params import SamplingParams
from loops_nb.sampling.protocol import Completed, sampling
from loops_nb.sampling.tokenizers import Tokenizer, find_tokenizer, wrap_tokenizer

#: For all of it; a sampler that is scaled to zero takes minutes to start.
TIMEOUT_SECONDS = 600.0
MAX_TOKENS = 128


class SampleRequest:
    """The checked arguments of ``loops.samplers.sample``, which documents them."""

    def __init__(
        self,
        sampler: str | Sampler | Run,
        prompt: str | Sequence[int] | Sequence[Mapping[str, str]],
        *,
        checkpoint: str | Checkpoint | CheckpointRef | None,
        min_policy_version: int | None,
        tokenizer: Any,
        timeout: float,
        **params: Any,
    ) -> None:
        self._sampler = sampler
        self._params = SamplingParams.checked(prompt, **params)
        self._checkpoint = checkpoint
        self._min_policy_version = min_policy_version
        self._timeout = checks.seconds("timeout", timeout)
        self.tokenizer: Tokenizer | None = None if tokenizer is None else wrap_tokenizer(tokenizer)

    def actions(self, config: ClientConfig) -> Generator[Action, Any, Completed]:
        """Return the actions of sampling, for `loops_nb.sampling.executor.execute`."""
        return sampling(
            self._sampler,
            self._params,
            checkpoint=self._checkpoint,
            min_policy_version=self._min_policy_version,
            timeout=self._timeout,
            config=config,
        )

    def completions(self, completed: Completed) -> Completions:
        """Return the public result."""
        sampler = completed.selected.sampler
        tokenizer = self.tokenizer or find_tokenizer(sampler.base_model, sampler.base_checkpoint)
        return completions_of(completed, source=self._source(completed), prompt=self._params.text, tokenizer=tokenizer)

    def _source(self, completed: Completed) -> str:
        selected = completed.selected
        if selected.by_caller and selected.checkpoint:
            return selected.checkpoint.removeprefix("bt://loops:")
        return self._sampler if isinstance(self._sampler, str) else self._sampler.id
