"""The modules of a checkpoint, and the weights of one module as they are compared."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loops_nb.comparing.naming import canonical_name, weights_of
from loops_nb.comparing.scaling import Scaling, scaling_of, without_base_layers
from loops_nb.comparing.updates import Floats, Update, distance, inner, norm
from loops_nb.errors import UnreadableTensorsError
from loops_nb.tensors.dtypes import READINGS
from loops_nb.tensors.opened import Opened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from loops_nb.tensors import TensorInfo, WeightSource

#: What a row is about: the scaled ``B @ A`` of a module, or a tensor as it is.
UPDATE, WEIGHTS = "update", "weights"
QUANTITIES = (UPDATE, WEIGHTS)
#: Numbers that are turned into 64 bits at a time.
_CHUNK = 1 << 20
_MATRIX, _STACK = 2, 3
NAN = math.nan
ROWS, STACK, TURNED = "rows", "stack", "turned"
_NUMBERED = re.compile(r"(.*)-(\d{1,9})-of-(\d{1,9})\.safetensors")


class Key(NamedTuple):
    """What two checkpoints share: the module, and what of it is compared."""

    module: str
    quantity: str


class Layout(NamedTuple):
    """How the two tensors of an update are its factors.

    Parameters
    ----------
    form
        `ROWS`: A has a row for each rank (and expert), B a column.  `STACK`: one pair of matrices an expert.  `TURNED`: A has the
        columns and B the rows, as MLX stores them.
    experts, rank
        How many experts the factors hold side by side, and the rank of each.
    """

    form: str
    experts: int
    rank: int


@dataclass(frozen=True)
class Module:
    """A module of one checkpoint, as its header tells; nothing was read yet.

    Parameters
    ----------
    key
        Its path in the base model without wrappers (a single tensor's: its name without ``.weight``), and `UPDATE` or `WEIGHTS`.
    module_type, layer
        Last part of the path, and number of the layer.
    tensors
        A and B of an update; the tensor itself.
    layout
        Of an update; None where the file cannot tell it.
    scale
        Of an update; None where the file cannot tell it, and its norm is missing then.
    copies
        All tensors of these names, where some stand in several files; empty otherwise.
    """

    key: Key
    module_type: str
    layer: int | None
    tensors: tuple[TensorInfo, ...]
    layout: Layout | None = None
    scale: float | None = None
    copies: tuple[TensorInfo, ...] = ()

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(info.parameters for info in self.tensors)

    @property
    def rank(self) -> int | None:
        """LoRA rank of an update; None where the file cannot tell it."""
        return self.layout.rank if self.layout else None


@dataclass(frozen=True)
class Modules:
    """The modules of one checkpoint, and sentences about what limits what is said of them.

    Parameters
    ----------
    by_key
        The modules.
    notes
        The sentences.
    is_whole
        Whether all its files are there; otherwise a module that is not there may only be missing.
    unpaired
        Modules whose tensors are no A and B of an update that fit each other; what they change is not known.
    """

    by_key: Mapping[Key, Module]
    notes: tuple[str, ...]
    is_whole: bool = True
    unpaired: frozenset[str] = frozenset()

    def lacks(self, key: Key) -> bool:
        """Tell whether it is certain that a module which is not among them changes nothing."""
        return key.quantity == UPDATE and self.is_whole and key.module not in self.unpaired


Pair = dict[str, "TensorInfo"]


def modules_of(source: WeightSource) -> Modules:
    """Return the modules of a checkpoint: its LoRA updates, and every other tensor of floating point numbers by itself.

    Parameters
    ----------
    source
        The checkpoint; its header is enough.
    """
    scaling = _scaling(source)
    pairs: dict[str, Pair] = {}
    single: dict[str, TensorInfo] = {}
    weights = weights_of(source)
    for name, info in weights.items():
        # One of two adapters in one file keeps its own name, and its factors are no pair that another checkpoint has.
        if info.lora is None or name != canonical_name(info):
            single[name] = info
        else:
            pairs.setdefault(info.module, {})[info.lora] = info
    unpaired = {path for path, pair in pairs.items() if not _is_pair(pair)}
    for path in unpaired:
        single |= {canonical_name(info): info for info in pairs.pop(path).values()}
    copies = _copies(source)
    found = {Key(path, UPDATE): _update_of(path, pair, copies, *known) for path, (pair, known) in _known(pairs, weights, scaling).items()}
    updates = list(found.values())
    others = []
    for name, info in single.items():
        if _is_float(info):
            key = Key(name.removesuffix(".weight"), WEIGHTS)
            found[key] = Module(key, info.module_type, info.layer, (info,), copies=tuple(copies.get(info.name, ())))
        else:
            others.append(info)
    lost = _missing_files(info.file for info in source.infos if info.role == "weights")
    notes = [*_notes(scaling, updates, others), *_unpaired(unpaired), *_repeated(copies), *_shared(weights), *lost]
    return Modules(found, tuple(notes), is_whole=not lost, unpaired=frozenset(unpaired))


def ranks_of(source: WeightSource) -> dict[str, int]:
    """Return the LoRA rank of each module of a checkpoint whose files tell it.

    Parameters
    ----------
    source
        The checkpoint; its header is enough.
    """
    modules = modules_of(source).by_key.values()
    return {module.key.module: module.rank for module in modules if module.key.quantity == UPDATE and module.rank is not None}


def keys_of(checkpoints: Iterable[Modules]) -> list[Key]:
    """Return the modules that any of some checkpoints has: by layer, what is in no layer at the end."""
    found = {key: module for one in checkpoints for key, module in one.by_key.items()}
    return sorted(found, key=lambda key: (found[key].layer is None, found[key].layer or 0, key))


def _scaling(source: WeightSource) -> Scaling:
    try:
        return scaling_of(source.adapter_config)
    except UnreadableTensorsError:
        return Scaling(is_known=False, notes=("Its adapter_config.json cannot be read, so the norms of its updates are missing.",))


def _notes(scaling: Scaling, updates: Sequence[Module], others: list[TensorInfo]) -> Iterator[str]:
    if updates:
        yield from scaling.notes
    odd = [module for module in updates if module.layout is None]
    if odd:
        yield (
            f"The tensors of {len(odd)} of {len(updates)} updates do not tell A, B and rank together with its adapter_config.json, such as "
            f"{odd[0].key.module:.100} ({_shapes(odd[0])}); their norms are missing."
        )
    unknown = [module for module in updates if module.scale is None and module.layout is not None]
    if unknown and not scaling.notes:
        yield (
            f"The scale of {len(unknown)} of {len(updates)} updates is not known, such as that of {unknown[0].key.module:.100}; "
            "their norms are missing."
        )
    if others:
        yield f"Not compared, for their type: {len(others)} tensors, such as {others[0].name:.100} ({others[0].dtype})."


def _unpaired(paths: Collection[str]) -> Iterator[str]:
    if paths:
        yield (
            f"{len(paths)} modules have no A and B that fit each other, such as {min(paths):.100}; their tensors are compared as they are, "
            "and what they change is missing."
        )


def _shapes(module: Module) -> str:
    return ", ".join(f"{info.lora} {' x '.join(map(str, info.shape))}" for info in module.tensors)


def _copies(source: WeightSource) -> dict[str, list[TensorInfo]]:
    """Return the tensors that stand in several files."""
    found: dict[str, list[TensorInfo]] = {}
    for info in source.infos:
        if info.role == "weights":
            found.setdefault(info.name, []).append(info)
    return {name: infos for name, infos in found.items() if len(infos) > 1}


def _repeated(copies: Mapping[str, list[TensorInfo]]) -> Iterator[str]:
    if copies:
        first = next(iter(copies))
        yield f"Tensors that stand in several files: {len(copies)}, such as {first:.100}; where they differ, norms are missing."


def _shared(weights: Mapping[str, TensorInfo]) -> Iterator[str]:
    own = [name for name, info in weights.items() if name != canonical_name(info)]
    if own:
        yield (
            f"{len(own)} tensors would share their names with others, such as {own[0]:.100}; "
            "each is compared by itself, under its full name, without alpha / rank."
        )


def _missing_files(files: Iterable[str]) -> list[str]:
    """Return a sentence if some of several numbered files, as ``model-00001-of-00003.safetensors``, are not there."""
    numbers: dict[tuple[str, int], set[int]] = {}
    for file in files:
        if (numbered := _NUMBERED.fullmatch(file)) is not None:
            numbers.setdefault((numbered[1], int(numbered[3])), set()).add(int(numbered[2]))
    lost = [f"{len(there)} of {count} ({start})" for (start, count), there in numbers.items() if len(there) < count]
    return [f"Not all its files are there, only {lost[0]:.100}; what may be in the others is missing, not zero."] if lost else []


def _is_float(info: TensorInfo) -> bool:
    return info.dtype in READINGS and READINGS[info.dtype].result.kind == "f"


def _known(
    pairs: Mapping[str, Pair], weights: Mapping[str, TensorInfo], scaling: Scaling
) -> dict[str, tuple[Pair, tuple[Layout | None, float | None]]]:
    """Return layout and scale of each update, as far as the files tell them."""
    groups: dict[str, list[str]] = {}
    for path in pairs:
        groups.setdefault(without_base_layers(path), []).append(path)
    found = {}
    for base, paths in groups.items():
        names = scaling.parameters_of(base)
        for path, known in (_of_parameters(names, paths, pairs, scaling) if names else _of_modules(paths, pairs, scaling)).items():
            # Some trainers store alpha as a tensor of the module, and what it does beside a configuration is not known.
            found[path] = pairs[path], (known[0], None) if f"{path}.alpha" in weights else known
    return found


def _of_modules(paths: Iterable[str], pairs: Mapping[str, Pair], scaling: Scaling) -> dict[str, tuple[Layout | None, float | None]]:
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
) -> dict[str, tuple[Layout | None, float | None]]:
    of_rows = [path for path in paths if any(layout.form == ROWS for layout in _layouts(pairs[path]))]
    found: dict[str, tuple[Layout | None, float | None]] = dict.fromkeys(paths, (None, None))
    for path, stacked in zip(of_rows, scaling.stacked(names, [pairs[path]["A"].shape[0] for path in of_rows]), strict=True):
        if stacked is not None:
            found[path] = Layout(ROWS, stacked.experts, stacked.rank), scaling.scale(stacked.alpha, stacked.rank)
    return found


def _update_of(path: str, pair: Pair, copies: Mapping[str, list[TensorInfo]], layout: Layout | None, scale: float | None) -> Module:
    tensors = tuple(pair[half] for half in sorted(pair))
    again = tuple(info for tensor in tensors for info in copies.get(tensor.name, ()))
    return Module(Key(path, UPDATE), tensors[0].module_type, tensors[0].layer, tensors, layout, scale, again)


def _is_pair(pair: Pair) -> bool:
    return pair.keys() == {"A", "B"} and all(map(_is_float, pair.values())) and any(True for _ in _layouts(pair))


def _layout(pair: Pair, rank: float | None) -> Layout | None:
    """Return how A and B of an ordinary module fit together; None when they are not of the rank that they should be."""
    fitting = [layout for layout in _layouts(pair) if rank in {None, layout.rank}]
    path = pair["A"].module
    if rank is None and without_base_layers(path) != path:
        # Only a parameter of a module is wrapped so, and experts side by side look like one of a larger rank.
        return None
    is_clear = len(fitting) == 1 or (fitting and fitting[0].form == TURNED)
    return fitting[0] if is_clear else None


def _layouts(pair: Pair) -> Iterator[Layout]:
    """Return all layouts that the shapes of A and B admit, the most likely first."""
    a, b = pair["A"].shape, pair["B"].shape
    # MLX has matrices of the module itself, where others have the weights of two layers.
    if len(a) == len(b) == _MATRIX and a[1] == b[0] and pair["A"].name.endswith(".lora_a"):
        yield Layout(TURNED, 1, a[1])
    if len(a) == len(b) == _STACK and a[1] == b[2] and (a[0] == b[0] or 1 in {a[0], b[0]}):
        yield Layout(STACK, max(a[0], b[0]), a[1])
    # Of a convolution: B is one by one.
    if len(a) == len(b) >= _MATRIX and a[0] == b[1] and math.prod(b[2:]) == 1:
        yield Layout(ROWS, 1, a[0])


@dataclass(frozen=True)
class Weights:
    """The weights of one module, read.

    Parameters
    ----------
    values
        Of an update its factors, of a tensor its numbers; None where the checkpoint lacks the module, not all numbers are finite, or the
        files do not tell the update.
    norm
        Frobenius norm.  An update that is not there changes nothing: 0.  NaN where it is not known or not finite.
    nonfinite
        How many weights are NaN or infinite.
    """

    values: Update | npt.NDArray[Any] | None
    norm: float
    nonfinite: int = 0


def absent(key: Key, modules: Modules) -> Weights:
    """Return what stands for a module that a checkpoint lacks."""
    return Weights(None, 0.0 if modules.lacks(key) else NAN)


def load(source: WeightSource, module: Module) -> Weights:
    """Read the weights of one module."""
    # Weights can be anything; what is not finite is counted, and warnings of numpy would say no more.
    with np.errstate(all="ignore"):
        if _differ(source, module.copies):
            return Weights(None, NAN)
        if module.key.quantity == WEIGHTS:
            values = source.read(module.tensors[0])
            nonfinite = sum(_nonfinite(chunk) for chunk in _chunks(values))
            return Weights(None, NAN, nonfinite) if nonfinite else Weights(values, math.sqrt(sum(_square(c) for c in _chunks(values))))
        halves = [values.astype(np.float64) for values in _read(source, module.tensors)]
        nonfinite = sum(map(_nonfinite, halves))
        if nonfinite or module.layout is None or module.scale is None:
            return Weights(None, NAN, nonfinite)
        a, b = halves
        update = _factors(a, b, module.layout, module.scale)
        size = norm(update)
        return Weights(update, size) if math.isfinite(size) else Weights(None, NAN)


def _differ(source: WeightSource, copies: Sequence[TensorInfo]) -> bool:
    """Tell whether copies of a tensor in several files are not the same."""
    seen: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for info in copies:
        digest = info.dtype, tuple(info.shape), hashlib.blake2b(source.raw(info), digest_size=16).digest()
        if seen.setdefault(info.name, digest) != digest:
            return True
    return False


def _read(source: WeightSource, infos: Sequence[TensorInfo]) -> list[npt.NDArray[Any]]:
    if not isinstance(source, Opened):
        return [source.read(info) for info in infos]
    # Often both lie together, and one request is enough.
    found = {(info.file, info.name): values for info, values in source.read_many(infos)}
    return [found[info.file, info.name] for info in infos]


def _factors(a: Floats, b: Floats, layout: Layout, scale: float) -> Update:
    form, experts, rank = layout
    b = b * scale
    if form == STACK:
        return Update(a, b)
    if form == TURNED:
        return Update(a.T[np.newaxis], b.T[np.newaxis])
    # The experts' rows of A lie one expert after the other, their columns of B interleaved.
    stacked = np.ascontiguousarray(b.reshape(len(b), rank, experts).transpose(2, 0, 1))
    return Update(a.reshape(experts, rank, -1 if a.size else math.prod(a.shape[1:])), stacked)


def _chunks(values: npt.NDArray[Any]) -> Iterator[Floats]:
    flat = values.reshape(-1)
    for start in range(0, len(flat), _CHUNK):
        yield flat[start : start + _CHUNK].astype(np.float64)


def _square(values: Floats) -> float:
    flat = values.reshape(-1)
    return float(flat @ flat)


def _nonfinite(values: Floats) -> int:
    return int(values.size - np.count_nonzero(np.isfinite(values)))


class Measured(NamedTuple):
    """How one module's weights stand to those of another checkpoint.

    Parameters
    ----------
    change
        Frobenius norm of the difference.
    relative
        The change as a share of the other's norm: 0 where both are zero, infinite where only the other is.
    cosine
        Cosine of the angle between both; NaN where one is zero.
    """

    change: float
    relative: float
    cosine: float


UNKNOWN = Measured(NAN, NAN, NAN)


def between(now: Weights, before: Weights) -> Measured:
    """Return how far weights are from those before.  All NaN where that is not defined: shapes differ, or numbers are not finite."""
    if now.values is None or before.values is None:
        # One of them is nothing, and its norm of 0 says so; or is not finite, and its norm of NaN goes on.
        change = now.norm + before.norm
        return Measured(change, relative(change, before.norm), NAN)
    with np.errstate(all="ignore"):
        if isinstance(now.values, Update) and isinstance(before.values, Update):
            if now.values.shape != before.values.shape:
                return UNKNOWN
            change = distance(before.values, now.values)
            product = inner(before.values, now.values, norms=now.norm * before.norm)
        elif isinstance(now.values, Update) or isinstance(before.values, Update) or now.values.shape != before.values.shape:
            return UNKNOWN
        else:
            square = product = 0.0
            for one, other in zip(_chunks(now.values), _chunks(before.values), strict=True):
                square += _square(one - other)
                product += float(one @ other)
            change = math.sqrt(square)
    return Measured(change, relative(change, before.norm), cosine(product, now.norm, before.norm, change))


def relative(change: float, norm_before: float) -> float:
    """Return a change as a share of what was before: 0 where nothing became nothing, infinite where nothing became something."""
    if math.isnan(change) or math.isnan(norm_before):
        return NAN
    if norm_before == 0.0:
        return 0.0 if change == 0.0 else math.inf
    return change / norm_before


def cosine(product: float, norm_now: float, norm_before: float, change: float) -> float:
    """Return the cosine of an angle from an inner product; NaN where one of both is zero, exactly 1 where nothing changed."""
    if norm_now == 0.0 or norm_before == 0.0:
        return NAN
    if change == 0.0:
        return 1.0
    # One after the other: their product may be too large or too small for a number.
    found = product / norm_now / norm_before
    return found if math.isnan(found) else min(1.0, max(-1.0, found))
