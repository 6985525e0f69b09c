"""Norms and distances of updates match those of the multiplied products."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.checkpoints.compare import ComparisonRow, compare
from loops_nb.checkpoints.compare.updates import LoraUpdate, distance, inner, norm
from loops_nb.checkpoints.compare.weights import cosine
from tests.checkpoints.compare.memory import Factors, MemoryCheckpoint, adapter, factors, module_name, multiplied_out
from tests.frames.strategies import ANY_MACHINE

PATH = module_name(0)
SEEDS = st.integers(0, 2**32 - 1)
RANKS = st.integers(1, 6)
#: Tolerance between two ways of computing, relative to the upper bound of the result.
NEAR = 1e-13


def only(before: MemoryCheckpoint, now: MemoryCheckpoint) -> ComparisonRow:
    (row,) = compare([before, now]).rows
    return row


def most(pair: Factors) -> float:
    return float(np.linalg.norm(pair[0]) * np.linalg.norm(pair[1]))


@ANY_MACHINE
@given(
    seed=SEEDS,
    ranks=st.tuples(RANKS, RANKS),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtypes=st.tuples(*[st.sampled_from(["F64", "F32", "F16", "BF16"])] * 2),
    alphas=st.tuples(*[st.none() | st.floats(0.1, 100)] * 2),
    sizes=st.tuples(*[st.sampled_from([1e-3, 1.0, 1e3])] * 2),
)
def test_updates_match_multiplied_products(
    seed: int,
    ranks: tuple[int, int],
    shape: tuple[int, int],
    dtypes: tuple[str, str],
    alphas: tuple[float | None, float | None],
    sizes: tuple[float, float],
) -> None:
    source = np.random.default_rng(seed)
    pairs = [factors(source, rank, *shape, size) for rank, size in zip(ranks, sizes, strict=True)]
    before, now = (
        adapter(label, {PATH: pair}, dtype=dtype, alpha=alpha)
        for label, pair, dtype, alpha in zip(("before", "now"), pairs, dtypes, alphas, strict=True)
    )
    scales = [1.0 if alpha is None else alpha / rank for alpha, rank in zip(alphas, ranks, strict=True)]
    whole_before, whole = (multiplied_out(one, PATH, scale) for one, scale in zip((before, now), scales, strict=True))
    row = only(before, now)
    largest = sum(scale * most(pair) for scale, pair in zip(scales, pairs, strict=True))
    norms = np.linalg.norm(whole), np.linalg.norm(whole_before)
    assert (row.rank_before, row.rank) == ranks
    assert row.norm == pytest.approx(norms[0], rel=1e-11, abs=NEAR * largest)
    assert row.norm_before == pytest.approx(norms[1], rel=1e-11, abs=NEAR * largest)
    assert row.change == pytest.approx(np.linalg.norm(whole - whole_before), rel=1e-11, abs=NEAR * largest)
    assert row.relative_change == pytest.approx(row.change / row.norm_before)
    assert row.cosine == pytest.approx(np.sum(whole * whole_before) / (norms[0] * norms[1]), abs=1e-10)
    assert row.parameters == sum(values.size for values in pairs[1])


@ANY_MACHINE
@given(seed=SEEDS, rank=RANKS, c=st.floats(1e-6, 1e6))
def test_factorization_does_not_change_results(seed: int, rank: int, c: float) -> None:
    source = np.random.default_rng(seed)
    a, b = factors(source, rank)
    turn = np.linalg.qr(source.standard_normal((rank, rank)))[0]
    order = source.permutation(rank)
    before = adapter("before", {PATH: (a, b)}, dtype="F64")
    for same in [
        (c * a, b / c),
        (a[order], b[:, order]),
        (turn @ a, b @ turn.T),
        (np.vstack([a, 0 * a]), np.hstack([b, b])),
    ]:
        row = only(before, adapter("now", {PATH: same}, dtype="F64"))
        assert row.norm == pytest.approx(row.norm_before, rel=1e-12)
        assert row.change <= 1e-14 * most((a, b)) * rank
        assert row.cosine == pytest.approx(1.0, abs=1e-13)


@ANY_MACHINE
@given(seed=SEEDS, rank=RANKS, dtype=st.sampled_from(["F32", "F16", "BF16"]), alpha=st.none() | st.floats(0.1, 100))
def test_equal_updates_have_distance_zero(seed: int, rank: int, dtype: str, alpha: float | None) -> None:
    pair = factors(np.random.default_rng(seed), rank)
    row = only(*(adapter(label, {PATH: pair}, dtype=dtype, alpha=alpha) for label in ("before", "now")))
    assert (row.change, row.relative_change, row.cosine) == (0.0, 0.0, 1.0)


@ANY_MACHINE
@given(seed=SEEDS, half=st.sampled_from("AB"), direction=st.sampled_from([-math.inf, math.inf]))
def test_smallest_drift_is_accurate(seed: int, half: str, direction: float) -> None:
    source = np.random.default_rng(seed)
    a, b = (values.astype(np.float32) for values in factors(source, 3, 4, 5))
    moved = {"A": a.copy(), "B": b.copy()}
    # One weight changes to the next float32.
    one = moved[half].reshape(-1)
    place = source.integers(one.size)
    one[place] = np.nextafter(one[place], np.float32(direction))
    row = only(adapter("before", {PATH: (a, b)}), adapter("now", {PATH: (moved["A"], moved["B"])}))
    exact = exactly(moved["B"]) @ exactly(moved["A"]) - exactly(b) @ exactly(a)
    square: Any = sum(number * number for number in exact.ravel())
    assert row.change == pytest.approx(math.sqrt(square), rel=1e-12)
    assert 0 < row.relative_change < 1e-5


def exactly(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.array([[Fraction(float(number)) for number in line] for line in values], object)


@ANY_MACHINE
@given(seed=SEEDS, c=st.sampled_from([1e-3, 1e-6, 1e-9, 1e-12]))
def test_cancellation_keeps_digits(seed: int, c: float) -> None:
    # B @ A is (b + c d) a - b a: as small as c, although its factors are not.
    source = np.random.default_rng(seed)
    (a, b), (_, d) = factors(source, 1), factors(source, 1)
    left = np.hstack([b + c * d, -b])
    one = LoraUpdate(np.vstack([a, a])[None], left[None])
    rest = left[:, :1] + left[:, 1:]
    assert norm(one) == pytest.approx(float(np.linalg.norm(rest) * np.linalg.norm(a)), rel=1e-15 / c)
    # Squares of the factors would underflow.
    (more_a, more_b), (_, more_d) = factors(source, 1), factors(source, 1)
    more_left = np.hstack([more_b + c * more_d, -more_b])
    other = LoraUpdate(np.vstack([more_a, more_a])[None], more_left[None])
    product = inner(one, other, norms=norm(one) * norm(other))
    expected = float(np.sum((rest @ a) * ((more_left[:, :1] + more_left[:, 1:]) @ more_a)))
    assert product == pytest.approx(expected, abs=1e-14 / c * norm(one) * norm(other))


def test_ordinary_updates_need_no_qr(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(1)
    (a, b), (of_a, of_b) = factors(source, 16, 200, 300), factors(source, 16, 200, 300)
    before = LoraUpdate(a[None], b[None])
    monkeypatch.setattr(np.linalg, "qr", None)
    for now in [
        LoraUpdate((a + 1e-3 * of_a)[None], (b + 1e-3 * of_b)[None]),
        LoraUpdate((a + 1e-6 * of_a)[None], b[None]),
        LoraUpdate((1e-4 * of_a)[None], (1e4 * of_b)[None]),
        LoraUpdate(of_a[None, :5], of_b[None, :, :5]),
    ]:
        exact = now.b[0] @ now.a[0] - b @ a
        assert distance(before, now) == pytest.approx(np.linalg.norm(exact), rel=1e-9)
        assert inner(before, now, norms=norm(before) * norm(now)) == pytest.approx(
            np.sum((b @ a) * (now.b[0] @ now.a[0])), rel=1e-9
        )


@pytest.mark.parametrize("sign", [1, -1])
def test_cosine_does_not_exceed_one(sign: int) -> None:
    assert cosine(sign * 9.000000000000004, 3.0, 3.0, 1e-9) == sign


def test_orthogonal_updates_have_cosine_zero() -> None:
    source = np.random.default_rng(1)
    (a, b), (other_a, other_b) = factors(source, 3), factors(source, 2)
    b[:2], other_b[2:] = 0, 0
    row = only(adapter("before", {PATH: (a, b)}), adapter("now", {PATH: (other_a, other_b)}))
    assert row.cosine == 0.0
    assert row.change == pytest.approx(math.hypot(row.norm, row.norm_before), rel=1e-14)


def test_opposite_updates_have_cosine_minus_one() -> None:
    a, b = factors(np.random.default_rng(1), 3)
    row = only(adapter("before", {PATH: (a, b)}), adapter("now", {PATH: (a, -b)}))
    assert row.cosine == pytest.approx(-1.0, rel=1e-15)
    assert row.relative_change == pytest.approx(2.0, rel=1e-15)


@ANY_MACHINE
@given(seed=SEEDS, experts=st.integers(1, 4), shared=st.sampled_from(["", "A", "B"]), ranks=st.tuples(RANKS, RANKS))
def test_experts_are_a_batch(seed: int, experts: int, shared: str, ranks: tuple[int, int]) -> None:
    source = np.random.default_rng(seed)
    pairs = [
        (
            source.standard_normal((1 if shared == "A" else experts, r, 6)),
            source.standard_normal((1 if shared == "B" else experts, 5, r)),
        )
        for r in ranks
    ]
    before, now = (LoraUpdate(*pair) for pair in pairs)
    whole_before, whole = (np.matmul(b, a) * np.ones((experts, 1, 1)) for a, b in pairs)
    norms = norm(before), norm(now)
    assert now.shape == whole.shape
    assert norms == pytest.approx([np.linalg.norm(whole_before), np.linalg.norm(whole)])
    assert distance(before, now) == pytest.approx(np.linalg.norm(whole - whole_before))
    assert inner(before, now, norms=norms[0] * norms[1]) == pytest.approx(np.sum(whole * whole_before), abs=1e-11)


def test_empty_update_has_norm_zero() -> None:
    for shape in [(1, 0, 4, 3), (1, 2, 0, 3), (1, 2, 4, 0), (0, 2, 4, 3)]:
        experts, rank, inputs, outputs = shape
        empty = LoraUpdate(np.ones((experts, rank, inputs)), np.ones((experts, outputs, rank)))
        assert norm(empty) == distance(empty, empty) == inner(empty, empty, norms=0.0) == 0.0
