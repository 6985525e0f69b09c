"""Warnings of the recording, given so that they never end or change the code that logs."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings

_LOG = logging.getLogger(__name__)


class TrackingWarning(UserWarning):
    """Something cannot be recorded for now; the code that logs goes on."""


def warn(text: str, *, stacklevel: int = 1) -> None:
    """Give a `TrackingWarning`; where warnings are errors it is printed to stderr and raises nothing.

    Parameters
    ----------
    text
        What is not recorded, and why.
    stacklevel
        As in `warnings.warn`: 1 is the line that calls this function.
    """
    try:
        warnings.warn(text, TrackingWarning, stacklevel=stacklevel + 1)
    except Exception:  # noqa: BLE001 - `-W error` raises the warning itself, and a hook that shows warnings may raise anything
        _LOG.debug("A warning was raised.", exc_info=True)
        say(text)


def warn_again(text: str) -> None:
    """Give a `TrackingWarning` that is shown each time, also where Python shows an equal warning only once."""
    try:
        warnings.warn_explicit(text, TrackingWarning, "loops_nb", 1)
    except Exception:  # noqa: BLE001 - as in `warn`
        _LOG.debug("A warning was raised.", exc_info=True)
        say(text)


def say(text: str) -> None:
    """Print a warning to stderr, if there is one."""
    # At the end of the interpreter stderr may be closed, or gone.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"TrackingWarning: {text}\n")
