"""What sampling asks of whoever carries it out; the sync and the async flavour each do it in their own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from loops_nb.client.address import Address
from loops_nb.client.call import Call


@dataclass(frozen=True, slots=True)
class Send:
    """Carry out a call of the API, and answer with its result."""

    call: Call[Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a call to a sampler's own address once, and answer with the `Reply`; what never left is thrown as `Lost`."""

    call: Call[Any]
    address: Address


@dataclass(frozen=True, slots=True)
class Pause:
    """Let some seconds go by."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the person how a sampler stands that is waited for."""

    sampler_id: str
    status: str
    is_up: bool = False


@dataclass(frozen=True, slots=True)
class Encode:
    """Turn the prompt into the token ids of a model; answer with them."""

    text: str
    base_model: str | None
    base_checkpoint: str | None


Step: TypeAlias = Send | Ask | Pause | Tell | Encode
