"""Comparison with a baseline."""

from __future__ import annotations

import math
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from loops_nb.checkpoints.compare import compare, drift
from loops_nb.checkpoints.compare.parallel import in_parallel
from loops_nb.errors import InvalidArgumentError
from tests.checkpoints.compare.memory import WRAPPER, Array, MemoryCheckpoint, adapter, factors, module_name
from tests.frames.strategies import ANY_MACHINE

Q, V = module_name(0), module_name(0, "v_proj")


def adapters(count: int, *, layers: int = 2, seed: int = 1) -> list[MemoryCheckpoint]:
    source = np.random.default_rng(seed)
    return [
        adapter(f"step-{i}", {module_name(layer): factors(source, 2) for layer in range(layers)}, step=i, alpha=4)
        for i in range(count)
    ]


def test_comparison_has_a_row_per_module_and_reads_once() -> None:
    sources = adapters(3)
    found = compare(sources, baseline=-1)
    assert found.baseline == "step-2"
    assert [(row.checkpoint, row.step, row.layer, row.module_type, row.baseline) for row in found.rows] == [
        (f"step-{i}", i, layer, "q_proj", "step-2") for i in range(2) for layer in range(2)
    ]
    assert all(row.scale == row.scale_before == 2.0 for row in found.rows)
    for source in sources:
        assert sorted(source.reads) == sorted(info.name for info in source.infos)


def test_run_and_target_come_from_the_label() -> None:
    pair = factors(np.random.default_rng(1), 2)
    labels = ["k4q95w5/weights/step-100", "k4q95w5/sampler_weights/step-100", "an id"]
    rows = compare([adapter(label, {Q: pair}) for label in ["mine", *labels]]).rows
    assert [(row.run_id, row.target) for row in rows] == [("k4q95w5", "trainer"), ("k4q95w5", "sampler"), (None, None)]


def test_missing_module_has_a_zero_update() -> None:
    source = np.random.default_rng(1)
    q, v = factors(source, 2), factors(source, 3)
    found = compare([adapter("before", {Q: q}), adapter("now", {V: v}), adapter("also", {V: v, Q: q})])
    rows = {(row.checkpoint, row.module): row for row in found.rows}
    gone, came = rows["now", Q], rows["now", V]
    assert (gone.state, gone.rank_before, gone.rank, gone.norm) == ("vanished", 2, None, 0.0)
    assert gone.change == gone.norm_before > 0
    assert (gone.relative_change, gone.parameters) == (1.0, 24)
    assert (came.state, came.rank_before, came.rank, came.norm_before, came.relative_change) == (
        "appeared",
        None,
        3,
        0.0,
        math.inf,
    )
    assert came.change == came.norm > 0
    assert math.isnan(gone.cosine)
    assert math.isnan(came.cosine)
    assert rows["also", Q].state == "common"
    assert [(change.checkpoint, change.change) for change in found.changes] == [
        *[("now", "vanished")] * 2,
        *[("now", "appeared")] * 2,
        *[("also", "appeared")] * 2,
    ]


def test_adapter_that_begins_at_zero_is_compared() -> None:
    (a, b), other = factors(np.random.default_rng(1), 2), factors(np.random.default_rng(2), 2)
    start, later = adapter("start", {Q: (a, 0 * b)}), adapter("later", {Q: other})
    same, moved = compare([start, adapter("still", {Q: (2 * a, 0 * b)}), later]).rows
    assert (same.norm, same.change, same.relative_change) == (0.0, 0.0, 0.0)
    assert (moved.norm_before, moved.relative_change, moved.change) == (0.0, math.inf, moved.norm)
    assert math.isnan(same.cosine)
    assert math.isnan(moved.cosine)
    (back,) = compare([later, start]).rows
    assert back.relative_change == pytest.approx(1.0)
    assert math.isnan(back.cosine)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "F64"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nonfinite_weights_are_counted(bad: float, dtype: str) -> None:
    source = np.random.default_rng(1)
    q, v = factors(source, 2), factors(source, 2)
    broken = q[0].copy(), q[1].copy()
    broken[0][0, :2] = broken[1][0, 0] = bad
    ok, mad = adapter("ok", {Q: q, V: v}, dtype=dtype), adapter("mad", {Q: broken, V: v}, dtype=dtype)
    first, second = compare([ok, mad]).rows
    assert (first.module, first.nonfinite, second.nonfinite) == (Q, 3, 0)
    assert first.norm_before > 0
    assert all(math.isnan(value) for value in (first.norm, first.change, first.relative_change, first.cosine))
    assert second.change == 0.0
    both = compare([mad, mad]).rows[0]
    assert both.nonfinite == 6
    assert math.isnan(both.change)


@pytest.mark.parametrize("size", [1e-300, 1e-30, 1e30, 1e300])
def test_extreme_values_are_handled(size: float) -> None:
    a, b = factors(np.random.default_rng(1), 2)
    found = compare([adapter("a", {Q: (size * a, size * b)}, dtype="F64"), adapter("b", {Q: (a, b)}, dtype="F64")])
    assert len(found.rows) == 1
    assert found.rows[0].nonfinite == 0


def test_plain_tensors_are_compared() -> None:
    source = np.random.default_rng(1)
    norms, moved = source.standard_normal(40), source.standard_normal(40)
    embedding = source.standard_normal((300, 5000))
    names = ["model.norm.weight", WRAPPER + "lm_head.modules_to_save.default.weight"]
    before = MemoryCheckpoint("before", {names[0]: ("F64", norms), names[1]: ("F64", embedding)})
    now = MemoryCheckpoint("now", {names[0]: ("F64", moved), names[1]: ("F64", 1.5 * embedding)})
    head, norm = compare([before, now]).rows
    assert (head.module, head.quantity, head.layer, head.rank, head.scale) == ("lm_head", "weights", None, None, None)
    assert (norm.module, norm.module_type) == ("model.norm", "norm")
    assert head.norm == pytest.approx(1.5 * np.linalg.norm(embedding))
    assert head.relative_change == pytest.approx(0.5)
    assert head.cosine == pytest.approx(1.0)
    assert norm.change == pytest.approx(np.linalg.norm(moved - norms))
    assert norm.cosine == pytest.approx(moved @ norms / np.linalg.norm(moved) / np.linalg.norm(norms))
    gone = compare([now, MemoryCheckpoint("empty", {})]).rows[0]
    assert gone.state == "vanished"
    assert gone.norm_before == pytest.approx(head.norm)
    assert all(math.isnan(value) for value in (gone.norm, gone.change, gone.relative_change, gone.cosine))


def test_incomparable_tensors_are_noted() -> None:
    before = MemoryCheckpoint(
        "before", {"ids": ("I64", np.arange(3)), "mask": ("BOOL", np.ones(3)), "w": ("F32", np.ones(3))}
    )
    found = compare([before, before])
    assert [row.module for row in found.rows] == ["w"]
    assert found.notes == ("before and 1 more: Not compared, for their type: 2 tensors, such as ids (I64).",)


def test_different_shapes_have_no_distance() -> None:
    source = np.random.default_rng(1)
    (row,) = compare(
        [adapter("narrow", {Q: factors(source, 2)}), adapter("wide", {Q: factors(source, 2, inputs=8)})]
    ).rows
    assert row.norm > 0
    assert row.norm_before > 0
    assert all(math.isnan(value) for value in (row.change, row.relative_change, row.cosine))


def test_update_and_tensor_with_one_name_are_separate() -> None:
    whole = MemoryCheckpoint("whole", {f"{Q}.weight": ("F32", np.ones((5, 7)))})
    rows = compare([adapter("adapter", {Q: factors(np.random.default_rng(1), 2)}), whole]).rows
    assert [(row.module, row.quantity, row.state) for row in rows] == [
        (Q, "update", "vanished"),
        (Q, "weights", "appeared"),
    ]


@pytest.mark.parametrize(
    ("a", "b", "rank"),
    [
        ((2, 3, 3, 3), (5, 2, 1, 1), 2),
        ((2, 3, 4), (5, 2, 1), 2),
        ((4, 2, 3), (4, 5, 2), 2),
        ((1, 2, 3), (4, 5, 2), 2),
    ],
    ids=["convolution of images", "convolution of sounds", "experts", "experts that share A"],
)
def test_convolution_factors_are_compared(a: tuple[int, ...], b: tuple[int, ...], rank: int) -> None:
    source = np.random.default_rng(1)
    pairs = [(source.standard_normal(a), source.standard_normal(b)) for _ in range(2)]

    def whole(pair: tuple[Array, Array]) -> Array:
        return (
            np.matmul(pair[1], pair[0])
            if len(a) == 3 and a[1] == rank
            else pair[1].reshape(5, rank) @ pair[0].reshape(rank, -1)
        )

    (row,) = compare([adapter(str(i), {Q: pair}, dtype="F64") for i, pair in enumerate(pairs)]).rows
    assert (row.quantity, row.rank, row.parameters) == ("update", rank, math.prod(a) + math.prod(b))
    assert row.norm == pytest.approx(np.linalg.norm(whole(pairs[1])))
    assert row.change == pytest.approx(np.linalg.norm(whole(pairs[1]) - whole(pairs[0])))


def test_embedding_updates_are_compared() -> None:
    pair = factors(np.random.default_rng(1), 2)
    source = adapter("a", {"model.embed_tokens": pair}, name=WRAPPER + "{}.lora_embedding_{}")
    (row,) = compare([source, source]).rows
    assert (row.module, row.quantity, row.layer) == ("model.embed_tokens", "update", None)
    assert row.norm == pytest.approx(np.linalg.norm(pair[1] @ pair[0]))


@pytest.mark.parametrize("shapes", [((2, 7), (5, 3)), ((7,), (5,)), ((2, 3, 4), (2, 5, 4)), ((2, 3, 4), (3, 5, 3))])
def test_unfitting_halves_are_compared_as_tensors(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    odd = adapter("odd", {Q: (np.ones(shapes[0]), np.ones(shapes[1]))})
    rows = compare([odd, odd]).rows
    assert [(row.module, row.quantity) for row in rows] == [(f"{Q}.lora_A", "weights"), (f"{Q}.lora_B", "weights")]
    assert [row.module_type for row in rows] == ["q_proj"] * 2


def test_half_an_update_is_compared_as_a_tensor() -> None:
    lonely = MemoryCheckpoint("lonely", {f"{Q}.lora_B.weight": ("F32", np.ones((5, 2)))})
    (row,) = compare([lonely, lonely]).rows
    assert (row.module, row.quantity, row.change) == (f"{Q}.lora_B", "weights", 0.0)


@pytest.mark.parametrize("count", [0, 1])
def test_comparison_needs_two_checkpoints(count: int) -> None:
    with pytest.raises(InvalidArgumentError, match="Two checkpoints are needed"):
        compare(adapters(count))


@pytest.mark.parametrize("baseline", [2, -3])
def test_baseline_must_be_in_range(baseline: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"no checkpoint {baseline} among 2"):
        compare(adapters(2), baseline=baseline)


@ANY_MACHINE
@given(count=st.integers(2, 4), workers=st.integers(1, 5), seed=st.integers(0, 99))
def test_number_of_workers_does_not_change_results(count: int, workers: int, seed: int) -> None:
    sources = adapters(count, layers=3, seed=seed)
    assert compare(sources, workers=workers).rows == compare(sources).rows
    with pytest.raises(InvalidArgumentError, match="workers must be at least 1"):
        compare(sources, workers=0)


def test_progress_is_called_on_the_calling_thread() -> None:
    calls: list[tuple[int, int, int]] = []
    compare(adapters(2, layers=5), progress=lambda done, of: calls.append((done, of, threading.get_ident())))
    assert calls == [(done, 5, threading.get_ident()) for done in range(1, 6)]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_interrupt_does_not_wait_for_running_work(stop: type[BaseException]) -> None:
    begun: list[int] = []
    stopped = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item > 0:
            stopped.wait()
        return item

    def progress(done: int, of: int) -> None:
        raise stop(f"{done} of {of}")

    with pytest.raises(stop, match="1 of 50"):
        in_parallel(work, range(50), workers=1, progress=progress)
    stopped.set()
    for thread in threading.enumerate():
        if thread.name.startswith("loops-compare"):
            thread.join()
    assert begun in ([0], [0, 1])


def test_blas_threads_are_restored() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in ThreadpoolController().info() if pool["user_api"] == "blas"]

    sources = adapters(2)
    inside: list[list[int]] = []

    def nested(done: int, of: int) -> None:
        drift(sources)
        inside.append(threads())

    with ThreadpoolController().limit(limits=2, user_api="blas"):
        before = threads()
        compare(sources, progress=nested)
        assert inside == [[1] * len(before)] * 2
        assert threads() == before
        with pytest.raises(InvalidArgumentError):
            compare(sources, workers=0)
        assert threads() == before


def test_read_error_reaches_the_caller() -> None:
    source, other = adapters(2)
    del other._raw["", other.infos[3].name]
    with pytest.raises(KeyError):
        compare([source, other])


@pytest.mark.parametrize("what", ["compare", "drift"])
def test_memory_does_not_grow_with_the_number_of_modules(what: str) -> None:
    def peak(layers: int) -> int:
        source = np.random.default_rng(1)
        pairs = [factors(source, 16, 2048, 2048) for _ in range(3)]
        sources = [
            adapter(str(i), {module_name(layer): pair for layer in range(layers)}, step=i)
            for i, pair in enumerate(pairs)
        ]
        tracemalloc.start()
        try:
            found = compare(sources, workers=1) if what == "compare" else drift(sources, workers=1)
            assert len(found.rows) == layers * (2 if what == "compare" else 3)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # Three pairs of factors of 256 KiB each, as float64 and stacked.
    many = peak(16)
    assert many < 1.2 * peak(4)
    assert many < 8 * 2**20
