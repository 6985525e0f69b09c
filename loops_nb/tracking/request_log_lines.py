"""Lines of the request log of the official SDK, decoded as far as they are needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec

#: Parameters of a run that are recorded.
RUN_PARAMS = ("base_model", "lora_rank", "max_seq_len")
_ARGUMENTS = ("data", "adam_params", "name", "path", "ttl_seconds")


class RequestLogLine(msgspec.Struct):
    """A line: a request or its response."""

    kind: str
    ts: str
    seq: int | None = None
    method: str = ""
    path: str = ""
    status: int = 0
    elapsed_ms: float | None = None
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"null")


class _ModelInput(msgspec.Struct):
    chunks: list[dict[str, msgspec.Raw]] = []

    @property
    def length(self) -> int:
        """Number of tokens."""
        return sum(_chunk_length(chunk) for chunk in self.chunks)


def _chunk_length(chunk: dict[str, msgspec.Raw]) -> int:
    if "tokens" in chunk:
        tokens = bytes(chunk["tokens"]).strip()
        return 0 if tokens in {b"[]", b"[ ]"} else tokens.count(b",") + 1
    return msgspec.json.decode(chunk.get("expected_tokens", b"0"), type=int)


class _Datum(msgspec.Struct):
    model_input: _ModelInput


class _AdamParams(msgspec.Struct):
    learning_rate: float | None = None


class RequestBody(msgspec.Struct):
    """Body of a request; of its data only the lengths are read."""

    data: list[_Datum] | None = None
    adam_params: _AdamParams | None = None
    name: str | None = None
    path: str | None = None
    ttl_seconds: Any = None
    run_id: str | None = None
    base_model: Any = None
    lora_rank: Any = None
    max_seq_len: Any = None

    def run_params(self) -> dict[str, Any]:
        """Return the parameters that it sets for a run."""
        return self._given(RUN_PARAMS)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the SDK call that sent it."""
        return self._given(_ARGUMENTS)

    def _given(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class CreatedRun(msgspec.Struct):
    """Response to the creation of a run or trainer."""

    run: dict[str, Any] | None = None
    trainer: dict[str, Any] | None = None


class AcceptedOperation(msgspec.Struct):
    """Response to an operation that was accepted."""

    operation_id: str


class OperationResult(msgspec.Struct):
    """Response to a poll of an operation."""

    status: str
    result: msgspec.Raw = msgspec.Raw(b"null")


class TrainerResult(msgspec.Struct):
    """Result of an operation of the trainer."""

    loss: float | None = None
    metrics: dict[str, float | None] | None = None
    path: str | None = None
    step: int | None = None


class _Choice(msgspec.Struct):
    token_ids: list[int] | None = None


class SampleResult(msgspec.Struct):
    """Result of a sample, without its texts."""

    choices: list[_Choice] = []

    def as_sdk(self) -> Any:
        """Return the recorded part of the SDK's own result."""
        return SimpleNamespace(sequences=[SimpleNamespace(tokens=choice.token_ids or ()) for choice in self.choices])
