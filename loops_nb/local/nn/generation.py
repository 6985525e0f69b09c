"""Text generation: completions of a prompt, in the form of OpenAI's completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loops_nb.local.base_models import END_OF_TEXT, ends_of_text, is_bytes, size_of
from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.base_weights import Floats, ModelWeights, base_weights_of
from loops_nb.local.nn.inputs import SamplingRequest, check_sampling
from loops_nb.local.nn.kv_cache import CachedDecoder
from loops_nb.local.nn.lm_head import likeliest, log_softmax
from loops_nb.local.nn.lora import LoraAdapter
from loops_nb.local.nn.token_sampling import TokenSampler
from loops_nb.local.nn.transformer import Transformer
from loops_nb.local.nn.vocabulary import Vocabulary, new_vocabulary
from loops_nb.local.weights import formats

#: Seeds are counted around from here, so that negative ones are seeds of their own.
_SEEDS = 2**64
#: Length of a completion where the caller names none.
MAX_TOKENS = 256
#: Prompts are scored in parts, so that a large vocabulary fits into memory.
_SCORED_TOGETHER = 512


class Generator:
    """A model that completes prompts.

    Parameters
    ----------
    base_model : str
        As a `Learner`'s.
    adapter : Path, optional
        Folder with the files of `Learner.sampler_files`; None for the base model.

    Raises
    ------
    InvalidInputError
        If the adapter cannot be read or is of another model.
    """

    def __init__(self, *, base_model: str, adapter: Path | None = None) -> None:
        self.base_model = base_model
        self._size = size_of(base_model)
        self._network = Transformer(self._size)
        base = base_weights_of(self._size)
        if adapter is None:
            self._vocabulary = new_vocabulary(base_model)
            self._adapter = LoraAdapter(base, 1, 0)
            self._adapter.grow(len(self._vocabulary))
        else:
            self._vocabulary = Vocabulary(formats.read_vocabulary(adapter), self._size.slots)
            self._adapter = LoraAdapter(base, formats.read_rank(adapter), 0)
            self._adapter.grow(len(self._vocabulary))
            formats.read_tensors(adapter / formats.ADAPTER, dict(self._adapter.tensors(self._adapter.flat)))
        self._merged = self._adapter.merged(self._vocabulary)

    def complete(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a ``/sample``: choices and usage; its id and time are the server's.

        The same request with a seed has the same answer, whatever was asked before.  Only ids that the adapter knows or
        that are in the prompt are sampled.

        Raises
        ------
        InvalidInputError
            If the request is wrong or more than this model can do.
        """
        asked = check_sampling(request)
        prompt = asked.tokens
        if len(prompt) >= self._size.longest:
            raise InvalidInputError(
                f"The prompt has {len(prompt)} tokens; {self._size.name} reads fewer than {self._size.longest}."
            )
        if asked.stop_texts and not is_bytes(self.base_model):
            raise InvalidInputError(
                f"The local sampler has no tokenizer of {self.base_model}, so it cannot find a stop text; send "
                f"stop_token_ids."
            )
        return self._answer(asked, return_token_ids=bool(request.get("return_token_ids")))

    # Weights that have diverged overflow; what comes of it is looked at once, as the logprobs.
    @np.errstate(over="ignore", invalid="ignore")
    def _answer(self, asked: SamplingRequest, *, return_token_ids: bool) -> dict[str, Any]:
        prompt = asked.tokens
        vocabulary = self._vocabulary.extended(prompt)
        # Ids that are new in this prompt are forgotten after it, so that an answer depends on its own request alone.
        weights = self._merged if vocabulary is self._vocabulary else self._adapter.merged(vocabulary)
        reading = CachedDecoder(self._network, weights)
        hidden = reading.read(np.array([vocabulary.slots(prompt)], np.int64))
        prompt_logprobs = self._of_prompt(asked, vocabulary, weights, hidden)
        seed = np.random.SeedSequence().entropy if asked.seed is None else asked.seed % _SEEDS
        writers = [_Writer(asked, vocabulary, self.base_model, number, seed) for number in range(asked.n)]
        most = min(asked.max_tokens or MAX_TOKENS, self._size.longest - len(prompt))
        self._write(writers, reading.copies(asked.n), np.repeat(hidden[-1:], asked.n, axis=0), weights, most)
        choices = []
        for number, writer in enumerate(writers):
            choice = {"index": number, **writer.choice()}
            if prompt_logprobs is not None:
                choice |= {"prompt_logprobs": prompt_logprobs, "prompt_token_ids": prompt}
            elif return_token_ids:
                choice["prompt_token_ids"] = prompt
            choices.append(choice)
        written = sum(len(writer.tokens) for writer in writers)
        usage = {"prompt_tokens": len(prompt), "completion_tokens": written, "total_tokens": len(prompt) + written}
        return {"object": "text_completion", "model": self.base_model, "choices": choices, "usage": usage}

    def _write(
        self, writers: Sequence[_Writer], reading: CachedDecoder, hidden: Floats, weights: ModelWeights, most: int
    ) -> None:
        for left in range(most, 0, -1):
            logprobs = log_softmax(hidden @ weights.head.T)
            if np.isnan(logprobs).any():
                raise InvalidInputError(
                    "The weights of this adapter have diverged and give no probabilities; sample an earlier checkpoint."
                )
            slots = np.array(
                [writer.write(row, last=left == 1) for writer, row in zip(writers, logprobs, strict=True)], np.int64
            )
            if all(writer.finish for writer in writers):
                return
            hidden = reading.read(slots[:, None])

    def _of_prompt(
        self, asked: SamplingRequest, vocabulary: Vocabulary, weights: ModelWeights, hidden: Floats
    ) -> list[dict[str, Any] | None] | None:
        if asked.prompt_logprobs is None:
            return None
        prompt = asked.tokens
        slots = vocabulary.slots(prompt)
        found: list[dict[str, Any] | None] = [None]
        for start in range(0, len(prompt) - 1, _SCORED_TOGETHER):
            end = min(start + _SCORED_TOGETHER, len(prompt) - 1)
            for at, row in enumerate(log_softmax(hidden[start:end] @ weights.head.T), start + 1):
                found.append(_ranked(row, prompt[at], slots[at], vocabulary, asked.prompt_logprobs))
        return found


class _Writer:
    """One completion while it is written."""

    def __init__(self, asked: SamplingRequest, vocabulary: Vocabulary, base_model: str, number: int, seed: Any) -> None:
        self.tokens: list[int] = []
        self.finish: str | None = None
        self._asked = asked
        self._vocabulary = vocabulary
        self._bytes = is_bytes(base_model)
        self._ends = {*(asked.stop_token_ids or ()), *(() if asked.ignore_eos else ends_of_text(base_model))}
        self._stops = [text.encode() for text in asked.stop_texts]
        self._written = bytearray()
        self._logprobs: list[float] = []
        self._top: list[dict[str, float]] = []
        self._token_sampler = TokenSampler(
            temperature=asked.temperature, top_k=asked.top_k, top_p=asked.top_p, seed=(seed, number)
        )
        self._slot = 0

    def write(self, logprobs: Floats, *, last: bool) -> int:
        """Write the next token, unless the completion is finished, and return the slot to read next."""
        if self.finish:
            return self._slot
        own = logprobs[: self._vocabulary.own]
        self._slot = self._token_sampler.draw(own)
        token = self._vocabulary.ids[self._slot]
        self.tokens.append(token)
        self._logprobs.append(float(logprobs[self._slot]))
        if self._asked.logprobs:
            slots, values = likeliest(own[None, :], self._asked.logprobs)
            ids = [self._vocabulary.ids[slot] for slot in slots[0].tolist()]
            self._top.append({f"token_id:{token}": value for token, value in zip(ids, values[0].tolist(), strict=True)})
        if token in self._ends:
            self.finish = "stop"
        elif self._bytes and token < END_OF_TEXT:
            self._written.append(token)
            if self._cut_at_stop():
                self.finish = "stop"
        if not self.finish and last:
            self.finish = "length"
        return self._slot

    def choice(self) -> dict[str, Any]:
        """Return the choice of the answer."""
        logprobs = None
        if self._asked.logprobs is not None:
            logprobs = {
                "tokens": [f"token_id:{token}" for token in self.tokens],
                "token_logprobs": self._logprobs,
                "top_logprobs": self._top if self._asked.logprobs else None,
            }
        return {
            "text": self._written.decode(errors="replace"),
            "token_ids": self.tokens,
            "finish_reason": self.finish,
            "logprobs": logprobs,
        }

    def _cut_at_stop(self) -> bool:
        for stop in self._stops:
            if self._written.endswith(stop):
                del self._written[-len(stop) :]
                return True
        return False


def _ranked(row: Floats, token: int, slot: int, vocabulary: Vocabulary, most: int) -> dict[str, Any]:
    """Return the likeliest ids of a position and the one that stood there, by their text, likeliest first."""
    slots, values = likeliest(row[None, : vocabulary.own], most)
    likely = zip(slots[0].tolist(), values[0].tolist(), strict=True)
    found = {str(vocabulary.ids[at]): {"logprob": value, "rank": rank} for rank, (at, value) in enumerate(likely, 1)}
    found.setdefault(str(token), {"logprob": float(row[slot]), "rank": int((row > row[slot]).sum()) + 1})
    return found
