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
