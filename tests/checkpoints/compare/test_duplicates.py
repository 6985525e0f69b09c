"""Duplicates: checkpoints with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.checkpoints.compare import duplicates
from tests.checkpoints.compare.memory import UNSCALED, WRAPPER, MemoryCheckpoint, adapter, factors, module_name
from tests.frames.strategies import ANY_MACHINE

LAYERS = 8


def weights(seed: int, **options: Any) -> MemoryCheckpoint:
    source = np.random.default_rng(seed)
    return adapter(
        f"seed-{seed}", {module_name(layer): factors(source, 2, 16, 16) for layer in range(LAYERS)}, **options
    )


@ANY_MACHINE
@given(seeds=st.lists(st.integers(0, 3), max_size=7), workers=st.integers(1, 4))
def test_equal_weights_are_one_group_under_any_names(seeds: list[int], workers: int) -> None:
    sources = [weights(seed) for seed in seeds]
    for place, source in enumerate(sources):
        source.label = f"checkpoint-{place}"
    found = duplicates(sources, workers=workers)
    expected = {
        seed: [f"checkpoint-{i}" for i, other in enumerate(seeds) if other == seed] for seed in dict.fromkeys(seeds)
    }
    assert [[member.checkpoint for member in group.members] for group in found.groups] == [
        labels for labels in expected.values() if len(labels) > 1
    ]
    assert len({group.digest for group in found.groups}) == len(found.groups)
    assert all((group.tensors, group.size_bytes) == (2 * LAYERS, 2 * LAYERS * 32 * 4) for group in found.groups)
    assert found.total_bytes == len(seeds) * 2 * LAYERS * 32 * 4


def test_only_candidates_are_read_whole() -> None:
    one, same, other, wide = weights(1), weights(1), weights(2), weights(1, dtype="F16")
    found = duplicates([one, same, other, wide])
    assert len(found.groups) == 1
    # The other one differs in the first tensor that is read; another format needs no reading.
    assert [len(source.reads) for source in (one, same, other, wide)] == [2 * LAYERS, 2 * LAYERS, 1, 0]
    assert found.bytes_read == (2 * 2 * LAYERS + 1) * 32 * 4


def test_smallest_tensors_are_read_first() -> None:
    big, small = np.ones(1000), np.ones(3)
    sources = [MemoryCheckpoint(str(i), {"a.big": ("F32", big), "z.small": ("F32", i * small)}) for i in range(3)]
    assert duplicates(sources).groups == ()
    assert [source.reads for source in sources] == [["z.small"]] * 3


def test_difference_in_the_last_tensor_is_found() -> None:
    one, other = weights(1), weights(1)
    last = max(one.infos, key=lambda info: info.name)
    other._raw["", last.name] = one._raw["", last.name][:-1] + b"\xff"
    found = duplicates([one, weights(1), other])
    assert [[member.checkpoint for member in group.members] for group in found.groups] == [["seed-1", "seed-1 (2)"]]


@pytest.mark.parametrize(
    "other",
    [{"alpha": 8}, {"alpha": None}, {"config": {"r": 2, "lora_alpha": 4, "use_rslora": True}}, {"dtype": "F16"}],
    ids=["another alpha", "no configuration", "another scale", "another format"],
)
def test_different_scales_are_not_equal(other: dict[str, Any]) -> None:
    assert len(duplicates([weights(1, alpha=4), weights(1, alpha=4)]).groups) == 1
    assert (
        duplicates(
            [weights(1, alpha=4), weights(1, **{"alpha": 4, **other} if "config" not in other else other)]
        ).groups
        == ()
    )


def test_wrappers_and_optimizer_are_ignored() -> None:
    one = weights(1)
    other = weights(1, name="{}.lora_{}.default.weight")
    state = {f"optimizer/shard.safetensors:{WRAPPER}a.exp_avg": ("F32", np.ones(3))}
    tensors = {f"model.safetensors:{info.name}": ("F32", one.read(info)) for info in one.infos}
    resumable = MemoryCheckpoint("resumable", {**tensors, **state}, config=UNSCALED)
    (group,) = duplicates([one, other, resumable]).groups
    assert [member.checkpoint for member in group.members] == ["seed-1", "seed-1 (2)", "resumable"]


def test_shapes_are_compared() -> None:
    sources = [MemoryCheckpoint(str(shape), {"a": ("F32", np.zeros(shape))}) for shape in [(2, 3), (3, 2), (6,)]]
    found = duplicates(sources)
    assert (found.groups, found.bytes_read) == ((), 0)


def test_empty_checkpoints_are_not_duplicates() -> None:
    empty = MemoryCheckpoint("empty", {})
    assert duplicates([empty, empty]).groups == duplicates([]).groups == ()
    (group,) = duplicates([MemoryCheckpoint(label, {"a": ("F32", np.zeros((0, 3)))}) for label in "ab"]).groups
    assert (group.tensors, group.size_bytes) == (1, 0)
