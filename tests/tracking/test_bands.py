"""Mean curves of groups: ordered members, the common grid, interpolation, bands and counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.bands import (
    BAND_KINDS,
    Band,
    BandKind,
    MemberCurve,
    band,
    band_kind,
    band_label,
    common_grid,
    count_words,
    member_curve,
    on_grid,
)

_NAN = float("nan")


def curve(x: Any, y: Any, breaks: Any = None) -> MemberCurve:
    return member_curve(
        np.array(x, np.float64), np.array(y, np.float64), None if breaks is None else np.array(breaks, bool)
    )


def test_a_repeated_step_has_its_newest_value() -> None:
    found = curve([0, 1, 1, 2], [5, 4, 3, 2])
    assert found.x.tolist() == [0, 1, 2]
    assert found.y.tolist() == [5, 3, 2]


def test_a_resumed_run_replaces_what_it_repeats_and_keeps_the_rest() -> None:
    found = curve([0, 10, 20, 30, 40, 15, 25], [9, 8, 7, 6, 5, 1, 2])
    assert found.x.tolist() == [0, 10, 15, 25, 30, 40]
    assert found.y.tolist() == [9, 8, 1, 2, 6, 5]


def test_checkpoints_evaluated_in_any_order_all_stay() -> None:
    found = curve([25, 100, 50, 75, 10], [1, 4, 2, 3, 0])
    assert found.x.tolist() == [10, 25, 50, 75, 100]
    assert found.y.tolist() == [0, 1, 2, 3, 4]


def test_attempts_are_known_by_breaks_too() -> None:
    # The second attempt began where the first had been for long: its gap is no gap of the first.
    found = curve([0, 1, 2, 3, 3, 4], [0, 1, 2, 3, 7, 8], [0, 0, 0, 0, 1, 0])
    assert found.y.tolist() == [0, 1, 2, 7, 8]


def test_infinite_values_are_gaps_and_unknown_places_are_left_out() -> None:
    found = curve([0, _NAN, 1, 2], [1, 2, np.inf, 3])
    assert found.x.tolist() == [0, 1, 2]
    assert found.y[[0, 2]].tolist() == [1, 3]
    assert np.isnan(found.y[1])


def test_an_empty_curve_stays_empty() -> None:
    assert len(curve([], []).x) == 0
    assert len(curve([_NAN], [1]).x) == 0
    assert len(band([curve([], [])]).x) == 0
    assert len(band([]).x) == 0


def test_members_are_interpolated_inside_their_range_only() -> None:
    found = band([curve([0, 10, 20], [0, 10, 20]), curve([5, 15], [100, 200])], kind="minmax")
    assert found.x.tolist() == [0, 5, 10, 15, 20]
    assert found.counts.tolist() == [1, 2, 2, 2, 1]
    assert found.center.tolist() == [0, 52.5, 80, 107.5, 20]
    assert found.low.tolist() == [0, 5, 10, 15, 20]
    assert found.high.tolist() == [0, 100, 150, 200, 20]


def test_nothing_is_interpolated_across_a_value_that_is_no_number() -> None:
    found = band([curve([0, 2, 4, 6], [1, 1, _NAN, 1]), curve([0, 1, 2, 3, 4, 5, 6], [3] * 7)])
    assert found.counts.tolist() == [2, 2, 2, 1, 1, 1, 2]
    assert found.center.tolist() == [2, 2, 2, 3, 3, 3, 2]


def test_a_diverged_member_counts_until_it_diverged() -> None:
    found = band([curve([0, 1, 2, 3], [1, 2, np.inf, _NAN]), curve([0, 1, 2, 3], [3, 4, 5, 6])])
    assert found.counts.tolist() == [2, 2, 1, 1]
    assert found.center.tolist() == [2, 3, 5, 6]


def test_bands_of_each_kind() -> None:
    members = [curve([0], [value]) for value in (1.0, 2.0, 3.0, 4.0, 100.0)]
    spread = band(members, kind="std")
    assert spread.center[0] == pytest.approx(22)
    assert spread.high[0] - spread.center[0] == pytest.approx(np.std([1, 2, 3, 4, 100], ddof=1))
    extremes = band(members, kind="minmax")
    assert (extremes.low[0], extremes.center[0], extremes.high[0]) == (1, pytest.approx(22), 100)
    quartiles = band(members, kind="quartiles")
    assert (quartiles.low[0], quartiles.center[0], quartiles.high[0]) == (2, 3, 4)


def test_a_band_of_one_member_is_its_line() -> None:
    for kind in BAND_KINDS:
        found = band([curve([0, 1], [3, 4])], kind=kind)
        assert found.low.tolist() == found.center.tolist() == found.high.tolist() == [3, 4]


def test_long_members_have_means_of_what_a_place_stands_for() -> None:
    x = np.arange(100_000.0)
    noise = np.random.default_rng(0).normal(size=len(x))
    y = noise + x / 1000
    y[77_777] = 1e6
    found = band([curve(x, y), curve(x, y)], kind="minmax", most=200)
    assert len(found.x) == 200
    assert (found.x[0], found.x[-1]) == (0, x[-1])
    assert found.high.max() == 1e6, "no spike is lost"
    inner = np.delete(np.arange(200), np.argmax(found.high))
    assert np.abs(found.center - found.x / 1000)[inner].max() < 0.5
    assert found.counts.tolist() == [2] * 200


def test_a_short_member_beside_a_long_one_keeps_its_values() -> None:
    long = curve(np.arange(10_000.0), np.arange(10_000.0))
    short = curve(np.arange(0, 10_000.0, 1000), np.arange(0, 10_000.0, 1000) * 2)
    grid = common_grid([long, short], most=100)
    values = on_grid(short, grid).mean
    inside = grid <= 9000
    assert values[inside] == pytest.approx(grid[inside] * 2)
    assert np.isnan(values[~inside]).all()


def test_a_range_has_the_values_that_the_whole_has_there() -> None:
    members = [curve([0, 10, 20, 30], [0, 1, 4, 9]), curve([5, 25], [1, 2])]
    whole, part = band(members), band(members, low=8, high=22)
    shared = np.isin(whole.x, part.x)
    assert part.x.tolist() == [10, 20]
    assert part.center.tolist() == whole.center[shared].tolist()
    assert part.counts.tolist() == [2, 2]


def test_neighboring_floats_are_two_places() -> None:
    tiny = 5e-324
    member = curve([0, tiny, 1], [0, 1, 2])
    assert on_grid(member, common_grid([member])).mean.tolist() == [0, 1, 2]


def test_numbers_of_members_in_words() -> None:
    found = band([curve([0, 1], [1, 1]), curve([1], [2])])
    assert count_words(found) == "1 to 2"
    assert band_label("lr=1", found) == "lr=1: mean of 1 to 2"
    assert band_label("lr=1", band([curve([0], [1])])) == "lr=1: 1 experiment"
    assert band_label("lr=1", band([curve([0], [1])] * 3, kind="quartiles")) == "lr=1: median of 3"


def test_other_kinds_are_refused() -> None:
    assert band_kind("std") == "std"
    with pytest.raises(InvalidArgumentError, match="band is one of std, minmax, quartiles, not 'iqr'"):
        band_kind("iqr")


_X = st.integers(-50, 50).map(float) | st.floats(allow_nan=True)
_Y = st.integers(-5, 5).map(float) | st.floats()
_CURVES = st.lists(
    st.lists(st.tuples(_X, _Y, st.booleans()), max_size=12).map(
        lambda points: [[point[part] for point in points] for part in range(3)]
    ),
    max_size=4,
)


def members_of(points: list[Any]) -> list[MemberCurve]:
    return [curve(x, y, breaks) for x, y, breaks in points]


@given(_CURVES)
def test_a_member_is_in_order_and_of_its_own_points(points: list[Any]) -> None:
    for (x, y, _), found in zip(points, members_of(points), strict=True):
        assert (found.x[1:] > found.x[:-1]).all()
        assert np.isfinite(found.x).all()
        assert not np.isinf(found.y).any()
        recorded = set(zip(x, y, strict=True))
        assert all(pair in recorded for pair in zip(found.x, found.y, strict=True) if np.isfinite(pair[1]))
        finite = [each for each in x if np.isfinite(each)]
        if finite:
            assert {min(finite), max(finite)} <= set(found.x.tolist())


@given(_CURVES, st.sampled_from(BAND_KINDS), st.sampled_from([2, 3, 7, 1000]))
def test_a_band_is_around_its_center_and_within_its_members(points: list[Any], kind: BandKind, most: int) -> None:
    members = members_of(points)
    found = band(members, kind=kind, most=most)
    assert len(found.x) <= most
    assert (found.x[1:] > found.x[:-1]).all()
    assert (np.isnan(found.center) == (found.counts == 0)).all()
    assert found.counts.min(initial=0) >= 0
    assert found.counts.max(initial=0) <= found.members <= len(members)
    known = found.counts > 0
    assert (found.low[known] <= found.center[known]).all()
    assert (found.center[known] <= found.high[known]).all()
    values = [value for member in members for value in member.y[np.isfinite(member.y)]]
    if known.any():
        assert min(values) <= found.center[known].min()
        assert found.center[known].max() <= max(values)


@given(_CURVES, st.sampled_from([2, 3, 7, 1000]))
def test_nothing_is_extrapolated(points: list[Any], most: int) -> None:
    members = members_of(points)
    grid = common_grid(members, most=most)
    for member in members:
        values = on_grid(member, grid).mean
        fine = np.isfinite(member.y)
        if not fine.any():
            assert np.isnan(values).all()
            continue
        outside = (grid < member.x[fine].min()) | (grid > member.x[fine].max())
        assert np.isnan(values[outside]).all()


@given(_CURVES)
def test_recorded_values_are_kept_where_the_grid_has_room(points: list[Any]) -> None:
    members = members_of(points)
    grid = common_grid(members)
    for member in members:
        fine = np.isfinite(member.y)
        at = np.searchsorted(grid, member.x[fine])
        assert on_grid(member, grid).mean[at].tolist() == member.y[fine].tolist()


@given(_CURVES, st.sampled_from(BAND_KINDS), st.randoms())
def test_the_order_of_members_changes_nothing(points: list[Any], kind: BandKind, random: Any) -> None:
    members = members_of(points)
    shuffled = list(members)
    random.shuffle(shuffled)
    one, other = band(members, kind=kind), band(shuffled, kind=kind)
    assert one.x.tolist() == other.x.tolist()
    assert one.counts.tolist() == other.counts.tolist()
    # Sums in another order differ by the rounding of their largest number.
    largest = max((abs(value) for member in members for value in member.y[np.isfinite(member.y)]), default=0.0)
    for a, b in zip((one.center, one.low, one.high), (other.center, other.low, other.high), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=largest * 1e-12)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.integers(1, 4), st.sampled_from(BAND_KINDS))
def test_members_that_are_all_the_same_have_no_band(values: list[float], times: int, kind: BandKind) -> None:
    found: Band = band([curve(range(len(values)), values)] * times, kind=kind)
    np.testing.assert_allclose(found.center, values, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(found.low, found.high, rtol=1e-9, atol=1e-6)


def test_places_of_a_growing_grid_stay_until_they_would_be_too_many() -> None:
    def grid(last: int) -> list[float]:
        x = np.arange(3.0, last + 1)
        found: list[float] = common_grid([MemberCurve(x, x)], most=50, is_growing=True).tolist()
        return found

    former = grid(1_000)
    assert 24 <= len(former) <= 50
    for last in (1_001, 1_010, 1_100):
        assert grid(last)[: len(former) - 1] == former[:-1]
        assert grid(last)[-1] == last
    assert set(grid(2_000)[1:-1]) <= set(np.arange(0.0, 2_000, former[2] - former[1]))
    assert len(grid(2_000)) <= 50
    # Where the largest floats are too far apart, places are evenly spaced as ever.
    far = MemberCurve(2 * np.linspace(-0.8e308, 0.8e308, 99), np.zeros(99))
    assert common_grid([far], most=50, is_growing=True).tolist() == common_grid([far], most=50).tolist()
