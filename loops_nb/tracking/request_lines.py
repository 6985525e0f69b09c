"""Lines of the request log of the official SDK, as far as they are read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

#: What is kept of the parameters of a run.
PARAMS = ("base_model", "lora_rank", "max_seq_len")


class Line(msgspec.Struct):
    """A line of the log."""

    kind: str
    ts: str
    seq: int | None = None
    method: str = ""
    path: str = ""
    status: int = 0
    elapsed_ms: float | None = None
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Input(msgspec.Struct):
    chunks: list[dict[str, msgspec.Raw]] = []

    @property
    def length(self) -> int:
        """Number of tokens."""
        return sum(_length_of(chunk) for chunk in self.chunks)


def _length_of(chunk: dict[str, msgspec.Raw]) -> int:
    if "tokens" in chunk:
        tokens = bytes(chunk["tokens"]).strip()
        return 0 if tokens in {b"[]", b"[ ]"} else tokens.count(b",") + 1
    return msgspec.json.decode(chunk.get("expected_tokens", b"0"), type=int)


class _Datum(msgspec.Struct):
    model_input: _Input


class _Adam(msgspec.Struct):
    learning_rate: float | None = None


class Body(msgspec.Struct):
    """What a request says of itself; of its data only the lengths."""

    data: list[_Datum] | None = None
    adam_params: _Adam | None = None
    name: str | None = None
    path: str | None = None
    run_id: str | None = None
    base_model: Any = None
    lora_rank: Any = None
    max_seq_len: Any = None

    def params(self) -> dict[str, Any]:
        """Return what it sets for a run."""
        return {name: value for name in PARAMS if (value := getattr(self, name)) is not None}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the call that sent this."""
        return {name: value for name in ("data", "adam_params", "name", "path") if (value := getattr(self, name)) is not None}


class Made(msgspec.Struct):
    """A run that was made."""

    run: dict[str, Any] | None = None
    trainer: dict[str, Any] | None = None


class Accepted(msgspec.Struct):
    """An operation that was accepted."""

    operation_id: str


class Outcome(msgspec.Struct):
    """How an operation ended."""

    status: str
    result: msgspec.Raw = msgspec.Raw(b"null")


class Values(msgspec.Struct):
    """The result of an operation of the trainer."""

    loss: float | None = None
    metrics: dict[str, float | None] | None = None
    path: str | None = None
    step: int | None = None


class _Choice(msgspec.Struct):
    token_ids: list[int] | None = None


class Sampled(msgspec.Struct):
    """The result of a sample; its texts are not read."""

    choices: list[_Choice] = []

    def as_sdk(self) -> Any:
        """Return what the SDK makes of it, as far as it is recorded."""
        return SimpleNamespace(sequences=[SimpleNamespace(tokens=choice.token_ids or ()) for choice in self.choices])
