"""Requests that depend on each other, as a generator without I/O that yields requests and is sent the answers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from loops_nb.client.request import Request

T = TypeVar("T")


class RequestSteps(Generic[T]):
    """A generator of requests that can be read ahead; `loops_nb.client.transport.Transport.send_each` sends them.

    Parameters
    ----------
    steps : generator
        Yields requests, is sent the answer of each, and returns the result.

    Attributes
    ----------
    request : Request or None
        The next request; None when there are no more.
    result : T
        What the generator returned; set when there are no more requests.
    """

    result: T

    def __init__(self, steps: Generator[Request[Any], Any, T]) -> None:
        self._steps = steps
        self.request: Request[Any] | None = None
        self.resume(None)

    def resume(self, answer: Any) -> None:
        """Continue with the answer of the request."""
        self._advance(lambda: self._steps.send(answer))

    def throw(self, error: BaseException) -> None:
        """Continue after a request that failed: the generator handles the error, or it is raised."""
        self._advance(lambda: self._steps.throw(error))

    def _advance(self, move: Callable[[], Request[Any]]) -> None:
        try:
            self.request = move()
        except StopIteration as end:
            self.request, self.result = None, end.value
