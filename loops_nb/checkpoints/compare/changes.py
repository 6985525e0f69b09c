"""Differences of the headers of two checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from loops_nb.checkpoints.compare.names import CheckpointLabel, label_checkpoints, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from loops_nb.checkpoints.tensors import TensorInfo, WeightSource

APPEARED, VANISHED, SHAPE, DTYPE, BOTH = "appeared", "vanished", "shape", "dtype", "shape and dtype"
CHANGES = (APPEARED, VANISHED, SHAPE, DTYPE, BOTH)


class TensorChange(NamedTuple):
    """A tensor whose header entry differs between two checkpoints.

    Parameters
    ----------
    tensor : str
        Name without the wrappers of a trainer.
    change : str
        One of `CHANGES`.
    checkpoint, baseline : str
        Labels of the two checkpoints.
    module, module_type, layer : str, str, int or None
        The module.
    dtype_before, dtype, shape_before, shape
        In the baseline and in the checkpoint; None if it is missing there.
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


def changes(
    before: WeightSource, now: WeightSource, *, labels: tuple[CheckpointLabel, CheckpointLabel] | None = None
) -> list[TensorChange]:
    """Return the tensors that appeared, vanished, or changed their shape or dtype.

    Tensors are matched by canonical name; states of the optimizer are ignored.  Only headers are read.

    Parameters
    ----------
    before, now : WeightSource
        The baseline, and the checkpoint that is compared with it.
    labels : (CheckpointLabel, CheckpointLabel), optional
        Labels of both.
    """
    baseline, checkpoint = labels or label_checkpoints([before, now])
    return list(_changes(weights_of(before), weights_of(now), checkpoint.checkpoint, baseline.checkpoint))


def _changes(
    before: Mapping[str, TensorInfo], now: Mapping[str, TensorInfo], checkpoint: str, baseline: str
) -> Iterator[TensorChange]:
    for name in sorted(before.keys() | now.keys(), key=lambda name: _sort_key(name, now.get(name) or before[name])):
        old, new = before.get(name), now.get(name)
        info = new or old
        change = _change(old, new)
        if info is None or change is None:
            continue
        yield TensorChange(
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


def _sort_key(name: str, info: TensorInfo) -> tuple[bool, int, str]:
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
