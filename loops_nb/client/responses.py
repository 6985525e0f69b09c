"""Converts HTTP answers to results or to `LoopsError`; no I/O."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from loops_nb.api.models import UNDECODABLE
from loops_nb.client.request import Request
from loops_nb.config.credentials import Secret
from loops_nb.config.redaction import without_queries
from loops_nb.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    LoopsError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    UnreadableAnswerError,
    one_line,
)
from loops_nb.faults import HINT, record

T = TypeVar("T")

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
#: A gateway timed out: the service behind it may have carried the request out.
_GATEWAY_TIMEOUTS = frozenset({408, 502, 504})
_KINDS: dict[int, tuple[type[APIError], str]] = {
    400: (BadRequestError, ""),
    401: (
        AuthenticationError,
        (
            "The key is missing, wrong or revoked. Type %loops login to store another one; %loops doctor shows which "
            "one is used."
        ),
    ),
    403: (
        PermissionDeniedError,
        "The key is known, but it may not do this: ask for a workspace key of an organisation with Loops access.",
    ),
    404: (
        NotFoundError,
        "Check the id: %loops runs, %loops samplers, %loops deployments and %loops checkpoints RUN list what exists.",
    ),
    409: (ConflictError, ""),
    413: (BadRequestError, ""),
    422: (BadRequestError, ""),
}
_LOCAL_SERVICE = "loops_nb.local"
_LOCAL_KEY_HINT = (
    "If you started it, set LOOPS_NB_HOME as it was there, or BASETEN_API_KEY to what 'loops-nb token' prints;"
    " if another user did, start one of your own: %loops local start"
)
_LONGEST_QUOTE = 300
#: Only this much of a text of the service is searched: patterns over megabytes would take minutes.
_LONGEST_TEXT = 4000
#: Deeper objects of an error body are left out.
_DEEPEST = 20
#: A year; a longer wait is not believed.
_LONGEST_WAIT = 365 * 24 * 3600.0
logger: logging.Logger = logging.getLogger(__name__)


def result(request: Request[T], body: bytes) -> T:
    """Decode the body of a good answer.

    Raises
    ------
    UnreadableAnswerError
        If a read cannot be decoded.
    OutcomeUnknownError
        If a write was accepted but its answer cannot be decoded.
    """
    try:
        with readable():
            return request.decode(body)
    except UnreadableAnswerError as error:
        if request.safe:
            raise UnreadableAnswerError(f"Could not {request.description}: {error.message}", hint=error.hint) from None
        raise OutcomeUnknownError(
            f"The service accepted the request to {request.description}, but its answer cannot be read: "
            f"{error.message} It may or may not have happened.",
            hint=request.recovery,
        ) from None


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Convert any exception of a decoder to a `LoopsError`.

    An unexpected one is a fault of this package: it is logged, and shown by ``%loops doctor``.

    Raises
    ------
    UnreadableAnswerError
        If the decoder raised anything else than a `LoopsError`.
    """
    try:
        yield
    except LoopsError:
        raise
    except Exception as error:  # noqa: BLE001 - recorded as a fault of this package
        fault = record(logger, "reading an answer of the service", error)
        raise UnreadableAnswerError(f"The answer could not be read: {fault.reason}", hint=HINT) from None


def failure(
    request: Request[Any], status: int, headers: Mapping[str, str], body: bytes, *, secret: Secret, tried: str = ""
) -> Exception:
    """Return the error for an answer whose status is not 200.

    Parameters
    ----------
    request : Request
        The request.
    status, headers, body
        The answer.
    secret : Secret
        The key, to redact it where the service quotes it.
    tried : str, default ""
        How often it was tried, in words; empty for once.
    """
    said, code, details, wait = _read_error(body, secret)
    # It is put in brackets, in a sentence with its own full stop.
    said = said.rstrip(".")
    asked = retry_after(headers)
    if asked is not None:
        wait = asked
    parts = [f"Could not {request.description}: the service answered {status}", code, said and f"({said})", tried]
    what = f"{' '.join(filter(None, parts))}."
    if not request.safe and status in _GATEWAY_TIMEOUTS:
        return OutcomeUnknownError(f"{what} It may or may not have happened.", hint=request.recovery)
    kind, hint = _kind_and_hint(status, request, wait)
    if kind is AuthenticationError and details.get("service") == _LOCAL_SERVICE:
        hint = _LOCAL_KEY_HINT
    return kind(what, status=status, code=code, details=details, retry_after=wait, hint=hint)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a ``Retry-After`` header (a number or a date), or None.

    A date is measured against the answer's own ``Date``, where it has one: this machine's clock may be wrong.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    with contextlib.suppress(ValueError):
        return _seconds(float(text))
    when = _date(text)
    if when is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return _seconds(max(0.0, (when - now).total_seconds()))


def asked_wait(headers: Mapping[str, str], body: bytes) -> float | None:
    """Return the seconds that the service asked to wait, from the header or the documented 429 body."""
    wait = retry_after(headers)
    if wait is not None:
        return wait
    try:
        sent = msgspec.json.decode(body)
    except UNDECODABLE:
        return None
    return _seconds(sent.get("retry_after")) if isinstance(sent, dict) else None


def quoted(text: str, secret: Secret) -> str:
    """Return a text of the service as one line that is safe to show: no key, no signature of a URL, not too long."""
    # Redacted before it is truncated, so that no part of a key remains at the end.
    return one_line(without_queries(secret.redact(text)[:_LONGEST_TEXT]), limit=_LONGEST_QUOTE)


def _seconds(value: Any) -> float | None:
    """Return a wait in seconds; None if it is not one."""
    if isinstance(value, bool | None):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= _LONGEST_WAIT else None


def _date(text: str) -> datetime | None:
    # The standard library raises several errors for odd dates: an offset of 400 digits is an OverflowError.
    try:
        when = parsedate_to_datetime(text)
        return when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _read_error(body: bytes, secret: Secret) -> tuple[str, str, dict[str, Any], float | None]:
    """Return message, code, details and retry_after of an error body, in all known shapes."""
    try:
        sent = msgspec.json.decode(body)
    except UNDECODABLE:
        text = body[:_LONGEST_TEXT].decode("utf-8", "replace").strip()
        if text.startswith("<"):
            return "a web page instead of JSON", "", {}, None
        return quoted(text, secret), "", {}, None
    if not isinstance(sent, dict):
        return quoted(_as_text(sent), secret), "", {}, None
    said = next((s for s in map(_as_text, (sent.get("message"), sent.get("detail"), sent.get("error"))) if s), "")
    code, details = sent.get("code"), sent.get("details")
    if not isinstance(code, str):
        code = ""
    if not isinstance(details, dict):
        details = {}
    return quoted(said, secret), quoted(code, secret), _redacted(details, secret), _seconds(sent.get("retry_after"))


def _as_text(value: Any) -> str:
    for _ in range(_DEEPEST):
        if not isinstance(value, dict):
            break
        value = value.get("message")
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return "something that cannot be shown"


def _redacted(value: Any, secret: Secret, depth: int = 0) -> Any:
    if isinstance(value, str):
        return without_queries(secret.redact(value)[:_LONGEST_TEXT])
    if isinstance(value, dict | list) and depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {_redacted(key, secret): _redacted(item, secret, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, secret, depth + 1) for item in value]
    return value


def _kind_and_hint(status: int, request: Request[Any], wait: float | None) -> tuple[type[APIError], str]:
    if status in _KINDS:
        return _KINDS[status]
    if status == 429:  # noqa: PLR2004 - HTTP statuses are their own names
        when = "in a moment"
        if wait is not None:
            when = f"in {wait:g} s"
        return RateLimitError, f"Nothing was changed; try again {when}."
    if status >= 500:  # noqa: PLR2004
        return ServerError, "Nothing was changed; try again in a moment." if request.safe else request.recovery
    return BadRequestError, "Check the URL with %loops doctor"


@contextlib.contextmanager
def optional_answer(unread: list[str]) -> Iterator[None]:
    """Go on without what this key may not see, and without an answer of another shape, which is noted."""
    try:
        yield
    except (PermissionDeniedError, NotFoundError):
        pass
    except UnreadableAnswerError as error:
        unread.append(error.message)
