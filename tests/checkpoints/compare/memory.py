"""Checkpoints in memory, with stored bytes as in safetensors, and their multiplied updates."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from loops_nb.checkpoints.tensors import TensorInfo
from loops_nb.checkpoints.tensors.dtypes import READERS
from loops_nb.checkpoints.tensors.info import tensor_info

Array = npt.NDArray[Any]
WRAPPER = "base_model.model."
#: A configuration by which an update is B @ A itself, whatever its rank.
UNSCALED: dict[str, Any] = {"lora_parameters": {"scale": 1.0}}


def stored(values: Array, dtype: str) -> bytes:
    """Return numbers in the bytes of a format."""
    if dtype == "BF16":
        return (np.ascontiguousarray(values, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype(READERS[dtype].stored).tobytes()


class MemoryCheckpoint:
    """A checkpoint with given tensors that records the reads.

    Parameters
    ----------
    label, step, config
        As a checkpoint tells them.
    tensors
        From each name to its format and numbers; a name may have its file before it: ``optimizer/a.safetensors:name``.
    """

    def __init__(
        self,
        label: str,
        tensors: Mapping[str, tuple[str, Array]],
        *,
        step: int | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        self.label = label
        self.step = step
        self.adapter_config = config
        self.reads: list[str] = []
        self._lock = threading.Lock()
        self._raw: dict[tuple[str, str], bytes] = {}
        infos = []
        for place, (dtype, values) in tensors.items():
            file, _, name = place.rpartition(":")
            raw = stored(values, dtype)
            self._raw[file, name] = raw
            infos.append(tensor_info(name, dtype=dtype, shape=values.shape, file=file, first=0, last=len(raw)))
        self.infos: Sequence[TensorInfo] = tuple(infos)

    def raw(self, info: TensorInfo) -> bytes:
        with self._lock:
            self.reads.append(info.name)
        return self._raw[info.file, info.name]

    def read(self, info: TensorInfo) -> Array:
        reading = READERS[info.dtype]
        found = np.empty(info.parameters, reading.result)
        reading.fill(np.frombuffer(self.raw(info), reading.stored), found)
        return found.reshape(info.shape)


Factors = tuple[Array, Array]


def module_name(number: int, kind: str = "q_proj") -> str:
    return f"model.layers.{number}.self_attn.{kind}"


def adapter(
    label: str,
    modules: Mapping[str, Factors],
    *,
    dtype: str = "F32",
    step: int | None = None,
    alpha: float | None = None,
    config: Mapping[str, Any] | None = None,
    name: str = WRAPPER + "{}.lora_{}.weight",
) -> MemoryCheckpoint:
    """Return an adapter of LoRA updates given as A and B; without ``alpha`` an update is B @ A."""
    tensors = {
        name.format(path, half): (dtype, values)
        for path, pair in modules.items()
        for half, values in zip("AB", pair, strict=True)
    }
    otherwise = UNSCALED if alpha is None else {"lora_alpha": alpha}
    return MemoryCheckpoint(label, tensors, step=step, config=dict(otherwise if config is None else config))


def factors(source: np.random.Generator, rank: int, inputs: int = 7, outputs: int = 5, size: float = 1.0) -> Factors:
    """Return random A (rank x inputs) and B (outputs x rank)."""
    return size * source.standard_normal((rank, inputs)), source.standard_normal((outputs, rank))


def multiplied_out(checkpoint: MemoryCheckpoint, path: str, scale: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the update of a module as the large matrix that it is."""
    a, b = (
        checkpoint.read(info).astype(np.float64)
        for half in "AB"
        for info in checkpoint.infos
        if info.module == path and info.lora == half
    )
    product: npt.NDArray[np.float64] = scale * (b @ a)
    return product
