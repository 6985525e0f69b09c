"""Drift over steps, and summaries of modules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.checkpoints.compare import By, compare, drift, summarize_comparison, summarize_drift
from loops_nb.errors import InvalidArgumentError
from tests.checkpoints.compare.memory import Factors, MemoryCheckpoint, adapter, factors, module_name, multiplied_out
from tests.frames.strategies import ANY_MACHINE

MODULES = [module_name(layer, kind) for layer in range(2) for kind in ("q_proj", "v_proj")]


def walk(
    seed: int, steps: Sequence[int | None], *, ranks: Sequence[int] = (2,), run: str = "run"
) -> list[MemoryCheckpoint]:
    source = np.random.default_rng(seed)
    return [
        adapter(
            f"{run}/weights/{'final' if step is None else f'step-{step}'}",
            {path: factors(source, rank) for path in MODULES},
            dtype="F64",
            step=step,
            alpha=1,
        )
        for step, rank in zip(steps, itertools.cycle(ranks))
    ]


def flat(checkpoint: MemoryCheckpoint, paths: Sequence[str], rank: int) -> Any:
    return np.concatenate([multiplied_out(checkpoint, path, 1 / rank).ravel() for path in paths])


def follows(rows: Sequence[Any], vectors: Sequence[Any]) -> None:
    length = 0.0
    for place, (row, now) in enumerate(zip(rows, vectors, strict=True)):
        assert row.norm == pytest.approx(np.linalg.norm(now))
        first, before = vectors[0], vectors[place - 1]
        if place == 0:
            assert all(math.isnan(value) for value in (row.change, row.relative_change, row.cosine))
            assert (row.change_from_first, row.relative_change_from_first, row.cosine_to_first) == (0.0, 0.0, 1.0)
        else:
            step = float(np.linalg.norm(now - before))
            length += step
            assert row.change == pytest.approx(step)
            assert row.relative_change == pytest.approx(step / np.linalg.norm(before))
            assert row.cosine == pytest.approx(now @ before / np.linalg.norm(now) / np.linalg.norm(before), abs=1e-12)
            assert row.change_from_first == pytest.approx(np.linalg.norm(now - first))
            assert row.relative_change_from_first == pytest.approx(np.linalg.norm(now - first) / np.linalg.norm(first))
            assert row.cosine_to_first == pytest.approx(
                now @ first / np.linalg.norm(now) / np.linalg.norm(first), abs=1e-12
            )
        assert row.path_length == pytest.approx(length)


@ANY_MACHINE
@given(
    seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5), ranks=st.lists(st.integers(1, 4), min_size=1, max_size=3)
)
def test_drift_follows_each_module(seed: int, count: int, ranks: list[int]) -> None:
    sources = walk(seed, range(0, 10 * count, 10), ranks=ranks)
    of_rank = [ranks[place % len(ranks)] for place in range(count)]
    rows = drift(list(reversed(sources))).rows
    assert [(row.step, row.module) for row in rows] == [(source.step, path) for source in sources for path in MODULES]
    assert [row.previous for row in rows if row.module == MODULES[0]] == [None, *(source.label for source in sources)][
        :count
    ]
    for source in sources:
        assert sorted(source.reads) == sorted(info.name for info in source.infos)
    for path in MODULES:
        vectors = [flat(source, [path], rank) for source, rank in zip(sources, of_rank, strict=True)]
        follows([row for row in rows if row.module == path], vectors)


@ANY_MACHINE
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4), by=st.sampled_from(get_args(By)))
def test_summaries_equal_one_long_vector(seed: int, count: int, by: By) -> None:
    sources = walk(seed, range(count))
    rows = summarize_drift(drift(sources).rows, by)
    groups: dict[Any, list[str]] = {
        "layer": {0: MODULES[:2], 1: MODULES[2:]},
        "module_type": {"q_proj": MODULES[::2], "v_proj": MODULES[1::2]},
        "checkpoint": {None: MODULES},
    }[by]  # type: ignore[assignment]
    assert len(rows) == count * len(groups)
    summaries = summarize_comparison(compare(sources).rows, by) if count > 1 else []
    for value, paths in groups.items():
        mine = [row for row in rows if (row.layer if row.module_type is None else row.module_type) == value]
        assert {row.modules for row in mine} == {len(paths)}
        assert {row.parameters for row in mine} == {len(paths) * 24}
        vectors = [flat(source, paths, 2) for source in sources]
        follows(mine, vectors)
        if count == 1:
            continue
        compared = [row for row in summaries if by == "checkpoint" or value in {row.layer, row.module_type}]
        for row, found in zip(mine[1:], compared, strict=True):
            assert found.modules == row.modules
            assert (found.norm, found.change, found.relative_change, found.cosine) == pytest.approx(
                (row.norm, row.change_from_first, row.relative_change_from_first, row.cosine_to_first)
            )
            assert found.norm_before == pytest.approx(np.linalg.norm(vectors[0]))


def test_drift_orders_missing_steps_last() -> None:
    final, late, early = walk(1, [None, 20, 3])
    other = walk(2, [20])[0]
    last = adapter("run/weights/best", {}, step=None)
    rows = [row for row in drift([final, late, other, last, early]).rows if row.module == MODULES[0]]
    assert [(row.step, row.checkpoint) for row in rows] == [
        (3, "run/weights/step-3"),
        (20, "run/weights/step-20"),
        (20, "run/weights/step-20 (2)"),
        (None, "run/weights/final"),
        (None, "run/weights/best"),
    ]


def test_drift_has_a_path_per_run_and_target() -> None:
    one, two = walk(1, [0, 10, 20], run="one"), walk(2, [5, 15], run="two")
    served = [
        adapter(
            f"one/sampler_weights/step-{step}",
            {path: factors(np.random.default_rng(step), 2) for path in MODULES},
            step=step,
        )
        for step in (10, 20)
    ]
    rows = drift([two[1], *served, *one, two[0]]).rows
    seen = [(row.run_id, row.target, row.step, row.previous) for row in rows if row.module == MODULES[0]]
    assert seen == [
        ("two", "trainer", 5, None),
        ("two", "trainer", 15, "two/weights/step-5"),
        ("one", "sampler", 10, None),
        ("one", "sampler", 20, "one/sampler_weights/step-10"),
        ("one", "trainer", 0, None),
        ("one", "trainer", 10, "one/weights/step-0"),
        ("one", "trainer", 20, "one/weights/step-10"),
    ]
    alone = drift(one)
    assert [row for row in rows if (row.run_id, row.target) == ("one", "trainer")] == list(alone.rows)
    together = [row for row in summarize_drift(rows, "layer") if (row.run_id, row.target) == ("one", "trainer")]
    # As strings, because NaN at the first step is not equal to itself.
    assert list(map(str, together)) == list(map(str, summarize_drift(alone.rows, "layer")))


def test_later_module_grows_from_zero() -> None:
    source = np.random.default_rng(1)
    pairs: list[dict[str, Factors]] = [
        {MODULES[0]: factors(source, 2)},
        {path: factors(source, 2) for path in MODULES[:2]},
        {MODULES[0]: factors(source, 2)},
    ]
    found = drift([adapter(str(step), modules, step=step) for step, modules in enumerate(pairs)])
    absent, came, gone = (row for row in found.rows if row.module == MODULES[1])
    assert (absent.norm, absent.rank, absent.parameters, absent.path_length) == (0.0, None, 0, 0.0)
    assert (came.change, came.relative_change, came.path_length, came.rank) == (came.norm, math.inf, came.norm, 2)
    assert (gone.norm, gone.change, gone.relative_change, gone.path_length) == (0.0, came.norm, 1.0, 2 * came.norm)
    assert (gone.change_from_first, gone.relative_change_from_first) == (0.0, 0.0)
    assert all(math.isnan(row.cosine) for row in (absent, came, gone))
    assert [row.change for row in summarize_drift(found.rows, "checkpoint")][1:] == pytest.approx(
        [math.hypot(*(row.change for row in found.rows if row.step == step)) for step in (1, 2)]
    )


def test_zero_module_keeps_summaries_defined() -> None:
    source = np.random.default_rng(1)
    (a, b), *others = (factors(source, 2) for _ in range(4))
    sources = [
        adapter("0", {MODULES[0]: (a, 0 * b), MODULES[1]: others[0]}, dtype="F64", step=0),
        adapter("1", {MODULES[0]: (a, b), MODULES[1]: others[1]}, dtype="F64", step=1),
        adapter("2", {MODULES[1]: others[2]}, dtype="F64", step=2),
    ]
    nothing = np.zeros(b.shape[0] * a.shape[1])
    vectors = [flat(source, MODULES[:2], 1) for source in sources[:2]]
    vectors.append(np.concatenate([nothing, flat(sources[2], MODULES[1:2], 1)]))
    follows(summarize_drift(drift(sources).rows, "checkpoint"), vectors)
    compared = summarize_comparison(compare(sources, baseline=1).rows, "layer")
    assert [row.cosine for row in compared] == pytest.approx(
        [vectors[1] @ now / np.linalg.norm(vectors[1]) / np.linalg.norm(now) for now in (vectors[0], vectors[2])]
    )


def test_nonfinite_weights_are_missing_values() -> None:
    sources = walk(1, [0, 1, 2, 3])
    name = sources[1].infos[0].name
    sources[1]._raw["", name] = np.full(14, math.nan).tobytes()
    rows = [row for row in drift(sources).rows if row.module == MODULES[0]]
    assert [row.nonfinite for row in rows] == [0, 14, 0, 0]
    assert [math.isnan(row.norm) for row in rows] == [False, True, False, False]
    assert [math.isnan(row.change) for row in rows] == [True, True, True, False]
    assert [math.isnan(row.change_from_first) for row in rows] == [False, True, False, False]
    assert [math.isnan(row.path_length) for row in rows] == [False, True, True, True]
    whole = summarize_drift(drift(sources).rows, "checkpoint")
    assert [row.nonfinite for row in whole] == [0, 14, 0, 0]
    assert [math.isnan(row.norm) for row in whole] == [False, True, False, False]


def test_drift_of_nothing_is_empty() -> None:
    assert drift([]).rows == ()
    assert drift([adapter("empty", {})]).rows == ()
    assert not summarize_drift([], "layer")
    assert not summarize_comparison([], "layer")


def test_notes_name_their_checkpoint() -> None:
    pair = factors(np.random.default_rng(1), 2)
    (note,) = drift([adapter("one", {MODULES[0]: pair}, alpha=2), adapter("two", {MODULES[0]: pair}, config={})]).notes
    assert note.startswith("two: Its adapter_config.json has no usable lora_alpha")


def test_summaries_group_by_available_fields() -> None:
    by: Any = "colour"
    with pytest.raises(InvalidArgumentError, match="layer, module_type, checkpoint, not by 'colour'"):
        summarize_drift([], by)
    with pytest.raises(InvalidArgumentError, match="not by 'colour'"):
        summarize_comparison([], by)
