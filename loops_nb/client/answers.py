"""From an HTTP answer to a result or to an error of our own tree; pure functions."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import msgspec

from loops_nb.client.call import Call
from loops_nb.credentials import Secret
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
from loops_nb.models import UNDECODABLE

T = TypeVar("T")

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
#: Answers of a gateway that gave up waiting: what stands behind it may have done the work.
_LOST_BEHIND_A_GATEWAY = frozenset({408, 502, 504})
_KINDS: dict[int, tuple[type[APIError], str]] = {
    400: (BadRequestError, ""),
    401: (
        AuthenticationError,
        "The key is missing, wrong or revoked. Type %loops login to give another one; %loops doctor shows which one is used.",
    ),
    403: (
        PermissionDeniedError,
        "The key is known, but it may not do this: ask for a workspace key of an organisation with Loops access.",
    ),
    404: (NotFoundError, "Check the id: %loops runs, %loops samplers, %loops deployments and %loops checkpoints RUN list what there is."),
    409: (ConflictError, ""),
    413: (BadRequestError, ""),
    422: (BadRequestError, ""),
}
_LOCAL_SERVICE = "loops_nb.local"
_OF_THE_OWNER = (
    "If you started it, set LOOPS_NB_HOME as it was there, or BASETEN_API_KEY to what 'loops-nb token' prints;"
    " if another user did, start one of your own: %loops local start"
)
_LONGEST_QUOTE = 300
#: What is looked at of a text of the service's: patterns over megabytes of it would take minutes.
_LONGEST_TEXT = 4000
#: Objects of an error body that lie deeper than this are left out.
_DEEPEST = 20
#: A longer wait than a year is no wait that anybody asks for.
_LONGEST_WAIT = 365 * 24 * 3600.0
_LOG = logging.getLogger(__name__)
_SIGNED_URL = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]+")


def result(call: Call[T], body: bytes) -> T:
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
            return call.decode(body)
    except UnreadableAnswerError as error:
        if call.safe:
            raise UnreadableAnswerError(f"Could not {call.does}: {error.message}", hint=error.hint) from None
        raise OutcomeUnknownError(
            f"The service accepted the request to {call.does}, but its answer cannot be read: {error.message} "
            "It may or may not have happened.",
            hint=call.recovery,
        ) from None


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Turn everything that an answer makes its reader raise into an error of our tree.

    What no reader foresees is a fault of ours: it is logged, and shown by ``%loops doctor``.

    Raises
    ------
    UnreadableAnswerError
        If the reader raised anything else than a `LoopsError`.
    """
    try:
        yield
    except LoopsError:
        raise
    except Exception as error:  # noqa: BLE001 - told as ours, and logged
        fault = record(_LOG, "reading an answer of the service", error)
        raise UnreadableAnswerError(f"The answer could not be read: {fault.reason}", hint=HINT) from None


def failure(call: Call[Any], status: int, headers: Mapping[str, str], body: bytes, *, secret: Secret, tried: str = "") -> Exception:
    """Return the error for an answer whose status is not 200.

    Parameters
    ----------
    call
        What was asked.
    status, headers, body
        The answer.
    secret
        The key, to blot it out should the service quote it.
    tried
        How often it was tried, in words; empty for once.
    """
    said, code, details, wait = _read_error(body, secret)
    # It ends up in brackets, in a sentence that has a full stop of its own.
    said = said.rstrip(".")
    asked = retry_after(headers)
    wait = wait if asked is None else asked
    what = f"Could not {call.does}: the service answered {status}{f' {code}' if code else ''}{f' ({said})' if said else ''}"
    what = f"{what}{f' {tried}' if tried else ''}."
    if not call.safe and status in _LOST_BEHIND_A_GATEWAY:
        return OutcomeUnknownError(f"{what} It may or may not have happened.", hint=call.recovery)
    kind, hint = _kind_and_hint(status, call, wait)
    if kind is AuthenticationError and details.get("service") == _LOCAL_SERVICE:
        hint = _OF_THE_OWNER
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
    when = _moment(text)
    if when is None:
        return None
    now = _moment(headers.get("date", "")) or datetime.now(UTC)
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
    """Return a text of the service's as one line that is safe to show: no key, no signature of a URL, not too long."""
    # Redacted before it is cut, so that no part of a key is left at the end.
    return one_line(_SIGNED_URL.sub(r"\1?<signature>", secret.redact(text)[:_LONGEST_TEXT]), limit=_LONGEST_QUOTE)


def _seconds(value: Any) -> float | None:
    """Return a wait in seconds, None for what is none."""
    if isinstance(value, bool | None):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= _LONGEST_WAIT else None


def _moment(text: str) -> datetime | None:
    # The standard library raises what it likes at odd dates: an offset of 400 digits is an OverflowError.
    try:
        when = parsedate_to_datetime(text)
        return when.replace(tzinfo=when.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _read_error(body: bytes, secret: Secret) -> tuple[str, str, dict[str, Any], float | None]:
    """Return message, code, details and retry_after of an error body; all the shapes that the service is known to use."""
    try:
        sent = msgspec.json.decode(body)
    except UNDECODABLE:
        text = body[:_LONGEST_TEXT].decode("utf-8", "replace").strip()
        return ("a web page instead of JSON" if text.startswith("<") else quoted(text, secret)), "", {}, None
    if not isinstance(sent, dict):
        return quoted(_as_text(sent), secret), "", {}, None
    said = next((s for s in map(_as_text, (sent.get("message"), sent.get("detail"), sent.get("error"))) if s), "")
    code = sent.get("code")
    details = sent.get("details")
    return (
        quoted(said, secret),
        quoted(code, secret) if isinstance(code, str) else "",
        _redacted(details, secret) if isinstance(details, dict) else {},
        _seconds(sent.get("retry_after")),
    )


def _as_text(value: Any) -> str:
    for _ in range(_DEEPEST):
        if not isinstance(value, dict):
            break
        value = value.get("message")
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError):
        return "something that cannot be shown"


def _redacted(value: Any, secret: Secret, depth: int = 0) -> Any:
    if isinstance(value, str):
        return _SIGNED_URL.sub(r"\1?<signature>", secret.redact(value)[:_LONGEST_TEXT])
    if isinstance(value, dict | list) and depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return {_redacted(key, secret): _redacted(item, secret, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, secret, depth + 1) for item in value]
    return value


def _kind_and_hint(status: int, call: Call[Any], wait: float | None) -> tuple[type[APIError], str]:
    if status in _KINDS:
        return _KINDS[status]
    if status == 429:  # noqa: PLR2004 - HTTP statuses are their own names
        when = f"in {wait:g} s" if wait is not None else "in a moment"
        return RateLimitError, f"Nothing was changed; try again {when}."
    if status >= 500:  # noqa: PLR2004
        return ServerError, "Nothing was changed; try again in a moment." if call.safe else call.recovery
    return BadRequestError, "Check the URL with %loops doctor"
