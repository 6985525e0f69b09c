"""Training: accumulated gradients, optimizer steps, checkpoint files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loops_nb.local.base_models import LONGEST_RANK, size_of
from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.base_weights import BaseWeights, Floats, ModelWeights, base_weights_of
from loops_nb.local.nn.batches import TokenBatch, batches, token_ids_of
from loops_nb.local.nn.inputs import UNNORMALIZED, TrainingRequest, check_optim, check_training
from loops_nb.local.nn.lm_head import LMHead, ScoredTargets
from loops_nb.local.nn.lora import LoraAdapter, WeightGradients
from loops_nb.local.nn.losses import compute_loss
from loops_nb.local.nn.optimizer import Adam
from loops_nb.local.nn.transformer import Transformer
from loops_nb.local.nn.vocabulary import Vocabulary, new_vocabulary
from loops_nb.local.weights import formats
from loops_nb.local.weights.files import AdapterFile


class Learner:
    """A model that learns: frozen weights, an adapter, an optimizer, and a vocabulary.

    Parameters
    ----------
    base_model : str
        ``loops-local/tiny`` or ``loops-local/small``; any other name stands for the smallest size, over token ids of
        its own.
    lora_rank : int
        Of the adapter.
    seed : int, optional
        Of the adapter's start; None is the same as 0, so that a run without a seed can be repeated too.
    dtype : type, optional
        ``float32``, or ``float64`` where gradients are proven.

    Raises
    ------
    InvalidInputError
        If the rank is out of its range.
    """

    def __init__(
        self, *, base_model: str, lora_rank: int, seed: int | None = None, dtype: type[np.floating[Any]] = np.float32
    ) -> None:
        if not 1 <= lora_rank <= LONGEST_RANK:
            raise InvalidInputError(f"lora_rank is {lora_rank}; the local model takes from 1 to {LONGEST_RANK}.")
        self.base_model = base_model
        self.lora_rank = lora_rank
        self.step: int = 0
        self._size = size_of(base_model)
        self._base = base_weights_of(self._size) if dtype is np.float32 else BaseWeights(self._size, dtype)
        self._network = Transformer(self._size)
        self._adapter = LoraAdapter(self._base, lora_rank, abs(seed or 0))
        self._optimizer = Adam(self._adapter.flat.size, self._base.dtype)
        self._gradient = np.zeros_like(self._adapter.flat)
        self._waiting = formats.PendingGradient()
        self._merged: ModelWeights | None = None
        self._vocabulary = new_vocabulary(base_model)
        self._adapter.grow(len(self._vocabulary))

    def forward(
        self,
        data: Sequence[Mapping[str, Any]],
        *,
        loss_fn: str,
        loss_fn_config: Mapping[str, Any] | None = None,
        top_k_logprobs: int = 0,
        backward: bool,
    ) -> dict[str, Any]:
        """Return the result of a ``forward`` or a ``forward_backward``.

        Parameters
        ----------
        data, loss_fn, loss_fn_config, top_k_logprobs : sequence of mapping or str or mapping or int
            As in the request.
        backward : bool
            Add the gradient to what waits for the next `optim_step`.  Without it nothing of the model changes.

        Returns
        -------
        dict
            ``loss``, ``loss_fn_output_type``, ``loss_fn_outputs`` (one a datum, ``logprobs`` with null where the target
            is masked) and ``metrics``.

        Raises
        ------
        InvalidInputError
            If the data are wrong, or their gradient cannot be added to what waits.
        """
        body = {"data": data, "loss_fn": loss_fn, "loss_fn_config": loss_fn_config, "top_k_logprobs": top_k_logprobs}
        asked = check_training(body)
        longest = max(len(datum.tokens) for datum in asked.data)
        if longest > self._size.longest:
            raise InvalidInputError(
                f"A datum has {longest} tokens; {self._size.name} takes at most {self._size.longest}."
            )
        kind = _kind(asked)
        if backward:
            self._waiting.check(kind)
        vocabulary = self._vocabulary.extended(token_ids_of(asked.data))
        total, count, sums, outputs, gradient = self._pass(asked, vocabulary, backward=backward)
        if backward:
            self._vocabulary = vocabulary
            self._adapter.grow(len(vocabulary))
            self._add(gradient, kind, count)
        shared = vocabulary.count_without_slot(token_ids_of(asked.data)) if vocabulary.is_full else 0
        return _result(asked, total, count, sums, outputs, shared)

    def optim_step(self, adam_params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Step the optimizer with the gradient that waits, and return its metrics.

        Parameters
        ----------
        adam_params : mapping or None
            ``learning_rate``, ``beta1``, ``beta2``, ``eps``, ``weight_decay``, ``grad_clip_norm`` (0: no clipping); the
            SDK's defaults where one is missing.

        Raises
        ------
        InvalidInputError
            If a parameter is out of its range, or there is no gradient to step with.
        """
        params = check_optim({"adam_params": adam_params}).params
        if not self._waiting.kind:
            raise InvalidInputError(
                "There is no gradient to step with: no forward_backward since the last optim_step. The weights are as "
                "before."
            )
        used = self._adapter.used
        gradient = self._gradient[:used]
        if self._waiting.kind != UNNORMALIZED:
            gradient *= gradient.dtype.type(1.0 / max(1, self._waiting.count))
        norm = self._optimizer.step(self._adapter.flat[:used], gradient, params)
        self.step += 1
        tokens = self._waiting.count
        self._forget_gradient()
        return {
            "metrics": {
                "grad_norm": norm,
                "learning_rate": params["learning_rate"],
                "step": float(self.step),
                "tokens": float(tokens),
                "vocabulary": float(self._vocabulary.own),
            }
        }

    def trainer_files(self) -> Iterator[AdapterFile]:
        """Yield the files to resume from exactly: adapter, optimizer moments, pending gradient, vocabulary."""
        yield from self.sampler_files()
        moments = [("exp_avg", self._optimizer.first), ("exp_avg_sq", self._optimizer.second)]
        yield formats.tensors_file(
            formats.OPTIMIZER,
            {f"{name}.{kind}": part for kind, flat in moments for name, part in self._adapter.tensors(flat)},
        )
        if self._waiting.kind:
            yield formats.tensors_file(formats.GRADIENT, dict(self._adapter.tensors(self._gradient)))
        yield formats.state_file(
            formats.TrainerState(
                base_model=self.base_model,
                lora_rank=self.lora_rank,
                size=self._size.name,
                step=self.step,
                updates=self._optimizer.updates,
                waiting=self._waiting,
            )
        )

    def sampler_files(self) -> Iterator[AdapterFile]:
        """Yield the adapter in PEFT's layout, and the vocabulary."""
        yield formats.config_file(self.base_model, self.lora_rank)
        yield formats.tensors_file(formats.ADAPTER, dict(self._adapter.tensors(self._adapter.flat)), peft=True)
        yield formats.vocabulary_file(self._vocabulary.ids)

    def restore(self, folder: Path, *, optimizer: bool) -> int:
        """Go on from files of `trainer_files`, and return their step.

        Parameters
        ----------
        folder : Path
            Where the files are.
        optimizer : bool
            Take the optimizer's moments and the gradient that waited too; without it, the optimizer restarts.  Files
            of `sampler_files` have neither.

        Raises
        ------
        InvalidInputError
            If the files are of another rank or size, or not all there; nothing is changed then.
        """
        vocabulary = Vocabulary(formats.read_vocabulary(folder), self._size.slots)
        formats.check_rank(folder, self.lora_rank)
        adapter = LoraAdapter(self._base, self.lora_rank, 0)
        adapter.grow(len(vocabulary))
        formats.read_tensors(folder / formats.ADAPTER, dict(adapter.tensors(adapter.flat)))
        state = formats.read_state(folder)
        moments = Adam(adapter.flat.size, self._base.dtype)
        gradient = np.zeros_like(adapter.flat)
        waiting = formats.PendingGradient()
        if optimizer:
            if state is None:
                raise InvalidInputError(
                    "This checkpoint has no optimizer; it was saved for sampling. Load it without the optimizer."
                )
            parts = [("exp_avg", moments.first), ("exp_avg_sq", moments.second)]
            into = {f"{name}.{kind}": part for kind, flat in parts for name, part in adapter.tensors(flat)}
            formats.read_tensors(folder / formats.OPTIMIZER, into)
            moments.updates = state.updates
            waiting = state.waiting
            if waiting.kind:
                formats.read_tensors(folder / formats.GRADIENT, dict(adapter.tensors(gradient)))
        self._adapter, self._vocabulary, self._optimizer = adapter, vocabulary, moments
        self._gradient, self._waiting, self._merged = gradient, waiting, None
        self.step = state.step if state else 0
        return self.step

    def _weights(self, vocabulary: Vocabulary) -> ModelWeights:
        if self._merged is None or len(self._merged.head) != len(vocabulary):
            self._merged = self._adapter.merged(vocabulary)
        return self._merged

    # Weights that have diverged overflow; what comes of it is looked at once, as the loss.
    @np.errstate(over="ignore", invalid="ignore")
    def _pass(
        self, asked: TrainingRequest, vocabulary: Vocabulary, *, backward: bool
    ) -> tuple[float, int, dict[str, float], list[dict[str, Any]], WeightGradients]:
        weights = self._weights(vocabulary)
        total, count = 0.0, 0
        sums: dict[str, float] = {}
        outputs: list[dict[str, Any]] = []
        gradient = WeightGradients(weights)
        for batch in batches(asked.data, vocabulary, loss_fn=asked.loss_fn, dtype=self._base.dtype):
            hidden, trace = self._network.forward(weights, batch.slots, batch.groups, remember=backward)
            head = LMHead(weights.head, hidden, batch.rows, batch.targets)
            scored = head.score(asked.top_k_logprobs)
            found = compute_loss(asked.loss_fn, scored.logprobs[batch.counts], batch.read, asked.settings)
            if not math.isfinite(found.total) or not np.isfinite(found.gradient).all():
                raise InvalidInputError(
                    f"{asked.loss_fn} is not a finite number on these data: the weights have diverged, or the logprobs "
                    "that were sent are too far from the model's. Nothing was added to the gradient; load an earlier "
                    "checkpoint and take a smaller "
                    "learning_rate."
                )
            total += found.total
            count += found.counted
            for name, value in found.sums.items():
                sums[name] = sums.get(name, 0.0) + value
            if backward:
                slopes = np.zeros_like(scored.logprobs)
                slopes[batch.counts] = found.gradient
                self._network.backward(
                    weights, head.backward(slopes, len(hidden), gradient.head), trace, gradient.layers
                )
            outputs.extend(_outputs(batch, scored, vocabulary))
        return total, count, sums, outputs, gradient

    def _add(self, gradient: WeightGradients, kind: str, count: int) -> None:
        self._adapter.add_gradient(gradient, self._gradient)
        self._waiting = formats.PendingGradient(kind=kind, count=self._waiting.count + count)

    def _forget_gradient(self) -> None:
        self._gradient[:] = 0
        self._waiting = formats.PendingGradient()
        self._merged = None


#: What losses count in place of tokens.
_COUNTED = {"dpo": "pairs"}


def _kind(asked: TrainingRequest) -> str:
    """Return what a gradient is divided by: nothing, pairs or tokens; gradients of different kinds do not add up."""
    if asked.settings[UNNORMALIZED]:
        return UNNORMALIZED
    return _COUNTED.get(asked.loss_fn, "tokens")


def _outputs(batch: TokenBatch, scored: ScoredTargets, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
    ends = np.searchsorted(batch.datum, np.arange(len(batch.shapes) + 1))
    for number, shape in enumerate(batch.shapes):
        here = slice(ends[number], ends[number + 1])
        whole: list[float | None] = [None] * math.prod(shape)
        for place, logprob in zip(batch.place[here].tolist(), scored.logprobs[here].tolist(), strict=True):
            whole[place] = logprob
        found: dict[str, Any] = {"logprobs": _tensor(whole, "float32", shape)}
        if scored.top is not None:
            found |= _top(batch.place[here], shape, (scored.top[0][here], scored.top[1][here]), vocabulary)
        yield found


def _top(place: Floats, shape: tuple[int, ...], top: tuple[Floats, Floats], vocabulary: Vocabulary) -> dict[str, Any]:
    slots, logprobs = top
    most = slots.shape[1]
    ids = np.array(vocabulary.ids, np.int64)[slots]
    tokens: list[int] = [-1] * (math.prod(shape) * most)
    values: list[float | None] = [None] * len(tokens)
    for at, row, likely in zip(place.tolist(), ids.tolist(), logprobs.tolist(), strict=True):
        tokens[at * most : (at + 1) * most] = row
        values[at * most : (at + 1) * most] = likely
    wide = (*shape, most)
    return {"top_k_token_ids": _tensor(tokens, "int64", wide), "top_k_logprobs": _tensor(values, "float32", wide)}


def _tensor(data: list[Any], dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"data": data, "dtype": dtype, "shape": list(shape)}


def _result(
    asked: TrainingRequest,
    total: float,
    count: int,
    sums: Mapping[str, float],
    outputs: list[dict[str, Any]],
    shared: int,
) -> dict[str, Any]:
    unnormalized = bool(asked.settings[UNNORMALIZED])
    loss = total / max(1, count)
    if unnormalized:
        loss = total
    metrics = {"loss": loss, _COUNTED.get(asked.loss_fn, "tokens"): float(count)}
    metrics |= {name: value / max(1, count) for name, value in sums.items()}
    if unnormalized:
        metrics[UNNORMALIZED] = 1.0
    if shared:
        metrics["tokens_without_a_slot"] = float(shared)
    return {"loss": loss, "loss_fn_output_type": asked.loss_fn, "loss_fn_outputs": outputs, "metrics": metrics}
