"""A fake ``torch`` over NumPy with what the SDK's custom losses use, for machines without torch.

The SDK's own code runs unchanged: it asks for logprobs, hands tensors to the loss, reads ``.grad`` and sends the
weights.  The loss of a test works its gradients out by hand, so nothing here differentiates.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest


class DType:
    """A dtype that knows its name."""

    def __init__(self, name: str) -> None:
        self.is_floating_point = "float" in name
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


class Tensor:
    """An array with a gradient beside it."""

    def __init__(self, values: Any, dtype: DType) -> None:
        self.values = np.asarray(values)
        self.dtype = dtype
        self.grad: Tensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def reshape(self, shape: Sequence[int]) -> Tensor:
        return Tensor(self.values.reshape(shape), self.dtype)

    def flatten(self) -> Tensor:
        return Tensor(self.values.reshape(-1), self.dtype)

    def tolist(self) -> Any:
        return self.values.tolist()

    def detach(self) -> Tensor:
        return self

    def clone(self) -> Tensor:
        return Tensor(self.values.copy(), self.dtype)

    def requires_grad_(self, wanted: bool) -> Tensor:
        return self

    def __neg__(self) -> Tensor:
        return Tensor(-self.values, self.dtype)


class Loss:
    """What a loss function of a test returns: going backward writes the gradients that it was given."""

    def __init__(self, logprobs: Sequence[Tensor], gradients: Sequence[Any]) -> None:
        self._pairs = list(zip(logprobs, gradients, strict=True))

    def backward(self) -> None:
        for tensor, gradient in self._pairs:
            tensor.grad = Tensor(np.broadcast_to(gradient, tensor.shape).astype(np.float32), tensor.dtype)


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``import torch`` find this for the length of a test."""
    module: Any = types.ModuleType("torch")
    for name in ("float16", "bfloat16", "float32", "float64", "int8", "int32", "int64", "bool"):
        setattr(module, name, DType(name))
    numpy_of: Callable[[DType], Any] = lambda dtype: np.float32 if dtype.is_floating_point else np.int64  # noqa: E731
    module.tensor = lambda data, dtype: Tensor(np.asarray(data, numpy_of(dtype)), dtype)
    module.nan_to_num = lambda tensor, nan: Tensor(np.nan_to_num(tensor.values, nan=nan), tensor.dtype)
    module.Tensor = Tensor
    monkeypatch.setitem(sys.modules, "torch", module)
