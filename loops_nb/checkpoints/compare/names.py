"""Names in comparisons: tensors without the wrappers of a trainer, and unique labels of checkpoints."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.api.uri import parse_uri
from loops_nb.checkpoints.tensors.names import unwrapped
from loops_nb.errors import InvalidURIError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.checkpoints.tensors import TensorInfo, WeightSource

# The name of an adapter may follow these words.
_SAVED_WHOLE = re.compile(r"\.modules_to_save(?:\.[^.]+)?(?=\.(?:weight|bias)\Z)")
_BIAS = re.compile(r"(?<=\.lora_[AB])\.[^.]+(?=\.bias\Z)")
_MAGNITUDE = re.compile(r"(?<=\.lora_magnitude_vector)(?:\.(?!weight\Z)[^.]+)?(?:\.weight)?\Z")


class CheckpointLabel(NamedTuple):
    """Name of a checkpoint in results.

    Parameters
    ----------
    checkpoint : str
        Its label; the second one with the same label has ``(2)`` appended.
    run_id, target : str or None
        Its run, and ``trainer`` or ``sampler``, if the label has them.
    step : int or None
        The training step in its name.
    """

    checkpoint: str
    run_id: str | None
    target: str | None
    step: int | None


def label_checkpoints(sources: Sequence[WeightSource]) -> list[CheckpointLabel]:
    """Return a unique label for each checkpoint."""
    seen: Counter[str] = Counter()
    labels = []
    for source in sources:
        text = source.label
        seen[text] += 1
        unique = text if seen[text] == 1 else f"{text} ({seen[text]})"
        labels.append(CheckpointLabel(unique, *_run_and_target(text), source.step))
    return labels


def _run_and_target(label: str) -> tuple[str | None, str | None]:
    try:
        uri = parse_uri(f"bt://loops:{label}")
    except InvalidURIError:
        return None, None
    return uri.run_id, uri.target


def canonical_name(info: TensorInfo) -> str:
    """Return the name of a tensor that is the same in all checkpoints.

    The prefix ``base_model.model.`` and the name of the adapter (``.default``) are removed, as in PEFT, and the parts
    that ``torch.compile``, DDP and FSDP add (``_orig_mod.``, ``module.``).

    Parameters
    ----------
    info : TensorInfo
        The tensor.
    """
    if info.lora is not None:
        return f"{info.module}.lora_{info.lora}.weight"
    return _BIAS.sub("", _MAGNITUDE.sub("", _SAVED_WHOLE.sub("", unwrapped(info.name))))


def weights_of(source: WeightSource) -> dict[str, TensorInfo]:
    """Return the weights of a checkpoint by canonical name, without the state of the optimizer.

    A tensor that is in several files (one per node) counts once.  Tensors with the same canonical name, such as those
    of two adapters in one file, keep their full names.

    Parameters
    ----------
    source : WeightSource
        The checkpoint.
    """
    by_name: dict[str, TensorInfo] = {}
    for info in source.infos:
        if info.role == "weights":
            by_name.setdefault(info.name, info)
    counts = Counter(map(canonical_name, by_name.values()))
    found = {}
    for name, info in by_name.items():
        canonical = canonical_name(info)
        found[canonical if counts[canonical] == 1 else name] = info
    return found
