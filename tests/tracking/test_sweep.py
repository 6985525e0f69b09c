"""Which parameter of a sweep mattered: what is claimed is there, and chance is not taken for an effect."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.sweep import in_words, parameter_effects, with_importance


def grid(noise: float = 0.05) -> tuple[list[dict[str, Any]], Any]:
    """Return a sweep whose loss has its lowest point between two learning rates and does not depend on the rank."""
    random = np.random.default_rng(7)
    params: list[dict[str, Any]] = [
        {"lr": lr, "rank": rank, "optimizer": optimizer, "base_model": "m"}
        for lr in (1e-6, 1e-4, 3e-4, 1e-2)
        for rank in (8, 16, 32)
        for optimizer in ("adam", "sgd")
        for _ in range(2)
    ]
    loss = [(math.log10(of["lr"]) + 3.75) ** 2 + 2.0 * (of["optimizer"] == "sgd") for of in params]
    return params, np.array(loss) + random.normal(0, noise, len(params))


def test_parameter_with_optimum_inside_its_range_explains_most() -> None:
    params, loss = grid()
    effects = {one.name: one for one in parameter_effects(params, loss)}
    assert list(effects)[:2] == ["lr", "optimizer"]
    assert effects["lr"].explained > 0.4
    assert effects["lr"].p_value < 0.01
    assert effects["lr"].best == "0.0001 to 0.0003"
    assert effects["rank"].explained < 0.1
    assert effects["rank"].p_value > 0.05
    assert effects["optimizer"].best == "adam"
    assert math.isnan(effects["optimizer"].correlation)
    assert "base_model" not in effects
    words = in_words(list(effects.values()), "loss", len(loss), highest=False)
    assert words.startswith("lr matters most for loss")
    assert "Others that matter: optimizer" in words
    assert "No clear difference by rank." in words


@given(st.permutations(range(16)), st.booleans())
def test_ranks_alone_matter(order: list[int], highest: bool) -> None:
    params: list[dict[str, Any]] = [{"lr": 10.0 ** (-1 - index % 4), "word": "ab"[index % 2]} for index in range(16)]
    scores = np.array([(index * 7) % 16 for index in range(16)], np.float64)
    expected = parameter_effects(params, scores, highest=highest)
    stretched = parameter_effects(
        [{**of, "lr": math.log10(of["lr"])} for of in params], np.exp(scores), highest=highest
    )
    shuffled = parameter_effects([params[index] for index in order], scores[order], highest=highest)
    for found in (stretched, shuffled):
        assert [one.explained for one in found] == pytest.approx([one.explained for one in expected])
        assert [one.p_value for one in found] == [one.p_value for one in expected]
        assert [one.correlation for one in found] == pytest.approx([one.correlation for one in expected], nan_ok=True)


def test_chance_is_seldom_taken_for_an_effect() -> None:
    random = np.random.default_rng(3)
    claims = 0
    for _ in range(100):
        params = [{f"p{number}": float(random.integers(4)) for number in range(6)} for _ in range(20)]
        effects = parameter_effects(params, random.normal(size=20))
        claims += any(one.p_value < 0.05 for one in effects)
    # 5 are expected; 13 and more have a chance of 1 in 1,000.
    assert claims <= 12


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_experiments_claim_nothing(count: int) -> None:
    effects = parameter_effects([{"lr": float(index)} for index in range(count)], np.arange(float(count)))
    words = in_words(effects, "loss", count, highest=False)
    assert "matters most" not in words
    assert "nothing" in words


def test_interval_holds_the_correlation_and_narrows() -> None:
    random = np.random.default_rng(5)
    widths = []
    for count in (8, 40, 400):
        lr = random.normal(size=count)
        (effect,) = parameter_effects([{"lr": value} for value in lr], lr + random.normal(size=count))
        assert -1 <= effect.low <= effect.correlation <= effect.high <= 1
        widths.append(effect.high - effect.low)
    assert widths == sorted(widths, reverse=True)


def record(name: str, losses: list[float], **params: Any) -> None:
    with experiment(name, params=params) as exp:
        for step, loss in enumerate(losses):
            exp.log(step=step, loss=loss)


def test_diverged_experiment_counts_as_worst_and_one_without_values_is_left_out() -> None:
    for index in range(10):
        record(f"n{index}", [2.0, 1.0 + index], lr=float(index))
    record("diverged", [0.5, math.nan], lr=100.0)
    record("empty", [], lr=5.0)
    last = Metrics().sweep("loss", at="last")
    assert last["parameter"].tolist() == ["lr"]
    assert last["correlation"].tolist() == [1.0]
    assert last["experiments"].tolist() == [11]
    assert "1 experiment has no value of loss and is left out." in last.attrs[NOTES_ATTR]
    assert Metrics().sweep("loss")["correlation"].item() < 1
    accessor: Any = Metrics().experiments().loops
    by_frame = accessor.sweep("loss", at="last")
    assert by_frame.equals(last)


def test_dtypes_with_and_without_rows() -> None:
    empty = Metrics().sweep("loss")
    assert "No experiments yet" in empty.attrs["loops_empty"]
    for index in range(8):
        record(f"n{index}", [float(index)], lr=index, flag=index % 2 == 0, word=f"w{index}")
    full = Metrics().sweep("loss")
    assert full.dtypes.tolist() == empty.dtypes.tolist()
    assert full.set_index("parameter").loc["lr", "correlation"] == 1.0
    assert full["explained"].isna().tolist() == [False, False, True]


def test_equal_values_have_no_best() -> None:
    for index in range(9):
        record(f"n{index}", [math.nan], lr=float(index))
    frame = Metrics().sweep("loss")
    assert frame["best"].isna().all()
    assert frame.attrs[NOTES_ATTR] == ["All 9 experiments have the same loss: no parameter makes a difference."]


def test_one_experiment_is_said_once() -> None:
    record("alone", [1.0], lr=1.0)
    frame = Metrics().sweep("loss")
    assert frame.attrs["loops_empty"] == "No parameter differs (1 experiment): nothing explains their loss."
    assert frame.attrs[NOTES_ATTR] == []


def test_unclear_direction_and_unknown_metric_are_refused() -> None:
    for index in range(8):
        with experiment(f"n{index}", params={"lr": index}) as exp:
            exp.log(step=0, kl=float(index))
    with pytest.raises(InvalidArgumentError, match="does not tell whether lower or higher"):
        Metrics().sweep("kl")
    assert Metrics().sweep("kl", mode="max")["best"].tolist() == ["6 to 7"]
    assert Metrics().sweep("kl", mode="min")["best"].tolist() == ["0 to 1"]
    with pytest.raises(TrackingError, match="Nothing was logged as 'loss'"):
        Metrics().sweep("loss")
    with pytest.raises(InvalidArgumentError, match="at must be best or last"):
        Metrics().sweep("kl", mode="min", at="first")


def importance_of(params: list[dict[str, Any]], scores: Any) -> dict[str, Any]:
    pytest.importorskip("sklearn")
    found, _ = with_importance(parameter_effects(params, scores), params, scores)
    return {one.name: one for one in found}


def test_importance_finds_optimum_that_a_rank_correlation_misses() -> None:
    random = np.random.default_rng(11)
    params = [{"lr": 10 ** random.uniform(-6, -2), "rank": int(random.choice([8, 16, 32]))} for _ in range(40)]
    scores = np.array([(math.log10(of["lr"]) + 4) ** 2 for of in params]) + random.normal(0, 0.2, 40)
    effects = importance_of(params, scores)
    assert effects["lr"].low < 0 < effects["lr"].high
    assert effects["lr"].is_important
    assert 0 < effects["lr"].importance_low < effects["lr"].importance < effects["lr"].importance_high
    assert not effects["rank"].is_important
    assert effects["rank"].importance < 0.1


def test_importance_finds_parameters_that_act_only_together() -> None:
    random = np.random.default_rng(12)
    params: list[dict[str, Any]] = [
        {"a": int(random.integers(2)), "b": "xy"[random.integers(2)], "c": float(random.uniform())} for _ in range(48)
    ]
    scores = np.array([float(of["a"] != (of["b"] == "x")) for of in params]) + random.normal(0, 0.1, 48)
    effects = importance_of(params, scores)
    assert effects["a"].acts_with == "b"
    assert effects["b"].acts_with == "a"
    assert not effects["c"].matters
    words = in_words(list(effects.values()), "loss", 48, highest=False)
    assert "a and b act together: the best a depends on b." in words
    assert "c" in words.partition("No clear difference by ")[2]


def test_importance_of_noise_is_near_zero_and_seldom_claimed() -> None:
    random = np.random.default_rng(13)
    shares, claims = [], 0
    for _ in range(12):
        params = [{f"p{number}": float(random.integers(4)) for number in range(4)} for _ in range(40)]
        effects = importance_of(params, random.normal(size=40))
        shares += [one.importance for one in effects.values()]
        claims += any(one.is_important for one in effects.values())
    assert np.mean(shares) < 0.04
    assert claims <= 1


def test_importance_is_the_same_for_any_order_and_scale() -> None:
    random = np.random.default_rng(14)
    params: list[dict[str, Any]] = [
        {"lr": 10.0 ** -random.integers(1, 5), "kind": [None, "a", "b", 3][random.integers(4)]} for _ in range(20)
    ]
    scores = np.array([math.log10(of["lr"]) for of in params]) + random.normal(0, 0.3, 20)
    expected = importance_of(params, scores)
    order = random.permutation(20)
    stretched = [{**params[place], "lr": math.log10(params[place]["lr"])} for place in order]
    found = importance_of(stretched, np.exp(scores[order]))
    assert expected["lr"].is_important
    for name, one in expected.items():
        assert found[name].importance == pytest.approx(one.importance)
        assert found[name].importance_low == pytest.approx(one.importance_low)


def test_importance_takes_any_parameters_and_claims_nothing_of_few() -> None:
    few = importance_of([{"lr": float(index)} for index in range(7)], np.arange(7.0))
    assert math.isnan(few["lr"].importance)
    params: list[dict[str, Any]] = [
        {
            "unique": f"w{index}",
            "list": [index % 2],
            "flag": index % 2 == 0,
            "nan": math.nan if index % 3 else 1.0,
            "huge": 10**30 * (index % 2 + 1),
            "mixed": [1, "1", True, None][index % 4],
        }
        for index in range(12)
    ]
    effects = importance_of(params, np.array([math.inf, *np.arange(11.0)]))
    assert math.isnan(effects["unique"].importance)
    assert all(0 <= effects[name].importance <= 1 for name in ("list", "flag", "nan", "huge", "mixed"))
    frame = importance_of(params, np.ones(12))
    assert all(math.isnan(one.importance) for one in frame.values())


def test_frame_says_what_importance_needs_and_what_was_changed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(12):
        record(f"n{index}", [float(index % 4)], lr=10.0 ** -(index % 4), batch=2 ** (index % 4), seed=index // 4)
    pytest.importorskip("sklearn")
    full = Metrics().sweep("loss")
    assert full["importance"].max() > 0.1
    notes = " ".join(full.attrs[NOTES_ATTR])
    assert "Changed together, so that which of them matters cannot be known: batch and lr." in notes
    assert "of experiments that they have not seen" in notes
    monkeypatch.setattr("loops_nb.tracking.importance.has_scikit_learn", lambda: False)
    without = Metrics().sweep("loss")
    assert without["importance"].isna().all()
    assert without.dtypes.tolist() == full.dtypes.tolist()
    assert (
        'Importance needs scikit-learn, which is not installed: %pip install "loops_nb[sweep]"'
        in (without.attrs[NOTES_ATTR])
    )
