"""Checkpoints that hold the same weights under different names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.comparing.naming import weights_of
from loops_nb.comparing.weights import UPDATE, modules_of
from loops_nb.comparing.work import Called, Progress, called, in_parallel
from loops_nb.errors import UnreadableTensorsError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from loops_nb.tensors import TensorInfo, WeightSource


class DuplicateGroup(NamedTuple):
    """Checkpoints with the same weights.

    Parameters
    ----------
    members
        What they are called, in the order given: two or more.
    tensors, size_bytes
        How many tensors each of them has, and their bytes.
    digest
        BLAKE2b (128 bits, hexadecimal) over the names, types, shapes and bytes of all tensors.
    """

    members: tuple[Called, ...]
    tensors: int
    size_bytes: int
    digest: str


@dataclass(frozen=True)
class Duplicates:
    """What `duplicates` found.

    Parameters
    ----------
    groups
        The checkpoints that are the same, group by group.
    bytes_read
        Bytes of tensors that were read to find out.
    total_bytes
        Bytes of tensors that all the checkpoints have.
    """

    groups: tuple[DuplicateGroup, ...]
    bytes_read: int
    total_bytes: int


class _Suspect(NamedTuple):
    """A checkpoint that may be the same as others."""

    place: int
    source: WeightSource
    weights: dict[str, TensorInfo]
    digests: dict[str, bytes]


def duplicates(sources: Sequence[WeightSource], *, workers: int = 4, progress: Progress | None = None) -> Duplicates:
    """Find checkpoints with the same weights.

    The same are those whose tensors have the same names (without a trainer's wrappers), types, shapes and bytes, and whose adapters
    scale them alike; the optimizer's state does not count.  Headers are compared first; then bytes, the smallest tensors first, and of
    those checkpoints only that were the same until then.  A checkpoint without weights is the same as no other.

    Parameters
    ----------
    sources
        The checkpoints.
    workers
        Tensors read at a time.
    progress
        Told how many tensors of a round are read, and of how many.
    """
    names = called(sources)
    suspects = [_Suspect(place, source, weights_of(source), {}) for place, source in enumerate(sources)]
    total = sum(info.nbytes for one in suspects for info in one.weights.values())
    groups = _alike([one for one in suspects if one.weights], _outside)
    # All groups go on together, so that workers have enough to do; the rounds grow, so that few are needed where all is the same.
    size, at = 1, 0
    read = 0
    while any(at < len(group[0].weights) for group in groups):
        work = [(one, name) for group in groups for name in _smallest_first(group[0])[at : at + size] for one in group]
        digests = in_parallel(lambda item: _digest(*item), work, workers=workers, progress=progress)
        for (one, name), digest in zip(work, digests, strict=True):
            one.digests[name] = digest
            read += one.weights[name].nbytes
        groups = [part for group in groups for part in _alike(group, lambda one: tuple(sorted(one.digests.items())))]
        at, size = at + size, size * 2
    return Duplicates(tuple(_found(group, names) for group in groups), read, total)


def _alike(suspects: Iterable[_Suspect], key: Callable[[_Suspect], Hashable]) -> list[list[_Suspect]]:
    found: dict[Hashable, list[_Suspect]] = {}
    for one in suspects:
        found.setdefault(key(one), []).append(one)
    return [group for group in found.values() if len(group) > 1]


def _outside(one: _Suspect) -> Hashable:
    modules = modules_of(one.source)
    updates = sorted((key.module, module) for key, module in modules.by_key.items() if key.quantity == UPDATE)
    scales = tuple((path, module.layout, module.scale) for path, module in updates)
    # Where a scale is not known, only the same configuration is sure to give the same; where files are missing, nothing is.
    is_sure = modules.is_whole and all(module.scale is not None for _, module in updates)
    same = "" if is_sure else _configuration(one) if modules.is_whole else one.place
    return tuple((name, info.dtype, info.shape) for name, info in sorted(one.weights.items())), scales, same


def _configuration(one: _Suspect) -> Hashable:
    try:
        return json.dumps(one.source.adapter_config, sort_keys=True)
    except UnreadableTensorsError:
        return one.place


def _smallest_first(one: _Suspect) -> list[str]:
    return sorted(one.weights, key=lambda name: (one.weights[name].nbytes, name))


def _digest(one: _Suspect, name: str) -> bytes:
    info = one.weights[name]
    digests = {hashlib.blake2b(one.source.raw(same), digest_size=16).digest() for same in one.source.infos if _is_copy(same, info)}
    # A tensor that differs from file to file is all of them together.
    return digests.pop() if len(digests) == 1 else hashlib.blake2b(b"".join(sorted(digests)), digest_size=16).digest()


def _is_copy(one: TensorInfo, other: TensorInfo) -> bool:
    return one.name == other.name and one.role == other.role


def _found(group: Sequence[_Suspect], names: Sequence[Called]) -> DuplicateGroup:
    one = group[0]
    whole = hashlib.blake2b(digest_size=16)
    for name, info in sorted(one.weights.items()):
        whole.update(f"{name}\0{info.dtype}\0{list(info.shape)}\0".encode("utf-8", "surrogatepass") + one.digests[name])
    size = sum(info.nbytes for info in one.weights.values())
    return DuplicateGroup(tuple(names[member.place] for member in group), len(one.weights), size, whole.hexdigest())
