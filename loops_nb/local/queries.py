"""Query parameters with their bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from loops_nb.local import catalogue
from loops_nb.local.requests import Millis, Positive


class ListRuns(Struct):
    """Query of ``GET /v1/loops/runs``."""

    run_id: str | None = None
    base_model: str | None = None
    scope: str | None = None

    def __post_init__(self) -> None:
        """Take the folder of a local model's tokenizer for the model."""
        self.base_model = self.base_model and catalogue.name_of(self.base_model)


class Scope(Struct):
    """Query of the listings of samplers and deployments: ``org`` is the whole organisation, anything else the caller's own."""

    scope: str | None = None


class ListCheckpoints(Struct):
    """Query of ``GET /v1/loops/checkpoints``."""

    run_id: str | None = None
    base_model: str | None = None
    checkpoint_path: str | None = None

    def __post_init__(self) -> None:
        """Take the folder of a local model's tokenizer for the model."""
        self.base_model = self.base_model and catalogue.name_of(self.base_model)


class Page(Struct):
    """Query of the file listings; the token is an offset."""

    page_size: Positive = 1000
    page_token: Annotated[int, Meta(ge=0, le=2**62)] = 0


class DebugPage(Struct):
    """Query of the debug archive; the token is opaque."""

    page_size: Annotated[int, Meta(ge=1, le=1000)] = 1000
    page_token: str | None = None


class Logs(Struct):
    """Query of the log routes."""

    start_epoch_millis: Millis | None = None
    end_epoch_millis: Millis | None = None
    direction: Literal["asc", "desc"] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] | None = None
    min_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None


class Capabilities(Struct):
    """Query of ``GET /v1/loops/capabilities``."""

    model: str | None = None
    use_case: Literal["rl", "sft"] = "rl"
    max_seq_len: Positive | None = None

    def __post_init__(self) -> None:
        """Take the folder of a local model's tokenizer for the model."""
        self.model = self.model and catalogue.name_of(self.model)
