"""The sizes of the model, by the name of the base model."""

from __future__ import annotations

from typing import NamedTuple

#: Ids below this one are bytes and two marks, and have a slot of their own in every ``loops-local`` model.
BYTES = 258
END_OF_TEXT = 256

#: What adapters touch, as PEFT names it.
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
HEAD = "lm_head"
TARGET_MODULES = (*ATTENTION, *MLP, HEAD)

#: An adapter's product is scaled by alpha / r, and alpha is twice the rank.
ALPHA_BY_RANK = 2
LONGEST_RANK = 256


class Size(NamedTuple):
    """How big a model is.

    Parameters
    ----------
    name
        Base model whose size this is.
    layers, width, heads, inner
        Depth, size of a hidden state, attention heads, and size of the hidden layer of the MLP.
    longest
        Most tokens of one sequence.
    slots
        Most different token ids that a model tells apart.
    """

    name: str
    layers: int
    width: int
    heads: int
    inner: int
    longest: int
    slots: int


TINY = Size("loops-local/tiny", 2, 128, 4, 256, 8192, 4096)
SMALL = Size("loops-local/small", 4, 256, 8, 512, 8192, 4096)

#: Where a text ends, by the family of the tokenizer; a name that is not here has no such id, and its callers send stop ids.
_ENDS = {
    "loops-local/": (END_OF_TEXT,),
    "Qwen/Qwen3": (151_643, 151_645),
    "meta-llama/Llama-3": (128_001, 128_008, 128_009),
    "openai/gpt-oss": (199_999, 200_002),
}


def size_of(base_model: str) -> Size:
    """Return the size of a base model; every name but ``loops-local/small`` stands for the smallest one."""
    return SMALL if base_model == SMALL.name else TINY


def is_bytes(base_model: str) -> bool:
    """Tell whether the token ids of a base model are bytes."""
    return base_model.startswith("loops-local/")


def ends_of_text(base_model: str) -> tuple[int, ...]:
    """Return the ids that end a text."""
    return next((ends for family, ends in _ENDS.items() if base_model.startswith(family)), ())
