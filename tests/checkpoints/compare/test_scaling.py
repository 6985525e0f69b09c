"""Scales of updates from the adapter's configuration."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from loops_nb.checkpoints.compare import compare, drift, duplicates, summarize_comparison
from loops_nb.checkpoints.compare.scaling import scaling_of
from loops_nb.checkpoints.tensors import open_folder
from loops_nb.checkpoints.tensors.frames import tensors_frame
from tests.checkpoints.compare.memory import MemoryCheckpoint, adapter, factors, module_name
from tests.checkpoints.compare.peft_cases import CONFIGS, peft_cases
from tests.frames.strategies import ANY_MACHINE, JUNK


def repr_of(value: object) -> str:
    return repr(value)[:20]


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
def test_scale_is_alpha_over_rank(config: dict[str, Any], expected: dict[str, float]) -> None:
    scaling = scaling_of(config)
    assert {path: scaling.scale(scaling.setting(path).alpha, 16) for path in expected} == expected
    assert scaling.notes == ()


@pytest.mark.parametrize("alpha", [None, "16", True, math.nan, math.inf, 1e308, 10**400, [16]], ids=repr_of)
def test_unusable_alpha_is_noted_and_norms_are_missing(alpha: object) -> None:
    pair = factors(np.random.default_rng(1), 4)
    config = {"r": 4, "lora_alpha": alpha}
    found = compare([adapter("before", {Q: pair}, alpha=4), adapter("now", {Q: pair}, config=config)])
    (row,) = found.rows
    assert (row.rank, row.scale_before, row.scale) == (4, 1.0, None)
    assert row.norm_before > 0
    assert all(math.isnan(value) for value in (row.norm, row.change, row.relative_change, row.cosine))
    assert found.notes == (
        "now: Its adapter_config.json has no usable lora_alpha, so the norms of its updates are missing.",
    )


def test_missing_configuration_is_noted_and_norms_are_missing() -> None:
    pair = factors(np.random.default_rng(1), 4)
    tensors = {f"{Q}.lora_{half}.weight": ("F32", values) for half, values in zip("AB", pair, strict=True)}
    found = compare([adapter("before", {Q: pair}, alpha=8), MemoryCheckpoint("now", tensors)])
    (row,) = found.rows
    assert (row.scale_before, row.scale, row.rank) == (2.0, None, 4)
    assert row.norm_before == pytest.approx(2 * np.linalg.norm(pair[1] @ pair[0]))
    assert all(math.isnan(value) for value in (row.norm, row.change, row.relative_change, row.cosine))
    (note,) = found.notes
    assert note.startswith("now: It has no adapter_config.json")


def test_dora_magnitudes_are_noted_as_plain_tensors() -> None:
    (a, b), size = factors(np.random.default_rng(1), 2), np.ones(5)
    tensors = {f"{Q}.lora_A.weight": a, f"{Q}.lora_B.weight": b, f"{Q}.lora_magnitude_vector": size}
    config = {"r": 2, "lora_alpha": 2, "use_dora": True}
    source = MemoryCheckpoint("dora", {name: ("F32", values) for name, values in tensors.items()}, config=config)
    found = compare([source, source, source])
    assert [(row.quantity, row.module) for row in found.rows[:2]] == [
        ("update", Q),
        ("weights", f"{Q}.lora_magnitude_vector"),
    ]
    assert found.notes == (
        (
            "dora and 2 more: Its updates are DoRA's; what is compared of them is B @ A, and their magnitudes as "
            "tensors of their own."
        ),
    )


def test_rank_patterns_apply_per_module() -> None:
    source = np.random.default_rng(1)
    modules = {Q: factors(source, 4), V: factors(source, 8)}
    config = {"r": 4, "lora_alpha": 16, "rank_pattern": {"v_proj": 8}}
    found = compare([adapter("before", modules, config=config), adapter("now", modules, config=config)])
    assert [(row.rank, row.scale) for row in found.rows] == [(4, 4.0), (8, 2.0)]
    assert found.notes == ()


def test_wrong_rank_is_noted_and_norms_are_missing() -> None:
    modules = {Q: factors(np.random.default_rng(1), 4)}
    found = compare([adapter("before", modules, config={"r": 8, "lora_alpha": 16}), adapter("now", modules, alpha=16)])
    assert [(row.rank_before, row.rank, row.scale) for row in found.rows] == [(None, 4, 4.0)]
    assert math.isnan(found.rows[0].norm_before)
    (note,) = found.notes
    assert note.startswith("before: The tensors of 1 of 1 updates do not fit A, B and rank of its adapter_config.json")
    assert note.endswith(f"such as {Q} (A 4 x 7, B 5 x 4); their norms are missing.")


@pytest.mark.parametrize(
    "config",
    [
        {"r": 0, "lora_alpha": 8},
        {"r": -4, "lora_alpha": 8},
        {"r": "4", "lora_alpha": 8},
        {"r": True, "lora_alpha": 8},
        {"r": 4.5, "lora_alpha": 8},
        {"r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 0}},
        {"r": 4, "lora_alpha": 8, "rank_pattern": [4]},
        {"r": 4, "lora_alpha": 8, "alpha_pattern": {"q_proj": "16"}},
        {"r": 4, "lora_alpha": 8, "alpha_pattern": {"(": 16}},
        {"r": 4, "lora_alpha": 8, "use_rslora": "yes"},
        {"r": 4, "lora_alpha": 8, "peft_type": "ADALORA"},
        {"r": 4, "lora_alpha": 8, "use_qalora": True},
        {"lora_parameters": {"rank": 8, "scale": 2.0}},
        {"lora_parameters": {"rank": 4, "scale": "2.0"}},
        {"lora_parameters": {"rank": 4, "scale": 2.0, "alpha": 16}},
    ],
    ids=str,
)
def test_unusable_values_are_noted_and_norms_are_missing(config: dict[str, Any]) -> None:
    source = adapter("odd", {Q: factors(np.random.default_rng(1), 4)}, config=config)
    found = compare([source, source])
    assert [math.isnan(row.norm) and row.scale is None for row in found.rows] == [True]
    assert found.notes
    assert math.isnan(summarize_comparison(found.rows, "checkpoint")[0].norm)
    assert math.isnan(drift([source]).rows[0].norm)


def test_unreadable_configuration_is_noted_and_norms_are_missing(tmp_path: Path) -> None:
    a, b = factors(np.random.default_rng(1), 4)
    for name, text in {
        "list": "[]",
        "text": "{",
        "number": '{"r": 4, "lora_alpha": 1e400}',
        "whole": '{"r": 4, "lora_alpha": 4}',
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(text)
        save_file({f"{Q}.lora_A.weight": a, f"{Q}.lora_B.weight": b}, tmp_path / name / "adapter_model.safetensors")
    sources = [open_folder(tmp_path / name) for name in ("whole", "list", "text", "number")]
    found = compare(sources)
    assert [math.isnan(row.norm) for row in found.rows] == [True] * 3
    assert {note.partition(":")[0] for note in found.notes} <= {"list and 2 more", "list and 1 more", "number"}
    assert duplicates(sources).groups == ()


def test_expensive_patterns_are_not_run_and_noted() -> None:
    hostile = ["(a+)+$", "(a|aa)*b", "(.*)*x", ".*" * 5, "(", "a" * 301, "(?:x{1,9}){1,9}", "a{99999999999}"]
    started = time.process_time()
    for pattern in hostile:
        scaling = scaling_of({"r": 1, "lora_alpha": 3, "alpha_pattern": {"b": 5, pattern: 9}})
        assert scaling.setting("a.b").alpha == 5
        # It may apply to this module, so the value is unknown.
        assert math.isnan(scaling.setting("a" * 150).alpha or 0)
        (note,) = scaling.notes
        assert "alpha_pattern has an entry that cannot be used" in note
    assert time.process_time() - started < 5


def test_number_patterns_are_used() -> None:
    pattern = r".*layers\.\d+\.mlp\.experts\.\d+\..*_proj"
    scaling = scaling_of({"r": 1, "lora_alpha": 3, "alpha_pattern": {pattern: 9}})
    assert scaling.setting("model.layers.3.mlp.experts.11.up_proj").alpha == 9
    assert scaling.setting("model.layers.3.mlp.up_proj").alpha == 3


@ANY_MACHINE
@given(
    config=st.dictionaries(
        st.sampled_from(["r", "lora_alpha", "use_rslora", "alpha_pattern", "rank_pattern", "target_parameters"]), JUNK
    )
)
def test_any_configuration_is_read(config: dict[str, Any]) -> None:
    scaling = scaling_of(json.loads(json.dumps(config)))
    scale = scaling.scale(scaling.setting(module_name(0)).alpha, 4)
    assert scale is None or math.isfinite(scale)


@ANY_MACHINE
@given(seed=st.integers(0, 2**32 - 1), experts=st.integers(1, 4), rank=st.integers(1, 3), depth=st.integers(0, 2))
def test_stacked_experts_have_own_factors(seed: int, experts: int, rank: int, depth: int) -> None:
    source = np.random.default_rng(seed)
    path = "model.layers.3.mlp.experts" + ".base_layer" * depth
    config = {"r": rank, "lora_alpha": 6, "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]}
    pairs = [factors(source, experts * rank) for _ in range(2)]
    wholes = [
        np.stack([6 / rank * b[:, e::experts] @ a[e * rank : (e + 1) * rank] for e in range(experts)]) for a, b in pairs
    ]
    found = compare([adapter(str(i), {path: pair}, dtype="F64", config=config) for i, pair in enumerate(pairs)])
    (row,) = found.rows
    assert (row.rank, row.scale) == (rank, 6 / rank)
    assert (row.norm_before, row.norm) == pytest.approx([np.linalg.norm(whole) for whole in wholes])
    assert row.change == pytest.approx(np.linalg.norm(wholes[1] - wholes[0]))
    assert found.notes == ()


@pytest.mark.parametrize("name", CONFIGS)
def test_norms_match_values_computed_by_peft(name: str) -> None:
    case = peft_cases()[name]
    tensors = {key: ("F32", values) for key, values in case.tensors().items()}
    source = MemoryCheckpoint(name, tensors, config=case.config)
    found = compare([source, source])
    assert {row.module: row.norm for row in found.rows if row.quantity == "update"} == pytest.approx(
        case.norms, rel=1e-5
    )
    assert all(row.change == 0.0 for row in found.rows)
    assert [("DoRA" in note) for note in found.notes] == [True] * bool(case.config.get("use_dora"))
    ranks = tensors_frame([source]).query("lora.notna()").groupby("module")["rank"].agg(["min", "max"])
    said = {row.module: row.rank for row in found.rows if row.quantity == "update"}
    assert {module: (low, high) for module, low, high in ranks.itertuples()} == {
        module: (rank, rank) for module, rank in said.items()
    }


def test_ambiguous_parameter_order_is_noted_and_norms_are_missing() -> None:
    # Either may be the inner one, and 8 rows are 2 experts of rank 4 or 4 of rank 2.
    source = np.random.default_rng(1)
    config = {
        "r": 4,
        "lora_alpha": 8,
        "target_parameters": ["experts.up", "experts.down"],
        "rank_pattern": {"experts.up": 2},
    }
    modules = {"experts": factors(source, 8), "experts.base_layer": factors(source, 8)}
    odd = adapter("odd", modules, config=config)
    found = compare([odd, odd])
    assert [(row.rank, row.scale, math.isnan(row.norm)) for row in found.rows] == [(None, None, True)] * 2
    assert "2 of 2 updates" in found.notes[0]
    assert tensors_frame([odd])["rank"].isna().all()


def test_experts_without_rank_are_noted_and_norms_are_missing() -> None:
    pair = factors(np.random.default_rng(1), 8)
    odd = adapter("odd", {"experts": pair}, config={"lora_alpha": 8, "target_parameters": ["experts.up"]})
    found = compare([odd, odd])
    assert [(row.rank, row.scale, math.isnan(row.norm)) for row in found.rows] == [(None, None, True)]
    assert found.notes


@pytest.mark.parametrize("outputs", [5, 7])
def test_mlx_matrices_are_transposed_and_scaled(outputs: int) -> None:
    a, b = factors(np.random.default_rng(1), 3, outputs=outputs)
    config = {"fine_tune_type": "lora", "lora_parameters": {"rank": 3, "scale": 20.0, "dropout": 0.0}}
    source = MemoryCheckpoint("mlx", {f"{Q}.lora_a": ("F32", a.T), f"{Q}.lora_b": ("F32", b.T)}, config=config)
    (row,) = compare([source, source]).rows
    assert (row.module, row.rank, row.scale) == (Q, 3, 20.0)
    assert row.norm == pytest.approx(20 * np.linalg.norm(b @ a))
    assert tensors_frame([source])["rank"].tolist() == [3, 3]


@pytest.mark.parametrize(
    "wrapped", ["_orig_mod.{}", "module.{}", "base_model.model.module._orig_mod.{}", "_orig_mod.base_model.model.{}"]
)
def test_wrappers_do_not_change_modules(wrapped: str) -> None:
    pair = factors(np.random.default_rng(1), 4)
    config = {"r": 4, "lora_alpha": 4, "alpha_pattern": {r"^model\.layers\.0\.self_attn\.q_proj": 8}}
    plain = adapter("plain", {Q: pair}, config=config)
    other = adapter("wrapped", {Q: (pair[0], 2 * pair[1])}, config=config, name=wrapped + ".lora_{}.weight")
    found = compare([plain, other])
    (row,) = found.rows
    assert (row.module, row.scale) == (Q, 2.0)
    assert row.relative_change == pytest.approx(1.0)
    assert found.changes == ()
    assert found.notes == ()
    assert tensors_frame([other])["module"].tolist() == [Q, Q]


def test_names_that_differ_by_wrappers_are_noted_and_separate() -> None:
    pair = factors(np.random.default_rng(1), 4)
    both = MemoryCheckpoint(
        "both",
        {
            f"{start}{Q}.lora_{half}.weight": ("F32", pair["AB".index(half)])
            for start in ("", "_orig_mod.")
            for half in "AB"
        },
        config={"r": 4, "lora_alpha": 8},
    )
    found = compare([both, both])
    assert [row.quantity for row in found.rows] == ["weights", "weights", "update"]
    assert "2 tensors would share their names with others" in found.notes[0]


def test_half_an_update_is_not_zero() -> None:
    a, b = factors(np.random.default_rng(1), 4)
    config = {"r": 4, "lora_alpha": 8}
    half = MemoryCheckpoint("half", {f"{Q}.lora_A.weight": ("F32", a)}, config=config)
    found = compare([adapter("whole", {Q: (a, b)}, config=config), half])
    (row,) = [row for row in found.rows if row.quantity == "update"]
    assert math.isnan(row.norm)
    assert math.isnan(row.change)
    assert "1 modules have no A and B that fit each other" in found.notes[0]


def test_module_in_a_missing_file_is_not_zero() -> None:
    pair = factors(np.random.default_rng(1), 4)
    config = {"r": 4, "lora_alpha": 8}
    tensors = {
        f"model-00001-of-00002.safetensors:{Q}.lora_{half}.weight": ("F32", pair["AB".index(half)]) for half in "AB"
    }
    part = MemoryCheckpoint("part", tensors, config=config)
    found = compare([adapter("whole", {Q: pair, V: pair}, config=config), part])
    assert [(row.module, math.isnan(row.norm), math.isnan(row.change)) for row in found.rows] == [
        (Q, False, False),
        (V, True, True),
    ]
    assert "only 1 of 2 (model)" in found.notes[0]
    assert duplicates([part, MemoryCheckpoint("same", tensors, config=config)]).groups == ()


def test_differing_copies_have_no_norm() -> None:
    a, b = factors(np.random.default_rng(1), 4)
    tensors = {f"{Q}.lora_A.weight": ("F32", a), f"one.safetensors:{Q}.lora_B.weight": ("F32", b)}
    config = {"r": 4, "lora_alpha": 8}
    same = MemoryCheckpoint("same", {**tensors, f"two.safetensors:{Q}.lora_B.weight": ("F32", b)}, config=config)
    other = MemoryCheckpoint("other", {**tensors, f"two.safetensors:{Q}.lora_B.weight": ("F32", 2 * b)}, config=config)
    found = compare([same, other])
    (row,) = found.rows
    assert row.norm_before == pytest.approx(2 * np.linalg.norm(b @ a))
    assert math.isnan(row.norm)
    assert duplicates([same, other]).groups == ()
