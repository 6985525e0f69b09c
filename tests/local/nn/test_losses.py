"""What the losses are, number by number, and how their sums are divided."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.inputs import LOSSES, MASKED, UNNORMALIZED
from loops_nb.local.nn.learner import Learner
from loops_nb.local.nn.losses import Targets, compute_loss
from tests.frames.strategies import ANY_MACHINE
from tests.local.nn.training_data import datum, learner, of_text, tensor, weights_of

LOGPROB = st.floats(-6, -0.01)
POLICY = sorted(set(LOSSES) - {"cross_entropy", "dpo"})


def settings_of(loss_fn: str) -> dict[str, float]:
    return dict(LOSSES[loss_fn].settings)


def one(loss_fn: str, now: float, old: float, advantage: float, settings: Mapping[str, float]) -> float:
    """Return the loss of one target as it is written down."""
    ratio = math.exp(now - old)
    if loss_fn == "importance_sampling":
        return -ratio * advantage
    if loss_fn == "dro":
        return -(now * advantage - 0.5 * settings["beta"] * (now - old) ** 2)
    if loss_fn == "dppo":
        moved = math.exp(now) - math.exp(old)
        masked = moved > settings["dppo_mask_high"] if advantage > 0 else moved < -settings["dppo_mask_low"]
        return settings["kl_tau"] * (now - old) ** 2 - (0 if masked else settings["adv_tau"] * advantage * ratio)
    clipped = min(max(ratio, settings["clip_low_threshold"]), settings["clip_high_threshold"])
    return -min(ratio * advantage, clipped * advantage) if loss_fn == "ppo" else -clipped * now * advantage


@ANY_MACHINE
@given(
    st.sampled_from(POLICY),
    st.lists(st.tuples(LOGPROB, LOGPROB, st.floats(-3, 3).filter(bool), st.floats(0.1, 2)), min_size=1, max_size=6),
)
def test_a_policy_loss_is_the_weighted_sum_over_its_targets(
    loss_fn: str, rows: list[tuple[float, float, float, float]]
) -> None:
    now, old, advantages, weights = (np.array(column) for column in zip(*rows, strict=True))
    settings = settings_of(loss_fn)
    found = compute_loss(loss_fn, now, Targets(np.zeros(len(rows), int), weights, old, advantages), settings)
    expected = sum(weight * one(loss_fn, new, before, advantage, settings) for new, before, advantage, weight in rows)
    assert found.total == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found.counted == len(rows)


@ANY_MACHINE
@given(
    st.lists(st.tuples(LOGPROB, LOGPROB, LOGPROB, LOGPROB), min_size=1, max_size=4),
    st.floats(0.01, 2),
    st.floats(0, 0.5),
)
def test_dpo_prefers_the_chosen_by_what_each_gained_on_the_reference(
    pairs: list[tuple[float, float, float, float]], beta: float, smoothing: float
) -> None:
    now = np.array([value for pair in pairs for value in pair[:2]])
    reference = np.array([value for pair in pairs for value in pair[2:]])
    targets = Targets(np.arange(2 * len(pairs)), np.ones(len(now)), reference, np.zeros(len(now)))
    found = compute_loss("dpo", now, targets, {"beta": beta, "label_smoothing": smoothing})
    expected = 0.0
    for chosen, rejected, chosen_before, rejected_before in pairs:
        right = 1 / (1 + math.exp(-beta * ((chosen - chosen_before) - (rejected - rejected_before))))
        expected -= (1 - smoothing) * math.log(right) + smoothing * math.log(1 - right)
    assert found.total == pytest.approx(expected, rel=1e-9)
    assert found.counted == len(pairs)


def test_cross_entropy_is_the_mean_over_the_targets_that_count() -> None:
    model = learner()
    data = datum([5, 6, 7, 8], [6, MASKED, 8, 9], weights=[1.0, 1.0, 0.5, 0.0])
    result = model.forward([data], loss_fn="cross_entropy", backward=False)
    logprobs = result["loss_fn_outputs"][0]["logprobs"]
    assert logprobs["shape"] == [4]
    assert logprobs["data"][1] is None
    # A weight of zero hides a target from the loss, and not from who reads the logprobs.
    assert logprobs["data"][3] < 0
    assert result["loss"] == pytest.approx(-(logprobs["data"][0] + 0.5 * logprobs["data"][2]) / 2, rel=1e-6)
    assert result["metrics"]["tokens"] == 2
    whole = model.forward([data], loss_fn="cross_entropy", loss_fn_config={UNNORMALIZED: True}, backward=False)
    assert whole["loss"] == pytest.approx(2 * result["loss"], rel=1e-6)
    assert whole["metrics"][UNNORMALIZED] == 1.0


def test_several_targets_a_token() -> None:
    model = learner()
    single = [
        model.forward([datum([5, 6], [a, b])], loss_fn="cross_entropy", backward=False) for a, b in ((1, 2), (3, 4))
    ]
    wide = datum([5, 6], [0, 0])
    for data in ([1, 3, 2, 4], [[1, 3], [2, 4]]):
        wide["loss_fn_inputs"]["target_tokens"] = tensor(data, "int64", (2, 2))
        found = model.forward([wide], loss_fn="cross_entropy", top_k_logprobs=2, backward=False)["loss_fn_outputs"][0]
        expected = [output["loss_fn_outputs"][0]["logprobs"]["data"][at] for at in range(2) for output in single]
        assert found["logprobs"]["data"] == pytest.approx(expected)
        assert found["logprobs"]["shape"] == [2, 2]
        assert found["top_k_token_ids"]["shape"] == found["top_k_logprobs"]["shape"] == [2, 2, 2]


def test_the_likeliest_tokens_come_with_every_target() -> None:
    result = learner().forward(
        [datum([5, 6, 7], [6, MASKED, 8])], loss_fn="cross_entropy", top_k_logprobs=5, backward=False
    )
    output = result["loss_fn_outputs"][0]
    assert output["top_k_logprobs"]["shape"] == [3, 5]
    rows = np.array([np.nan if value is None else value for value in output["top_k_logprobs"]["data"]]).reshape(3, 5)
    assert (np.diff(rows[[0, 2]]) <= 0).all()
    assert np.isnan(rows[1]).all()
    assert output["top_k_token_ids"]["data"][5:10] == [-1] * 5


def test_parts_of_a_batch_step_like_the_whole() -> None:
    data = [of_text(7 * at, 10 + 5 * at) for at in range(5)]
    whole, parts = learner(), learner()
    for start, end in ((0, 5),):
        whole.forward(data[start:end], loss_fn="cross_entropy", backward=True)
    for start, end in ((0, 2), (2, 3), (3, 5)):
        parts.forward(data[start:end], loss_fn="cross_entropy", backward=True)
    norms = [model.optim_step({"grad_clip_norm": 0})["metrics"]["grad_norm"] for model in (whole, parts)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    np.testing.assert_allclose(weights_of(whole), weights_of(parts), atol=2e-6)


def test_gradients_that_are_divided_by_different_things_do_not_mix() -> None:
    model = learner()
    model.forward([of_text()], loss_fn="cross_entropy", backward=True)
    with pytest.raises(InvalidInputError, match="cannot share an optimizer step"):
        model.forward([of_text()], loss_fn="cross_entropy", loss_fn_config={UNNORMALIZED: True}, backward=True)
    model.forward([of_text()], loss_fn="cross_entropy", loss_fn_config={UNNORMALIZED: True}, backward=False)
    model.optim_step(None)
    model.forward([of_text()], loss_fn="cross_entropy", loss_fn_config={UNNORMALIZED: True}, backward=True)


def sampled(model: Learner, tokens: list[int]) -> list[float | None]:
    result = model.forward([datum(tokens)], loss_fn="cross_entropy", backward=False)
    logprobs: list[float | None] = result["loss_fn_outputs"][0]["logprobs"]["data"]
    return logprobs


@pytest.mark.parametrize("loss_fn", POLICY)
def test_a_policy_loss_reads_what_the_sdk_sends(loss_fn: str) -> None:
    """Without targets, with one advantage for all, with holes in the logprobs: the same as everything written out."""
    tokens = [84, 104, 101, 32, 101, 110, 100]
    model = learner()
    old = sampled(model, tokens)
    full = {
        "target_tokens": tensor([*tokens[1:], MASKED], "int64"),
        "advantages": tensor([0.7] * 7),
        "logprobs": tensor([*old, 0.0]),
    }
    short = {"advantages": tensor([0.7]), "logprobs": tensor([*old, None])}
    results = [
        model.forward([{**datum(tokens, tokens), "loss_fn_inputs": inputs}], loss_fn=loss_fn, backward=False)
        for inputs in (full, short)
    ]
    assert results[0] == results[1]
    assert results[0]["metrics"]["kl_sample_train"] == pytest.approx(0, abs=1e-6)
    expected = (
        sum(one(loss_fn, logprob, logprob, 0.7, settings_of(loss_fn)) for logprob in old if logprob is not None) / 6
    )
    assert results[0]["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("how", ["advantages", "mask", "weights"])
def test_a_policy_loss_leaves_out_what_is_masked(how: str) -> None:
    tokens = [84, 104, 101, 32, 101]
    model = learner()
    old = [logprob - 0.1 for logprob in sampled(model, tokens) if logprob is not None]
    inputs = {"logprobs": old, "advantages": [1.0, -1.0, 0.5, 1.0], "mask": [1.0] * 4, "weights": [1.0] * 4}
    inputs[how] = [*inputs[how][:2], 0.0, inputs[how][3]]
    found = model.forward([datum(tokens, None, **inputs)], loss_fn="importance_sampling", backward=False)
    assert found["metrics"]["tokens"] == 3
    assert found["loss"] == pytest.approx(-math.exp(0.1) / 3, rel=1e-5)


def test_a_loss_that_overflows_says_so_and_adds_nothing() -> None:
    model = learner()
    far = datum([5, 6, 7], logprobs=[-1e4, -1e4], advantages=[1.0, 1.0])
    with pytest.raises(InvalidInputError, match="not a finite number"):
        model.forward([of_text(), far][1:], loss_fn="importance_sampling", backward=True)
    with pytest.raises(InvalidInputError, match="no gradient"):
        model.optim_step(None)


def test_reinforcing_makes_a_token_likelier() -> None:
    model = learner()
    tokens = list(b"pick: a")
    before = sampled(model, tokens)
    for _ in range(10):
        old = [0.0 if logprob is None else logprob for logprob in sampled(model, tokens)]
        model.forward(
            [datum(tokens, logprobs=old, advantages=[0.0] * 5 + [1.0])], loss_fn="importance_sampling", backward=True
        )
        model.optim_step({"learning_rate": 5e-3})
    after = sampled(model, tokens)
    assert before[-1] is not None
    assert after[-1] is not None
    assert after[-1] > before[-1] + 1
