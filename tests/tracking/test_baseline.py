"""Differences and ratios against a baseline."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.tracking.bands import MemberCurve, member_curve
from loops_nb.tracking.baseline import against_baseline, baseline_table

_NAN = float("nan")


def curve(x: Any, y: Any) -> MemberCurve:
    return member_curve(np.array(x, np.float64), np.array(y, np.float64))


def test_differences_and_ratios_on_the_common_range() -> None:
    found = against_baseline(curve([0, 10, 20], [4, 2, 1]), curve([5, 15, 30], [4, 2, 1]))
    assert found.x.tolist() == [5, 10, 15, 20]
    assert found.difference.tolist() == [-1, -1, -0.5, 1 - 2 + 1 / 3]
    assert found.ratio[:3].tolist() == [0.75, 2 / 3, 0.75]


def test_a_curve_against_itself_is_zero_and_one() -> None:
    own = curve([0, 1, 2, 3], [1, _NAN, 3, -2])
    found = against_baseline(own, own)
    assert np.nan_to_num(found.difference).tolist() == [0, 0, 0]
    assert found.ratio.tolist() == [1, 1, 1]


def test_ranges_apart_have_nothing_in_common() -> None:
    found = against_baseline(curve([0, 1], [1, 1]), curve([5, 6], [1, 1]))
    assert len(found.x) == len(found.difference) == len(found.ratio) == 0
    (row,) = baseline_table([("a", curve([0, 1], [1, 1]))], curve([5, 6], [1, 1]), mode="min")
    assert math.isnan(row.at)
    assert math.isnan(row.difference)
    assert row.best_difference == 0


def test_a_ratio_to_zero_or_across_it_is_missing() -> None:
    found = against_baseline(curve([0, 1, 2], [1, 1, 0]), curve([0, 1, 2], [0, -1, 2]))
    assert found.difference.tolist() == [1, 2, -2]
    assert np.isnan(found.ratio[:2]).all()
    assert found.ratio[2] == 0


def test_a_grid_of_its_own_has_gaps_outside_of_the_curves() -> None:
    found = against_baseline(curve([0, 2], [1, 1]), curve([1, 3], [2, 2]), grid=np.array([0.0, 1, 2, 3]))
    assert found.x.tolist() == [0, 1, 2, 3]
    assert np.isnan(found.difference).tolist() == [True, False, False, True]


def test_the_table_compares_runs_of_different_lengths_where_both_are() -> None:
    short, long = curve([0, 10], [4, 3]), curve([0, 10, 20], [4, 2, 1])
    rows = baseline_table([("short", short), ("long", long)], long, mode="min")
    assert rows[0]._asdict() == {
        "label": "short",
        "last": 3,
        "last_x": 10,
        "best": 3,
        "best_x": 10,
        "at": 10,
        "difference": 1,
        "ratio": 1.5,
        "best_difference": 2,
        "best_ratio": 3,
    }
    assert rows[1][6:] == (0, 1, 0, 1)


def test_the_best_value_needs_to_be_known() -> None:
    (row,) = baseline_table([("a", curve([0, 1], [1, 2]))], curve([0, 1], [1, 1]), mode=None)
    assert math.isnan(row.best)
    assert math.isnan(row.best_ratio)
    assert row.ratio == 2
    (row,) = baseline_table([("a", curve([0, 1], [3, 2]))], curve([0, 1], [1, 1]), mode="max")
    assert (row.best, row.best_x) == (3, 0)


def test_a_long_gap_at_the_end_is_skipped() -> None:
    steps = np.arange(500.0)
    diverged = curve(steps, np.where(steps < 100, 1.0, _NAN))
    other = curve(np.r_[steps[:50], 400], np.r_[np.ones(50), 2])
    (row,) = baseline_table([("a", other)], diverged, mode="min")
    assert row.at == 99


_POINTS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(-5, 5) | st.sampled_from([_NAN, math.inf])), max_size=12
).map(lambda points: curve([x for x, _ in points], [y for _, y in points]))


@given(_POINTS, _POINTS)
def test_differences_are_of_opposite_sign_the_other_way_round(one: MemberCurve, other: MemberCurve) -> None:
    there, back = against_baseline(one, other), against_baseline(other, one)
    assert there.x.tolist() == back.x.tolist()
    np.testing.assert_allclose(there.difference, -back.difference, rtol=1e-9, atol=1e-9)
    both = np.isfinite(there.ratio) & np.isfinite(back.ratio)
    np.testing.assert_allclose(there.ratio[both] * back.ratio[both], 1, rtol=1e-9)


@given(_POINTS, _POINTS, st.sampled_from(["min", "max"]))
def test_the_table_agrees_with_the_curve(one: MemberCurve, base: MemberCurve, mode: Any) -> None:
    found = against_baseline(one, base)
    (row,) = baseline_table([("a", one)], base, mode=mode)
    known = np.flatnonzero(np.isfinite(found.difference))
    if len(known):
        assert row.at == found.x[known[-1]]
        assert row.difference == found.difference[known[-1]]
    else:
        assert math.isnan(row.difference)
