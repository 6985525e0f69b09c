"""The one display of what takes long: shown after a second, in a terminal or a notebook, and nowhere else."""

from __future__ import annotations

import contextlib
import html
import shutil
import sys
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from loops_nb import console
from loops_nb.drawing.wording import roughly, size

#: What is short shows nothing.
FIRST_SECONDS = 1.0
#: At most five times a second.
EVERY_SECONDS = 0.2
#: The rate is that of the last seconds.
_RATE_SECONDS = 5.0


class Far(Protocol):
    """How far something is."""

    @property
    def done_words(self) -> str:
        """How far, in words."""
        ...

    @property
    def there_bytes(self) -> int:
        """Bytes that are there."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """Bytes there will be; None where that is not known."""
        ...

    @property
    def fetched_bytes(self) -> int | None:
        """Bytes that came over the network this time; None where nobody counts them."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the reading of checkpoints at a distance is.

    Parameters
    ----------
    what
        What is read.
    there_bytes, total_bytes, fetched_bytes
        As in `Far`.
    """

    what: str
    there_bytes: int = 0
    total_bytes: int | None = None
    fetched_bytes: int | None = None

    @property
    def done_words(self) -> str:
        """What is read, and how much of it."""
        return self.what if self.fetched_bytes is None else f"{self.what}, {_of(self.there_bytes, self.total_bytes)}"


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

    @property
    def done_words(self) -> str:
        """Files and bytes."""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"{self.done:,} of {self.files:,} files, {_of(self.there_bytes, self.total_bytes)}{failed}"


class Progress:
    """Decides when to show what; itself it shows nothing."""

    def __init__(self) -> None:
        self._began = self._shown_at = 0.0
        self._seen: deque[tuple[float, int]] = deque()
        self._is_shown = False
        self._last: Far | None = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._is_shown and self._last is not None:
            self.end(self.words(self._last, over="stopped" if kind else "done"), self._last)

    def show(self, now: Far) -> None:
        """Take in how it stands; shown when it is time to."""
        at = time.monotonic()
        self._last = now
        self._seen.append((at, now.fetched_bytes or 0))
        while self._seen[0][0] < at - _RATE_SECONDS:
            self._seen.popleft()
        if at - self._began >= FIRST_SECONDS and at - self._shown_at >= EVERY_SECONDS:
            self._is_shown, self._shown_at = True, at
            self.draw(self.words(now), now)

    def draw(self, text: str, now: Far) -> None:
        """Show a text in place of the one before."""

    def end(self, text: str, now: Far) -> None:
        """Show the last text."""

    def words(self, now: Far, *, over: str = "") -> str:
        """Return how it stands, in one line."""
        took = time.monotonic() - self._began
        total, fetched = now.total_bytes, now.fetched_bytes
        if over:
            rate = "" if fetched is None else f", {size(int(fetched / max(took, 1e-3)))}/s"
            return f"{now.done_words}: {over} after {roughly(took)}{rate}"
        if fetched is None:
            return now.done_words
        per_second = self._rate()
        left = f", {roughly((total - now.there_bytes) / per_second)} left" if per_second > 0 and total is not None else ""
        return f"{now.done_words}, {size(int(per_second))}/s{left}"

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

    def draw(self, text: str, now: Far) -> None:  # noqa: ARG002 - a line needs only the words
        """Rewrite the line."""
        # One that wraps could not be rewritten.
        room = max(20, shutil.get_terminal_size().columns - 1)
        self._write(text if len(text) <= room else text[: room - 1] + "…", "")

    def end(self, text: str, now: Far) -> None:  # noqa: ARG002
        """Rewrite the line and leave it there."""
        self._write(text, "\n")

    def _write(self, text: str, end: str) -> None:
        padding = " " * (self._written - len(text))
        self._written = len(text)
        # Nobody may be left to read it.
        with contextlib.suppress(OSError, ValueError):
            console.say(f"\r{text}{padding}", end=end, out=self._out, flush=True)


class NotebookProgress(Progress):
    """One output that is updated."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def draw(self, text: str, now: Far) -> None:
        """Update the output."""
        content = {"text/plain": text, "text/html": _as_html(text, now)}
        if self._handle is None:
            from IPython import display  # noqa: PLC0415 - only in a notebook

            shows: Any = display.display
            self._handle = shows(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def end(self, text: str, now: Far) -> None:
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


def _of(there: int, total: int | None) -> str:
    share = f" ({100 * there // total} %)" if total else ""
    return size(there) if total is None else f"{size(there)} of {size(total)}{share}"


def _as_html(text: str, now: Far) -> str:
    label = html.escape(text)
    if now.total_bytes is None:
        return f"<div>{label}</div>"
    bar = f'<progress max="{max(1, now.total_bytes)}" value="{now.there_bytes}" aria-label="progress"></progress>'
    return f"<div>{bar} <span>{label}</span></div>"
