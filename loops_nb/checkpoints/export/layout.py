"""Names, shapes and configuration of an exported adapter: what PEFT, vLLM and SGLang read alike.

PEFT reads ranks and scales of single modules from patterns; vLLM and SGLang apply one rank and one scale to all.  So an
adapter with several gets the largest rank, with zeros in the added rows, and B takes up the ratio of the scales: what
the adapter computes stays the same, and no pattern is left.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.checkpoints.compare.names import canonical_name, weights_of
from loops_nb.checkpoints.compare.scaling import scaling_of, without_base_layers
from loops_nb.checkpoints.compare.weights import ROWS, UPDATE, modules_of
from loops_nb.errors import ExportError
from loops_nb.render.formatting import is_or_are, many

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loops_nb.checkpoints.compare.weights import FactorLayout, Module, Modules
    from loops_nb.checkpoints.tensors import TensorInfo, WeightSource

PREFIX = "base_model.model."
ADAPTER_FILE = "adapter_model.safetensors"
_EMBEDDING = ".lora_embedding_"
_NOT_EXPORTED = "Nothing was exported."
_DOWNLOAD = "%loops download fetches its files as they are."


class ExportedTensor(NamedTuple):
    """A tensor of an exported adapter.

    Parameters
    ----------
    name : str
        Its name in the export.
    info : TensorInfo
        The tensor of the checkpoint.
    rank : int or None, default None
        Of a half of an update, the rank that it gets; None to leave it as it is.
    factor : float, default 1.0
        What its numbers are multiplied with.
    """

    name: str
    info: TensorInfo
    rank: int | None = None
    factor: float = 1.0

    @property
    def is_changed(self) -> bool:
        """Whether its shape or its numbers are not those of the checkpoint."""
        return self.factor != 1.0 or (self.rank is not None and self.rank != self.info.shape[self.rank_axis])

    @property
    def rank_axis(self) -> int:
        """The axis of the rank: rows of A, columns of B."""
        return 0 if self.info.lora == "A" else 1


@dataclass(frozen=True)
class AdapterLayout:
    """An adapter as it is exported.

    Parameters
    ----------
    tensors : tuple of ExportedTensor
        Its tensors.
    config : dict
        Its ``adapter_config.json``.
    modules : tuple of str
        Paths of the modules in the base model that it changes.
    notes : tuple of str
        What was changed, and what cannot load it.
    """

    tensors: tuple[ExportedTensor, ...]
    config: dict[str, Any]
    modules: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """LoRA rank."""
        return int(self.config["r"])

    @property
    def stored_file(self) -> str | None:
        """The file of the checkpoint that is the export already, tensor by tensor; None if there is none."""
        files = {tensor.info.file for tensor in self.tensors}
        is_same = all(tensor.name == tensor.info.name and not tensor.is_changed for tensor in self.tensors)
        return files.pop() if is_same and len(files) == 1 else None


def adapter_layout(source: WeightSource, base_model: str | None) -> AdapterLayout:
    """Return how the adapter of a checkpoint is exported; only headers and configuration are read.

    Parameters
    ----------
    source : WeightSource
        The checkpoint.
    base_model : str or None
        Its base model, if the listing says it; else that of the configuration.

    Raises
    ------
    ExportError
        If it holds no adapter whose names, ranks and scales are known.
    UnreadableTensorsError
        If its configuration is not valid.
    """
    modules = modules_of(source)
    updates = {key.module: module for key, module in modules.by_key.items() if key.quantity == UPDATE}
    _check(source, modules, updates)
    config = dict(source.adapter_config or {})
    weights = weights_of(source)
    of_updates = {id(info) for module in updates.values() for info in module.tensors}
    extra = [info for info in weights.values() if id(info) not in of_updates]
    config |= {"peft_type": "LORA", "inference_mode": True}
    if base_model or not config.get("base_model_name_or_path"):
        config["base_model_name_or_path"] = base_model
    for key, value in (("task_type", "CAUSAL_LM"), ("bias", "none"), ("lora_dropout", 0.0), ("fan_in_fan_out", False)):
        if config.get(key) is None:
            config[key] = value
    config["target_modules"] = _target_modules(config, updates)
    hindrances = _hindrances(config, updates, extra)
    if hindrances:
        tensors = [ExportedTensor(_exported_name(info), info) for info in weights.values()]
        config["r"] = _rank_of_all(source, config, updates)
        servers = f"PEFT reads it; vLLM and SGLang may refuse it, because it has {', '.join(hindrances)}."
        return AdapterLayout(tuple(tensors), config, tuple(updates), (servers,))
    tensors, notes = _of_one_rank(config, updates)
    return AdapterLayout(tuple(tensors), config, tuple(updates), tuple(notes))


def _check(source: WeightSource, modules: Modules, updates: Mapping[str, Module]) -> None:
    """Refuse what is no adapter, and one that another program would read as another."""
    label = source.label
    shared = [name for name, info in weights_of(source).items() if name != canonical_name(info)]
    if shared:
        raise ExportError(
            f"{label} holds several adapters in one: {shared[0]:.100} shares its name with another tensor. "
            f"{_NOT_EXPORTED}",
            hint=_DOWNLOAD,
        )
    if not updates and not modules.unpaired:
        raise ExportError(f"{label} holds no LoRA adapter, only other tensors or none. {_NOT_EXPORTED}", hint=_DOWNLOAD)
    notes = " ".join(modules.notes)
    if not modules.is_whole or modules.unpaired:
        raise ExportError(f"The adapter of {label} is not whole. {notes} {_NOT_EXPORTED}", hint=_DOWNLOAD)
    unknown = [path for path, module in updates.items() if module.layout is None or module.scale is None]
    if unknown:
        raise ExportError(
            f"Rank and scale of {len(unknown):,} of {many(len(updates), 'update')} of {label} are not known, such as"
            f" of {unknown[0]:.100}. {notes} {_NOT_EXPORTED}",
            hint=_DOWNLOAD,
        )
    other = [path for path, module in updates.items() if _layout(module).form != ROWS]
    if other:
        raise ExportError(
            f"{label} has matrices in a form that PEFT does not read ({_layout(updates[other[0]]).form}), such as of"
            f" {other[0]:.100}. {_NOT_EXPORTED}",
            hint=_DOWNLOAD,
        )


def _layout(module: Module) -> FactorLayout:
    assert module.layout is not None, "checked before"  # noqa: S101
    return module.layout


def _exported_name(info: TensorInfo) -> str:
    name = PREFIX + canonical_name(info)
    # PEFT has the two factors of an embedding as parameters, not as layers with a weight.
    return name.removesuffix(".weight").replace(".lora_", _EMBEDDING) if _EMBEDDING in info.name else name


def _target_modules(config: Mapping[str, Any], updates: Mapping[str, Module]) -> list[str]:
    """Return the names of the adapted modules: those of the configuration if they name all, else those of the tensors.

    A regular expression becomes a list, which each program reads.
    """
    scaling = scaling_of(config)
    paths = [path for path in updates if not scaling.parameters_of(without_base_layers(path))]
    listed = config.get("target_modules")
    if isinstance(listed, list) and all(isinstance(name, str) for name in listed):
        names = tuple(f".{name}" for name in listed)
        if all(f".{path}".endswith(names) for path in paths):
            return listed
    return sorted({_suffix(path) for path in paths})


def _suffix(path: str) -> str:
    parts = path.split(".")
    named = next((at for at in range(len(parts) - 1, -1, -1) if not parts[at].isdigit()), 0)
    return ".".join(parts[named:])


def _hindrances(config: Mapping[str, Any], updates: Mapping[str, Module], extra: Sequence[TensorInfo]) -> list[str]:
    """Return what an adapter has beside plain pairs of A and B."""
    found = []
    if config.get("use_dora") is True:
        found.append("magnitudes (DoRA)")
    wrapped = [path for path, module in updates.items() if _is_parameter(path, module)]
    if wrapped or config.get("target_parameters"):
        found.append("factors of stacked experts")
    if extra and "magnitudes (DoRA)" not in found:
        found.append(f"{many(len(extra), 'tensor')} beside A and B, such as {extra[0].name:.100}")
    return found


def _is_parameter(path: str, module: Module) -> bool:
    return without_base_layers(path) != path or _layout(module).experts > 1


def _rank_of_all(source: WeightSource, config: Mapping[str, Any], updates: Mapping[str, Module]) -> int:
    ranks = {_layout(module).rank for module in updates.values()}
    rank = scaling_of(config).rank
    if rank is not None:
        return int(rank)
    if len(ranks) == 1:
        return ranks.pop()
    raise ExportError(
        f"The adapter_config.json of {source.label} has no r, and its updates have several ranks. {_NOT_EXPORTED}",
        hint=_DOWNLOAD,
    )


def _of_one_rank(config: dict[str, Any], updates: Mapping[str, Module]) -> tuple[list[ExportedTensor], list[str]]:
    """Return tensors of one rank and one scale, and put both into the configuration."""
    scales = Counter(_scale(module) for module in updates.values())
    # The most frequent one, so that few numbers change.
    scale = scales.most_common(1)[0][0]
    rank = max(_layout(module).rank for module in updates.values())
    tensors = []
    for module in updates.values():
        for info in module.tensors:
            factor = _scale(module) / scale if info.lora == "B" else 1.0
            tensors.append(ExportedTensor(_exported_name(info), info, rank, factor))
    alpha = scale * (math.sqrt(rank) if config.get("use_rslora") is True else rank)
    config |= {"r": rank, "lora_alpha": _tidy(alpha)}
    for pattern in ("rank_pattern", "alpha_pattern"):
        config.pop(pattern, None)
    notes = []
    smaller = sum(_layout(module).rank < rank for module in updates.values())
    if smaller:
        notes.append(
            f"{many(smaller, 'module')} with a smaller rank {is_or_are(smaller)} filled up with zeros to rank {rank}:"
            " vLLM and SGLang read no rank_pattern."
        )
    rescaled = sum(count for other, count in scales.items() if other != scale)
    if rescaled:
        notes.append(
            f"B of {many(rescaled, 'module')} is multiplied by the ratio of its scale to {scale:g}, in 32 bits: vLLM"
            " and SGLang read no alpha_pattern."
        )
    return tensors, notes


def _scale(module: Module) -> float:
    assert module.scale is not None, "checked before"  # noqa: S101
    return module.scale


def _tidy(number: float) -> float | int:
    nearest = round(number)
    # alpha is recomputed from a scale that was divided by the rank.
    return nearest if math.isclose(number, nearest, rel_tol=1e-12) else number
