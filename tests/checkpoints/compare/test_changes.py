"""Changes between the headers of two checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from loops_nb.checkpoints.compare import changes, compare
from loops_nb.checkpoints.compare.names import weights_of
from tests.checkpoints.compare.memory import Array, MemoryCheckpoint, adapter, factors, module_name

ONE = np.ones(1)


def checkpoint(label: str, tensors: dict[str, tuple[str, Array]]) -> MemoryCheckpoint:
    return MemoryCheckpoint(label, tensors)


def test_changes_lists_appeared_vanished_and_changed_tensors() -> None:
    path = "model.layers.7.self_attn.q_proj"
    before = checkpoint(
        "before",
        {
            "gone": ("F32", ONE),
            f"{path}.weight": ("F32", np.ones((4, 3))),
            "model.norm.weight": ("F32", ONE),
            "both": ("F32", ONE),
            "number": ("I64", np.array(7)),
            "same": ("BF16", ONE),
        },
    )
    now = checkpoint(
        "now",
        {
            "came": ("F16", ONE),
            f"{path}.weight": ("F32", np.ones((4, 5))),
            "model.norm.weight": ("BF16", ONE),
            "both": ("F16", np.ones((1, 1))),
            "number": ("I64", np.array([7])),
            "same": ("BF16", 2 * ONE),
        },
    )
    found = changes(before, now)
    assert [(row.tensor, row.change, row.dtype_before, row.dtype, row.shape_before, row.shape) for row in found] == [
        (f"{path}.weight", "shape", "F32", "F32", (4, 3), (4, 5)),
        ("both", "shape and dtype", "F32", "F16", (1,), (1, 1)),
        ("came", "appeared", None, "F16", None, (1,)),
        ("gone", "vanished", "F32", None, (1,), None),
        ("model.norm.weight", "dtype", "F32", "BF16", (1,), (1,)),
        ("number", "shape", "I64", "I64", (), (1,)),
    ]
    assert {(row.checkpoint, row.baseline) for row in found} == {("now", "before")}
    assert (found[0].module, found[0].module_type, found[0].layer) == (path, "q_proj", 7)
    assert before.reads == now.reads == []
    assert changes(before, before) == []


@pytest.mark.parametrize(
    "name",
    [
        "{}.lora_{}.weight",
        "base_model.model.{}.lora_{}.default.weight",
        "{}.lora_{}.my_adapter.weight",
        "base_model.model.{}.lora_{}",
    ],
)
def test_canonical_names_ignore_wrappers(name: str) -> None:
    modules = {module_name(layer): factors(np.random.default_rng(layer), 2) for layer in (0, 10, 2)}
    before, now = adapter("before", modules), adapter("now", modules, name=name)
    assert changes(before, now) == []
    rows = compare([before, now]).rows
    assert [(row.module, row.state, row.change) for row in rows] == [
        (module_name(layer), "common", 0.0) for layer in (0, 2, 10)
    ]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("base_model.model.lm_head.modules_to_save.default.weight", "lm_head.weight"),
        ("base_model.model.lm_head.modules_to_save.weight", "lm_head.weight"),
        ("base_model.model.score.modules_to_save.mine.bias", "score.bias"),
        ("base_model.model.model.a.lora_magnitude_vector.default.weight", "model.a.lora_magnitude_vector"),
        ("base_model.model.model.a.lora_magnitude_vector.weight", "model.a.lora_magnitude_vector"),
        ("base_model.model.model.embed_tokens.lora_embedding_A.default", "model.embed_tokens.lora_embedding_A"),
        ("base_model.model.model.a.lora_B.bias", "model.a.lora_B.bias"),
    ],
)
def test_plain_tensors_match_by_canonical_name(name: str, other: str) -> None:
    assert changes(checkpoint("a", {name: ("F32", ONE)}), checkpoint("b", {other: ("F32", ONE)})) == []


def test_different_tensors_do_not_match() -> None:
    names = [
        "model.a.lora_A.weight",
        "model.a.lora_B.weight",
        "model.a.lora_B.bias",
        "model.a.weight",
        "model.a.bias",
        "model.b.weight",
    ]
    source = checkpoint("a", dict.fromkeys(names, ("F32", ONE)))
    assert sorted(weights_of(source)) == sorted(names)


def test_two_adapters_in_one_file_keep_full_names() -> None:
    names = [f"base_model.model.model.a.lora_{half}.{adapter}.weight" for adapter in ("one", "two") for half in "AB"]
    source = checkpoint("a", {name: ("F32", np.ones((2, 2))) for name in names})
    assert sorted(weights_of(source)) == sorted(names)
    assert {row.quantity for row in compare([source, source]).rows} == {"weights"}


def test_optimizer_states_and_copies_are_ignored() -> None:
    name = "model.a.weight"
    plain = checkpoint("a", {name: ("F32", ONE)})
    more = checkpoint(
        "b",
        {
            f"model-00001.safetensors:{name}": ("F32", ONE),
            f"node-1/model-00001.safetensors:{name}": ("F32", ONE),
            f"optimizer/shard.safetensors:{name}": ("F16", np.ones(2)),
            f"{name}.exp_avg": ("F16", ONE),
        },
    )
    assert changes(plain, more) == []
    found = compare([plain, more])
    assert len(found.rows) == 1
    assert found.notes == (
        "b: Tensors that stand in several files: 1, such as model.a.weight; where they differ, norms are missing.",
    )


def test_equal_labels_are_numbered() -> None:
    (row,) = changes(checkpoint("same", {}), checkpoint("same", {"a": ("F32", ONE)}))
    assert (row.baseline, row.checkpoint) == ("same", "same (2)")
