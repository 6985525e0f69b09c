"""Which tensors two checkpoints have in common, from their headers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loops_nb.comparing.naming import weights_of
from loops_nb.comparing.work import Called, called

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loops_nb.tensors import TensorInfo, WeightSource

APPEARED, VANISHED, SHAPE, DTYPE, BOTH = "appeared", "vanished", "shape", "dtype", "shape and dtype"
CHANGES = (APPEARED, VANISHED, SHAPE, DTYPE, BOTH)


class Change(NamedTuple):
    """One tensor that is not the same in two checkpoints, going by its header.

    Parameters
    ----------
    tensor
        Its name without the wrappers of a trainer.
    change
        One of `CHANGES`.
    checkpoint, baseline
        Labels of the two checkpoints.
    module, module_type, layer
        Where in the model it is.
    dtype_before, dtype, shape_before, shape
        In the baseline and in the checkpoint; None where it is not there.
    """

    tensor: str
    change: str
    checkpoint: str
    baseline: str
    module: str
    module_type: str
    layer: int | None
    dtype_before: str | None
    dtype: str | None
    shape_before: tuple[int, ...] | None
    shape: tuple[int, ...] | None


def changes(before: WeightSource, now: WeightSource, *, labels: tuple[Called, Called] | None = None) -> list[Change]:
    """Return the tensors that appeared, vanished, or changed their shape or dtype.

    Tensors are matched without the prefix and the adapter's name that a trainer may put around them; what the optimizer keeps is not
    looked at.  Only headers are needed.

    Parameters
    ----------
    before, now
        The checkpoint to compare with, and the one that is compared.
    labels
        What both are called, where that is decided already.
    """
    baseline, checkpoint = labels or called([before, now])
    return list(_changes(weights_of(before), weights_of(now), checkpoint.checkpoint, baseline.checkpoint))


def _changes(before: Mapping[str, TensorInfo], now: Mapping[str, TensorInfo], checkpoint: str, baseline: str) -> Iterator[Change]:
    for name in sorted(before.keys() | now.keys(), key=lambda name: _place(name, now.get(name) or before[name])):
        old, new = before.get(name), now.get(name)
        info = new or old
        change = _change(old, new)
        if info is None or change is None:
            continue
        yield Change(
            tensor=name,
            change=change,
            checkpoint=checkpoint,
            baseline=baseline,
            module=info.module,
            module_type=info.module_type,
            layer=info.layer,
            dtype_before=None if old is None else old.dtype,
            dtype=None if new is None else new.dtype,
            shape_before=None if old is None else tuple(old.shape),
            shape=None if new is None else tuple(new.shape),
        )


def _place(name: str, info: TensorInfo) -> tuple[bool, int, str]:
    return info.layer is None, info.layer or 0, name


def _change(old: TensorInfo | None, new: TensorInfo | None) -> str | None:
    if old is None:
        return APPEARED
    if new is None:
        return VANISHED
    is_other_shape, is_other_dtype = tuple(old.shape) != tuple(new.shape), old.dtype != new.dtype
    if is_other_shape and is_other_dtype:
        return BOTH
    if is_other_shape:
        return SHAPE
    return DTYPE if is_other_dtype else None
