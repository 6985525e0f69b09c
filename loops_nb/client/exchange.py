"""What one exchange with the service comes to: shared by the sync and the async transport, no I/O here."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx
import tenacity

from loops_nb._version import __version__
from loops_nb.client.address import Address
from loops_nb.client.answers import RETRIED_STATUSES, asked_wait, failure
from loops_nb.client.call import Call
from loops_nb.client.retry import RetryPolicy
from loops_nb.credentials import FoundKey, Secret
from loops_nb.errors import CredentialsError, OutcomeUnknownError, RedirectRefusedError, ServiceUnreachableError, UnreadableAnswerError

AUTH_SCHEMES = ("Bearer", "Api-Key")
MOST_REDIRECTS = 5
#: A listing of a million checkpoints is 0.4 GB; what is larger than this is no listing.
MOST_BODY_BYTES = 2 * 1024**3
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_HEADERS = {"Accept": "application/json", "User-Agent": f"loops-nb/{__version__}"}
_REFUSED = "connection refused: nobody listens there"
_ssl_lock = threading.Lock()


class Lost(Exception):  # noqa: N818 - not an error of the tree: it never leaves the transport
    """An attempt came to nothing and may be made again."""

    def __init__(
        self,
        reason: str,
        *,
        slow: bool = False,
        asked: float | None = None,
        answer: tuple[int, Mapping[str, str], bytes] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.slow = slow
        self.asked = asked
        self.answer = answer


class Reply(NamedTuple):
    """An answer as it came, whatever its status."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """Everything that both transports know of a connection.

    Parameters
    ----------
    address
        Where the service is.
    key
        The API key and its source.
    scheme
        ``Bearer`` or ``Api-Key``.
    seconds
        How long an answer may be silent.
    policy
        When reads are retried.
    """

    address: Address
    key: FoundKey
    scheme: str
    seconds: float
    policy: RetryPolicy

    def beside(self, address: Address) -> Exchange:
        """Return the same key and policy for the checked address of a sampler; there each call says how long it may take."""
        # In the form in which models have always taken keys, and in which the official client sends it there.
        return replace(self, address=address, scheme="Api-Key", seconds=0.0)

    def client_options(self) -> dict[str, Any]:
        """Return the options of the httpx client; constructing one costs no certificates twice."""
        https = self.address.url.startswith("https")
        return {
            "auth": KeyAuth(self.key.secret, self.scheme),
            "headers": _HEADERS,
            "verify": shared_ssl_context() if https else _no_https(),
            # A proxy from the environment must not see what is meant for this machine.
            "trust_env": not self.address.is_loopback,
            "follow_redirects": False,
            "limits": httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=60),
        }

    def request_options(self, call: Call[Any]) -> dict[str, Any]:
        """Return the options of the httpx request for a call."""
        silence = self._silence(call)
        options: dict[str, Any] = {"timeout": httpx.Timeout(silence, connect=min(10.0, silence), pool=silence)}
        if call.body is not None:
            options["json"] = dict(call.body)
        if call.headers:
            options["headers"] = dict(call.headers)
        return options

    def _silence(self, call: Call[Any]) -> float:
        return max(self.seconds, call.seconds)

    def retrying(self) -> dict[str, Any]:
        """Return the options of tenacity's loops."""
        return {
            "retry": tenacity.retry_if_exception_type(Lost),
            "stop": tenacity.stop_after_attempt(self.policy.attempts) | tenacity.stop_before_delay(self.policy.total_seconds),
            "wait": self._wait,
            "reraise": True,
        }

    def _wait(self, state: tenacity.RetryCallState) -> float:
        lost = state.outcome.exception() if state.outcome is not None else None
        return self.policy.wait(state.attempt_number, lost.asked if isinstance(lost, Lost) else None)

    def broken(self, call: Call[Any], error: Exception) -> Exception:
        """Return what a transport fault comes to: `Lost`, or an error when it must not be tried again."""
        reason = self._in_words(call, error)
        if _is_certificate_fault(error):
            return ServiceUnreachableError(
                f"Could not {call.does}: the certificate of {self.address.url} is not trusted ({reason}). Nothing was sent.",
                hint="Behind a company proxy, set SSL_CERT_FILE to its certificate.",
            )
        if call.safe or isinstance(error, _NEVER_LEFT):
            return Lost(reason, slow=isinstance(error, httpx.ReadTimeout))
        return OutcomeUnknownError(
            f"The request to {call.does} was sent, but its answer was lost ({reason}). "
            "It may or may not have happened; it was not sent again.",
            hint=call.recovery,
        )

    def judge(self, call: Call[Any], status: int, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the body of a good answer.

        Raises
        ------
        Lost
            If the answer says to try again, and that can do no harm.
        LoopsError
            For every other answer.
        """
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP statuses are their own names
            return body
        if call.safe and status in RETRIED_STATUSES:
            raise Lost(f"status {status}", asked=asked_wait(headers, body), answer=(status, headers, body))
        raise failure(call, status, headers, body, secret=self.key.secret)

    def redirected(self, call: Call[Any], url: str, status: int, headers: Mapping[str, str], hops: int) -> str | None:
        """Return where a read should go on, None if the answer is no redirect.

        Raises
        ------
        RedirectRefusedError
            If it leads to another host, goes round in circles, or answers something that is not a read.
        """
        if status not in {301, 302, 303, 307, 308} or "location" not in headers:
            return None
        target = urljoin(url, headers["location"])
        here, there = urlsplit(url), urlsplit(target)
        if call.method != "GET" or (here.scheme, here.netloc.lower()) != (there.scheme, there.netloc.lower()):
            where = f"{there.scheme}://{there.hostname}" if there.netloc else "an address that cannot be read"
            raise RedirectRefusedError(
                f"Could not {call.does}: the service redirected to {where}; that was not followed, and the key was not sent there.",
                hint="If the service moved, connect to its new address: %loops connect URL",
            )
        if hops >= MOST_REDIRECTS:
            raise RedirectRefusedError(f"Could not {call.does}: the service redirected {hops} times without an answer.")
        return target

    def given_up(self, call: Call[Any], lost: Lost, attempts: int, started: float) -> Exception:
        """Return the error that says why there is no answer after all attempts."""
        took = time.monotonic() - started
        tried = "" if attempts == 1 else f"after {attempts} tries in {took:.1f} s"
        if lost.asked is not None and lost.asked > self.policy.total_seconds:
            tried = f"{tried + ', ' if tried else ''}and asked to wait {lost.asked:g} s".strip()
        if lost.answer is not None:
            return failure(call, *lost.answer, secret=self.key.secret, tried=tried)
        nobody_listens = lost.reason == _REFUSED
        if lost.slow:
            hint = "It may be busy: try again, or wait longer with %config LoopsMagics.timeout (timeout= in Python)."
        elif self.address.is_loopback:
            hint = (
                "Start the local service with %loops local start" if nobody_listens else "Try again; %loops doctor tells what is reachable."
            )
        else:
            hint = "Check the network; %loops doctor tells what is reachable."
        changed = "" if call.safe else " Nothing was sent, so nothing was changed."
        return ServiceUnreachableError(
            f"Could not {call.does}: no answer from {self.address.url} ({lost.reason}){f' {tried}' if tried else ''}.{changed}",
            attempts=attempts,
            nobody_listens=nobody_listens,
            hint=hint,
        )

    def too_large(self, call: Call[Any]) -> UnreadableAnswerError:
        """Return the error for an answer that does not end."""
        return UnreadableAnswerError(f"Could not {call.does}: the answer is larger than {MOST_BODY_BYTES >> 30} GiB and was cut off.")

    def _in_words(self, call: Call[Any], error: Exception) -> str:
        if isinstance(error, httpx.ConnectTimeout):
            return "no connection in time"
        if isinstance(error, httpx.TimeoutException):
            return f"no answer within {self._silence(call):g} s"
        text = self.key.secret.redact(str(error)) or type(error).__name__
        if "Connection refused" in text or "All connection attempts failed" in text:
            return _REFUSED
        if "Name or service not known" in text or "nodename nor servname" in text or "Temporary failure in name resolution" in text:
            return "the host name is not known here"
        if "incomplete" in text or "without sending complete" in text:
            return "the answer was cut off"
        return text


class KeyAuth(httpx.Auth):
    """Puts the key into a request at the moment it is sent, and nowhere else."""

    def __init__(self, secret: Secret, scheme: str) -> None:
        self._secret = secret
        self._scheme = scheme

    def auth_flow(self, request: httpx.Request) -> Any:
        """Set the ``Authorization`` header."""
        request.headers["Authorization"] = f"{self._scheme} {self._secret.reveal()}"
        yield request


def checked_scheme(scheme: str) -> str:
    """Return one of the two schemes that the service takes."""
    for known in AUTH_SCHEMES:
        if isinstance(scheme, str) and scheme.lower() == known.lower():
            return known
    raise CredentialsError(f"auth_scheme must be one of {', '.join(AUTH_SCHEMES)}, not {scheme!r}.")


def shared_ssl_context() -> ssl.SSLContext:
    """Return the one SSL context of this process; loading the certificates takes longer than most requests."""
    with _ssl_lock:
        return _ssl_context()


@cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


@cache
def _no_https() -> ssl.SSLContext:
    # For plain http to this machine: no certificates are loaded, so any https would fail closed.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _is_certificate_fault(error: Exception) -> bool:
    return isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
