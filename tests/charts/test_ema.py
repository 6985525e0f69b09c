"""Smoothing, piece by piece, against the same in plain words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.charts.ema import ExponentialMovingAverage
from tests.frames.strategies import ANY_MACHINE


def plainly(values: list[float], weight: float) -> list[float]:
    total = weights = 0.0
    found = []
    for value in values:
        if math.isfinite(value):
            total, weights = (total * weight + value, weights * weight + 1) if weight else (value, 1.0)
        found.append(total / weights if weights else math.nan)
    return found


@ANY_MACHINE
@given(
    st.lists(st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf]), max_size=400),
    st.sampled_from([0.0, 0.2, 0.6, 0.9, 0.99, 0.999]),
    st.lists(st.integers(0, 400), max_size=5),
)
def test_it_is_the_average_however_the_values_come(values: list[float], weight: float, cuts: list[int]) -> None:
    smoother = ExponentialMovingAverage(weight)
    pieces = np.split(np.array(values), sorted(min(cut, len(values)) for cut in cuts))
    found = np.concatenate([smoother.extend(piece) for piece in pieces])
    np.testing.assert_allclose(found, plainly(values, weight), rtol=1e-7, atol=1e-4)


@pytest.mark.parametrize("weight", [0.3, 0.97])
def test_a_long_series_is_as_exact_at_its_end(weight: float) -> None:
    values = np.random.default_rng(1).normal(size=50_000)
    np.testing.assert_allclose(
        ExponentialMovingAverage(weight).extend(values)[-50:],
        plainly(values.tolist(), weight)[-50:],
        rtol=1e-9,
        atol=1e-12,
    )


def test_it_does_not_lag_at_the_start() -> None:
    assert ExponentialMovingAverage(0.99).extend(np.full(5, 7.0)).tolist() == pytest.approx([7.0] * 5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.999])
def test_smoothed_values_of_any_size_stay_between_the_lowest_and_the_highest(weight: float) -> None:
    smoother = ExponentialMovingAverage(weight)
    with np.errstate(all="raise"):
        high = smoother.extend(np.array([1.7e308, 1.6e308] * 500))
        later = smoother.extend(np.array([1.0, 2.0] * 40_000))
        tiny = ExponentialMovingAverage(weight).extend(np.full(1000, 5e-324))
    assert ((high >= 1.6e308) & (high <= 1.7e308)).all()
    assert np.isfinite(later).all()
    assert tiny.tolist() == [5e-324] * 1000
