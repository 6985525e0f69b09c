"""Protocol of checkpoints whose tensors can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

from loops_nb.checkpoints.tensors.info import TensorInfo


class WeightSource(Protocol):
    """A remote or local checkpoint whose tensors can be listed and read one by one."""

    @property
    def label(self) -> str:
        """Name of the checkpoint in tables and messages."""
        ...

    @property
    def step(self) -> int | None:
        """Training step, if known."""
        ...

    @property
    def adapter_config(self) -> dict[str, Any] | None:
        """Configuration of the adapter, if the checkpoint has one."""
        ...

    @property
    def infos(self) -> Sequence[TensorInfo]:
        """All tensors, also those of the optimizer, by file and offset."""
        ...

    def read(self, info: TensorInfo) -> npt.NDArray[Any]:
        """Return a tensor: float32, or float64 for F64; integers and booleans keep their dtype."""
        ...

    def raw(self, info: TensorInfo) -> bytes:
        """Return the stored bytes of a tensor."""
        ...
