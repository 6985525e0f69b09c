"""Loss functions: from log-probabilities of targets to a sum and its gradient.

Every loss is a sum over targets (``dpo``: over pairs of sequences).  It is divided by how many there were when the
optimizer steps, so that a batch sent in parts gives the same step as one sent whole; with ``skip_token_normalization``
the sum stands as it is.

``importance_sampling``, ``ppo``, ``cispo`` and ``dro`` are as the public documentation of Tinker defines them, ``dpo``
as its paper (arXiv 2305.18290) with the label smoothing that is common, and ``dppo`` as the divergence mask of arXiv
2602.04879 with the squared log-ratio of arXiv 2602.02276, under the names and defaults that the SDK documents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from loops_nb.local.nn.base_weights import Floats


class Targets(NamedTuple):
    """What a loss reads, one entry a target that counts.

    Parameters
    ----------
    datum : array
        Number of the datum, from 0 on.
    weights : array
        What the target counts; never 0.
    old, advantages : array
        Logprob of the policy that sampled, and advantage; or the reference's logprob in ``old``.
    """

    datum: Floats
    weights: Floats
    old: Floats
    advantages: Floats


class LossResult(NamedTuple):
    """A loss over some targets.

    Parameters
    ----------
    total : float
        The sum.
    gradient : array
        Of the sum, by the logprob of each target.
    counted : int
        What the sum is divided by.
    sums : dict
        More figures, likewise sums over what was counted.
    """

    total: float
    gradient: Floats
    counted: int
    sums: dict[str, float]


def compute_loss(loss_fn: str, logprobs: Floats, targets: Targets, settings: Mapping[str, float]) -> LossResult:
    """Return a loss over logprobs of targets."""
    return _LOSSES[loss_fn](logprobs, targets, settings)


def _cross_entropy(logprobs: Floats, targets: Targets, _: Mapping[str, float]) -> LossResult:
    return _summed(-logprobs, np.full_like(logprobs, -1), targets)


def _importance_sampling(logprobs: Floats, targets: Targets, _: Mapping[str, float]) -> LossResult:
    gained = np.exp(logprobs - targets.old) * targets.advantages
    return _summed(-gained, -gained, targets, _drift(logprobs, targets))


def _ppo(logprobs: Floats, targets: Targets, settings: Mapping[str, float]) -> LossResult:
    ratio = np.exp(logprobs - targets.old)
    free = ratio * targets.advantages
    clipped = np.clip(ratio, settings["clip_low_threshold"], settings["clip_high_threshold"]) * targets.advantages
    moves = free <= clipped
    return _summed(
        -np.where(moves, free, clipped), -np.where(moves, free, 0), targets, _drift(logprobs, targets, ~moves)
    )


def _cispo(logprobs: Floats, targets: Targets, settings: Mapping[str, float]) -> LossResult:
    ratio = np.exp(logprobs - targets.old)
    weight = np.clip(ratio, settings["clip_low_threshold"], settings["clip_high_threshold"])
    # The clipped ratio is a constant here: gradients flow through the logprob alone.
    slope = -weight * targets.advantages
    return _summed(slope * logprobs, slope, targets, _drift(logprobs, targets, weight != ratio))


def _dro(logprobs: Floats, targets: Targets, settings: Mapping[str, float]) -> LossResult:
    beta = logprobs.dtype.type(settings["beta"])
    away = logprobs - targets.old
    value = logprobs * targets.advantages - beta * away**2 / 2
    return _summed(-value, beta * away - targets.advantages, targets, _drift(logprobs, targets))


def _dppo(logprobs: Floats, targets: Targets, settings: Mapping[str, float]) -> LossResult:
    away = logprobs - targets.old
    change = np.exp(logprobs) - np.exp(targets.old)
    # A token whose probability has already moved far the way its advantage pulls is left alone.
    far = np.where(targets.advantages > 0, change > settings["dppo_mask_high"], change < -settings["dppo_mask_low"])
    pull = np.where(far, 0, np.exp(away) * targets.advantages * logprobs.dtype.type(settings["adv_tau"]))
    tau = logprobs.dtype.type(settings["kl_tau"])
    return _summed(-pull + tau * away**2, -pull + 2 * tau * away, targets, _drift(logprobs, targets, far))


def _dpo(logprobs: Floats, targets: Targets, settings: Mapping[str, float]) -> LossResult:
    pairs = int(targets.datum.max(initial=-1)) // 2 + 1
    signs = np.where(targets.datum % 2, -1, 1)
    margins = np.zeros(pairs, logprobs.dtype)
    np.add.at(margins, targets.datum // 2, signs * targets.weights * (logprobs - targets.old))
    beta, smoothing = settings["beta"], settings["label_smoothing"]
    scaled = margins * logprobs.dtype.type(beta)
    # log(sigmoid(x)) is -log(1 + exp(-x)), which logaddexp gives without overflow.
    total = (1 - smoothing) * np.logaddexp(0, -scaled) + smoothing * np.logaddexp(0, scaled)
    slope = beta * ((1 - smoothing) * -_sigmoid(-scaled) + smoothing * _sigmoid(scaled))
    gradient = (slope[targets.datum // 2] * signs * targets.weights).astype(logprobs.dtype)
    right = {"reward_accuracy": float((margins > 0).sum()), "reward_margin": float(scaled.sum())}
    return LossResult(float(total.sum(dtype=np.float64)), gradient, pairs, right)


def _summed(values: Floats, slopes: Floats, targets: Targets, sums: dict[str, float] | None = None) -> LossResult:
    total = float((values * targets.weights).sum(dtype=np.float64))
    return LossResult(total, slopes * targets.weights, len(values), sums or {})


def _drift(logprobs: Floats, targets: Targets, clipped: Floats | None = None) -> dict[str, float]:
    """Sum how far the policy is from the one that sampled, and how many targets were clipped or masked for it."""
    away = logprobs.astype(np.float64) - targets.old
    sums = {"kl_sample_train": float(-away.sum())}
    return sums if clipped is None else {**sums, "clip_fraction": float(clipped.sum())}


def _sigmoid(values: Floats) -> Floats:
    return np.exp(-np.logaddexp(0, -values))


_LOSSES: Mapping[str, Callable[[Floats, Targets, Mapping[str, float]], LossResult]] = {
    "cross_entropy": _cross_entropy,
    "importance_sampling": _importance_sampling,
    "ppo": _ppo,
    "cispo": _cispo,
    "dro": _dro,
    "dppo": _dppo,
    "dpo": _dpo,
}
