"""Every error that ``loops_nb`` raises on purpose.

The tree::

    LoopsError
    ├── InvalidArgumentError (ValueError)   refused before any request was made
    │   └── InvalidURIError                 not a usable ``bt://`` URI
    ├── ConfigError (ValueError)            a setting that cannot be used
    ├── CredentialsError                    no key, or a key that must not be sent there
    ├── TransportError                      no usable answer came back
    │   ├── ServiceUnreachableError         nobody answered, after all retries of a read
    │   ├── OutcomeUnknownError             a write was sent, its answer was lost
    │   ├── UnreadableAnswerError           an answer came, but not the documented one
    │   ├── EndlessPagesError               a listing whose pages never end
    │   ├── RedirectRefusedError            the service pointed to another host
    │   └── StorageError                    a file's bytes could not be read from where its URL points
    ├── APIError                            the service said no
    │   ├── BadRequestError                 400, 422
    │   ├── AuthenticationError             401
    │   ├── PermissionDeniedError           403
    │   ├── NotFoundError                   404
    │   ├── ConflictError                   409
    │   ├── RateLimitError                  429
    │   └── ServerError                     5xx
    ├── WaitTimeoutError (TimeoutError)     ``wait`` took longer than it was allowed to
    ├── NeverReachedError                   what ``wait`` waited for will not happen any more
    ├── DownloadError                       a checkpoint could not be brought home, or not whole
    │   ├── UnsafeNameError                 the listing has names that cannot be files here
    │   ├── VolumeBackedError               its files have no URLs
    │   ├── NoSpaceError                    the disk cannot hold it
    │   ├── DownloadIncompleteError         some files failed, the others are there
    │   └── VerificationError               a folder is not what was downloaded
    ├── UnreadableTensorsError              a file is not the safetensors that it says it is
    ├── TrackingError                       the experiments on this machine cannot be read or written
    └── LocalServiceError                   the embedded service could not be started or stopped

Each error carries ``message`` (what happened, what was not lost) and ``hint`` (what to type next).  In a notebook it is shown as one
readable line, and the cell still counts as failed, so that "Run All" stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from loops_nb.console import encodable


class LoopsError(Exception):
    """Root of the tree.

    Parameters
    ----------
    message
        What happened, and what was not lost by it.
    hint
        What the person can type or do next; may be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = one_line(message)
        self.hint = one_line(hint)
        super().__init__(self.message if not self.hint else f"{self.message} {self.hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions.
        return (_rebuild, (type(self), self.args, self.__dict__))

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints in place of a traceback."""
        return [encodable(f"{type(self).__name__}: {self}")]


class InvalidArgumentError(LoopsError, ValueError):
    """An argument was refused before any request was made.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    argument
        Name of the argument, as the caller wrote it.
    """

    def __init__(self, message: str, *, argument: str = "", hint: str = "") -> None:
        self.argument = argument
        super().__init__(message, hint=hint)


class InvalidURIError(InvalidArgumentError):
    """A text is not a ``bt://`` URI, or it names the wrong kind of checkpoint."""


class ConfigError(LoopsError, ValueError):
    """A setting has a value that cannot be used."""


class CredentialsError(LoopsError):
    """There is no API key, or the key must not be sent to that address."""


class TransportError(LoopsError):
    """No usable answer came back from the service."""


class ServiceUnreachableError(TransportError):
    """Nobody gave a usable answer to a read, after all its retries.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    attempts
        How many times the request was sent.
    nobody_listens
        Whether the connection was refused: there is no service at that address.
    """

    def __init__(self, message: str, *, attempts: int = 1, nobody_listens: bool = False, hint: str = "") -> None:
        self.attempts = attempts
        self.nobody_listens = nobody_listens
        super().__init__(message, hint=hint)


class OutcomeUnknownError(TransportError):
    """A create or a deactivation was sent and its answer was lost: it may or may not have happened."""


class UnreadableAnswerError(TransportError):
    """An answer came back, but not the documented one (HTML, cut JSON, a wrong type)."""


class EndlessPagesError(TransportError):
    """The pages of a listing repeat themselves or do not end."""


class RedirectRefusedError(TransportError):
    """The service redirected to another host; it was not followed, so the key stayed here."""


class StorageError(TransportError):
    """A file's bytes could not be read from where its presigned URL points.  No text of it holds that URL.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    status
        The HTTP status that it failed with; None when there was none.
    """

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        self.status = status
        super().__init__(message, hint=hint)


class APIError(LoopsError):
    """The service answered with an error status.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    status
        HTTP status.
    code
        The service's own error code, such as ``VALIDATION_ERROR``; empty when it sent none.
    details
        The ``details`` object of the error body; empty when it sent none.
    retry_after
        Seconds that the service asked to wait, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        self.status = status
        self.code = code
        self.details = details or {}
        self.retry_after = retry_after
        super().__init__(message, hint=hint)


class BadRequestError(APIError):
    """400 or 422: the service did not accept the request."""


class AuthenticationError(APIError):
    """401: the key is missing, wrong or revoked."""


class PermissionDeniedError(APIError):
    """403: the key is known but may not do this."""


class NotFoundError(APIError):
    """404: nothing there with that id."""


class ConflictError(APIError):
    """409: not possible in the present state, for example a paired sampler deactivated alone."""


class RateLimitError(APIError):
    """429: too many requests."""


class ServerError(APIError):
    """5xx: the service failed."""


class WaitTimeoutError(LoopsError, TimeoutError):
    """``wait`` took longer than it was allowed to; what it waited for goes on.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    status
        The state that was seen last; None when none was.
    """

    def __init__(self, message: str, *, status: str | None = None, hint: str = "") -> None:
        self.status = status
        super().__init__(message, hint=hint)


class NeverReachedError(LoopsError):
    """What ``wait`` waited for will not happen any more: the thing has come to an end, or never has such a state.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    status
        The state that it is in.
    checkpoint_uri
        The ``bt://`` URI of the newest checkpoint from which training can go on; None when there is none, or none is known.
    """

    def __init__(self, message: str, *, status: str | None = None, checkpoint_uri: str | None = None, hint: str = "") -> None:
        self.status = status
        self.checkpoint_uri = checkpoint_uri
        super().__init__(message, hint=hint)


class DownloadError(LoopsError):
    """A checkpoint could not be brought home, or not whole."""


class UnsafeNameError(DownloadError):
    """The service lists names that cannot be files of that folder; nothing was downloaded.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    refused
        From each name to what is wrong with it.
    """

    def __init__(self, message: str, *, refused: Mapping[str, str] | None = None, hint: str = "") -> None:
        self.refused = dict(refused or {})
        super().__init__(message, hint=hint)


class VolumeBackedError(DownloadError):
    """The checkpoint lies on a volume of the service's, so its files have no URLs.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    volume_ref, path
        The volume and the folder on it, where the service tells them.
    """

    def __init__(self, message: str, *, volume_ref: str | None = None, path: str | None = None, hint: str = "") -> None:
        self.volume_ref = volume_ref
        self.path = path
        super().__init__(message, hint=hint)


class NoSpaceError(DownloadError):
    """The disk cannot hold what was asked for; what came until then is kept."""


class DownloadIncompleteError(DownloadError):
    """Some files failed; the others are there, and the same command fetches only what is missing.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    failures
        From the path of each file that failed, below the folder of all checkpoints, to what happened.
    """

    def __init__(self, message: str, *, failures: Mapping[str, str] | None = None, hint: str = "") -> None:
        self.failures = dict(failures or {})
        super().__init__(message, hint=hint)

    def _render_traceback_(self) -> list[str]:
        """Return the sentence, and a line for each file; of one alone the sentence says all."""
        failures = self.failures if len(self.failures) > 1 else {}
        return [*super()._render_traceback_(), *(encodable(one_line(f"  {name}: {what}")) for name, what in failures.items())]


class VerificationError(DownloadError):
    """A folder is not what was downloaded into it.

    Parameters
    ----------
    message, hint
        As in `LoopsError`.
    differences
        From each file to what is wrong with it.
    """

    def __init__(self, message: str, *, differences: Mapping[str, str] | None = None, hint: str = "") -> None:
        self.differences = dict(differences or {})
        super().__init__(message, hint=hint)

    def _render_traceback_(self) -> list[str]:
        """Return the sentence, and a line for each file."""
        return [*super()._render_traceback_(), *(encodable(one_line(f"  {name}: {what}")) for name, what in self.differences.items())]


class UnreadableTensorsError(LoopsError):
    """A file is not the safetensors file that its name and size say it is; nothing of it was used."""


class TrackingError(LoopsError):
    """The file of experiments cannot be used, or an experiment is not in it."""


class LocalServiceError(LoopsError):
    """The embedded local service could not be started, found or stopped."""


class Interrupted(KeyboardInterrupt):
    """A person stopped something.  It is shown in one line, not as pages of how the network is read."""

    def _render_traceback_(self) -> list[str]:
        return [encodable(f"KeyboardInterrupt: {self}")]


@contextmanager
def readable_interrupt(what: str, then: str) -> Iterator[None]:
    """Make Ctrl-C say in one line what was stopped.

    Parameters
    ----------
    what
        What a person typed.
    then
        What became of it, where what was stopped does not know better.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        said = " ".join(getattr(stop, "__notes__", ())) or then
        raise Interrupted(f"{what} was interrupted. {said}") from None


def with_hint(error: LoopsError, hint: str) -> LoopsError:
    """Return an error with another hint."""
    error.hint = one_line(hint)
    error.args = (f"{error.message} {error.hint}".strip(),)
    return error


def one_line(text: str, *, limit: int = 2000) -> str:
    """Return a text as one printable line.

    Text from the service is data: control characters (a terminal would obey them) become spaces, and a page-long text is cut.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _rebuild(kind: type[LoopsError], args: tuple[Any, ...], state: dict[str, Any]) -> LoopsError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
