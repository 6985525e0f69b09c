"""Which request of a log a response answers, also where several processes write into one log.

A response has nothing of its request but a number that each process counts by itself, and how long the request took.  So of several
requests with its number, the one fits that has the right time; then one whose answer looks like it; then, once an operation is asked
for under the name of its run, the one of that run.  Where all of this leaves several, none is chosen: no value is better than another's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from loops_nb.tracking.request_lines import Line

ACCEPTED, DONE = 202, 200
MADE, OPERATION, OTHER, SAMPLE = "made", "operation", "other", "sample"
# Times of a log are whole milliseconds, and threads may lie between two of them.
_CLOCK_SECONDS = 0.003
_CLEARLY = 5


@dataclass(eq=False, slots=True)
class Request:
    """A request whose response has not been read yet.

    Parameters
    ----------
    call
        The call of the SDK, or `MADE`, `OPERATION`, `OTHER`.
    at
        When it was sent, in seconds since 1970.
    run_id
        Its run, where that is known.
    operation
        Id of the operation that it asks for.
    params
        What it sets for a run that it makes.
    watch
        What follows the call.
    key
        Is the same for each try of one request.
    """

    call: str
    at: float
    run_id: str | None = None
    operation: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    watch: Any = None
    key: str | None = None
    is_answered: bool = False
    #: Whether the same operation was asked for again: then this answer was not the last one.
    is_repeated: bool = False


class _Body(msgspec.Struct):
    status: Any = None
    operation_id: Any = None
    run: Any = None
    trainer: Any = None
    choices: Any = None
    result: Any = None


@dataclass(eq=False, slots=True)
class _Response:
    line: Line
    at: float
    body: _Body
    candidates: list[Request]


class Matching:
    """Pairs requests and responses; see the module.

    Parameters
    ----------
    take
        Takes each response with its request, and the time of the response in seconds since 1970.
    """

    def __init__(self, take: Callable[[Request, Line, float], None]) -> None:
        self._take = take
        self._waiting: dict[int, list[Request]] = {}
        self._unclear: list[_Response] = []
        self._asked: dict[str, set[str]] = {}

    @property
    def unclear(self) -> int:
        """How many answers with values could not be paired for now."""
        return sum(response.line.status == ACCEPTED or _is_done(response.body) for response in self._unclear)

    def request(self, seq: int, request: Request) -> None:
        """Take a request."""
        self._waiting.setdefault(seq, []).append(request)
        if request.operation is not None:
            if request.run_id is not None:
                self._asked.setdefault(request.operation, set()).add(request.run_id)
            if self._unclear:
                self._repeated(request)
                self._settle()

    def retried(self, key: str) -> Request | None:
        """Return the unanswered request that another one with this key tries again."""
        return next((found for of in self._waiting.values() for found in of if found.key == key), None)

    def response(self, line: Line, at: float) -> None:
        """Take a response."""
        waiting = self._waiting.get(line.seq or 0, [])
        if not waiting:
            return
        body = _body_of(line)
        fits = [request for request in waiting if _fits(request, line, body)] or waiting
        if line.elapsed_ms is not None:
            fits = _nearest(fits, at - line.elapsed_ms / 1000)
        if len(fits) > 1 and all(request.call == fits[0].call for request in fits) and fits[0].call in {MADE, OTHER}:
            # What was made says so itself, and nothing is read of others.
            fits = _of_made(fits, body)
        found = _Response(line, at, body, list(fits))
        if len(fits) == 1:
            self._pair(found)
        else:
            self._unclear.append(found)
        self._settle()

    def _pair(self, response: _Response) -> None:
        (request,) = response.candidates
        request.is_answered = True
        seq = response.line.seq or 0
        of = self._waiting.get(seq, [])
        if request in of:
            of.remove(request)
        if not of:
            self._waiting.pop(seq, None)
        self._take(request, response.line, response.at)

    def _repeated(self, request: Request) -> None:
        for response in self._unclear:
            for candidate in response.candidates:
                if candidate is not request and (candidate.operation, candidate.run_id) == (request.operation, request.run_id):
                    candidate.is_repeated = True

    def _settle(self) -> None:
        is_settled = True
        while self._unclear and is_settled:
            is_settled = False
            for response in list(self._unclear):
                response.candidates = self._still(response)
                if len(response.candidates) < 2:  # noqa: PLR2004 - the one that is left, if any
                    self._unclear.remove(response)
                    is_settled = True
                    if response.candidates:
                        self._pair(response)

    def _still(self, response: _Response) -> list[Request]:
        left = [request for request in response.candidates if not request.is_answered]
        if _is_done(response.body):
            left = [request for request in left if not request.is_repeated] or left
        runs = self._asked.get(str(response.body.operation_id)) if response.line.status == ACCEPTED else None
        return [request for request in left if request.run_id in runs] or left if runs else left


def _body_of(line: Line) -> _Body:
    try:
        return msgspec.json.decode(line.body, type=_Body)
    except msgspec.DecodeError:
        return _Body()


def _is_done(body: _Body) -> bool:
    return bool(body.status == "done")


def _fits(request: Request, line: Line, body: _Body) -> bool:
    if line.status == ACCEPTED:
        return body.operation_id is None or request.call not in {MADE, OPERATION, OTHER}
    if line.status != DONE or request.call == OTHER:
        return True
    if request.call == MADE:
        return isinstance(body.run or body.trainer, dict)
    if request.call == OPERATION:
        return isinstance(body.status, str)
    return request.call == SAMPLE and body.choices is not None


def _nearest(fits: list[Request], sent: float) -> list[Request]:
    """Return the request that was sent when a response says, or all where that is not clear."""
    if len(fits) < 2:  # noqa: PLR2004 - a choice
        return fits
    distances = sorted((abs(request.at - sent), place) for place, request in enumerate(fits))
    (best, place), (second, _) = distances[:2]
    return [fits[place]] if second - best > max(_CLOCK_SECONDS, _CLEARLY * best) else fits


def _of_made(fits: list[Request], body: _Body) -> list[Request]:
    run = body.run or body.trainer
    if not isinstance(run, dict):
        return fits[:1]
    agree = [request for request in fits if all(run.get(name, value) == value for name, value in request.params.items())]
    if len(agree) > 1 and any(request.params != agree[0].params for request in agree):
        # It cannot be said which of them set what.
        for request in agree:
            request.params = {}
    return (agree or fits)[:1]
