"""DataFrames of comparisons."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

import loops_nb.accessor  # noqa: F401 - registers df.loops
from loops_nb.checkpoints.compare import (
    By,
    changes,
    compare,
    drift,
    duplicates,
    frames,
    summarize_comparison,
    summarize_drift,
)
from loops_nb.errors import InvalidArgumentError
from loops_nb.frames.columns import Dtype, Kind
from tests.checkpoints.compare.memory import MemoryCheckpoint, adapter, factors, module_name

LABELS = ["k4q95w5/weights/step-10", "k4q95w5/weights/step-20", "k4q95w5/sampler_weights/final"]
KINDS = [
    frames.CHANGED,
    frames.COMPARED,
    frames.DRIFTED,
    frames.DUPLICATES,
    *frames.COMPARED_BY.values(),
    *frames.DRIFTED_BY.values(),
]
PANDAS: dict[Dtype, Callable[[Any], bool]] = {
    Dtype.STRING: lambda dtype: isinstance(dtype, pd.StringDtype),
    Dtype.WORD: lambda dtype: isinstance(dtype, pd.CategoricalDtype) and dtype.ordered is False,
    Dtype.COUNT: lambda dtype: dtype == pd.Int64Dtype(),
    Dtype.NUMBER: lambda dtype: dtype == np.dtype(np.float64),
}


def checkpoints() -> list[MemoryCheckpoint]:
    source = np.random.default_rng(1)
    paths = [module_name(layer, kind) for layer in range(2) for kind in ("q_proj", "v_proj")]
    return [
        adapter(label, {path: factors(source, 2) for path in paths}, step=step, alpha=4, dtype=dtype)
        for label, step, dtype in zip(LABELS, (10, 20, None), ("F32", "F32", "F16"), strict=True)
    ]


def every_frame(sources: list[MemoryCheckpoint]) -> list[pd.DataFrame]:
    compared = compare(sources or [MemoryCheckpoint("a", {}), MemoryCheckpoint("b", {})])
    drifted = drift(sources)
    return [
        frames.changes_frame(compared.changes),
        frames.compare_frame(compared),
        frames.drift_frame(drifted),
        frames.duplicates_frame(duplicates([*sources, *sources])),
        *(frames.compare_frame(compared, by=by) for by in get_args(By)),
        *(frames.drift_frame(drifted, by=by) for by in get_args(By)),
    ]


@pytest.mark.parametrize("sources", [checkpoints(), []], ids=["some", "none"])
def test_frames_have_declared_columns_and_dtypes(sources: list[MemoryCheckpoint]) -> None:
    for kind, frame in zip(KINDS, every_frame(sources), strict=True):
        assert frame.loops.kind == kind.name
        assert list(frame.columns) == [column.name for column in kind.columns]
        for column in kind.columns:
            assert PANDAS[column.dtype](frame[column.name].dtype), (
                f"{kind.name}.{column.name} is {frame[column.name].dtype}"
            )
            if column.words:
                categories: Any = frame[column.name].dtype
                assert tuple(categories.categories) == column.words
        assert frame.empty == (not sources)
        assert frame.index.equals(pd.RangeIndex(len(frame)))


@pytest.mark.parametrize(
    ("kinds", "reader"),
    [
        ([frames.CHANGED], frames.changes_frame),
        ([frames.COMPARED, *frames.COMPARED_BY.values()], frames.compare_frame),
        ([frames.DRIFTED, *frames.DRIFTED_BY.values()], frames.drift_frame),
        ([frames.DUPLICATES], frames.duplicates_frame),
    ],
)
def test_docstrings_name_the_columns(kinds: list[Kind], reader: Callable[..., pd.DataFrame]) -> None:
    for kind in kinds:
        for column in kind.columns:
            assert column.name in str(reader.__doc__), f"{kind.name}: {column.name}"
            assert column.meaning.endswith(".")
        assert len({column.name for column in kind.columns}) == len(kind.columns)


def test_frame_rows_match_the_result() -> None:
    sources = checkpoints()
    compared, drifted = compare(sources), drift(sources)
    pairs: list[tuple[pd.DataFrame, Sequence[Any]]] = [
        (frames.compare_frame(compared), compared.rows),
        (frames.compare_frame(compared, by="layer"), summarize_comparison(compared.rows, "layer")),
        (frames.drift_frame(drifted), drifted.rows),
        (frames.drift_frame(drifted, by="module_type"), summarize_drift(drifted.rows, "module_type")),
    ]
    for frame, rows in pairs:
        assert len(frame) == len(rows)
        for place, row in enumerate(rows):
            for name, value in row._asdict().items():
                if name in frame:
                    cell = frame[name].iloc[place]
                    is_missing = value is None or (isinstance(value, float) and math.isnan(value))
                    assert pd.isna(cell) if is_missing else cell == value, f"{name} of row {place}"


def test_changes_frame_describes_each_change() -> None:
    before = MemoryCheckpoint("before", {"a": ("I64", np.array(1)), "b": ("F32", np.ones((2, 3)))})
    frame = frames.changes_frame(changes(before, MemoryCheckpoint("now", {"b": ("F16", np.ones(6))})))
    texts = frame[["tensor", "change", "dtype_before", "dtype", "shape_before", "shape"]].astype(object)
    # Values come before origins, because a page shows only a few columns.
    assert list(frame.columns[: texts.shape[1]]) == list(texts.columns)
    assert texts.where(texts.notna(), "-").to_numpy().tolist() == [
        ["a", "vanished", "I64", "-", "scalar", "-"],
        ["b", "shape and dtype", "F32", "F16", "2 x 3", "6"],
    ]


def test_duplicates_frame_numbers_groups() -> None:
    one, two, three = checkpoints()
    frame = frames.duplicates_frame(duplicates([one, two, one, three, two]))
    assert frame["group"].tolist() == [1, 1, 2, 2]
    assert frame["checkpoint"].tolist() == [LABELS[0], f"{LABELS[0]} (2)", LABELS[1], f"{LABELS[1]} (2)"]
    assert frame["digest"].nunique() == 2
    assert (frame["size_bytes"] == frame["size_bytes"][0]).all()


def test_drift_frame_can_be_pivoted() -> None:
    frame = frames.drift_frame(drift(checkpoints()), by="layer")
    table = frame[frame["target"] == "trainer"].pivot_table(index="layer", columns="step", values="norm")
    assert table.shape == (2, 2)
    assert table.notna().all().all()


def test_unknown_grouping_is_refused() -> None:
    by: Any = "rank"
    with pytest.raises(InvalidArgumentError, match="not by 'rank'"):
        frames.drift_frame(drift([]), by=by)
    with pytest.raises(InvalidArgumentError, match="not by 'rank'"):
        frames.compare_frame(compare(checkpoints()), by=by)
