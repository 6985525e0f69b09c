"""Description of a tensor from its header."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from loops_nb.checkpoints.tensors.names import Half, is_moment, parse_name

Role = Literal["weights", "optimizer"]
#: Folder of the optimizer's shards in a checkpoint.
_OPTIMIZER = "optimizer"


class TensorInfo(msgspec.Struct, frozen=True):
    """A tensor as described in the header of its file.

    Parameters
    ----------
    name : str
        Full name in the file.
    dtype : str
        Number format of safetensors: ``F32``, ``BF16`` and so on.
    shape : tuple of int
        Dimensions; empty for a single number.
    file : str
        File with the tensor, relative to the checkpoint.
    first, last : int
        Byte range in that file, without ``last``.
    module : str
        Module of the base model, without PEFT's wrapper and the LoRA half: ``model.layers.3.self_attn.q_proj``.
    module_type : str
        Last part of the module's name, the same in all layers: ``q_proj``.
    layer : int or None
        Number of the layer; None outside of layers.
    lora : {"A", "B"} or None
        Half of a LoRA update ``B @ A``; None for other tensors.  The rank depends on the other half and the adapter's
        configuration, too: `loops_nb.checkpoints.compare.ranks_of`.
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
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes in the file."""
        return self.last - self.first

    @property
    def role(self) -> Role:
        """``optimizer`` for a state of the optimizer, else ``weights``."""
        return "optimizer" if is_optimizer_file(self.file) or is_moment(self.name) else "weights"


def is_optimizer_file(name: str) -> bool:
    """Whether a file of a checkpoint is a shard of the optimizer."""
    return _OPTIMIZER in name.split("/")[:-1]


def tensor_info(name: str, *, dtype: str, shape: tuple[int, ...], file: str, first: int, last: int) -> TensorInfo:
    """Return the description of a tensor, with the parts of its name."""
    parsed = parse_name(name)
    return TensorInfo(
        name=name,
        dtype=dtype,
        shape=shape,
        file=file,
        first=first,
        last=last,
        module=parsed.module,
        module_type=parsed.module_type,
        layer=parsed.layer,
        lora=parsed.lora,
    )
