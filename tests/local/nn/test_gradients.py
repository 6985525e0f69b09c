"""Gradients against finite differences, in float64: for every adapter, for every loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loops_nb.local import base_models as sizes
from loops_nb.local.nn.inputs import LOSSES, MASKED, UNNORMALIZED
from loops_nb.local.nn.learner import Learner
from tests.local.nn.training_data import datum, learner, tensor

# Arithmetic alone: no interpreter changes it.
pytestmark = pytest.mark.once

SKIP = {UNNORMALIZED: 1.0}
STEP = 1e-6


def exact(base_model: str = sizes.TINY.name, rank: int = 3) -> Learner:
    """Return a model in float64 whose adapter changes everything."""
    model = learner(base_model=base_model, lora_rank=rank, dtype=np.float64)
    model._adapter.flat[: model._adapter.used] += np.random.default_rng(5).normal(0, 0.05, model._adapter.used)
    return model


def sequences(lengths: tuple[int, ...] = (5, 5, 9, 3)) -> list[list[int]]:
    source = np.random.default_rng(3)
    return [source.integers(0, 258, length + 1).tolist() for length in lengths]


def data_for(loss_fn: str, model: Learner) -> list[dict[str, Any]]:
    """Return data with all kinds of masks; some of their old logprobs are clipped, some are not."""
    plain = [datum(tokens) for tokens in sequences()]
    scored = model.forward(plain, loss_fn="cross_entropy", backward=False)["loss_fn_outputs"]
    source = np.random.default_rng(11)
    for one, output in zip(plain, scored, strict=True):
        length = len(output["logprobs"]["data"])
        inputs = one["loss_fn_inputs"]
        inputs["target_tokens"]["data"][0] = MASKED
        inputs["weights"] = tensor([0.0 if at == 1 else 0.5 + at / length for at in range(length)])
        old = [
            logprob + noise
            for logprob, noise in zip(output["logprobs"]["data"], source.normal(0, 0.4, length).tolist(), strict=True)
        ]
        if loss_fn == "dpo":
            inputs["ref_logprobs"] = tensor(old)
        elif loss_fn != "cross_entropy":
            inputs["logprobs"] = tensor(old)
            inputs["advantages"] = tensor(source.normal(0, 1, length).tolist())
            inputs["mask"] = tensor([1.0] * (length - 1) + [0.0])
    return plain


SETTINGS: dict[str, dict[str, float]] = {
    "dppo": {"dppo_mask_high": 0.0005, "dppo_mask_low": 0.0005, "kl_tau": 0.1, "adv_tau": 0.7},
    "dpo": {"beta": 0.3, "label_smoothing": 0.1},
    "dro": {"beta": 0.4},
}


def gradient_of(
    model: Learner, data: list[dict[str, Any]], loss_fn: str, settings: dict[str, float]
) -> np.ndarray[Any, Any]:
    model._gradient[:] = 0
    model._waiting = type(model._waiting)()
    model.forward(data, loss_fn=loss_fn, loss_fn_config={**settings, **SKIP}, backward=True)
    gradient: np.ndarray[Any, Any] = model._gradient.copy()
    return gradient


def loss_of(model: Learner, data: list[dict[str, Any]], loss_fn: str, settings: dict[str, float]) -> float:
    model._merged = None
    loss: float = model.forward(data, loss_fn=loss_fn, loss_fn_config={**settings, **SKIP}, backward=False)["loss"]
    return loss


def prove(model: Learner, data: list[dict[str, Any]], loss_fn: str, settings: dict[str, float]) -> None:
    """Compare, for every tensor of the adapter, the slope along a random direction."""
    gradient = gradient_of(model, data, loss_fn, settings)
    source = np.random.default_rng(1)
    found = dict(model._adapter.tensors(gradient))
    for name, weights in model._adapter.tensors(model._adapter.flat):
        along = source.normal(0, 1, weights.shape)
        before = weights.copy()
        weights[...] = before + STEP * along
        above = loss_of(model, data, loss_fn, settings)
        weights[...] = before - STEP * along
        below = loss_of(model, data, loss_fn, settings)
        weights[...] = before
        expected = (above - below) / (2 * STEP)
        assert (found[name] * along).sum() == pytest.approx(expected, rel=2e-5, abs=2e-7), name
        assert abs(expected) > 1e-5, name
    model._merged = None


@pytest.mark.parametrize("loss_fn", sorted(set(LOSSES) - {"cispo"}))
def test_every_loss_has_its_gradient_in_every_adapter(loss_fn: str) -> None:
    model = exact()
    prove(model, data_for(loss_fn, model), loss_fn, SETTINGS.get(loss_fn, {}))


def test_cispo_has_the_gradient_of_a_weighted_logprob() -> None:
    model = exact()
    data = data_for("cispo", model)
    # The clipped ratio is a constant by definition, so differences of the loss would say something else.
    scored = model.forward(data, loss_fn="cispo", backward=False)["loss_fn_outputs"]
    weighted = []
    for one, output in zip(data, scored, strict=True):
        inputs = {
            name: np.array(one["loss_fn_inputs"][name]["data"])
            for name in ("weights", "advantages", "logprobs", "mask")
        }
        now = np.array([np.nan if value is None else value for value in output["logprobs"]["data"]])
        ratio = np.clip(np.exp(now - inputs["logprobs"]), 0.8, 1.2)
        weights = np.nan_to_num(ratio) * inputs["advantages"] * inputs["weights"] * inputs["mask"]
        targets = one["loss_fn_inputs"]["target_tokens"]
        weighted.append({**one, "loss_fn_inputs": {"target_tokens": targets, "weights": tensor(weights.tolist())}})
    expected = gradient_of(model, weighted, "cross_entropy", {})
    np.testing.assert_allclose(gradient_of(model, data, "cispo", {}), expected, rtol=1e-9, atol=1e-12)
    prove(model, weighted, "cross_entropy", {})


def test_several_targets_a_token_have_their_gradient() -> None:
    model = exact()
    source = np.random.default_rng(2)
    data = []
    for tokens in sequences((4, 6)):
        length = len(tokens)
        targets = source.integers(0, 258, (length, 3))
        targets[1, 2] = MASKED
        targets[2] = MASKED
        one = datum(tokens, tokens)
        one["loss_fn_inputs"] = {
            "target_tokens": tensor(targets.reshape(-1).tolist(), "int64", (length, 3)),
            "weights": tensor(source.normal(0, 1, length * 3).tolist(), shape=(length, 3)),
        }
        data.append(one)
    prove(model, data, "cross_entropy", {})


def test_the_larger_size_has_its_gradient() -> None:
    model = exact(sizes.SMALL.name, rank=2)
    data = [datum(tokens) for tokens in sequences((4, 3))]
    gradient = gradient_of(model, data, "cross_entropy", {})
    source = np.random.default_rng(1)
    for _ in range(3):
        along = source.normal(0, 1, gradient.size)
        before = model._adapter.flat.copy()
        losses = []
        for way in (STEP, -STEP):
            model._adapter.flat[:] = before + way * along
            losses.append(loss_of(model, data, "cross_entropy", {}))
        model._adapter.flat[:] = before
        assert gradient @ along == pytest.approx((losses[0] - losses[1]) / (2 * STEP), rel=2e-5)


def test_ids_of_a_strange_tokenizer_have_their_gradient() -> None:
    model = learner(base_model="org/name", lora_rank=3, dtype=np.float64)
    data = [datum([90_000 + token for token in tokens]) for tokens in sequences((6, 6))]
    model.forward(data, loss_fn="cross_entropy", backward=True)
    model._adapter.flat[: model._adapter.used] += np.random.default_rng(5).normal(0, 0.05, model._adapter.used)
    model._merged = None
    prove(model, data, "cross_entropy", {})


def test_long_sequences_have_the_gradient_of_short_ones_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is worked on in blocks, or worked out again instead of kept, gives the same numbers."""
    model = exact()
    data = data_for("cross_entropy", model)
    expected = gradient_of(model, data, "cross_entropy", {})
    for module, name, value in (
        ("attention", "_BLOCK", 2),
        ("attention", "_KEPT", 0),
        ("transformer", "_KEPT_TOKENS", 0),
        ("lm_head", "_CELLS", 700),
        ("batches", "_TOGETHER", 6),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"loops_nb.local.nn.{module}.{name}", value)
            np.testing.assert_allclose(gradient_of(model, data, "cross_entropy", {}), expected, rtol=1e-9, atol=1e-12)
