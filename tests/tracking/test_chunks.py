"""Chunks of points: what was packed is what is read, in whichever pieces."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loops_nb.tracking.chunks import Points, pack, unpack

NAN = math.nan
LARGE = 1 << 40


@pytest.mark.parametrize(
    "step",
    [
        [[0, 1, 2], [3, 4], [5]],
        [[0], [10], [20, 30]],
        [[0, 1, 2], [9, 10]],
        [[5, 5], [5]],
        [[3, 1, 2], [LARGE, 0, 7], [8]],
        [[LARGE, LARGE + 3], [LARGE + 6]],
        [[5, 3], [1, -1]],
        [[0], [1, 5, 2]],
    ],
    ids=str,
)
def test_columns_are_those_that_were_packed(step: list[list[int]]) -> None:
    parts = [
        Points(
            steps, [1000 + 7 * number for number in steps], [NAN] * len(steps), list(map(float, steps)), [place // 2]
        )
        for place, steps in enumerate(step)
    ]
    parts = [part._replace(attempt=part.attempt * len(part.step)) for part in parts]
    columns = unpack([(pack(part), len(part.step)) for part in parts])
    for column, name in zip(columns, Points._fields, strict=True):
        np.testing.assert_array_equal(column, [each for part in parts for each in getattr(part, name)])
    assert [str(column.dtype) for column in columns] == ["int64", "int64", "float64", "float64", "int32"]
