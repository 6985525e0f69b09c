"""Differences of the headers of two checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.checkpoints.compare.names import CheckpointLabel, label_checkpoints, weights_of
from loops_nb.checkpoints.tensors import HeaderCache, open_many

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from loops_nb.api.references import CheckpointRef
    from loops_nb.checkpoints.executors import Progress, TaskRunner
    from loops_nb.checkpoints.http import Storage
    from loops_nb.checkpoints.tensors import TensorInfo, WeightSource

APPEARED, VANISHED, SHAPE, DTYPE, BOTH = "appeared", "vanished", "shape", "dtype", "shape and dtype"
CHANGES = (APPEARED, VANISHED, SHAPE, DTYPE, BOTH)
#: Checkpoints of a task; the first of all is opened again in each.
_A_TASK = 16


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


@dataclass(frozen=True)
class _ChangesTask:
    """Opens remote checkpoints where it is called, and compares the headers of all with those of the first."""

    storages: tuple[Storage, ...]
    refs: tuple[CheckpointRef, ...]
    service: str

    @property
    def units(self) -> int:
        return len(self.refs) - 1

    def __call__(self) -> list[TensorChange]:
        # Those of one service are the same storage on a worker.
        cache = HeaderCache.of_user(self.service)
        first, *others = open_many(self.storages[-1], self.refs, cache=cache, with_optimizer=False)
        return [*chain.from_iterable(changes(first, other) for other in others)]

    def payload(self, *, share_urls: bool, is_renewed: bool) -> _ChangesTask:
        if not share_urls:
            return self
        storage = self.storages[0]
        return replace(self, storages=tuple(storage.with_urls(ref.id, is_renewed=is_renewed) for ref in self.refs))


def changes_on_executor(
    runner: TaskRunner,
    storage: Storage,
    refs: Sequence[CheckpointRef],
    *,
    service: str,
    progress: Progress | None = None,
) -> list[TensorChange]:
    """Return what `changes` returns for the first checkpoint and each other one; workers open them.

    Parameters
    ----------
    runner : TaskRunner
        Has the executor.
    storage : Storage
        Reads the files; workers get a copy.
    refs : sequence of CheckpointRef
        Two checkpoints or more.
    service : str
        Address of the service, for the cache of headers.
    progress : callable, optional
        Called with the numbers of compared and of all checkpoints.
    """
    first, *others = refs
    tasks = (
        _ChangesTask((storage,), (first, *others[start : start + _A_TASK]), service)
        for start in range(0, len(others), _A_TASK)
    )
    return [*chain.from_iterable(runner.run(tasks, total=len(others), progress=progress))]


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
