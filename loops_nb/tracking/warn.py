"""Warnings about recording that never end or change the code that logs."""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from typing import TextIO

logger: logging.Logger = logging.getLogger(__name__)


class TrackingWarning(UserWarning):
    """Something cannot be recorded at the moment; the code that logs continues."""


def warn(text: str, *, stacklevel: int = 1) -> None:
    """Issue a `TrackingWarning`; where warnings are errors, print it to stderr instead of raising.

    Parameters
    ----------
    text : str
        What is not recorded, and why.
    stacklevel : int, default 1
        As in `warnings.warn`: 1 is the line that calls this function.
    """
    try:
        warnings.warn(text, TrackingWarning, stacklevel=stacklevel + 1)
    except Exception:
        logger.debug("A warning was raised.", exc_info=True)
        print_warning(text)


def warn_again(text: str) -> None:
    """Issue a `TrackingWarning` that is shown each time, although Python shows equal warnings only once."""
    try:
        warnings.warn_explicit(text, TrackingWarning, "loops_nb", 1)
    except Exception:
        logger.debug("A warning was raised.", exc_info=True)
        print_warning(text)


def print_warning(text: str) -> None:
    """Print a warning to stderr, if there is one."""
    _print(f"TrackingWarning: {text}", sys.stderr)


def print_note(text: str) -> None:
    """Print a line that warns of nothing: below the cell, or to stderr of a script, whose output may be data."""
    _print(text, sys.stdout if "ipykernel" in sys.modules else sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    # At the end of the interpreter stderr may be closed, or gone.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        stream.write(f"{text}\n")
