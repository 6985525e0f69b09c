"""What is known of a tensor without reading it."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from loops_nb.tensors.naming import Half, is_moment, place_of

Role = Literal["weights", "optimizer"]
#: The folder of a checkpoint in which the optimizer's shards lie.
_OPTIMIZER = "optimizer"


class TensorInfo(msgspec.Struct, frozen=True):
    """A tensor as the header of its file describes it.

    Parameters
    ----------
    name
        Its full name in the file.
    dtype
        The word of the safetensors format: ``F32``, ``BF16`` and so on.
    shape
        Its dimensions; empty for a single number.
    file
        The file that holds it, relative to the checkpoint.
    first, last
        Where its bytes lie in that file: from ``first`` up to, not including, ``last``.
    module
        The module of the base model that it belongs to, without PEFT's wrapper and without the part that says which half it is:
        ``model.layers.3.self_attn.q_proj``.
    module_type
        The module's own name, the same in all layers: ``q_proj``.
    layer
        Number of the layer; None outside of layers.
    lora
        Which half of a LoRA update ``B @ A`` it is; None for all else.  Its rank needs the other half and the adapter's configuration:
        `loops_nb.comparing.ranks_of`.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    first: int
    last: int
    module: str
    module_type: str
    layer: int | None
    lora: Half | None

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """How many bytes it takes in the file."""
        return self.last - self.first

    @property
    def role(self) -> Role:
        """Whether it is a weight of the model, or what the optimizer keeps of one."""
        return "optimizer" if is_optimizer_file(self.file) or is_moment(self.name) else "weights"


def is_optimizer_file(name: str) -> bool:
    """Tell whether a file of a checkpoint is a shard of the optimizer's."""
    return _OPTIMIZER in name.split("/")[:-1]


def info_of(name: str, *, dtype: str, shape: tuple[int, ...], file: str, first: int, last: int) -> TensorInfo:
    """Return what is known of a tensor, with what its name tells."""
    place = place_of(name)
    return TensorInfo(
        name=name,
        dtype=dtype,
        shape=shape,
        file=file,
        first=first,
        last=last,
        module=place.module,
        module_type=place.module_type,
        layer=place.layer,
        lora=place.lora,
    )
