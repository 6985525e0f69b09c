"""A checkpoint's weights, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

from loops_nb.tensors.info import TensorInfo


class WeightSource(Protocol):
    """A checkpoint whose tensors can be listed and read one by one, at a distance or on this disk."""

    @property
    def label(self) -> str:
        """How it is called in sentences and tables."""
        ...

    @property
    def step(self) -> int | None:
        """Its training step, where known."""
        ...

    @property
    def adapter_config(self) -> dict[str, Any] | None:
        """The adapter's configuration; None where the checkpoint has none."""
        ...

    @property
    def infos(self) -> Sequence[TensorInfo]:
        """Its tensors, those of the optimizer too, file by file in the order in which they lie there."""
        ...

    def read(self, info: TensorInfo) -> npt.NDArray[Any]:
        """Return a tensor: float32, or float64 for F64; integers and truth values as they are."""
        ...

    def raw(self, info: TensorInfo) -> bytes:
        """Return a tensor's bytes as stored."""
        ...
