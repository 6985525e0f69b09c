"""Matches the responses of a request log to their requests, even if several processes write into one log.

A response repeats only a sequence number, which each process counts on its own, and the time that the request took.  Of
several requests with that number, the one is chosen that was sent at the right time; then one that the response fits
the call of; then, once an operation is polled under its run, the one of that run.  If several remain, none is chosen: a
missing value is better than another call's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec

from loops_nb.tracking.request_log_lines import RequestLogLine

#: Kinds of requests that are no calls of a trainer.
CREATE_RUN, POLL, OTHER, SAMPLE = "create_run", "poll", "other", "sample"
# Times in a log are whole milliseconds, and the thread may be switched between request and line.
_CLOCK_SECONDS = 0.003
_CLEARLY = 5
_TWO = 2


@dataclass(eq=False, slots=True)
class LoggedRequest:
    """A request whose response was not read yet.

    Parameters
    ----------
    call : str
        The call of the SDK, or `CREATE_RUN`, `POLL`, `OTHER`, `SAMPLE`.
    at : float
        When it was sent, in seconds since 1970.
    run_id : str, optional
        Its run, if known.
    operation : str, optional
        Id of the operation that it polls.
    params : dict
        Parameters of a run that it creates.
    hook : CallHook, optional
        Takes the answer.
    key : str, optional
        Idempotency key, the same for all attempts of one request.
    """

    call: str
    at: float
    run_id: str | None = None
    operation: str | None = None
    params: dict[str, Any] = field(default_factory=dict)
    hook: Any = None
    key: str | None = None
    is_answered: bool = False
    #: Whether the same operation was polled again, so the answer to this poll was not the last one.
    is_repeated: bool = False


class _ResponseBody(msgspec.Struct):
    status: Any = None
    operation_id: Any = None
    run: Any = None
    trainer: Any = None
    choices: Any = None
    result: Any = None


@dataclass(eq=False, slots=True)
class _LoggedResponse:
    line: RequestLogLine
    at: float
    body: _ResponseBody
    candidates: list[LoggedRequest]


class RequestMatcher:
    """Matches responses to requests; see the module.

    Parameters
    ----------
    on_match : callable
        Takes each request with its response and the time of the response in seconds since 1970.
    """

    def __init__(self, on_match: Callable[[LoggedRequest, RequestLogLine, float], None]) -> None:
        self._on_match = on_match
        self._unanswered: dict[int, list[LoggedRequest]] = {}
        self._ambiguous: list[_LoggedResponse] = []
        #: Runs under which an operation was polled.
        self._polled_runs: dict[str, set[str]] = {}

    @property
    def unclear(self) -> int:
        """Number of responses with values that are not matched for now."""
        return sum(
            response.line.status == HTTPStatus.ACCEPTED or _is_done(response.body) for response in self._ambiguous
        )

    def add_request(self, seq: int, request: LoggedRequest) -> None:
        """Add a request under its sequence number."""
        self._unanswered.setdefault(seq, []).append(request)
        if request.operation is not None:
            if request.run_id is not None:
                self._polled_runs.setdefault(request.operation, set()).add(request.run_id)
            if self._ambiguous:
                self._mark_repeated(request)
                self._resolve_ambiguous()

    def find_retried(self, key: str) -> LoggedRequest | None:
        """Return the unanswered request with an idempotency key, which another one retries."""
        for requests in self._unanswered.values():
            for request in requests:
                if request.key == key:
                    return request
        return None

    def add_response(self, line: RequestLogLine, at: float) -> None:
        """Add a response that was read at a time in seconds since 1970."""
        unanswered = self._unanswered.get(line.seq or 0, [])
        if not unanswered:
            return
        body = _decode_body(line)
        fits = [request for request in unanswered if _fits(request, line, body)] or unanswered
        if line.elapsed_ms is not None:
            fits = _nearest(fits, at - line.elapsed_ms / 1000)
        if len(fits) > 1 and {request.call for request in fits} in ({CREATE_RUN}, {OTHER}):
            # The response to a creation has the run in it, and nothing is read of others.
            fits = _creations(fits, body)
        response = _LoggedResponse(line, at, body, list(fits))
        if len(fits) == 1:
            self._match(response)
        else:
            self._ambiguous.append(response)
        self._resolve_ambiguous()

    def _match(self, response: _LoggedResponse) -> None:
        (request,) = response.candidates
        request.is_answered = True
        seq = response.line.seq or 0
        requests = self._unanswered.get(seq, [])
        if request in requests:
            requests.remove(request)
        if not requests:
            self._unanswered.pop(seq, None)
        self._on_match(request, response.line, response.at)

    def _mark_repeated(self, request: LoggedRequest) -> None:
        polled = (request.operation, request.run_id)
        for response in self._ambiguous:
            for candidate in response.candidates:
                if candidate is not request and (candidate.operation, candidate.run_id) == polled:
                    candidate.is_repeated = True

    def _resolve_ambiguous(self) -> None:
        is_changed = True
        while self._ambiguous and is_changed:
            is_changed = False
            for response in list(self._ambiguous):
                response.candidates = self._remaining(response)
                if len(response.candidates) < _TWO:
                    self._ambiguous.remove(response)
                    is_changed = True
                    if response.candidates:
                        self._match(response)

    def _remaining(self, response: _LoggedResponse) -> list[LoggedRequest]:
        left = [request for request in response.candidates if not request.is_answered]
        if _is_done(response.body):
            left = [request for request in left if not request.is_repeated] or left
        if response.line.status == HTTPStatus.ACCEPTED:
            runs = self._polled_runs.get(str(response.body.operation_id), set())
            left = [request for request in left if request.run_id in runs] or left
        return left


def _decode_body(line: RequestLogLine) -> _ResponseBody:
    try:
        return msgspec.json.decode(line.body, type=_ResponseBody)
    except msgspec.DecodeError:
        return _ResponseBody()


def _is_done(body: _ResponseBody) -> bool:
    return bool(body.status == "done")


def _fits(request: LoggedRequest, line: RequestLogLine, body: _ResponseBody) -> bool:
    if line.status == HTTPStatus.ACCEPTED:
        return body.operation_id is None or request.call not in {CREATE_RUN, POLL, OTHER}
    if line.status != HTTPStatus.OK or request.call == OTHER:
        return True
    if request.call == CREATE_RUN:
        return isinstance(body.run or body.trainer, dict)
    if request.call == POLL:
        return isinstance(body.status, str)
    return request.call == SAMPLE and body.choices is not None


def _nearest(requests: list[LoggedRequest], sent: float) -> list[LoggedRequest]:
    """Return the request that was sent at a time, or all of them if several were sent about then."""
    if len(requests) < _TWO:
        return requests
    distances = sorted((abs(request.at - sent), index) for index, request in enumerate(requests))
    (best, index), (second, _) = distances[:2]
    is_clear = second - best > max(_CLOCK_SECONDS, _CLEARLY * best)
    return [requests[index]] if is_clear else requests


def _creations(requests: list[LoggedRequest], body: _ResponseBody) -> list[LoggedRequest]:
    run = body.run or body.trainer
    if not isinstance(run, dict):
        return requests[:1]
    agree = [
        request for request in requests if all(run.get(name, value) == value for name, value in request.params.items())
    ]
    if len(agree) > 1 and any(request.params != agree[0].params for request in agree):
        # It is unknown which of them set which parameters.
        for request in agree:
            request.params = {}
    return (agree or requests)[:1]
