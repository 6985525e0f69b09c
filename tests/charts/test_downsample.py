"""What a picture shows of a curve: few points, and nothing that stands out is lost."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.charts.downsample import MAX_NONFINITE, downsample
from tests.frames.strategies import ANY_MACHINE

VALUES = st.floats(-1e12, 1e12) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])
PLACES = st.integers(-5, 60)


@st.composite
def curves(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points in order of arrival: steps mostly go on, sometimes back; some are not finite; some attempts are new."""
    values = draw(st.lists(VALUES, min_size=1, max_size=300))
    if draw(st.booleans()):
        places = np.arange(len(values), dtype=float)
    else:
        places = np.array(draw(st.lists(PLACES, min_size=len(values), max_size=len(values))), dtype=float)
    breaks = np.array(draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))) & (
        np.arange(len(values)) % 7 == 3
    )
    return places, np.array(values), breaks


def columns_of(x: np.ndarray, low: float, high: float, count: int) -> np.ndarray:
    return (
        np.minimum(((x - low) / (high - low) * count).astype(int), count - 1)
        if high > low
        else np.zeros(len(x), dtype=int)
    )


@ANY_MACHINE
@given(curves(), st.integers(4, 60))
def test_lowest_and_highest_of_every_column_stay(curve: tuple[np.ndarray, np.ndarray, np.ndarray], most: int) -> None:
    x, y, breaks = curve
    low, high = float(x.min()), float(x.max())
    found = downsample(x, y, breaks=breaks, low=low, high=high, most=most)
    fine = np.isfinite(y)
    kept = np.isfinite(found.y)
    assert set(zip(found.x[kept], found.y[kept], strict=True)) <= set(zip(x[fine], y[fine], strict=True)), (
        "only points that are there"
    )
    if not fine.any():
        assert not len(found.x)
        return
    count = max(1, (most - 2) // 2)
    every, seen = columns_of(x[fine], low, high, count), columns_of(found.x[kept], low, high, count)
    for column in np.unique(every):
        values, shown = y[fine][every == column], found.y[kept][seen == column]
        assert values.min() == shown.min()
        assert values.max() == shown.max()


@ANY_MACHINE
@given(curves(), st.integers(4, 60))
def test_it_is_never_more_than_was_asked_for(curve: tuple[np.ndarray, np.ndarray, np.ndarray], most: int) -> None:
    x, y, breaks = curve
    found = downsample(x, y, breaks=breaks, low=float(x.min()), high=float(x.max()), most=most)
    assert np.isfinite(found.y).sum() <= most
    assert len(found.x) == len(found.y) <= 2 * most
    assert len(found.nonfinite) <= MAX_NONFINITE
    assert sum(odd.times for odd in found.nonfinite) == int((~np.isfinite(y)).sum())


@ANY_MACHINE
@given(curves())
def test_few_points_are_left_as_they_are(curve: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, breaks = curve
    found = downsample(x, y, breaks=breaks, low=float(x.min()), high=float(x.max()), most=2 * len(x) + 4)
    fine, kept = np.isfinite(y), np.isfinite(found.y)
    assert found.x[kept].tolist() == x[fine].tolist()
    assert found.y[kept].tolist() == y[fine].tolist()


def test_a_value_that_is_no_number_leaves_a_gap_and_is_told() -> None:
    x = np.arange(6.0)
    found = downsample(x, np.array([1, 2, math.nan, 4, math.inf, 6]), low=0, high=5, most=100)
    assert [None if math.isnan(value) else value for value in found.y] == [1, 2, None, 4, None, 6]
    assert [(odd.x, odd.kind, odd.times) for odd in found.nonfinite] == [(2.0, 0, 1), (4.0, 1, 1)]


def test_another_attempt_begins_a_line_of_its_own() -> None:
    x, y = np.array([0.0, 1, 2, 1, 2, 3]), np.arange(6.0)
    found = downsample(x, y, low=0, high=3, most=100)
    assert np.isnan(found.y).sum() == 1
    assert found.y[~np.isnan(found.y)].tolist() == y.tolist()
    assert math.isnan(found.y[3])


def test_a_line_runs_out_of_the_picture_where_one_zoomed_in() -> None:
    x = np.arange(1000.0)
    found = downsample(x, x * 2, low=100.5, high=101.5, most=50)
    assert found.x.tolist() == [100, 101, 102]
    between = downsample(x, x * 2, low=100.2, high=100.8, most=50)
    assert between.x.tolist() == [100, 101], "also between two points"


def test_one_spike_in_a_million_is_seen() -> None:
    y = np.zeros(1_000_000)
    y[123_456], y[777_777] = 9.0, math.nan
    found = downsample(np.arange(len(y), dtype=float), y, low=0, high=len(y) - 1, most=1200)
    assert 9.0 in found.y
    assert found.x[found.y == 9.0].tolist() == [123_456]
    assert [odd.x for odd in found.nonfinite] == [777_777]
    assert len(found.x) <= 1201


def test_steps_in_no_order_are_one_line_from_left_to_right() -> None:
    random = np.random.default_rng(3)
    x, y = random.permutation(5000).astype(float), random.normal(size=5000)
    found = downsample(x, y, low=0, high=4999, most=200)
    assert len(found.x) <= 200
    assert (np.diff(found.x) >= 0).all()
    assert found.y.max() == y.max()


def test_points_that_have_no_place_on_the_axis_are_left_out() -> None:
    found = downsample(np.array([math.nan, 1.0, 2.0]), np.array([5.0, 6.0, 7.0]), low=1, high=2, most=10)
    assert found.x.tolist() == [1, 2]
