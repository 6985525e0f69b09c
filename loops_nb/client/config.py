"""Request policy of both transports: authentication, time limits, redirects and what may be retried; no I/O."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import httpx
import tenacity

from loops_nb._version import __version__
from loops_nb.client import checks
from loops_nb.client.address import Address, resolve_address
from loops_nb.client.http import MAX_BODY_BYTES, AnswerTooLarge, AnswerTooSlow, proxy_of
from loops_nb.client.request import Request
from loops_nb.client.responses import RETRIED_STATUSES, asked_wait, failure, quoted
from loops_nb.client.retry import NEAR, RetryPolicy
from loops_nb.client.time_limit import TimeLimit
from loops_nb.config.credentials import FoundKey, Secret, resolve_key_for
from loops_nb.config.network import Proxy, certificate_hint
from loops_nb.config.trusted_hosts import is_same_origin
from loops_nb.errors import (
    CredentialsError,
    LoopsError,
    NotFoundError,
    OutcomeUnknownError,
    RedirectRefusedError,
    ServiceUnreachableError,
    TransportError,
    UnreadableAnswerError,
)
from loops_nb.faults import record

AUTH_SCHEMES = ("Bearer", "Api-Key")
DEFAULT_SECONDS = 60.0
MOST_REDIRECTS = 5
CONNECT_SECONDS = 10.0
#: An answer slower than this for the whole ``timeout`` is given up.
LEAST_BYTES_A_SECOND = 16 * 1024
#: An answer may take this many times ``timeout`` in total, however steadily it arrives.
_MOST_TIMEOUTS = 10
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"loops-nb/{__version__}"}
_REFUSED = "connection refused: nothing listens there"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: With these a server may also point to the result of a write that it has carried out.
_MAYBE_DONE = frozenset({301, 302, 303})
_BYTES = re.compile(r"""\bb(?:'.*'|".*")""", re.DOTALL)
logger: logging.Logger = logging.getLogger(__name__)


class TransientError(Exception):
    """An attempt failed, and the request may be repeated."""

    def __init__(
        self,
        reason: str,
        *,
        slow: bool = False,
        asked: float | None = None,
        answer: tuple[int, Mapping[str, str], bytes] | None = None,
        sent: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.slow = slow
        self.asked = asked
        self.answer = answer
        #: Whether the request may have been carried out.
        self.sent = sent


class HasConfig(Protocol):
    """What is connected to a service: `Loops`, `AsyncLoops` or the transport of a resource."""

    @property
    def config(self) -> ClientConfig:
        """Address, key and request policy."""
        ...


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Address, key and request policy of a connection; immutable.

    Parameters
    ----------
    address : Address
        Root of the API.
    key : FoundKey
        The API key and its source.
    scheme : str
        ``Bearer`` or ``Api-Key``.
    seconds : float
        Time limit without a byte of the answer; 0 where each request has its own.
    policy : RetryPolicy
        When reads are retried.
    """

    address: Address
    key: FoundKey
    scheme: str
    seconds: float
    policy: RetryPolicy

    @classmethod
    def resolve(
        cls,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        auth_scheme: str = "Bearer",
        timeout: float = DEFAULT_SECONDS,
        retry: RetryPolicy | None = None,
    ) -> ClientConfig:
        """Check the arguments of `Loops` and fill in what they leave open; raises what `Loops` documents."""
        address = resolve_address(base_url)
        key = resolve_key_for(address.url, api_key, is_loopback=address.is_loopback)
        policy = retry or (NEAR if address.is_loopback else RetryPolicy())
        return cls(address, key, checked_scheme(auth_scheme), checks.seconds("timeout", timeout), policy)

    @property
    def identity(self) -> tuple[str, Secret, str]:
        """Equal for connections to the same service with the same key, sent in the same way."""
        return self.address.url, self.key.secret, self.scheme

    def for_host(self, address: Address) -> ClientConfig:
        """Return the same key and policy for the checked address of a sampler; there each request has a timeout."""
        # The official client sends the key to models in this form too.
        return replace(self, address=address, scheme="Api-Key", seconds=0.0)

    def http_request(self, request: Request[Any], url: str) -> httpx.Request:
        """Return the HTTP request to send; the key is in it and nowhere else.

        Raises
        ------
        TransportError
            If it cannot be sent as it is, for example because an id from an answer is not a valid header.
        """
        silence = self._silence(request)
        connect = min(CONNECT_SECONDS, silence)
        seconds = {"connect": connect, "read": silence, "write": silence, "pool": silence}
        headers = {"Host": urlsplit(url).netloc, **_HEADERS, **request.headers}
        content = None
        try:
            if request.body is not None:
                content = json.dumps(
                    dict(request.body), ensure_ascii=False, separators=(",", ":"), allow_nan=False
                ).encode()
                headers |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
            headers["Authorization"] = f"{self.scheme} {self.key.secret.reveal()}"
            return httpx.Request(
                request.method, url, headers=list(headers.items()), content=content, extensions={"timeout": seconds}
            )
        except (TypeError, ValueError, httpx.InvalidURL) as error:
            raise self._unsent_error(request, error) from None

    def time_limit(self, request: Request[Any]) -> TimeLimit:
        """Return the time limit of the answer to a request.

        An answer that has begun must arrive at a minimum rate.  Where only the request has a time limit (`for_host`),
        that is the limit in total.
        """
        silence = self._silence(request)
        if not self.seconds:
            return TimeLimit(silence, silence, rate=LEAST_BYTES_A_SECOND, most=silence)
        most = silence + _MOST_TIMEOUTS * self.seconds
        return TimeLimit(silence, self.seconds, rate=LEAST_BYTES_A_SECOND, most=most)

    def _silence(self, request: Request[Any]) -> float:
        return max(self.seconds, request.seconds)

    def retry_options(self) -> dict[str, Any]:
        """Return the options of tenacity's retry loops."""
        return {
            "retry": tenacity.retry_if_exception_type(TransientError),
            "stop": tenacity.stop_after_attempt(self.policy.attempts)
            | tenacity.stop_before_delay(self.policy.total_seconds),
            "wait": self._wait,
            "reraise": True,
        }

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return self.policy.wait(state.attempt_number, error.asked if isinstance(error, TransientError) else None)

    def fault(self, request: Request[Any], error: Exception) -> Exception:  # noqa: PLR0911 - one for each kind of fault
        """Return the error to raise for any fault of a transport; `TransientError` if the request may be repeated."""
        if isinstance(error, LoopsError | TransientError):
            return error
        if isinstance(error, AnswerTooLarge):
            return self._unusable_answer(
                request,
                f"the answer is larger than {MAX_BODY_BYTES >> 30} GiB, or grows too much when it is decompressed",
            )
        if isinstance(error, httpx.LocalProtocolError):
            return self._unsent_error(request, error)
        if not isinstance(error, _NETWORK_ERRORS):
            # Unexpected, so the traceback is logged.
            found = record(logger, f"receiving the answer to a request to {request.description}", error)
            return self._unusable_answer(request, found.reason.removesuffix("."))
        reason = self._reason(request, error)
        if _is_certificate_fault(error):
            return ServiceUnreachableError(
                f"Could not {request.description}: the certificate of {self.address.url} is not trusted ({reason}). "
                "Nothing was sent.",
                hint=certificate_hint(reason),
            )
        proxy = proxy_of(self.address.url)
        if proxy is not None and isinstance(error, _NOT_SENT) and "SSL" not in str(error):
            return self._proxy_error(request, proxy, error, reason)
        if proxy is not None:
            reason = f"{reason}, through the proxy {proxy.shown} of {proxy.variable}"
        unsent = isinstance(error, _NOT_SENT)
        if request.may_repeat or unsent:
            return TransientError(reason, slow=isinstance(error, httpx.ReadTimeout), sent=not unsent)
        return OutcomeUnknownError(
            f"The request to {request.description} was sent, but its answer was lost ({reason}). "
            "It may or may not have happened; it was not sent again.",
            hint=request.recovery,
        )

    def _unsent_error(self, request: Request[Any], error: Exception) -> TransportError:
        # The quoted value of a header may be the key.
        said = quoted(_BYTES.sub("a header", str(error)), self.key.secret)
        return TransportError(
            f"Could not {request.description}: the request cannot be sent ({said}). Nothing was sent."
        )

    def _proxy_error(
        self, request: Request[Any], proxy: Proxy, error: Exception, reason: str
    ) -> ServiceUnreachableError:
        """Return the error for a proxy that is unreachable or refuses; a retry would not help."""
        host = urlsplit(self.address.url).hostname or ""
        what = f"answered {reason}" if isinstance(error, httpx.ProxyError) else f"cannot be reached ({reason})"
        hint = proxy.hint_for(host)
        if reason.startswith("407"):
            hint = (
                f"It asks for a user name and a password: "
                f"{proxy.variable}=http://USER:PASSWORD@{proxy.host}:{proxy.port}. {hint}"
            )
        return ServiceUnreachableError(
            f"Could not {request.description}: the proxy {proxy.shown}, which {proxy.variable} names, {what}. "
            "Nothing was sent to the service.",
            hint=hint,
        )

    def _unusable_answer(self, request: Request[Any], why: str) -> LoopsError:
        if request.safe:
            return UnreadableAnswerError(f"Could not {request.description}: {why}.", hint="Nothing was changed.")
        return OutcomeUnknownError(
            f"The request to {request.description} was sent, but {why}. It may or may not have happened.",
            hint=request.recovery,
        )

    def judge(self, request: Request[Any], status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the body of a good answer.

        Raises
        ------
        TransientError
            If the request may be repeated, and the answer says so.
        LoopsError
            For every other answer.
        """
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP statuses are their own names
            return body
        if request.may_repeat and status in RETRIED_STATUSES:
            raise TransientError(
                f"status {status}",
                asked=asked_wait(headers, body),
                answer=(status, headers, body),
                sent=status != _RATE_LIMITED,
            )
        raise failure(request, status, headers, body, secret=self.key.secret)

    def repeated(self, request: Request[Any], error: Exception, *, lost: bool) -> bytes:
        """Return the answer that an error of a repeated request stands for; ``lost`` says that one was lost before.

        Raises
        ------
        Exception
            The error, if it is one.
        """
        if lost and request.if_gone and isinstance(error, NotFoundError):
            return request.if_gone
        raise error

    def redirected(
        self, request: Request[Any], url: str, status: int, headers: Mapping[str, str], hops: int
    ) -> str | None:
        """Return the target of a redirected read; None if the answer is not a redirect.

        Raises
        ------
        RedirectRefusedError
            If it leads to another host, does not end, or answers a write.
        """
        if status not in _REDIRECTS or "location" not in headers:
            return None
        target = _redirect_target(url, headers["location"])
        if request.method != "GET" or not is_same_origin(url, target or ""):
            where = _host_only(target) if target else "an address that cannot be read"
            text = (
                f"Could not {request.description}: the service redirected to {where}; that was not followed, and the "
                "key was not sent there."
            )
            if not request.safe and status in _MAYBE_DONE:
                raise OutcomeUnknownError(f"{text} It may or may not have happened.", hint=request.recovery)
            raise RedirectRefusedError(
                text, hint="If the service moved, connect to its new address: %loops connect URL"
            )
        if hops >= MOST_REDIRECTS:
            raise RedirectRefusedError(
                f"Could not {request.description}: the service redirected {hops} times without an answer."
            )
        return target

    def given_up(self, request: Request[Any], error: TransientError, attempts: int, started: float) -> Exception:
        """Return the error for no usable answer after all attempts."""
        took = time.monotonic() - started
        details = []
        if attempts > 1:
            details.append(f"after {attempts} tries in {took:.1f} s")
        if error.asked is not None and error.asked > self.policy.total_seconds:
            details.append(f"and asked to wait {error.asked:g} s")
        tried = ", ".join(details)
        if request.repeatable and error.sent:
            return OutcomeUnknownError(
                f"The request to {request.description} was sent, but its answer was lost ({error.reason}) "
                f"{tried}".rstrip()
                + ". It may or may not have happened.",
                hint=request.recovery,
            )
        if error.answer is not None:
            return failure(request, *error.answer, secret=self.key.secret, tried=tried)
        nobody_listens = error.reason == _REFUSED
        if error.slow:
            hint = "It may be busy: try again, or wait longer with %config LoopsMagics.timeout (timeout= in Python)."
        elif self.address.is_loopback and nobody_listens:
            hint = "Start the local service with %loops local start"
        elif self.address.is_loopback:
            hint = "Try again; %loops doctor checks what is reachable."
        else:
            hint = "Check the network; %loops doctor checks what is reachable."
        parts = [f"Could not {request.description}: no answer from {self.address.url} ({error.reason})", tried]
        text = f"{' '.join(filter(None, parts))}."
        if not request.safe:
            text += " Nothing was sent, so nothing was changed."
        return ServiceUnreachableError(
            text,
            attempts=attempts,
            nobody_listens=nobody_listens,
            hint=hint,
        )

    def _reason(self, request: Request[Any], error: Exception) -> str:  # noqa: PLR0911 - one for each fault
        if isinstance(error, httpx.ConnectTimeout):
            return "no connection in time"
        if isinstance(error, AnswerTooSlow):
            return f"the answer came too slowly, for longer than {self.seconds or self._silence(request):g} s"
        if isinstance(error, httpx.TimeoutException):
            return f"no answer within {self._silence(request):g} s"
        text = quoted(str(error), self.key.secret) or type(error).__name__
        if "Connection refused" in text or "All connection attempts failed" in text:
            return _REFUSED
        if (
            "Name or service not known" in text
            or "nodename nor servname" in text
            or "Temporary failure in name resolution" in text
        ):
            return "the host name is unknown"
        if "incomplete" in text or "without sending complete" in text:
            return "the answer was cut off"
        return text


_RATE_LIMITED = 429
#: What the network may raise; anything else is a fault of this package.
_NETWORK_ERRORS = (httpx.TransportError, OSError)


def checked_scheme(scheme: str) -> str:
    """Return one of the two schemes that the service accepts."""
    for known in AUTH_SCHEMES:
        if isinstance(scheme, str) and scheme.lower() == known.lower():
            return known
    raise CredentialsError(f"auth_scheme must be one of {', '.join(AUTH_SCHEMES)}, not {scheme!r}.")


def _redirect_target(url: str, location: str) -> str | None:
    """Return the absolute URL of a redirect; None if it is not one."""
    try:
        target = urljoin(url, location.strip())
        parts = urlsplit(target)
        _ = parts.port, parts.hostname, httpx.URL(target)
    except (ValueError, httpx.InvalidURL):
        return None
    return target if target.isascii() and target.isprintable() and " " not in target else None


def _host_only(url: str) -> str:
    """Return scheme and host of an address: its path may hold a secret."""
    parts = urlsplit(url)
    if parts.hostname:
        return f"{parts.scheme}://{parts.hostname}"
    return f"a {parts.scheme}: address" if parts.scheme else "an address that cannot be read"


def _is_certificate_fault(error: Exception) -> bool:
    return isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
