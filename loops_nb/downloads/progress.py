"""The one display of a download: shown after a second, in a terminal or a notebook, and nowhere else."""

from __future__ import annotations

import contextlib
import html
import shutil
import sys
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TextIO

from loops_nb.drawing.wording import roughly, size

#: A short download shows nothing.
FIRST_SECONDS = 1.0
#: At most five times a second.
EVERY_SECONDS = 0.2
#: The rate is that of the last seconds.
_RATE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a download is.

    Parameters
    ----------
    there_bytes
        Bytes that are there.
    total_bytes
        Bytes there will be; None where that is not known.
    fetched_bytes
        Bytes that came over the network this time.
    done, failed, files
        Number of files that are there, that failed, of all.
    """

    there_bytes: int
    total_bytes: int | None
    fetched_bytes: int
    done: int
    failed: int
    files: int


class Progress:
    """Decides when to show what; itself it shows nothing."""

    def __init__(self) -> None:
        self._began = self._shown_at = 0.0
        self._seen: deque[tuple[float, int]] = deque()
        self._is_shown = False
        self._last: Standing | None = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_shown and self._last is not None:
            self.end(self.words(self._last, over="stopped" if kind else "done"), self._last)

    def show(self, now: Standing) -> None:
        """Take in how it stands; shown when it is time to."""
        at = time.monotonic()
        self._last = now
        self._seen.append((at, now.fetched_bytes))
        while self._seen[0][0] < at - _RATE_SECONDS:
            self._seen.popleft()
        if at - self._began >= FIRST_SECONDS and at - self._shown_at >= EVERY_SECONDS:
            self._is_shown, self._shown_at = True, at
            self.draw(self.words(now), now)

    def draw(self, text: str, now: Standing) -> None:
        """Show a text in place of the one before."""

    def end(self, text: str, now: Standing) -> None:
        """Show the last text."""

    def words(self, now: Standing, *, over: str = "") -> str:
        """Return how it stands, in one line."""
        took = time.monotonic() - self._began
        total = now.total_bytes
        share = f" ({100 * now.there_bytes // total} %)" if total else ""
        of = f" of {size(total)}{share}" if total is not None else ""
        failed = f", {now.failed:,} failed" if now.failed else ""
        start = f"{now.done:,} of {now.files:,} files, {size(now.there_bytes)}{of}{failed}"
        if over:
            return f"{start}: {over} after {roughly(took)}, {size(int(now.fetched_bytes / max(took, 1e-3)))}/s"
        rate = self._rate()
        left = f", {roughly((total - now.there_bytes) / rate)} left" if rate > 0 and total is not None else ""
        return f"{start}, {size(int(rate))}/s{left}"

    def _rate(self) -> float:
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0


class TerminalProgress(Progress):
    """One line that is rewritten.

    Parameters
    ----------
    out
        The terminal.
    """

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._out = out
        self._written = 0

    def draw(self, text: str, now: Standing) -> None:  # noqa: ARG002 - a line needs only the words
        """Rewrite the line."""
        # One that wraps could not be rewritten.
        room = max(20, shutil.get_terminal_size().columns - 1)
        self._write(text if len(text) <= room else text[: room - 1] + "…", "")

    def end(self, text: str, now: Standing) -> None:  # noqa: ARG002
        """Rewrite the line and leave it there."""
        self._write(text, "\n")

    def _write(self, text: str, end: str) -> None:
        padding = " " * (self._written - len(text))
        self._written = len(text)
        # Nobody may be left to read it.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(f"\r{text}{padding}{end}")
            self._out.flush()


class NotebookProgress(Progress):
    """One output that is updated."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def draw(self, text: str, now: Standing) -> None:
        """Update the output."""
        content = {"text/plain": text, "text/html": _as_html(text, now)}
        if self._handle is None:
            from IPython import display  # noqa: PLC0415 - only in a notebook

            shows: Any = display.display
            self._handle = shows(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def end(self, text: str, now: Standing) -> None:
        """Update the output a last time."""
        self.draw(text, now)


def progress_here() -> Progress:
    """Return the display that suits where this runs: a notebook's, a terminal's, or none that is seen."""
    # Nobody is in a notebook who has not imported IPython.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return NotebookProgress()
    try:
        return TerminalProgress(sys.stderr) if sys.stderr.isatty() else Progress()
    except (AttributeError, ValueError):
        return Progress()


def _as_html(text: str, now: Standing) -> str:
    label = html.escape(text)
    if now.total_bytes is None:
        return f"<div>{label}</div>"
    bar = f'<progress max="{max(1, now.total_bytes)}" value="{now.there_bytes}" aria-label="download"></progress>'
    return f"<div>{bar} <span>{label}</span></div>"
