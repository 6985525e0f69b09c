"""Parses names of tensors: module, layer, and LoRA half.

Known are the names of PEFT (``base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight``, with or without an
adapter's name before ``weight``), of embeddings (``lora_embedding_A``), of experts (``mlp.experts.7.gate_proj``), of
optimizer states (``....lora_A.weight.exp_avg``) and of plain weights.  The parts that ``torch.compile``, DDP, FSDP and
activation checkpointing add to the names of a wrapped model (``_orig_mod.``, ``module.``) are removed.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

Half = Literal["A", "B"]

_WRAPPER = "base_model.model."
_WRAPPED_BY = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_HALVES: dict[str, Half] = {
    "lora_A": "A",
    "lora_B": "B",
    "lora_embedding_A": "A",
    "lora_embedding_B": "B",
    "lora_a": "A",
    "lora_b": "B",
    "lora_down": "A",
    "lora_up": "B",
}
# Part of a LoRA update, but no half of it.
_OTHER_LORA_PARTS = {"lora_magnitude_vector"}
_SAVED_WHOLE = "modules_to_save"
_LEAVES = {"weight", "bias", "weight_scale", "weight_scale_inv", "input_scale", "qweight", "qzeros", "scales", "g_idx"}
_STACKS = {"layers", "layer", "blocks", "block", "resblocks", "h"}
_MOMENTS = {
    "exp_avg",
    "exp_avg_sq",
    "max_exp_avg_sq",
    "exp_inf",
    "momentum_buffer",
    "square_avg",
    "grad_avg",
    "acc_delta",
}
_LONGEST_NUMBER = 9
# Checkpoints of a run have the same names; very long ones are not worth the memory.
_LONGEST_CACHED = 500


class ParsedName(NamedTuple):
    """Parts of a tensor's name; see `loops_nb.checkpoints.tensors.info.TensorInfo`."""

    module: str
    module_type: str
    layer: int | None
    lora: Half | None


def unwrapped(name: str) -> str:
    """Return a tensor's name without the parts that PEFT and other model wrappers add."""
    parts = [part for part in name.split(".") if part not in _WRAPPED_BY]
    return ".".join(parts).removeprefix(_WRAPPER)


def parse_name(name: str) -> ParsedName:
    """Return the parts of a tensor's name."""
    return _parse_cached(name) if len(name) <= _LONGEST_CACHED else _parse(name)


def is_moment(name: str) -> bool:
    """Whether a name is that of an optimizer state of a weight."""
    return name.rpartition(".")[2] in _MOMENTS


def _parse(name: str) -> ParsedName:
    parts = unwrapped(name).split(".")
    if len(parts) > 1 and parts[-1] in _MOMENTS:
        parts.pop()
    half: Half | None = None
    at = next(
        (at for at in range(len(parts) - 1, -1, -1) if parts[at] in _HALVES or parts[at] in _OTHER_LORA_PARTS), None
    )
    if at is not None:
        # The bias that some trainers add after B is a vector, not a factor of the update.
        half = None if parts[-1] == "bias" else _HALVES.get(parts[at])
        parts = parts[:at]
    else:
        if len(parts) > 1 and parts[-1] in _LEAVES:
            parts.pop()
        if _SAVED_WHOLE in parts[1:]:
            parts = parts[: parts.index(_SAVED_WHOLE, 1)]
    return ParsedName(
        ".".join(parts), next((part for part in reversed(parts) if not _is_number(part)), ""), _layer(parts), half
    )


_parse_cached = lru_cache(maxsize=1 << 15)(_parse)


def _layer(parts: list[str]) -> int | None:
    for stack, number in pairwise(parts):
        if stack in _STACKS and _is_number(number) and len(number) <= _LONGEST_NUMBER:
            return int(number)
    return None


def _is_number(part: str) -> bool:
    return part.isascii() and part.isdigit()
