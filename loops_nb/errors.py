"""Every error that ``loops_nb`` raises on purpose.

The tree::

    LoopsError
    ├── InvalidArgumentError (ValueError)   refused before any request was made
    │   └── InvalidURIError                 not a usable ``bt://`` URI
    ├── ConfigError (ValueError)            a setting that cannot be used
    ├── CredentialsError                    no key, or a key that must not be sent there
    ├── TransportError                      no usable answer came back
    │   ├── ServiceUnreachableError         no answer, after all retries of a read
    │   ├── OutcomeUnknownError             a write was sent, its answer was lost
    │   ├── UnreadableAnswerError           an answer, but not the documented one
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
    ├── NeverReachedError                   the state that ``wait`` waited for cannot be reached any more
    ├── DownloadError                       a checkpoint was not downloaded, or not completely
    │   ├── UnsafeNameError                 the listing has names that are not valid file names
    │   ├── VolumeBackedError               its files have no URLs
    │   ├── NoSpaceError                    the disk is full
    │   ├── DownloadIncompleteError         some files failed, the others are complete
    │   └── VerificationError               a folder differs from what was downloaded
    ├── BucketError                         a bucket could not be read or written
    ├── UnreadableTensorsError              a file is not valid safetensors
    ├── ExportError                         an adapter was not exported, merged or pushed
    ├── ExecutorError                       the executor that was given cannot do the work
    ├── TrackingError                       the experiments on this machine cannot be read or written
    └── LocalServiceError                   the embedded service could not be started or stopped

Each error has a ``message`` (what happened, and whether anything was changed) and a ``hint`` (what to type next).  In a
notebook it is shown as one line without a traceback, and the cell still fails, so that "Run All" stops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from loops_nb.console import encodable


class LoopsError(Exception):
    """Base class of all errors of this package.

    Parameters
    ----------
    message : str
        What happened, and whether anything was changed.
    hint : str, default ""
        What to type or do next.

    Examples
    --------
    >>> try:
    ...     loops.runs.get("unknown")
    ... except LoopsError as error:
    ...     print(error.message, error.hint)
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message: str = one_line(message)
        self.hint: str = one_line(hint)
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
    message, hint : str
        As in `LoopsError`.
    argument : str, default ""
        Name of the argument.
    """

    def __init__(self, message: str, *, argument: str = "", hint: str = "") -> None:
        self.argument = argument
        super().__init__(message, hint=hint)


class InvalidURIError(InvalidArgumentError):
    """A string is not a ``bt://`` URI, or names a checkpoint of the wrong target."""


class ConfigError(LoopsError, ValueError):
    """A setting has a value that cannot be used."""


class CredentialsError(LoopsError):
    """There is no API key, or the key must not be sent to that address."""


class TransportError(LoopsError):
    """There was no usable answer of the service."""


class ServiceUnreachableError(TransportError):
    """There was no usable answer to a read, after all its retries.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    attempts : int, default 1
        How often the request was sent.
    nobody_listens : bool, default False
        The connection was refused: there is no service at that address.
    """

    def __init__(self, message: str, *, attempts: int = 1, nobody_listens: bool = False, hint: str = "") -> None:
        self.attempts = attempts
        self.nobody_listens = nobody_listens
        super().__init__(message, hint=hint)


class OutcomeUnknownError(TransportError):
    """A create or a deactivation was sent and its answer was lost: it may or may not have happened."""


class UnreadableAnswerError(TransportError):
    """The answer is not the documented one (HTML, truncated JSON, a wrong type)."""


class EndlessPagesError(TransportError):
    """The pages of a listing repeat themselves or do not end."""


class RedirectRefusedError(TransportError):
    """The service redirected to another host, which was not followed, so the key was not sent there."""


class StorageError(TransportError):
    """A file could not be read from its presigned URL.  The URL is in no text of the error.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    status : int, optional
        HTTP status of the failure.
    """

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        self.status = status
        super().__init__(message, hint=hint)


class APIError(LoopsError):
    """The service answered with an error status.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    status : int
        HTTP status.
    code : str, default ""
        Error code of the service, such as ``VALIDATION_ERROR``.
    details : dict, optional
        The ``details`` object of the error body.
    retry_after : float, optional
        Seconds that the service asked to wait.
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
        self.details: dict[str, Any] = details or {}
        self.retry_after = retry_after
        super().__init__(message, hint=hint)


class BadRequestError(APIError):
    """400 or 422: the service did not accept the request."""


class AuthenticationError(APIError):
    """401: the key is missing, wrong or revoked."""


class PermissionDeniedError(APIError):
    """403: the key has no permission for this."""


class NotFoundError(APIError):
    """404: there is nothing with that id."""


class ConflictError(APIError):
    """409: not possible in the current state, for example deactivating a paired sampler alone."""


class RateLimitError(APIError):
    """429: too many requests."""


class ServerError(APIError):
    """5xx: the service failed."""


class WaitTimeoutError(LoopsError, TimeoutError):
    """``wait`` took longer than its time limit; nothing was changed.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    status : str, optional
        The last known state.
    """

    def __init__(self, message: str, *, status: str | None = None, hint: str = "") -> None:
        self.status = status
        super().__init__(message, hint=hint)


class NeverReachedError(LoopsError):
    """The state that ``wait`` waited for cannot be reached any more.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    status : str, optional
        The current state.
    checkpoint_uri : str, optional
        ``bt://`` URI of the newest checkpoint from which training can continue.
    """

    def __init__(
        self, message: str, *, status: str | None = None, checkpoint_uri: str | None = None, hint: str = ""
    ) -> None:
        self.status = status
        self.checkpoint_uri = checkpoint_uri
        super().__init__(message, hint=hint)


class DownloadError(LoopsError):
    """A checkpoint was not downloaded, or not completely."""


class UnsafeNameError(DownloadError):
    """The service lists names that are not valid file names; nothing was downloaded.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    refused : dict of str, optional
        Maps each name to the reason.
    """

    def __init__(self, message: str, *, refused: Mapping[str, str] | None = None, hint: str = "") -> None:
        self.refused: dict[str, str] = dict(refused or {})
        super().__init__(message, hint=hint)


class VolumeBackedError(DownloadError):
    """The checkpoint is on a volume of the service, so its files have no URLs.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    volume_ref, path : str, optional
        The volume and the folder on it.
    """

    def __init__(self, message: str, *, volume_ref: str | None = None, path: str | None = None, hint: str = "") -> None:
        self.volume_ref = volume_ref
        self.path = path
        super().__init__(message, hint=hint)


class NoSpaceError(DownloadError):
    """The disk is full; what was downloaded is kept."""


class DownloadIncompleteError(DownloadError):
    """Some files failed; the others are complete, and the same command fetches only what is missing.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    failures : dict of str, optional
        Maps the path of each failed file, below the folder of all checkpoints, to the reason.
    """

    def __init__(self, message: str, *, failures: Mapping[str, str] | None = None, hint: str = "") -> None:
        self.failures: dict[str, str] = dict(failures or {})
        super().__init__(message, hint=hint)

    def _render_traceback_(self) -> list[str]:
        """Return the message, and a line for each of several files."""
        failures = self.failures if len(self.failures) > 1 else {}
        return [
            *super()._render_traceback_(),
            *(encodable(one_line(f"  {name}: {what}")) for name, what in failures.items()),
        ]


class VerificationError(DownloadError):
    """A folder differs from what was downloaded into it.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    differences : dict of str, optional
        Maps each file to its difference.
    """

    def __init__(self, message: str, *, differences: Mapping[str, str] | None = None, hint: str = "") -> None:
        self.differences: dict[str, str] = dict(differences or {})
        super().__init__(message, hint=hint)

    def _render_traceback_(self) -> list[str]:
        """Return the message, and a line for each file."""
        return [
            *super()._render_traceback_(),
            *(encodable(one_line(f"  {name}: {what}")) for name, what in self.differences.items()),
        ]


class BucketError(LoopsError):
    """A bucket could not be read or written.

    Parameters
    ----------
    message, hint : str
        As in `LoopsError`.
    status : int, optional
        The HTTP status, if there was one.
    """

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        self.status = status
        super().__init__(message, hint=hint)


class UnreadableTensorsError(LoopsError):
    """A file is not the safetensors file that its name and size indicate; nothing of it was used."""


class ExportError(LoopsError):
    """A checkpoint could not be exported as an adapter, merged into its base model, or pushed to the Hub."""


class ExecutorError(LoopsError):
    """The executor that was given as ``executor=`` cannot do the work, or lost a worker; nothing was changed."""


class TrackingError(LoopsError):
    """The file of experiments cannot be used, or has no such experiment."""


class LocalServiceError(LoopsError):
    """The embedded local service could not be started, found or stopped."""


class Interrupted(KeyboardInterrupt):
    """An interruption by the user, shown in one line without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [encodable(f"KeyboardInterrupt: {self}")]


@contextmanager
def readable_interrupt(what: str, then: str) -> Iterator[None]:
    """Report an interruption by Ctrl-C in one line.

    Parameters
    ----------
    what : str
        The interrupted line or call.
    then : str
        Its outcome, unless notes of the exception say it.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        said = " ".join(getattr(stop, "__notes__", ())) or then
        raise Interrupted(f"{what} was interrupted. {said}") from None


def with_hint(error: LoopsError, hint: str) -> LoopsError:
    """Replace the hint of an error, and return it."""
    error.hint = one_line(hint)
    error.args = (f"{error.message} {error.hint}".strip(),)
    return error


def one_line(text: str, *, limit: int = 2000) -> str:
    """Return a text as one printable line: control characters become spaces, and a long text is truncated."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _rebuild(kind: type[LoopsError], args: tuple[Any, ...], state: dict[str, Any]) -> LoopsError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
