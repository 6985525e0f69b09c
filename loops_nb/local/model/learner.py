"""The trainer: gradients that add up, steps of the optimizer, and the files to go on from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loops_nb.local.files import AdapterFile
from loops_nb.local.model import saved
from loops_nb.local.model.adapter import Adapter, Gradient
from loops_nb.local.model.base import Base, Floats, Weights, base_of
from loops_nb.local.model.batches import Batch, batches, ids_of
from loops_nb.local.model.head import Head, Scored
from loops_nb.local.model.losses import outcome
from loops_nb.local.model.network import Network
from loops_nb.local.model.optimizer import Adam
from loops_nb.local.model.problems import BadRequest
from loops_nb.local.model.requests import UNNORMALIZED, Training, check_optim, check_training
from loops_nb.local.model.sizes import LONGEST_RANK, size_of
from loops_nb.local.model.vocabulary import Vocabulary, new_vocabulary


class Learner:
    """A model that learns: frozen weights, an adapter, an optimizer, and a vocabulary.

    Parameters
    ----------
    base_model
        ``loops-local/tiny`` or ``loops-local/small``; any other name stands for the smallest size, over token ids of its own.
    lora_rank
        Of the adapter.
    seed
        Of the adapter's start; None is the same as 0, so that a run without a seed can be repeated too.
    dtype
        ``float32``, or ``float64`` where gradients are proven.

    Raises
    ------
    BadRequest
        If the rank is out of its range.
    """

    def __init__(self, *, base_model: str, lora_rank: int, seed: int | None = None, dtype: type[np.floating[Any]] = np.float32) -> None:
        if not 1 <= lora_rank <= LONGEST_RANK:
            raise BadRequest(f"lora_rank is {lora_rank}; the local model takes from 1 to {LONGEST_RANK}.")
        self.base_model = base_model
        self.lora_rank = lora_rank
        self.step = 0
        self._size = size_of(base_model)
        self._base = base_of(self._size) if dtype is np.float32 else Base(self._size, dtype)
        self._network = Network(self._size)
        self._adapter = Adapter(self._base, lora_rank, abs(seed or 0))
        self._optimizer = Adam(self._adapter.flat.size, self._base.dtype)
        self._gradient = np.zeros_like(self._adapter.flat)
        self._waiting = saved.Waiting()
        self._in_force: Weights | None = None
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
        data, loss_fn, loss_fn_config, top_k_logprobs
            As in the request.
        backward
            Add the gradient to what waits for the next `optim_step`.  Without it nothing of the model changes.

        Returns
        -------
        dict
            ``loss``, ``loss_fn_output_type``, ``loss_fn_outputs`` (one a datum, ``logprobs`` with null where the target is masked) and
            ``metrics``.

        Raises
        ------
        BadRequest
            If the data are wrong, or their gradient cannot be added to what waits.
        """
        body = {"data": data, "loss_fn": loss_fn, "loss_fn_config": loss_fn_config, "top_k_logprobs": top_k_logprobs}
        asked = check_training(body)
        longest = max(len(datum.tokens) for datum in asked.data)
        if longest > self._size.longest:
            raise BadRequest(f"A datum has {longest} tokens; {self._size.name} takes at most {self._size.longest}.")
        kind = _kind(asked)
        if backward:
            self._waiting.check(kind)
        vocabulary = self._vocabulary.extended(ids_of(asked.data))
        total, count, sums, outputs, gradient = self._pass(asked, vocabulary, backward=backward)
        if backward:
            self._vocabulary = vocabulary
            self._adapter.grow(len(vocabulary))
            self._add(gradient, kind, count)
        shared = vocabulary.without_slot(ids_of(asked.data)) if vocabulary.is_full else 0
        return _result(asked, total, count, sums, outputs, shared)

    def optim_step(self, adam_params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Step the optimizer with the gradient that waits, and return its metrics.

        Parameters
        ----------
        adam_params
            ``learning_rate``, ``beta1``, ``beta2``, ``eps``, ``weight_decay``, ``grad_clip_norm`` (0: no clipping); the SDK's defaults
            where one is missing.

        Raises
        ------
        BadRequest
            If a parameter is out of its range, or there is no gradient to step with.
        """
        params = check_optim({"adam_params": adam_params}).params
        if not self._waiting.kind:
            raise BadRequest("There is no gradient to step with: no forward_backward since the last optim_step. The weights are as before.")
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
        """Yield all that is needed to go on bit for bit: the adapter, the optimizer's moments, what waits, and the vocabulary."""
        yield from self.sampler_files()
        moments = [("exp_avg", self._optimizer.first), ("exp_avg_sq", self._optimizer.second)]
        yield saved.tensors_file(
            saved.OPTIMIZER, {f"{name}.{kind}": part for kind, flat in moments for name, part in self._adapter.tensors(flat)}
        )
        if self._waiting.kind:
            yield saved.tensors_file(saved.GRADIENT, dict(self._adapter.tensors(self._gradient)))
        yield saved.state_file(
            saved.State(
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
        yield saved.config_file(self.base_model, self.lora_rank)
        yield saved.tensors_file(saved.ADAPTER, dict(self._adapter.tensors(self._adapter.flat)), peft=True)
        yield saved.vocabulary_file(self._vocabulary)

    def restore(self, folder: Path, *, optimizer: bool) -> int:
        """Go on from files of `trainer_files`, and return their step.

        Parameters
        ----------
        folder
            Where the files are.
        optimizer
            Take the optimizer's moments and the gradient that waited too; without it, the optimizer starts anew.  Files of
            `sampler_files` have neither.

        Raises
        ------
        BadRequest
            If the files are of another rank or size, or not all there; nothing is changed then.
        """
        vocabulary = saved.read_vocabulary(folder, self._size)
        saved.check_rank(folder, self.lora_rank)
        adapter = Adapter(self._base, self.lora_rank, 0)
        adapter.grow(len(vocabulary))
        saved.read_tensors(folder / saved.ADAPTER, dict(adapter.tensors(adapter.flat)))
        state = saved.read_state(folder)
        moments = Adam(adapter.flat.size, self._base.dtype)
        gradient = np.zeros_like(adapter.flat)
        waiting = saved.Waiting()
        if optimizer:
            if state is None:
                raise BadRequest("This checkpoint has no optimizer; it was saved for sampling. Load it without the optimizer.")
            parts = [("exp_avg", moments.first), ("exp_avg_sq", moments.second)]
            into = {f"{name}.{kind}": part for kind, flat in parts for name, part in adapter.tensors(flat)}
            saved.read_tensors(folder / saved.OPTIMIZER, into)
            moments.updates = state.updates
            waiting = state.waiting
            if waiting.kind:
                saved.read_tensors(folder / saved.GRADIENT, dict(adapter.tensors(gradient)))
        self._adapter, self._vocabulary, self._optimizer = adapter, vocabulary, moments
        self._gradient, self._waiting, self._in_force = gradient, waiting, None
        self.step = state.step if state else 0
        return self.step

    def _weights(self, vocabulary: Vocabulary) -> Weights:
        if self._in_force is None or len(self._in_force.head) != len(vocabulary):
            self._in_force = self._adapter.in_force(vocabulary)
        return self._in_force

    # Weights that have diverged overflow; what comes of it is looked at once, as the loss.
    @np.errstate(over="ignore", invalid="ignore")
    def _pass(
        self, asked: Training, vocabulary: Vocabulary, *, backward: bool
    ) -> tuple[float, int, dict[str, float], list[dict[str, Any]], Gradient]:
        weights = self._weights(vocabulary)
        total, count = 0.0, 0
        sums: dict[str, float] = {}
        outputs: list[dict[str, Any]] = []
        gradient = Gradient(weights)
        for batch in batches(asked.data, vocabulary, loss_fn=asked.loss_fn, dtype=self._base.dtype):
            hidden, trace = self._network.forward(weights, batch.slots, batch.groups, remember=backward)
            head = Head(weights.head, hidden, batch.rows, batch.targets)
            scored = head.score(asked.top_k_logprobs)
            found = outcome(asked.loss_fn, scored.logprobs[batch.counts], batch.read, asked.settings)
            if not math.isfinite(found.total) or not np.isfinite(found.gradient).all():
                raise BadRequest(
                    f"{asked.loss_fn} is not a finite number on these data: the weights have diverged, or the logprobs that were sent are "
                    "too far from the model's. Nothing was added to the gradient; load an earlier checkpoint and take a smaller "
                    "learning_rate."
                )
            total += found.total
            count += found.counted
            for name, value in found.sums.items():
                sums[name] = sums.get(name, 0.0) + value
            if backward:
                slopes = np.zeros_like(scored.logprobs)
                slopes[batch.counts] = found.gradient
                self._network.backward(weights, head.backward(slopes, len(hidden), gradient.head), trace, gradient.layers)
            outputs.extend(_outputs(batch, scored, vocabulary))
        return total, count, sums, outputs, gradient

    def _add(self, gradient: Gradient, kind: str, count: int) -> None:
        self._adapter.add_gradient(gradient, self._gradient)
        self._waiting = saved.Waiting(kind=kind, count=self._waiting.count + count)

    def _forget_gradient(self) -> None:
        self._gradient[:] = 0
        self._waiting = saved.Waiting()
        self._in_force = None


def _kind(asked: Training) -> str:
    """Return what a gradient is divided by: nothing, pairs or tokens; gradients of different kinds do not add up."""
    if asked.settings[UNNORMALIZED]:
        return UNNORMALIZED
    return "pairs" if asked.loss_fn == "dpo" else "tokens"


def _outputs(batch: Batch, scored: Scored, vocabulary: Vocabulary) -> Iterator[dict[str, Any]]:
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
    asked: Training, total: float, count: int, sums: Mapping[str, float], outputs: list[dict[str, Any]], shared: int
) -> dict[str, Any]:
    unnormalized = bool(asked.settings[UNNORMALIZED])
    loss = total if unnormalized else total / max(1, count)
    counted = "pairs" if asked.loss_fn == "dpo" else "tokens"
    metrics = {"loss": loss, counted: float(count), **{name: value / max(1, count) for name, value in sums.items()}}
    if unnormalized:
        metrics[UNNORMALIZED] = 1.0
    if shared:
        metrics["tokens_without_a_slot"] = float(shared)
    return {"loss": loss, "loss_fn_output_type": asked.loss_fn, "loss_fn_outputs": outputs, "metrics": metrics}
