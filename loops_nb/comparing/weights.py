"""The modules of a checkpoint, and the weights of one module as they are compared."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from loops_nb.comparing.naming import canonical_name, weights_of
from loops_nb.comparing.scaling import Scaling, scaling_of
from loops_nb.comparing.updates import Floats, Update, distance, inner, norm
from loops_nb.tensors.dtypes import READINGS
from loops_nb.tensors.opened import Opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from loops_nb.tensors import TensorInfo, WeightSource

#: What a row is about: the scaled ``B @ A`` of a module, or a tensor as it is.
UPDATE, WEIGHTS = "update", "weights"
QUANTITIES = (UPDATE, WEIGHTS)
#: Numbers that are turned into 64 bits at a time.
_CHUNK = 1 << 20
_MATRIX, _STACK = 2, 3
NAN = math.nan


class Key(NamedTuple):
    """What two checkpoints share: the module, and what of it is compared."""

    module: str
    quantity: str


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
    rank, scale
        Of an update; the scale is None where the configuration does not tell.
    experts
        How many experts the two factors hold side by side.
    """

    key: Key
    module_type: str
    layer: int | None
    tensors: tuple[TensorInfo, ...]
    rank: int | None = None
    scale: float | None = None
    experts: int = 1

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(info.parameters for info in self.tensors)


@dataclass(frozen=True)
class Modules:
    """The modules of one checkpoint, and sentences about what limits what is said of them."""

    by_key: Mapping[Key, Module]
    notes: tuple[str, ...]


class Layout(NamedTuple):
    """How two tensors are the factors of an update: how many experts side by side, and the rank."""

    experts: int
    rank: int


def modules_of(source: WeightSource) -> Modules:
    """Return the modules of a checkpoint: its LoRA updates, and every other tensor of floating point numbers by itself.

    Parameters
    ----------
    source
        The checkpoint; its header is enough.
    """
    scaling = scaling_of(source.adapter_config)
    halves: dict[str, dict[str, tuple[str, TensorInfo]]] = {}
    single: dict[str, TensorInfo] = {}
    for name, info in weights_of(source).items():
        # One of two adapters in one file keeps its own name, and its factors are no pair that another checkpoint has.
        if info.lora is None or name != canonical_name(info):
            single[name] = info
        else:
            halves.setdefault(info.module, {})[info.lora] = name, info
    found: dict[Key, Module] = {}
    for path, pair in halves.items():
        update = _update_of(path, pair, scaling)
        if update is None:
            single |= dict(pair.values())
        else:
            found[update.key] = update
    others = []
    for name, info in single.items():
        if _is_float(info):
            key = Key(name.removesuffix(".weight"), WEIGHTS)
            found[key] = Module(key, info.module_type, info.layer, (info,))
        else:
            others.append(info)
    return Modules(found, (*_notes(scaling, found, others), *_repeated(source)))


def keys_of(checkpoints: Iterable[Modules]) -> list[Key]:
    """Return the modules that any of some checkpoints has: by layer, what is in no layer at the end."""
    found = {key: module for one in checkpoints for key, module in one.by_key.items()}
    return sorted(found, key=lambda key: (found[key].layer is None, found[key].layer or 0, key))


def _notes(scaling: Scaling, found: Mapping[Key, Module], others: list[TensorInfo]) -> Iterator[str]:
    updates = [module for key, module in found.items() if key.quantity == UPDATE]
    if updates:
        yield from scaling.notes
    strange = [module for module in updates if scaling.rank_of(module.key.module) not in {None, module.rank}]
    if strange:
        yield (
            f"The rank of {len(strange)} of {len(updates)} modules is not what its adapter_config.json says, such as "
            f"{strange[0].rank} of {strange[0].key.module:.100}; the tensors' own rank was used."
        )
    if others:
        yield f"Not compared, for their type: {len(others)} tensors, such as {others[0].name:.100} ({others[0].dtype})."


def _repeated(source: WeightSource) -> Iterator[str]:
    counts = Counter(info.name for info in source.infos if info.role == "weights")
    (name, most), *_ = counts.most_common(1) or [("", 0)]
    if most > 1:
        again = sum(count > 1 for count in counts.values())
        yield f"Tensors that stand in several files: {again}, such as {name:.100}; the first of each was used."


def _is_float(info: TensorInfo) -> bool:
    return info.dtype in READINGS and READINGS[info.dtype].result.kind == "f"


def _update_of(path: str, pair: Mapping[str, tuple[str, TensorInfo]], scaling: Scaling) -> Module | None:
    if pair.keys() != {"A", "B"}:
        return None
    a, b = pair["A"][1], pair["B"][1]
    layout = _layout(path, a.shape, b.shape, scaling) if _is_float(a) and _is_float(b) else None
    if layout is None:
        return None
    scale = scaling.of(path, layout.rank)
    return Module(Key(path, UPDATE), a.module_type, a.layer, (a, b), layout.rank, scale, layout.experts)


def _layout(path: str, a: tuple[int, ...], b: tuple[int, ...], scaling: Scaling) -> Layout | None:
    """Return how A and B fit together; None when they do not."""
    if len(a) == len(b) == _MATRIX and a[0] == b[1]:
        experts = scaling.experts_of(path, a[0])
        return Layout(experts, a[0] // experts)
    if len(a) == len(b) == _STACK and a[1] == b[2] and (a[0] == b[0] or 1 in {a[0], b[0]}):
        return Layout(max(a[0], b[0]), a[1])
    # Of a convolution: B is one by one.
    if len(a) == len(b) and len(a) > _MATRIX and a[0] == b[1] and math.prod(b[2:]) == 1:
        return Layout(1, a[0])
    return None


@dataclass(frozen=True)
class Weights:
    """The weights of one module, read.

    Parameters
    ----------
    values
        Of an update its factors, of a tensor its numbers; None where the checkpoint lacks the module, or not all numbers are finite.
    norm
        Frobenius norm.  An update that is not there changes nothing: 0.  NaN where numbers are not finite.
    nonfinite
        How many weights are NaN or infinite.
    """

    values: Update | npt.NDArray[Any] | None
    norm: float
    nonfinite: int = 0


def absent(key: Key) -> Weights:
    """Return what stands for a module that a checkpoint lacks."""
    return Weights(None, 0.0 if key.quantity == UPDATE else NAN)


def load(source: WeightSource, module: Module) -> Weights:
    """Read the weights of one module."""
    # Weights can be anything; what is not finite is counted, and warnings of numpy would say no more.
    with np.errstate(all="ignore"):
        if module.key.quantity == WEIGHTS:
            values = source.read(module.tensors[0])
            nonfinite = sum(_nonfinite(chunk) for chunk in _chunks(values))
            return Weights(None, NAN, nonfinite) if nonfinite else Weights(values, math.sqrt(sum(_square(c) for c in _chunks(values))))
        a, b = (values.astype(np.float64) for values in _read(source, module.tensors))
        nonfinite = _nonfinite(a) + _nonfinite(b)
        if nonfinite:
            return Weights(None, NAN, nonfinite)
        update = _factors(a, b, module)
        return Weights(update, norm(update))


def _read(source: WeightSource, infos: Sequence[TensorInfo]) -> list[npt.NDArray[Any]]:
    if not isinstance(source, Opened):
        return [source.read(info) for info in infos]
    # Often both lie together, and one request is enough.
    found = {(info.file, info.name): values for info, values in source.read_many(infos)}
    return [found[info.file, info.name] for info in infos]


def _factors(a: Floats, b: Floats, module: Module) -> Update:
    rank, experts = module.rank or 0, module.experts
    b = b if module.scale is None else b * module.scale
    if a.ndim == _STACK and a.shape[1] == b.shape[-1] == rank:
        return Update(a, b)
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
