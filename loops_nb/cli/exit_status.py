"""Exit statuses of ``loops-nb``; ``docs/shell.md`` has the same table."""

from __future__ import annotations

from loops_nb.errors import (
    AuthenticationError,
    ConfigError,
    CredentialsError,
    InvalidArgumentError,
    LoopsError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RedirectRefusedError,
    ServiceUnreachableError,
    WaitTimeoutError,
)

DONE = 0
FAILED = 1
USAGE = 2
NOT_CONNECTED = 3
TIMED_OUT = 4
#: 128 and the number of the signal, as of a process that the signal ended.
INTERRUPTED = 130
PIPE_CLOSED = 141

#: What each status says, for the help and the documentation.
MEANINGS = {
    DONE: "done; of wait: the state is reached",
    FAILED: "failed: nothing with that name, a run that cannot reach the state any more, a file that differs",
    USAGE: "the line or a setting cannot be used; nothing was sent",
    NOT_CONNECTED: "no key, a key that is refused, or no answer of the service",
    TIMED_OUT: "wait took longer than --timeout",
    INTERRUPTED: "interrupted with Ctrl-C",
    PIPE_CLOSED: "what read the output ended first, as head does",
}

_STATUSES: tuple[tuple[type[LoopsError], int], ...] = (
    (InvalidArgumentError, USAGE),
    (ConfigError, USAGE),
    (CredentialsError, NOT_CONNECTED),
    (AuthenticationError, NOT_CONNECTED),
    (PermissionDeniedError, NOT_CONNECTED),
    (ServiceUnreachableError, NOT_CONNECTED),
    (OutcomeUnknownError, NOT_CONNECTED),
    (RedirectRefusedError, NOT_CONNECTED),
    (WaitTimeoutError, TIMED_OUT),
)


def status_of(error: LoopsError) -> int:
    """Return the exit status for an error."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), FAILED)
