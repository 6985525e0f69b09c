"""What names tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from loops_nb.local import catalogue
from loops_nb.local.adapters import adapter_shape
from loops_nb.tensors.info import info_of
from loops_nb.tensors.naming import Place, is_moment, place_of
from tests.frames.documents import ANY_MACHINE
from tests.tensors.made import parsed

PEFT = "base_model.model.model.layers.3.self_attn.q_proj"
Q = "model.layers.3.self_attn.q_proj"
NAMES: dict[str, Place] = {
    f"{PEFT}.lora_A.weight": Place(Q, "q_proj", 3, "A"),
    f"{PEFT}.lora_B.weight": Place(Q, "q_proj", 3, "B"),
    f"{PEFT}.lora_A.default.weight": Place(Q, "q_proj", 3, "A"),
    f"{PEFT}.lora_B.my_adapter.weight": Place(Q, "q_proj", 3, "B"),
    f"{PEFT}.lora_A.weight.exp_avg": Place(Q, "q_proj", 3, "A"),
    f"{PEFT}.lora_B.default.weight.exp_avg_sq": Place(Q, "q_proj", 3, "B"),
    f"{PEFT}.lora_B.bias": Place(Q, "q_proj", 3, None),
    f"module.{PEFT}.lora_A.weight": Place(Q, "q_proj", 3, "A"),
    f"_orig_mod.module.{PEFT}.lora_A.default.weight": Place(Q, "q_proj", 3, "A"),
    "base_model.model._orig_mod.model.layers.3._fsdp_wrapped_module.self_attn.q_proj.lora_B.weight": Place(Q, "q_proj", 3, "B"),
    "model.layers.3._checkpoint_wrapped_module.self_attn._orig_mod.q_proj.weight": Place(Q, "q_proj", 3, None),
    f"{PEFT}.lora_magnitude_vector.weight": Place(Q, "q_proj", 3, None),
    f"{PEFT}.lora_magnitude_vector": Place(Q, "q_proj", 3, None),
    "base_model.model.model.embed_tokens.lora_embedding_A": Place("model.embed_tokens", "embed_tokens", None, "A"),
    "base_model.model.model.embed_tokens.lora_embedding_B.default": Place("model.embed_tokens", "embed_tokens", None, "B"),
    "base_model.model.model.layers.11.mlp.experts.7.gate_proj.lora_A.weight": Place(
        "model.layers.11.mlp.experts.7.gate_proj", "gate_proj", 11, "A"
    ),
    "base_model.model.model.layers.11.mlp.experts.lora_A.weight": Place("model.layers.11.mlp.experts", "experts", 11, "A"),
    "base_model.model.model.layers.11.mlp.experts.base_layer.lora_A.weight": Place(
        "model.layers.11.mlp.experts.base_layer", "base_layer", 11, "A"
    ),
    "base_model.model.lm_head.modules_to_save.default.weight": Place("lm_head", "lm_head", None, None),
    "base_model.model.score.modules_to_save.weight": Place("score", "score", None, None),
    "model.layers.3.self_attn.q_proj.weight": Place(Q, "q_proj", 3, None),
    "model.layers.3.self_attn.q_proj.bias": Place(Q, "q_proj", 3, None),
    "model.layers.3.mlp.experts.gate_up_proj": Place("model.layers.3.mlp.experts.gate_up_proj", "gate_up_proj", 3, None),
    "model.layers.3.input_layernorm.weight": Place("model.layers.3.input_layernorm", "input_layernorm", 3, None),
    "model.visual.blocks.5.mlp.2.weight": Place("model.visual.blocks.5.mlp.2", "mlp", 5, None),
    "transformer.h.0.attn.c_attn.weight": Place("transformer.h.0.attn.c_attn", "c_attn", 0, None),
    "unet.down_blocks.attn.to_q.lora_down.weight": Place("unet.down_blocks.attn.to_q", "to_q", None, "A"),
    "layers.4.attention.wq.lora_b": Place("layers.4.attention.wq", "wq", 4, "B"),
    "model.embed_tokens.weight": Place("model.embed_tokens", "embed_tokens", None, None),
    "weight": Place("weight", "weight", None, None),
    "lora_A.weight": Place("", "", None, "A"),
    "exp_avg": Place("exp_avg", "exp_avg", None, None),
    "": Place("", "", None, None),
    "model.layers.99999999999999999999.x.weight": Place("model.layers.99999999999999999999.x", "x", None, None),
    "model.layers.\u0663.x.weight": Place("model.layers.\u0663.x", "x", None, None),
}


@pytest.mark.parametrize(("name", "place"), NAMES.items(), ids=NAMES)
def test_a_name_tells_where_a_tensor_belongs(name: str, place: Place) -> None:
    assert place_of(name) == place


@ANY_MACHINE
@given(
    st.text(max_size=80) | st.lists(st.sampled_from([*"0123", "layers", "lora_A", "lora_B", "weight", "modules_to_save", ""])).map(".".join)
)
def test_any_name_is_read(name: str) -> None:
    place = place_of(name)
    assert place.layer is None or 0 <= place.layer < 10**9
    assert place.lora in {None, "A", "B"}
    assert place.module_type in place.module.split(".") or place.module_type == ""


def test_a_name_as_long_as_a_header_is_read_and_not_kept() -> None:
    name = "layers.1." + "x." * 100_000 + "lora_B.weight"
    assert place_of(name).layer == 1
    assert place_of(name).lora == "B"


@pytest.mark.parametrize(
    ("file", "name", "role"),
    [
        ("adapter_model.safetensors", "a.lora_A.weight", "weights"),
        ("optimizer/shard-00000-of-00002.safetensors", "a.lora_A.weight.exp_avg", "optimizer"),
        ("rank-1/optimizer/shard.safetensors", "a.lora_A.weight", "optimizer"),
        ("all.safetensors", "a.lora_A.weight.exp_avg_sq", "optimizer"),
        ("optimizer.safetensors", "a.lora_A.weight", "weights"),
        ("not_optimizer/x.safetensors", "a.lora_A.weight", "weights"),
    ],
)
def test_what_the_optimizer_keeps_is_told_by_its_folder_or_its_name(file: str, name: str, role: str) -> None:
    assert info_of(name, dtype="F32", shape=(), file=file, first=0, last=0).role == role


def test_only_the_end_of_a_name_makes_it_a_moment() -> None:
    assert is_moment("a.weight.exp_avg")
    assert not is_moment("a.exp_avg.weight")


@pytest.mark.parametrize("base_model", catalogue.MODELS)
def test_the_modules_of_the_sample_are_told(base_model: str) -> None:
    shape = adapter_shape(base_model, 4)
    infos = parsed(save(shape.split(np.zeros(shape.size, np.float32), np.float32)))
    assert {info.module_type for info in infos} == {part.rpartition(".")[2] for part in catalogue.model(base_model).modules}
    assert {info.lora for info in infos} == {"A", "B"}
    assert {info.layer for info in infos} == {0, 1}
