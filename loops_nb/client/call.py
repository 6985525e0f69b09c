"""One request as data: what to send, how to read the answer, and what may be done when the answer is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

T = TypeVar("T")
U = TypeVar("U")

#: A create may take long: the service brings capacity up before it answers.
CREATE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request of the Loops API.

    Parameters
    ----------
    method, path
        HTTP method and path; every variable part of the path was checked and quoted.
    decode
        From the body of a 200 answer to the result.
    does
        The act in words, for error texts: ``list runs``.
    query
        Query parameters; None values are left out.
    body
        JSON body, or None for no body.
    safe
        Whether it can be sent again: it reads, and changes nothing.
    recovery
        For what changes things: how to find out whether it happened when the answer is lost.
    seconds
        The least time that the answer may take.
    headers
        Further headers; never a key.
    """

    method: str
    path: str
    decode: Callable[[bytes], T]
    does: str
    query: Mapping[str, str | int | None] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    safe: bool = True
    recovery: str = ""
    seconds: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        """Path and query, as sent."""
        query = urlencode({k: v for k, v in self.query.items() if v is not None}, quote_via=quote, safe="")
        return f"{self.path}?{query}" if query else self.path

    def decoded_by(self, decode: Callable[[bytes], U]) -> Call[U]:
        """Return the same request with another reader of its answer."""
        return replace(self, decode=decode)  # type: ignore[arg-type, return-value]


def sent(**fields: Any) -> dict[str, Any]:
    """Return a JSON body of the given fields, without those that are None: the service's own defaults hold for them."""
    return {name: value for name, value in fields.items() if value is not None}
