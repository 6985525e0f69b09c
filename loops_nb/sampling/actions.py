"""The actions of sampling as data; the sync and the async executor each perform them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from loops_nb.client.address import Address
from loops_nb.client.request import Request
from loops_nb.sampling.chat import ChatMessage


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request of the API; the result is the decoded answer."""

    request: Request[Any]


@dataclass(frozen=True, slots=True)
class SendOnce:
    """Send a request to a sampler's own address once; the result is the `Reply`, or `TransientError` is thrown."""

    request: Request[Any]
    address: Address


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """Show the status of a sampler that is waited for."""

    sampler_id: str
    status: str
    is_up: bool = False


@dataclass(frozen=True, slots=True)
class Encode:
    """Encode the prompt, a text or a chat, with a model's tokenizer; the result is the list of token ids."""

    prompt: str | tuple[ChatMessage, ...]
    base_model: str | None
    base_checkpoint: str | None


Action: TypeAlias = Send | SendOnce | Sleep | ShowStatus | Encode
