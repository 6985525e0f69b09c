"""One name for a tensor, whatever the trainer that saved it puts around it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from loops_nb.tensors.naming import unwrapped

if TYPE_CHECKING:
    from loops_nb.tensors import TensorInfo, WeightSource

# An adapter's own name may stand behind these words.
_SAVED_WHOLE = re.compile(r"\.modules_to_save(?:\.[^.]+)?(?=\.(?:weight|bias)\Z)")
_BIAS = re.compile(r"(?<=\.lora_[AB])\.[^.]+(?=\.bias\Z)")
_MAGNITUDE = re.compile(r"(?<=\.lora_magnitude_vector)(?:\.(?!weight\Z)[^.]+)?(?:\.weight)?\Z")


def canonical_name(info: TensorInfo) -> str:
    """Return the name that two checkpoints share for a tensor.

    The prefix ``base_model.model.`` and the adapter's own name (``.default``) are left out, as PEFT itself does when it loads, and so are
    the parts that ``torch.compile``, DDP and FSDP add (``_orig_mod.``, ``module.``).

    Parameters
    ----------
    info
        The tensor.
    """
    if info.lora is not None:
        return f"{info.module}.lora_{info.lora}.weight"
    return _BIAS.sub("", _MAGNITUDE.sub("", _SAVED_WHOLE.sub("", unwrapped(info.name))))


def weights_of(source: WeightSource) -> dict[str, TensorInfo]:
    """Return the tensors of a checkpoint's weights by the names that checkpoints share; what the optimizer keeps is left out.

    A tensor that stands in several files (one a node) counts once.  Tensors that would share a name, as those of two adapters in one
    file, keep their own.

    Parameters
    ----------
    source
        The checkpoint.
    """
    found: dict[str, TensorInfo] = {}
    for info in source.infos:
        if info.role == "weights":
            found.setdefault(info.name, info)
    shared = Counter(map(canonical_name, found.values()))
    return {canonical if shared[canonical := canonical_name(info)] == 1 else name: info for name, info in found.items()}
