"""What a curve knows of the points of one key."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from loops_nb.charts.series import MetricHistory
from loops_nb.tracking import Series

STEPS = (25, 50, 75, 100)


@pytest.mark.parametrize("order", list(itertools.permutations(STEPS)), ids=str)
def test_a_mark_has_the_tokens_of_its_own_step_in_whichever_order_points_came(order: tuple[int, ...]) -> None:
    steps = np.array(order, np.int64)
    count = len(order)
    history = MetricHistory(0)
    history.extend(
        Series(
            steps,
            np.arange(count, dtype=np.int64),
            (steps * 10).astype(np.float64),
            np.zeros(count),
            np.ones(count, np.int32),
            count,
        )
    )
    assert [history.tokens_at_step(step) for step in (10, 25, 50, 60, 100, 120)] == [None, 250, 500, 500, 1000, 1000]


def test_a_copy_shares_the_memory_of_points_and_none_that_are_added() -> None:
    def some(first: int, attempt: int, count: int = 30_000) -> Series:
        steps = np.arange(first, first + count)
        tokens, attempts = np.broadcast_to(np.nan, count), np.broadcast_to(np.int32(attempt), count)
        return Series(steps, steps * 1000, tokens, np.sin(steps), attempts, first + count)

    history = MetricHistory(0)
    history.extend(some(0, 1))
    drawn = history.reduced("step", low=0, high=29_999, most=200)
    copy = history.fork()
    assert np.shares_memory(copy.y(), history.y())
    assert copy.reduced("step", low=0, high=29_999, most=200) is drawn
    assert history.nbytes == 3 * 8 * 30_000, "tokens that are not known and attempts take none"
    history.extend(some(30_000, 2, 1))
    copy.extend(some(30_000, 1, 300))
    assert (len(history), len(copy), history.mark, copy.mark) == (30_001, 30_300, 30_001, 30_300)
    assert (history.summary.count, history.summary.last_step, copy.summary.last_step) == (30_001, 30_000, 30_299)
    assert np.flatnonzero(history.breaks()).tolist() == [30_000]
    assert not copy.breaks().any()
    assert history.span("step") == (0, 30_000)
    np.testing.assert_array_equal(copy.y(), np.sin(np.arange(30_300)))
    assert len(history.reduced("step", low=0, high=30_000, most=200).x) <= 400
