"""What one exchange with the service comes to: shared by the sync and the async transport, no I/O here."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import httpx
import tenacity

from loops_nb._version import __version__
from loops_nb.client.address import Address
from loops_nb.client.allowance import Allowance
from loops_nb.client.answers import RETRIED_STATUSES, asked_wait, failure, quoted
from loops_nb.client.call import Call
from loops_nb.client.http import MOST_BODY_BYTES, AnswerTooLarge, AnswerTooSlow, proxy_of
from loops_nb.client.retry import RetryPolicy
from loops_nb.config.network import Proxy, certificate_hint
from loops_nb.credentials import FoundKey
from loops_nb.errors import (
    CredentialsError,
    LoopsError,
    OutcomeUnknownError,
    RedirectRefusedError,
    ServiceUnreachableError,
    TransportError,
    UnreadableAnswerError,
)
from loops_nb.faults import record

AUTH_SCHEMES = ("Bearer", "Api-Key")
MOST_REDIRECTS = 5
CONNECT_SECONDS = 10.0
#: An answer that comes more slowly than this for as long as ``timeout`` is given up.
LEAST_BYTES_A_SECOND = 16 * 1024
#: So many times ``timeout`` an answer may take altogether, however steadily it comes.
_MOST_TIMEOUTS = 10
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"loops-nb/{__version__}"}
_REFUSED = "connection refused: nobody listens there"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: By these a server may also say that it has done what was asked, and where the result is.
_PERHAPS_DONE = frozenset({301, 302, 303})
_BYTES = re.compile(r"""\bb(?:'.*'|".*")""", re.DOTALL)
_LOG = logging.getLogger(__name__)


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

    def request(self, call: Call[Any], url: str) -> httpx.Request:
        """Return the request to send for a call; the key is in it and nowhere else.

        Raises
        ------
        TransportError
            If it cannot be sent as it is, for example because an id out of an answer cannot stand in a header.
        """
        silence = self._silence(call)
        connect = min(CONNECT_SECONDS, silence)
        seconds = {"connect": connect, "read": silence, "write": silence, "pool": silence}
        headers = {"Host": urlsplit(url).netloc, **_HEADERS, **call.headers}
        content = None
        try:
            if call.body is not None:
                content = json.dumps(dict(call.body), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
                headers |= {"Content-Type": "application/json", "Content-Length": str(len(content))}
            headers["Authorization"] = f"{self.scheme} {self.key.secret.reveal()}"
            return httpx.Request(call.method, url, headers=list(headers.items()), content=content, extensions={"timeout": seconds})
        except (TypeError, ValueError, httpx.InvalidURL) as error:
            raise self._unsent(call, error) from None

    def allowance(self, call: Call[Any]) -> Allowance:
        """Return how long the answer to a call may be waited for.

        An answer that has begun must come at a sensible rate.  Where the call alone says how long it may take (`beside`), that is all
        the time there is.
        """
        silence = self._silence(call)
        if not self.seconds:
            return Allowance(silence, silence, rate=LEAST_BYTES_A_SECOND, most=silence)
        most = silence + _MOST_TIMEOUTS * self.seconds
        return Allowance(silence, self.seconds, rate=LEAST_BYTES_A_SECOND, most=most)

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

    def broken(self, call: Call[Any], error: Exception) -> Exception:  # noqa: PLR0911 - one for each kind of fault
        """Return what a fault comes to: `Lost`, or an error when it must not be tried again.  Every fault of a transport ends here."""
        if isinstance(error, LoopsError | Lost):
            return error
        if isinstance(error, AnswerTooLarge):
            return self._not_known(call, f"the answer is larger than {MOST_BODY_BYTES >> 30} GiB, or grows too much when it is unpacked")
        if isinstance(error, httpx.LocalProtocolError):
            return self._unsent(call, error)
        if not isinstance(error, _OF_THE_NETWORK):
            # Not foreseen here: the log has what is needed to mend it.
            fault = record(_LOG, f"receiving the answer to a request to {call.does}", error)
            return self._not_known(call, fault.reason.removesuffix("."))
        reason = self._in_words(call, error)
        if _is_certificate_fault(error):
            return ServiceUnreachableError(
                f"Could not {call.does}: the certificate of {self.address.url} is not trusted ({reason}). Nothing was sent.",
                hint=certificate_hint(reason),
            )
        proxy = proxy_of(self.address.url)
        if proxy is not None and isinstance(error, _NEVER_LEFT) and "SSL" not in str(error):
            return self._by_the_proxy(call, proxy, error, reason)
        if proxy is not None:
            reason = f"{reason}, through the proxy {proxy.shown} of {proxy.variable}"
        if call.safe or isinstance(error, _NEVER_LEFT):
            return Lost(reason, slow=isinstance(error, httpx.ReadTimeout))
        return OutcomeUnknownError(
            f"The request to {call.does} was sent, but its answer was lost ({reason}). "
            "It may or may not have happened; it was not sent again.",
            hint=call.recovery,
        )

    def _unsent(self, call: Call[Any], error: Exception) -> TransportError:
        # What stands in quotes is the value of a header, and that may be the key.
        said = quoted(_BYTES.sub("a value of it", str(error)), self.key.secret)
        return TransportError(f"Could not {call.does}: the request cannot be sent ({said}). Nothing was sent.")

    def _by_the_proxy(self, call: Call[Any], proxy: Proxy, error: Exception, reason: str) -> ServiceUnreachableError:
        """Return the error for a proxy that is not there or refuses; another attempt would meet the same."""
        host = urlsplit(self.address.url).hostname or ""
        what = f"answered {reason}" if isinstance(error, httpx.ProxyError) else f"cannot be reached ({reason})"
        hint = proxy.way_out(host)
        if reason.startswith("407"):
            hint = f"It asks for a user name and a password: {proxy.variable}=http://USER:PASSWORD@{proxy.host}:{proxy.port}. {hint}"
        return ServiceUnreachableError(
            f"Could not {call.does}: the proxy {proxy.shown}, which {proxy.variable} names, {what}. Nothing was sent to the service.",
            hint=hint,
        )

    def _not_known(self, call: Call[Any], why: str) -> LoopsError:
        if call.safe:
            return UnreadableAnswerError(f"Could not {call.does}: {why}.", hint="Nothing was changed.")
        return OutcomeUnknownError(f"The request to {call.does} was sent, but {why}. It may or may not have happened.", hint=call.recovery)

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
        if status not in _REDIRECTS or "location" not in headers:
            return None
        target = _joined(url, headers["location"])
        here, there = urlsplit(url), urlsplit(target or "")
        if call.method != "GET" or (here.scheme, here.netloc.lower()) != (there.scheme, there.netloc.lower()):
            where = _shown(there.scheme, there.hostname) if target else "an address that cannot be read"
            text = f"Could not {call.does}: the service redirected to {where}; that was not followed, and the key was not sent there."
            if not call.safe and status in _PERHAPS_DONE:
                raise OutcomeUnknownError(f"{text} It may or may not have happened.", hint=call.recovery)
            raise RedirectRefusedError(text, hint="If the service moved, connect to its new address: %loops connect URL")
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

    def _in_words(self, call: Call[Any], error: Exception) -> str:  # noqa: PLR0911 - one for each fault
        if isinstance(error, httpx.ConnectTimeout):
            return "no connection in time"
        if isinstance(error, AnswerTooSlow):
            return f"the answer came too slowly, for longer than {self.seconds or self._silence(call):g} s"
        if isinstance(error, httpx.TimeoutException):
            return f"no answer within {self._silence(call):g} s"
        text = quoted(str(error), self.key.secret) or type(error).__name__
        if "Connection refused" in text or "All connection attempts failed" in text:
            return _REFUSED
        if "Name or service not known" in text or "nodename nor servname" in text or "Temporary failure in name resolution" in text:
            return "the host name is not known here"
        if "incomplete" in text or "without sending complete" in text:
            return "the answer was cut off"
        return text


#: What the network may raise; anything else is a fault of our own.
_OF_THE_NETWORK = (httpx.TransportError, OSError)


def checked_scheme(scheme: str) -> str:
    """Return one of the two schemes that the service takes."""
    for known in AUTH_SCHEMES:
        if isinstance(scheme, str) and scheme.lower() == known.lower():
            return known
    raise CredentialsError(f"auth_scheme must be one of {', '.join(AUTH_SCHEMES)}, not {scheme!r}.")


def _joined(url: str, location: str) -> str | None:
    """Return where a redirect leads; None if that is no address that can be asked."""
    try:
        target = urljoin(url, location.strip())
        parts = urlsplit(target)
        _ = parts.port, parts.hostname, httpx.URL(target)
    except (ValueError, httpx.InvalidURL):
        return None
    return target if target.isascii() and target.isprintable() and " " not in target else None


def _shown(scheme: str, host: str | None) -> str:
    """Return an address as a sentence can show it: without what may be a secret of its path."""
    return f"{scheme}://{host}" if host else f"a {scheme}: address" if scheme else "an address that cannot be read"


def _is_certificate_fault(error: Exception) -> bool:
    return isinstance(error, httpx.ConnectError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
