"""Standard streams that are closed, full, or whose reader has ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from typing import TextIO

_LEAST_WIDTH = 40


def open_standard_streams() -> None:
    """Open closed standard streams on the null device, so that no other file gets their numbers and output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, for those below it are open.
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Open until the process ends.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def silence(stream: TextIO) -> None:
    """Lead what is still written to a stream nowhere, so that the end of the process does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def can_redraw(out: TextIO | None) -> bool:
    """Return whether a stream is a terminal that can draw over itself, with keys to end it."""
    is_dumb = os.name == "posix" and os.environ.get("TERM", "") in {"", "dumb"}
    return is_terminal(out) and is_terminal(sys.stdin) and not is_dumb


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def text_width() -> int:
    """Return the width of the terminal; in a pipe or a file nothing is cut."""
    from loops_nb.render.tables import UNBOUNDED

    return max(_LEAST_WIDTH, shutil.get_terminal_size((UNBOUNDED, 24)).columns)
