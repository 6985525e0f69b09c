"""Parsing of tensor names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from loops_nb.checkpoints.tensors.info import tensor_info
from loops_nb.checkpoints.tensors.names import ParsedName, is_moment, parse_name
from loops_nb.local import base_models
from loops_nb.local.weights.synthetic import adapter_shape
from tests.checkpoints.tensors.safetensors_files import parsed
from tests.frames.strategies import ANY_MACHINE

PEFT = "base_model.model.model.layers.3.self_attn.q_proj"
Q = "model.layers.3.self_attn.q_proj"
NAMES: dict[str, ParsedName] = {
    f"{PEFT}.lora_A.weight": ParsedName(Q, "q_proj", 3, "A"),
    f"{PEFT}.lora_B.weight": ParsedName(Q, "q_proj", 3, "B"),
    f"{PEFT}.lora_A.default.weight": ParsedName(Q, "q_proj", 3, "A"),
    f"{PEFT}.lora_B.my_adapter.weight": ParsedName(Q, "q_proj", 3, "B"),
    f"{PEFT}.lora_A.weight.exp_avg": ParsedName(Q, "q_proj", 3, "A"),
    f"{PEFT}.lora_B.default.weight.exp_avg_sq": ParsedName(Q, "q_proj", 3, "B"),
    f"{PEFT}.lora_B.bias": ParsedName(Q, "q_proj", 3, None),
    f"module.{PEFT}.lora_A.weight": ParsedName(Q, "q_proj", 3, "A"),
    f"_orig_mod.module.{PEFT}.lora_A.default.weight": ParsedName(Q, "q_proj", 3, "A"),
    "base_model.model._orig_mod.model.layers.3._fsdp_wrapped_module.self_attn.q_proj.lora_B.weight": ParsedName(
        Q, "q_proj", 3, "B"
    ),
    "model.layers.3._checkpoint_wrapped_module.self_attn._orig_mod.q_proj.weight": ParsedName(Q, "q_proj", 3, None),
    f"{PEFT}.lora_magnitude_vector.weight": ParsedName(Q, "q_proj", 3, None),
    f"{PEFT}.lora_magnitude_vector": ParsedName(Q, "q_proj", 3, None),
    "base_model.model.model.embed_tokens.lora_embedding_A": ParsedName("model.embed_tokens", "embed_tokens", None, "A"),
    "base_model.model.model.embed_tokens.lora_embedding_B.default": ParsedName(
        "model.embed_tokens", "embed_tokens", None, "B"
    ),
    "base_model.model.model.layers.11.mlp.experts.7.gate_proj.lora_A.weight": ParsedName(
        "model.layers.11.mlp.experts.7.gate_proj", "gate_proj", 11, "A"
    ),
    "base_model.model.model.layers.11.mlp.experts.lora_A.weight": ParsedName(
        "model.layers.11.mlp.experts", "experts", 11, "A"
    ),
    "base_model.model.model.layers.11.mlp.experts.base_layer.lora_A.weight": ParsedName(
        "model.layers.11.mlp.experts.base_layer", "base_layer", 11, "A"
    ),
    "base_model.model.lm_head.modules_to_save.default.weight": ParsedName("lm_head", "lm_head", None, None),
    "base_model.model.score.modules_to_save.weight": ParsedName("score", "score", None, None),
    "model.layers.3.self_attn.q_proj.weight": ParsedName(Q, "q_proj", 3, None),
    "model.layers.3.self_attn.q_proj.bias": ParsedName(Q, "q_proj", 3, None),
    "model.layers.3.mlp.experts.gate_up_proj": ParsedName(
        "model.layers.3.mlp.experts.gate_up_proj", "gate_up_proj", 3, None
    ),
    "model.layers.3.input_layernorm.weight": ParsedName("model.layers.3.input_layernorm", "input_layernorm", 3, None),
    "model.visual.blocks.5.mlp.2.weight": ParsedName("model.visual.blocks.5.mlp.2", "mlp", 5, None),
    "transformer.h.0.attn.c_attn.weight": ParsedName("transformer.h.0.attn.c_attn", "c_attn", 0, None),
    "unet.down_blocks.attn.to_q.lora_down.weight": ParsedName("unet.down_blocks.attn.to_q", "to_q", None, "A"),
    "layers.4.attention.wq.lora_b": ParsedName("layers.4.attention.wq", "wq", 4, "B"),
    "model.embed_tokens.weight": ParsedName("model.embed_tokens", "embed_tokens", None, None),
    "weight": ParsedName("weight", "weight", None, None),
    "lora_A.weight": ParsedName("", "", None, "A"),
    "exp_avg": ParsedName("exp_avg", "exp_avg", None, None),
    "": ParsedName("", "", None, None),
    "model.layers.99999999999999999999.x.weight": ParsedName("model.layers.99999999999999999999.x", "x", None, None),
    "model.layers.\u0663.x.weight": ParsedName("model.layers.\u0663.x", "x", None, None),
}


@pytest.mark.parametrize(("name", "place"), NAMES.items(), ids=NAMES)
def test_name_has_module_layer_and_half(name: str, place: ParsedName) -> None:
    assert parse_name(name) == place


@ANY_MACHINE
@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from([*"0123", "layers", "lora_A", "lora_B", "weight", "modules_to_save", ""])).map(".".join)
)
def test_any_name_is_parsed(name: str) -> None:
    place = parse_name(name)
    assert place.layer is None or 0 <= place.layer < 10**9
    assert place.lora in {None, "A", "B"}
    assert place.module_type in place.module.split(".") or place.module_type == ""


def test_very_long_name_is_not_cached() -> None:
    name = "layers.1." + "x." * 100_000 + "lora_B.weight"
    assert parse_name(name).layer == 1
    assert parse_name(name).lora == "B"


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
def test_optimizer_state_is_known_by_folder_or_name(file: str, name: str, role: str) -> None:
    assert tensor_info(name, dtype="F32", shape=(), file=file, first=0, last=0).role == role


def test_optimizer_state_is_known_by_the_end_of_its_name() -> None:
    assert is_moment("a.weight.exp_avg")
    assert not is_moment("a.exp_avg.weight")


@pytest.mark.parametrize("base_model", base_models.MODELS)
def test_modules_of_the_sample_are_parsed(base_model: str) -> None:
    shape = adapter_shape(base_model, 4)
    infos = parsed(save(shape.split(np.zeros(shape.size, np.float32), np.float32)))
    assert {info.module_type for info in infos} == {
        part.rpartition(".")[2] for part in base_models.model(base_model).modules
    }
    assert {info.lora for info in infos} == {"A", "B"}
    assert {info.layer for info in infos} == {0, 1}
