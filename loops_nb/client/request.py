"""A request as data: what to send, how to decode the answer, and whether it may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

T = TypeVar("T")
U = TypeVar("U")

#: The service starts capacity before it answers a create.
CREATE_SECONDS = 300.0
#: The deletion of a run deletes all of its checkpoints.
DELETE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A request of the Loops API.

    Parameters
    ----------
    method, path : str
        HTTP method and path; every variable part of the path was checked and quoted.
    decode : callable
        Decodes the body of a good answer.
    description : str
        For error texts, such as ``list runs``.
    query : dict, optional
        Query parameters; None values are left out, a list is sent as one parameter for each entry.
    body : dict, optional
        JSON body; None for no body.
    safe : bool, default True
        Whether it may be repeated: it reads, and changes nothing.
    repeatable : bool, default False
        Whether it may be repeated although it changes something: once more changes nothing else.
    if_gone : bytes, default b""
        Answer that a 404 stands for on a repetition after a lost answer: what was to be deleted is gone.
    recovery : str, default ""
        If it is not safe: how to find out whether it happened when the answer is lost.
    seconds : float, default 0.0
        The least time limit of the answer.
    headers : dict, optional
        Further headers; never a key.
    """

    method: str
    path: str
    decode: Callable[[bytes], T]
    description: str
    query: Mapping[str, str | int | Sequence[str] | None] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    safe: bool = True
    repeatable: bool = False
    if_gone: bytes = b""
    recovery: str = ""
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Path and query, as sent."""
        given = {k: v for k, v in self.query.items() if v is not None}
        query = urlencode(given, doseq=True, quote_via=quote, safe="")
        return f"{self.path}?{query}" if query else self.path

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again when its answer is lost."""
        return self.safe or self.repeatable

    def with_decoder(self, decode: Callable[[bytes], U]) -> Request[U]:
        """Return the same request with another decoder of its answer."""
        return replace(self, decode=decode)  # type: ignore[arg-type, return-value]


def sent(**fields: Any) -> dict[str, Any]:
    """Return a JSON body of the given fields, without those that are None: the service's own defaults hold for them."""
    return {name: value for name, value in fields.items() if value is not None}
