"""What the adapter's configuration makes of B @ A."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.comparing import compare
from loops_nb.comparing.scaling import scaling_of
from tests.comparing.memory import MemoryCheckpoint, adapter, factors, module_name
from tests.frames.documents import ANY_MACHINE, JUNK

Q, V = "model.layers.0.self_attn.q_proj", "model.layers.11.self_attn.v_proj"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"r": 16, "lora_alpha": 32}, {Q: 2.0, V: 2.0}),
        ({"r": 16, "lora_alpha": 32, "use_rslora": True}, {Q: 8.0, V: 8.0}),
        ({"r": 16, "lora_alpha": 32, "alpha_pattern": {"v_proj": 64}}, {Q: 2.0, V: 4.0}),
        ({"r": 16, "lora_alpha": 32, "alpha_pattern": {"layers.0.self_attn.q_proj": 8}}, {Q: 0.5, V: 2.0}),
        ({"r": 16, "lora_alpha": 32, "alpha_pattern": {r"layers\.1\d\..*": 8, "v_proj": 64}}, {Q: 2.0, V: 0.5}),
        ({"r": 16, "lora_alpha": 32, "alpha_pattern": {"proj": 64, "model.layers.1": 64}}, {Q: 2.0, V: 2.0}),
        ({"r": 16, "lora_alpha": 0.5, "use_rslora": True, "alpha_pattern": {"q_proj|k_proj": 1}}, {Q: 0.25, V: 0.125}),
        ({"r": 16, "lora_alpha": 0}, {Q: 0.0, V: 0.0}),
        ({"lora_alpha": 16}, {Q: 1.0, V: 1.0}),
    ],
)
def test_the_scale_of_a_module(config: dict[str, Any], expected: dict[str, float]) -> None:
    scaling = scaling_of(config)
    assert {path: scaling.of(path, 16) for path in expected} == expected
    assert scaling.notes == ()


@pytest.mark.parametrize("alpha", [None, "16", True, math.nan, math.inf, 10**400, [16]])
def test_an_alpha_that_is_no_number_leaves_updates_as_they_are_and_is_told(alpha: object) -> None:
    pair = factors(np.random.default_rng(1), 4)
    config = {"r": 4, "lora_alpha": alpha}
    found = compare([adapter("before", {Q: pair}, alpha=4), adapter("now", {Q: pair}, config=config)])
    (row,) = found.rows
    assert (row.scale_before, row.scale) == (1.0, None)
    assert row.change == 0.0
    assert found.notes == ("now: Its adapter_config.json has no usable lora_alpha, so its updates count as B @ A, without alpha / rank.",)


def test_a_checkpoint_without_a_configuration_counts_as_it_is_and_is_told() -> None:
    pair = factors(np.random.default_rng(1), 4)
    found = compare([adapter("before", {Q: pair}, alpha=8), adapter("now", {Q: pair})])
    (row,) = found.rows
    assert (row.scale_before, row.scale, row.rank) == (2.0, None, 4)
    assert row.norm_before == pytest.approx(2 * row.norm)
    assert row.cosine == pytest.approx(1.0)
    (note,) = found.notes
    assert note.startswith("now: It has no adapter_config.json")


def test_magnitudes_of_dora_stay_tensors_of_their_own_and_that_is_told() -> None:
    (a, b), size = factors(np.random.default_rng(1), 2), np.ones(5)
    tensors = {f"{Q}.lora_A.weight": a, f"{Q}.lora_B.weight": b, f"{Q}.lora_magnitude_vector": size}
    config = {"r": 2, "lora_alpha": 2, "use_dora": True}
    source = MemoryCheckpoint("dora", {name: ("F32", values) for name, values in tensors.items()}, config=config)
    found = compare([source, source, source])
    assert [(row.quantity, row.module) for row in found.rows[:2]] == [("update", Q), ("weights", f"{Q}.lora_magnitude_vector")]
    assert found.notes == (
        "dora and 2 more: Its updates are DoRA's; what is compared of them is B @ A, and their magnitudes as tensors of their own.",
    )


def test_modules_of_other_ranks_go_by_their_own() -> None:
    source = np.random.default_rng(1)
    modules = {Q: factors(source, 4), V: factors(source, 8)}
    config = {"r": 4, "lora_alpha": 16, "rank_pattern": {"v_proj": 8}}
    found = compare([adapter("before", modules, config=config), adapter("now", modules, config=config)])
    assert [(row.rank, row.scale) for row in found.rows] == [(4, 4.0), (8, 2.0)]
    assert found.notes == ()


def test_a_rank_that_the_configuration_does_not_say_is_told() -> None:
    modules = {Q: factors(np.random.default_rng(1), 4)}
    found = compare([adapter("before", modules, config={"r": 8, "lora_alpha": 16}), adapter("now", modules, alpha=16)])
    assert [row.scale for row in found.rows] == [4.0]
    assert found.notes == (
        f"before: The rank of 1 of 1 modules is not what its adapter_config.json says, such as 4 of {Q}; the tensors' own rank was used.",
    )


def test_patterns_that_could_run_for_ever_are_left_out_and_told() -> None:
    hostile = ["(a+)+$", "(a|aa)*b", "(.*)*x", ".*" * 5, "(", "a" * 301, "(?:x{1,9}){1,9}", "a{99999999999}"]
    started = time.process_time()
    scaling = scaling_of({"r": 1, "lora_alpha": 3, "alpha_pattern": dict.fromkeys(hostile, 9)})
    assert scaling.of("a" * 5000, 1) == 3.0
    assert time.process_time() - started < 5
    assert len(scaling.notes) == len(hostile)
    assert all("alpha_pattern has an entry that cannot be used" in note for note in scaling.notes)


@ANY_MACHINE
@given(
    config=st.dictionaries(st.sampled_from(["r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern", "target_parameters"]), JUNK)
)
def test_any_configuration_can_be_read(config: dict[str, Any]) -> None:
    scaling = scaling_of(json.loads(json.dumps(config)))
    scale = scaling.of(module_name(0), 4)
    assert scale is None or math.isfinite(scale)
    assert scaling.experts_of(module_name(0), 4) == 1


@ANY_MACHINE
@given(seed=st.integers(0, 2**32 - 1), experts=st.integers(1, 4), rank=st.integers(1, 3), depth=st.integers(0, 2))
def test_stacked_experts_each_have_factors_of_their_own(seed: int, experts: int, rank: int, depth: int) -> None:
    source = np.random.default_rng(seed)
    path = "model.layers.3.mlp.experts" + ".base_layer" * depth
    config = {"r": rank, "lora_alpha": 6, "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}
    pairs = [factors(source, experts * rank) for _ in range(2)]
    wholes = [np.stack([6 / rank * b[:, e::experts] @ a[e * rank : (e + 1) * rank] for e in range(experts)]) for a, b in pairs]
    found = compare([adapter(str(i), {path: pair}, dtype="F64", config=config) for i, pair in enumerate(pairs)])
    (row,) = found.rows
    assert (row.rank, row.scale) == (rank, 6 / rank)
    assert (row.norm_before, row.norm) == pytest.approx([np.linalg.norm(whole) for whole in wholes])
    assert row.change == pytest.approx(np.linalg.norm(wholes[1] - wholes[0]))
    assert found.notes == ()
