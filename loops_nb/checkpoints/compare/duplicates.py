"""Finds checkpoints with the same weights under different names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from itertools import chain, product
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.checkpoints.compare.names import CheckpointLabel, label_checkpoints, weights_of
from loops_nb.checkpoints.compare.parallel import Batch, in_parallel, run_batches
from loops_nb.checkpoints.compare.weights import UPDATE, modules_of
from loops_nb.checkpoints.executors import Progress, TaskRunner, bytes_a_task, runner_of
from loops_nb.errors import UnreadableTensorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
    from concurrent.futures import Executor

    from loops_nb.checkpoints.tensors import TensorInfo, WeightSource


class DuplicateGroup(NamedTuple):
    """Checkpoints with the same weights.

    Parameters
    ----------
    members : tuple of CheckpointLabel
        Two or more, in the given order.
    tensors, size_bytes : int
        Number of tensors of each of them, and their bytes.
    digest : str
        BLAKE2b (128 bits, hexadecimal) over the names, types, shapes and bytes of all tensors.
    """

    members: tuple[CheckpointLabel, ...]
    tensors: int
    size_bytes: int
    digest: str


@dataclass(frozen=True)
class Duplicates:
    """Result of `duplicates`.

    Parameters
    ----------
    groups : tuple of DuplicateGroup
        Groups of equal checkpoints.
    bytes_read : int
        Bytes of tensors that were read.
    total_bytes : int
        Bytes of tensors of all checkpoints.
    notes : tuple of str, default ()
        What a user should know of the workers of an executor.
    """

    groups: tuple[DuplicateGroup, ...]
    bytes_read: int
    total_bytes: int
    notes: tuple[str, ...] = ()


class _Candidate(NamedTuple):
    """A checkpoint that may be equal to others."""

    number: int
    source: WeightSource
    weights: dict[str, TensorInfo]
    digests: dict[str, bytes]

    def copies(self, name: str) -> tuple[TensorInfo, ...]:
        """Return a tensor from each file that has it."""
        info = self.weights[name]
        return tuple(same for same in self.source.infos if (same.name, same.role) == (info.name, info.role))


class _Item(NamedTuple):
    """A tensor of one of the sources of a task: all its copies, in several files."""

    source: int
    copies: tuple[TensorInfo, ...]


def duplicates(
    sources: Sequence[WeightSource],
    *,
    workers: int = 4,
    progress: Progress | None = None,
    executor: Executor | TaskRunner | None = None,
) -> Duplicates:
    """Find checkpoints with the same weights.

    Two checkpoints are equal if their tensors have the same canonical names, dtypes, shapes and bytes, and their
    adapters the same scales; states of the optimizer are ignored.  Headers are compared first; then bytes, the smallest
    tensors first, and only of those checkpoints that were equal so far.  A checkpoint without weights equals no other.

    Parameters
    ----------
    sources : sequence of WeightSource
        The checkpoints.
    workers : int, default 4
        Number of tensors that are read at the same time, without an executor.
    progress : callable, optional
        Called with the numbers of read and of all tensors of a round.
    executor : concurrent.futures.Executor, optional
        As in `loops_nb.checkpoints.compare.compare`.

    Returns
    -------
    Duplicates

    Raises
    ------
    ExecutorError
        If the executor cannot do the work.

    Examples
    --------
    >>> found = duplicates([open_folder(path) for path in folders], executor=pool)  # doctest: +SKIP
    """
    runner = runner_of(executor)
    names = label_checkpoints(sources)
    candidates = [_Candidate(number, source, weights_of(source), {}) for number, source in enumerate(sources)]
    total = sum(info.nbytes for one in candidates for info in one.weights.values())
    groups = _equal_groups([one for one in candidates if one.weights], _header_key)
    # All groups advance together, so that the workers are busy; the rounds grow, so that few are needed for equal ones.
    size, at = 1, 0
    read = 0
    while any(at < len(group[0].weights) for group in groups):
        work: list[tuple[_Candidate, str]] = []
        for group in groups:
            work += product(group, _smallest_first(group[0])[at : at + size])
        items = [_Item(one.number, one.copies(name)) for one, name in work]
        if runner is None:
            digests = in_parallel(lambda item: _digest(sources, item), items, workers=workers, progress=progress)
        else:
            found = run_batches(runner, _batches(sources, items, runner), total=len(items), progress=progress)
            digests = [*chain.from_iterable(found)]
        for (one, name), digest in zip(work, digests, strict=True):
            one.digests[name] = digest
            read += one.weights[name].nbytes
        groups = [*chain.from_iterable(_equal_groups(group, _digests_key) for group in groups)]
        at, size = at + size, size * 2
    notes = tuple(runner.notes) if runner else ()
    return Duplicates(tuple(_group_of(group, names) for group in groups), read, total, notes)


def _equal_groups(candidates: Iterable[_Candidate], key: Callable[[_Candidate], Hashable]) -> list[list[_Candidate]]:
    found: dict[Hashable, list[_Candidate]] = {}
    for one in candidates:
        found.setdefault(key(one), []).append(one)
    return [group for group in found.values() if len(group) > 1]


def _header_key(one: _Candidate) -> Hashable:
    modules = modules_of(one.source)
    updates = sorted((key.module, module) for key, module in modules.by_key.items() if key.quantity == UPDATE)
    scales = tuple((path, module.layout, module.scale) for path, module in updates)
    # With an unknown scale, only the same configuration implies the same scale; with missing files, nothing does.
    is_sure = modules.is_whole and all(module.scale is not None for _, module in updates)
    same: Hashable = one.number
    if is_sure:
        same = ""
    elif modules.is_whole:
        same = _configuration(one)
    return tuple((name, info.dtype, info.shape) for name, info in sorted(one.weights.items())), scales, same


def _digests_key(one: _Candidate) -> Hashable:
    return tuple(sorted(one.digests.items()))


def _configuration(one: _Candidate) -> Hashable:
    try:
        return json.dumps(one.source.adapter_config, sort_keys=True)
    except UnreadableTensorsError:
        return one.number


def _smallest_first(one: _Candidate) -> list[str]:
    return sorted(one.weights, key=lambda name: (one.weights[name].nbytes, name))


def _batches(
    sources: Sequence[WeightSource], items: Sequence[_Item], runner: TaskRunner
) -> Iterator[Batch[_Item, bytes]]:
    """Return the tasks for some tensors: a few bytes each, of neighbouring tensors."""
    wanted = bytes_a_task(sum(info.nbytes for item in items for info in item.copies))
    batch: list[_Item] = []
    nbytes = 0
    for item in items:
        batch.append(item)
        nbytes += sum(info.nbytes for info in item.copies)
        if runner.shares_memory or nbytes >= wanted:
            yield _batch(sources, batch)
            batch, nbytes = [], 0
    if batch:
        yield _batch(sources, batch)


def _batch(sources: Sequence[WeightSource], items: Sequence[_Item]) -> Batch[_Item, bytes]:
    places = {number: place for place, number in enumerate(dict.fromkeys(item.source for item in items))}
    placed = tuple(_Item(places[item.source], item.copies) for item in items)
    return Batch(_digest, tuple(sources[number] for number in places), placed)


def _digest(sources: Sequence[WeightSource], item: _Item) -> bytes:
    source = sources[item.source]
    digests = {hashlib.blake2b(source.raw(same), digest_size=16).digest() for same in item.copies}
    if len(digests) == 1:
        return digests.pop()
    # The copies of a tensor in several files differ: the digest is over all of them.
    return hashlib.blake2b(b"".join(sorted(digests)), digest_size=16).digest()


def _group_of(group: Sequence[_Candidate], names: Sequence[CheckpointLabel]) -> DuplicateGroup:
    one = group[0]
    whole = hashlib.blake2b(digest_size=16)
    for name, info in sorted(one.weights.items()):
        whole.update(f"{name}\0{info.dtype}\0{list(info.shape)}\0".encode("utf-8", "surrogatepass") + one.digests[name])
    size = sum(info.nbytes for info in one.weights.values())
    return DuplicateGroup(tuple(names[member.number] for member in group), len(one.weights), size, whole.hexdigest())
