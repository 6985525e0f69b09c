"""Modules of a checkpoint, and reading and comparing the weights of a module."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loops_nb.checkpoints.compare.names import canonical_name, weights_of
from loops_nb.checkpoints.compare.scaling import Scaling, scaling_of, without_base_layers
from loops_nb.checkpoints.compare.updates import Floats, LoraUpdate, distance, inner, norm
from loops_nb.checkpoints.tensors.checkpoint import OpenedCheckpoint
from loops_nb.checkpoints.tensors.dtypes import READERS
from loops_nb.errors import UnreadableTensorsError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from loops_nb.checkpoints.tensors import TensorInfo, WeightSource

#: What is compared: the scaled ``B @ A`` of a module, or a plain tensor.
UPDATE, WEIGHTS = "update", "weights"
QUANTITIES = (UPDATE, WEIGHTS)
#: Numbers that are converted to float64 at a time.
_CHUNK = 1 << 20
_MATRIX, _STACK = 2, 3
NAN = math.nan
ROWS, STACK, TRANSPOSED = "rows", "stack", "transposed"
_NUMBERED = re.compile(r"(.*)-(\d{1,9})-of-(\d{1,9})\.safetensors")


class ModuleKey(NamedTuple):
    """Identity of a module across checkpoints, with what is compared."""

    module: str
    quantity: str


class FactorLayout(NamedTuple):
    """How the two tensors of an update are laid out.

    Parameters
    ----------
    form : str
        `ROWS`: A has one row per rank (and expert), B one column.  `STACK`: one pair of matrices per expert.
        `TRANSPOSED`: A has one column per rank and B one row, as in MLX.
    experts, rank : int
        Number of experts in the tensors, and the rank of each.
    """

    form: str
    experts: int
    rank: int


@dataclass(frozen=True)
class Module:
    """A module of a checkpoint, from the headers.

    Parameters
    ----------
    key : ModuleKey
        Path in the base model without wrappers (of a plain tensor: its name without ``.weight``), and `UPDATE` or
        `WEIGHTS`.
    module_type, layer : str, int or None
        Last part of the path, and number of the layer.
    tensors : tuple of TensorInfo
        A and B of an update, or the plain tensor.
    layout : FactorLayout or None
        Of an update, if known.
    scale : float or None
        Of an update; its norm is missing if this is unknown.
    copies : tuple of TensorInfo
        All tensors with these names, if any is in several files.
    """

    key: ModuleKey
    module_type: str
    layer: int | None
    tensors: tuple[TensorInfo, ...]
    layout: FactorLayout | None = None
    scale: float | None = None
    copies: tuple[TensorInfo, ...] = ()

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(info.parameters for info in self.tensors)

    @property
    def rank(self) -> int | None:
        """LoRA rank of an update, if known."""
        return self.layout.rank if self.layout else None


@dataclass(frozen=True)
class Modules:
    """Modules of a checkpoint, with notes on their limitations.

    Parameters
    ----------
    by_key : mapping of ModuleKey to Module
        The modules.
    notes : tuple of str
        Limitations.
    is_whole : bool, default True
        Whether all files are present; if not, an absent module may be in a missing file.
    unpaired : frozenset of str
        Modules whose A and B do not fit each other; their updates are unknown.
    """

    by_key: Mapping[ModuleKey, Module]
    notes: tuple[str, ...]
    is_whole: bool = True
    unpaired: frozenset[str] = frozenset()

    def lacks(self, key: ModuleKey) -> bool:
        """Whether an absent module certainly has no update."""
        return key.quantity == UPDATE and self.is_whole and key.module not in self.unpaired


Pair = dict[str, "TensorInfo"]


def modules_of(source: WeightSource) -> Modules:
    """Return the modules of a checkpoint: its LoRA updates, and each other floating-point tensor by itself.

    Parameters
    ----------
    source : WeightSource
        The checkpoint; only its headers are read.
    """
    scaling = _scaling(source)
    pairs: dict[str, Pair] = {}
    single: dict[str, TensorInfo] = {}
    weights = weights_of(source)
    for name, info in weights.items():
        # Tensors of one of two adapters in a file keep their full names, and match no pair of another checkpoint.
        if info.lora is None or name != canonical_name(info):
            single[name] = info
        else:
            pairs.setdefault(info.module, {})[info.lora] = info
    unpaired = {path for path, pair in pairs.items() if not _is_pair(pair)}
    for path in unpaired:
        single |= {canonical_name(info): info for info in pairs.pop(path).values()}
    copies = _copies(source)
    found = {
        ModuleKey(path, UPDATE): _update_of(path, pair, copies, *known)
        for path, (pair, known) in _layouts_and_scales(pairs, weights, scaling).items()
    }
    updates = list(found.values())
    others = []
    for name, info in single.items():
        if _is_float(info):
            key = ModuleKey(name.removesuffix(".weight"), WEIGHTS)
            found[key] = Module(key, info.module_type, info.layer, (info,), copies=tuple(copies.get(info.name, ())))
        else:
            others.append(info)
    lost = _missing_files(info.file for info in source.infos if info.role == "weights")
    notes = [*_notes(scaling, updates, others), *_unpaired(unpaired), *_repeated(copies), *_shared(weights), *lost]
    return Modules(found, tuple(notes), is_whole=not lost, unpaired=frozenset(unpaired))


def ranks_of(source: WeightSource) -> dict[str, int]:
    """Return the LoRA rank of each module of a checkpoint, where known.

    Parameters
    ----------
    source : WeightSource
        The checkpoint; only its headers are read.
    """
    modules = modules_of(source).by_key.values()
    return {
        module.key.module: module.rank
        for module in modules
        if module.key.quantity == UPDATE and module.rank is not None
    }


def keys_of(checkpoints: Iterable[Modules]) -> list[ModuleKey]:
    """Return the modules of any of the checkpoints, by layer; those outside of layers come last."""
    found = {key: module for one in checkpoints for key, module in one.by_key.items()}
    return sorted(found, key=lambda key: (found[key].layer is None, found[key].layer or 0, key))


def _scaling(source: WeightSource) -> Scaling:
    try:
        return scaling_of(source.adapter_config)
    except UnreadableTensorsError:
        return Scaling(
            is_known=False, notes=("Its adapter_config.json cannot be read, so the norms of its updates are missing.",)
        )


def _notes(scaling: Scaling, updates: Sequence[Module], others: list[TensorInfo]) -> Iterator[str]:
    if updates:
        yield from scaling.notes
    odd = [module for module in updates if module.layout is None]
    if odd:
        yield (
            f"The tensors of {len(odd)} of {len(updates)} updates do not fit A, B and rank of its adapter_config.json,"
            f" such as {odd[0].key.module:.100} ({_shapes(odd[0])}); their norms are missing."
        )
    unknown = [module for module in updates if module.scale is None and module.layout is not None]
    if unknown and not scaling.notes:
        yield (
            f"The scale of {len(unknown)} of {len(updates)} updates is not known, such as that of"
            f" {unknown[0].key.module:.100}; their norms are missing."
        )
    if others:
        yield f"Not compared, for their type: {len(others)} tensors, such as {others[0].name:.100} ({others[0].dtype})."


def _unpaired(paths: Collection[str]) -> Iterator[str]:
    if paths:
        yield (
            f"{len(paths)} modules have no A and B that fit each other, such as {min(paths):.100}; their tensors are"
            " compared as they are, and what they change is missing."
        )


def _shapes(module: Module) -> str:
    return ", ".join(f"{info.lora} {' x '.join(map(str, info.shape))}" for info in module.tensors)


def _copies(source: WeightSource) -> dict[str, list[TensorInfo]]:
    """Return the tensors that are in several files."""
    found: dict[str, list[TensorInfo]] = {}
    for info in source.infos:
        if info.role == "weights":
            found.setdefault(info.name, []).append(info)
    return {name: infos for name, infos in found.items() if len(infos) > 1}


def _repeated(copies: Mapping[str, list[TensorInfo]]) -> Iterator[str]:
    if copies:
        first = next(iter(copies))
        yield (
            f"Tensors that stand in several files: {len(copies)}, such as {first:.100}; where they differ, norms are"
            " missing."
        )


def _shared(weights: Mapping[str, TensorInfo]) -> Iterator[str]:
    own = [name for name, info in weights.items() if name != canonical_name(info)]
    if own:
        yield (
            f"{len(own)} tensors would share their names with others, such as {own[0]:.100}; "
            "each is compared by itself, under its full name, without alpha / rank."
        )


def _missing_files(files: Iterable[str]) -> list[str]:
    """Return a note if some of several numbered files, as ``model-00001-of-00003.safetensors``, are missing."""
    numbers: dict[tuple[str, int], set[int]] = {}
    for file in files:
        if (numbered := _NUMBERED.fullmatch(file)) is not None:
            numbers.setdefault((numbered[1], int(numbered[3])), set()).add(int(numbered[2]))
    lost = [f"{len(there)} of {count} ({start})" for (start, count), there in numbers.items() if len(there) < count]
    if not lost:
        return []
    return [f"Not all its files are there, only {lost[0]:.100}; what may be in the others is missing, not zero."]


def _is_float(info: TensorInfo) -> bool:
    return info.dtype in READERS and READERS[info.dtype].result.kind == "f"


def _layouts_and_scales(
    pairs: Mapping[str, Pair], weights: Mapping[str, TensorInfo], scaling: Scaling
) -> dict[str, tuple[Pair, tuple[FactorLayout | None, float | None]]]:
    """Return layout and scale of each update, as far as known."""
    groups: dict[str, list[str]] = {}
    for path in pairs:
        groups.setdefault(without_base_layers(path), []).append(path)
    found = {}
    for base, paths in groups.items():
        names = scaling.parameters_of(base)
        known = _of_parameters(names, paths, pairs, scaling) if names else _of_modules(paths, pairs, scaling)
        for path, (layout, scale) in known.items():
            # Some trainers store alpha as a tensor of the module; how it combines with a configuration is unknown.
            is_unknown = f"{path}.alpha" in weights
            found[path] = pairs[path], (layout, None if is_unknown else scale)
    return found


def _of_modules(
    paths: Iterable[str], pairs: Mapping[str, Pair], scaling: Scaling
) -> dict[str, tuple[FactorLayout | None, float | None]]:
    found = {}
    for path in paths:
        first = next(iter(pairs[path].values()))
        setting = scaling.setting(path, _raw_path(first))
        layout = _layout(pairs[path], setting.rank)
        found[path] = layout, None if layout is None else scaling.scale(setting.alpha, layout.rank)
    return found


def _raw_path(info: TensorInfo) -> str:
    """Return the path of a tensor's module with the wrappers that a pattern may name."""
    return info.name.removeprefix("base_model.model.").partition(".lora_")[0]


def _of_parameters(
    names: Sequence[str], paths: Iterable[str], pairs: Mapping[str, Pair], scaling: Scaling
) -> dict[str, tuple[FactorLayout | None, float | None]]:
    of_rows = [path for path in paths if any(layout.form == ROWS for layout in _layouts(pairs[path]))]
    found: dict[str, tuple[FactorLayout | None, float | None]] = dict.fromkeys(paths, (None, None))
    for path, stacked in zip(
        of_rows, scaling.stacked(names, [pairs[path]["A"].shape[0] for path in of_rows]), strict=True
    ):
        if stacked is not None:
            found[path] = FactorLayout(ROWS, stacked.experts, stacked.rank), scaling.scale(stacked.alpha, stacked.rank)
    return found


def _update_of(
    path: str, pair: Pair, copies: Mapping[str, list[TensorInfo]], layout: FactorLayout | None, scale: float | None
) -> Module:
    tensors = tuple(pair[half] for half in sorted(pair))
    again = tuple(info for tensor in tensors for info in copies.get(tensor.name, ()))
    return Module(ModuleKey(path, UPDATE), tensors[0].module_type, tensors[0].layer, tensors, layout, scale, again)


def _is_pair(pair: Pair) -> bool:
    return pair.keys() == {"A", "B"} and all(map(_is_float, pair.values())) and any(True for _ in _layouts(pair))


def _layout(pair: Pair, rank: float | None) -> FactorLayout | None:
    """Return the layout of an ordinary module; None if A and B do not have the configured rank."""
    fitting = [layout for layout in _layouts(pair) if rank in {None, layout.rank}]
    path = pair["A"].module
    if rank is None and without_base_layers(path) != path:
        # Only parameters are wrapped like this, and stacked experts look like one of a larger rank.
        return None
    if len(fitting) == 1 or (fitting and fitting[0].form == TRANSPOSED):
        return fitting[0]
    return None


def _layouts(pair: Pair) -> Iterator[FactorLayout]:
    """Yield the layouts that the shapes of A and B admit, the most likely first."""
    a, b = pair["A"].shape, pair["B"].shape
    # MLX stores transposed matrices.
    if len(a) == len(b) == _MATRIX and a[1] == b[0] and pair["A"].name.endswith(".lora_a"):
        yield FactorLayout(TRANSPOSED, 1, a[1])
    if len(a) == len(b) == _STACK and a[1] == b[2] and (a[0] == b[0] or 1 in {a[0], b[0]}):
        yield FactorLayout(STACK, max(a[0], b[0]), a[1])
    # B of a convolution has kernel size 1.
    if len(a) == len(b) >= _MATRIX and a[0] == b[1] and math.prod(b[2:]) == 1:
        yield FactorLayout(ROWS, 1, a[0])


@dataclass(frozen=True)
class ModuleWeights:
    """Weights of one module.

    Parameters
    ----------
    values : LoraUpdate, numpy.ndarray or None
        Factors of an update, or the plain tensor; None if the checkpoint lacks the module, not all numbers are finite,
        or layout or scale are unknown.
    norm : float
        Frobenius norm; 0 for a missing update, NaN if unknown or not finite.
    nonfinite : int, default 0
        Number of NaN and infinite weights.
    """

    values: LoraUpdate | npt.NDArray[Any] | None
    norm: float
    nonfinite: int = 0


def absent(key: ModuleKey, modules: Modules) -> ModuleWeights:
    """Return the weights of a module that a checkpoint lacks."""
    return ModuleWeights(None, 0.0 if modules.lacks(key) else NAN)


class PlacedModule(NamedTuple):
    """A module of one of the sources of a task.

    Parameters
    ----------
    source : int
        Place of the checkpoint among the sources.
    module : Module or None
        None if it lacks the module.
    absent_norm : float
        Norm of what it lacks.
    """

    source: int
    module: Module | None
    absent_norm: float

    @classmethod
    def of(cls, source: int, key: ModuleKey, modules: Modules) -> PlacedModule:
        """Return a module of a checkpoint."""
        return cls(source, modules.by_key.get(key), absent(key, modules).norm)

    def weights(self, sources: Sequence[WeightSource]) -> ModuleWeights:
        """Read its weights."""
        return ModuleWeights(None, self.absent_norm) if self.module is None else load(sources[self.source], self.module)


def load(source: WeightSource, module: Module) -> ModuleWeights:
    """Read the weights of one module."""
    # Non-finite numbers are counted, so NumPy's warnings add nothing.
    with np.errstate(all="ignore"):
        if copies_differ(source, module.copies):
            return ModuleWeights(None, NAN)
        if module.key.quantity == WEIGHTS:
            values = source.read(module.tensors[0])
            nonfinite = sum(_nonfinite(chunk) for chunk in _chunks(values))
            if nonfinite:
                return ModuleWeights(None, NAN, nonfinite)
            return ModuleWeights(values, math.sqrt(sum(_square(chunk) for chunk in _chunks(values))))
        halves = [values.astype(np.float64) for values in _read(source, module.tensors)]
        nonfinite = sum(map(_nonfinite, halves))
        if nonfinite or module.layout is None or module.scale is None:
            return ModuleWeights(None, NAN, nonfinite)
        a, b = halves
        update = _factors(a, b, module.layout, module.scale)
        size = norm(update)
        return ModuleWeights(update, size) if math.isfinite(size) else ModuleWeights(None, NAN)


def copies_differ(source: WeightSource, copies: Sequence[TensorInfo]) -> bool:
    """Whether copies of a tensor in several files differ."""
    seen: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for info in copies:
        digest = info.dtype, tuple(info.shape), hashlib.blake2b(source.raw(info), digest_size=16).digest()
        if seen.setdefault(info.name, digest) != digest:
            return True
    return False


def _read(source: WeightSource, infos: Sequence[TensorInfo]) -> list[npt.NDArray[Any]]:
    if not isinstance(source, OpenedCheckpoint):
        return [source.read(info) for info in infos]
    # A and B are often adjacent, so that one request reads both.
    found = {(info.file, info.name): values for info, values in source.read_many(infos)}
    return [found[info.file, info.name] for info in infos]


def _factors(a: Floats, b: Floats, layout: FactorLayout, scale: float) -> LoraUpdate:
    form, experts, rank = layout
    b = b * scale
    if form == STACK:
        return LoraUpdate(a, b)
    if form == TRANSPOSED:
        return LoraUpdate(a.T[np.newaxis], b.T[np.newaxis])
    # The rows of A are grouped by expert, the columns of B interleaved.
    stacked = np.ascontiguousarray(b.reshape(len(b), rank, experts).transpose(2, 0, 1))
    return LoraUpdate(a.reshape(experts, rank, -1 if a.size else math.prod(a.shape[1:])), stacked)


def _chunks(values: npt.NDArray[Any]) -> Iterator[Floats]:
    flat = values.reshape(-1)
    for start in range(0, len(flat), _CHUNK):
        yield flat[start : start + _CHUNK].astype(np.float64)


def _square(values: Floats) -> float:
    flat = values.reshape(-1)
    return float(flat @ flat)


def _nonfinite(values: Floats) -> int:
    return int(values.size - np.count_nonzero(np.isfinite(values)))


class WeightDifference(NamedTuple):
    """Difference of the weights of one module between two checkpoints.

    Parameters
    ----------
    change : float
        Frobenius norm of the difference.
    relative : float
        Change divided by the norm before: 0 if both are zero, infinite if only the norm before is.
    cosine : float
        Cosine of the angle between both; NaN if one is zero.
    """

    change: float
    relative: float
    cosine: float


UNKNOWN = WeightDifference(NAN, NAN, NAN)


def between(now: ModuleWeights, before: ModuleWeights) -> WeightDifference:
    """Return the difference of weights to those before; all NaN if shapes differ or numbers are not finite."""
    if now.values is None or before.values is None:
        # A missing one has norm 0, a non-finite one NaN.
        change = now.norm + before.norm
        return WeightDifference(change, relative(change, before.norm), NAN)
    with np.errstate(all="ignore"):
        if isinstance(now.values, LoraUpdate) and isinstance(before.values, LoraUpdate):
            if now.values.shape != before.values.shape:
                return UNKNOWN
            change = distance(before.values, now.values)
            product = inner(before.values, now.values, norms=now.norm * before.norm)
        elif (
            isinstance(now.values, LoraUpdate)
            or isinstance(before.values, LoraUpdate)
            or now.values.shape != before.values.shape
        ):
            return UNKNOWN
        else:
            square = product = 0.0
            for one, other in zip(_chunks(now.values), _chunks(before.values), strict=True):
                square += _square(one - other)
                product += float(one @ other)
            change = math.sqrt(square)
    return WeightDifference(change, relative(change, before.norm), cosine(product, now.norm, before.norm, change))


def relative(change: float, norm_before: float) -> float:
    """Return a change divided by the norm before; 0 if both are zero, infinite if only the norm before is."""
    if math.isnan(change) or math.isnan(norm_before):
        return NAN
    if norm_before == 0.0:
        return 0.0 if change == 0.0 else math.inf
    return change / norm_before


def cosine(product: float, norm_now: float, norm_before: float, change: float) -> float:
    """Return the cosine of an angle from an inner product; NaN if a norm is zero, exactly 1 without a change."""
    if norm_now == 0.0 or norm_before == 0.0:
        return NAN
    if change == 0.0:
        return 1.0
    # One division after the other, because the product of the norms may overflow or underflow.
    found = product / norm_now / norm_before
    if math.isnan(found):
        return NAN
    return min(1.0, max(-1.0, found))
