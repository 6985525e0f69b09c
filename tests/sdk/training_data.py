"""What the trainers of these tests are taught: short sentences, byte by byte, as the SDK's own types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SENTENCES = ("the cat sat on the mat.", "a dog ran in the park.", "one fish swam upstream.", "two owls hooted at dusk.")


def tensor(data: Sequence[Any], dtype: str = "float32", shape: list[int] | None = None) -> Any:
    """Return the SDK's tensor of a flat list."""
    from baseten.loops import TensorData

    return TensorData(data=list(data), dtype=dtype, shape=shape or [len(data)])


def datum(tokens: Sequence[int], **inputs: Any) -> Any:
    """Return a datum of a sequence: every token but the last predicts the next one."""
    from baseten.loops import Datum, ModelInput

    asked = {"target_tokens": tensor(tokens[1:], "int64"), **inputs}
    return Datum(model_input=ModelInput.from_ints(list(tokens[:-1])), loss_fn_inputs=asked)


def sentences() -> list[Any]:
    """Return a batch of them."""
    return [datum(list(text.encode())) for text in SENTENCES]


def long_batch(rows: int = 4, length: int = 128) -> list[Any]:
    """Return rows of exactly so many tokens."""
    text = " ".join(SENTENCES).encode() * (2 + length // 64)
    return [datum(list(text[start * 7 : start * 7 + length + 1])) for start in range(rows)]


def adam(rate: float = 5e-3) -> Any:
    """Return the parameters of a step."""
    from baseten.loops import AdamParams

    return AdamParams(learning_rate=rate)


def steps(client: Any, count: int, batch: list[Any] | None = None) -> list[float]:
    """Train, one step after the other is submitted, and return the losses."""
    rows = sentences() if batch is None else batch
    pending = [(client.forward_backward(rows), client.optim_step(adam())) for _ in range(count)]
    losses = []
    for forward, optim in pending:
        losses.append(forward.result(timeout=60).loss)
        optim.result(timeout=60)
    return losses
