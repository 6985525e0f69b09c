"""Status line and progress display: a line rewritten in a terminal, an output updated in a notebook."""

from __future__ import annotations

import html
import logging
import shutil
import sys
import time
from collections import deque
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TextIO

from loops_nb import console
from loops_nb.render.formatting import roughly, size

logger: logging.Logger = logging.getLogger(__name__)
#: Work that takes less shows nothing.
FIRST_SECONDS = 1.0
#: At most five times a second.
EVERY_SECONDS = 0.2
#: The rate is that of the last seconds.
_RATE_SECONDS = 5.0
_MIN_WIDTH = 20


class StatusWriter:
    """Writes one line over and over, with a carriage return in front.

    Parameters
    ----------
    out : TextIO or None
        The stream; nothing is written without one.
    width : int, optional
        Characters of a line; those of the terminal by default.  A line that wraps could not be rewritten.
    """

    def __init__(self, out: TextIO | None, *, width: int | None = None) -> None:
        self._out = out
        self._width = width
        self._written = 0

    def rewrite(self, text: str) -> None:
        """Replace the line by a text, shortened to its width."""
        width = self._width or shutil.get_terminal_size().columns
        room = max(_MIN_WIDTH, width - 1)
        self._write("\r", text if len(text) <= room else text[: room - 1] + "…", "")

    def finish(self, text: str) -> None:
        """Replace the line by a whole text, and end it."""
        self._write("\r", text, "\n")

    def print(self, text: str) -> None:
        """Write a line that is not rewritten."""
        self._write("", text, "\n")

    def _write(self, start: str, text: str, end: str) -> None:
        padding = " " * (self._written - len(text))
        self._written = len(text)
        if self._out is None:
            return
        try:
            console.say(f"{start}{text}{padding}", end=end, out=self._out, flush=True)
        except (OSError, ValueError):
            # The terminal is gone; the work goes on.
            logger.debug("A status line could not be written", exc_info=True)


def rewrites(out: TextIO | None) -> Literal["terminal", "notebook"] | None:
    """Return what kind of output lets a line be rewritten; None where it would be written again and again."""
    if out is None:
        return None
    if type(out).__module__.startswith("ipykernel"):
        return "notebook"
    try:
        return "terminal" if out.isatty() else None
    except (AttributeError, ValueError):
        return None


class ProgressState(Protocol):
    """How far some work is."""

    @property
    def summary(self) -> str:
        """How far, in words."""
        ...

    @property
    def done_bytes(self) -> int:
        """Bytes that are done."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """Bytes of all the work; None where that is not known."""
        ...

    @property
    def fetched_bytes(self) -> int | None:
        """Bytes that came over the network this time; None where they are not counted."""
        ...


class ProgressDisplay:
    """Decides when to show progress and in which words; this base class shows nothing."""

    def __init__(self) -> None:
        self._began = self._shown_at = 0.0
        self._samples: deque[tuple[float, int]] = deque()
        self._is_shown = False
        self._last: ProgressState | None = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown and self._last is not None:
            self.finish(self.describe(self._last, outcome="stopped" if kind else "done"), self._last)

    def update(self, state: ProgressState) -> None:
        """Take in how far the work is; shown at most every `EVERY_SECONDS`, from `FIRST_SECONDS` on."""
        now = time.monotonic()
        self._last = state
        self._samples.append((now, state.fetched_bytes or 0))
        while self._samples[0][0] < now - _RATE_SECONDS:
            self._samples.popleft()
        if now - self._began >= FIRST_SECONDS and now - self._shown_at >= EVERY_SECONDS:
            self._is_shown, self._shown_at = True, now
            self.draw(self.describe(state), state)

    def draw(self, text: str, state: ProgressState) -> None:
        """Show a text in place of the one before."""

    def finish(self, text: str, state: ProgressState) -> None:
        """Show the last text."""

    def describe(self, state: ProgressState, *, outcome: str = "") -> str:
        """Return how far the work is, in one line.

        Parameters
        ----------
        state : ProgressState
            How far it is.
        outcome : str, optional
            How it ended; empty while it goes on.
        """
        fetched, total = state.fetched_bytes, state.total_bytes
        if outcome:
            took = time.monotonic() - self._began
            text = f"{state.summary}: {outcome} after {roughly(took)}"
            return text if fetched is None else f"{text}, {size(int(fetched / max(took, 1e-3)))}/s"
        if fetched is None:
            return state.summary
        per_second = self._rate()
        text = f"{state.summary}, {size(int(per_second))}/s"
        if per_second > 0 and total is not None:
            text += f", {roughly((total - state.done_bytes) / per_second)} left"
        return text

    def _rate(self) -> float:
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) / (last - first) if last > first else 0.0


class TerminalProgress(ProgressDisplay):
    """Progress as one line that is rewritten.

    Parameters
    ----------
    out : TextIO
        The terminal.
    """

    def __init__(self, out: TextIO) -> None:
        super().__init__()
        self._writer = StatusWriter(out)

    def draw(self, text: str, state: ProgressState) -> None:  # noqa: ARG002 - a line needs only the words
        """Rewrite the line."""
        self._writer.rewrite(text)

    def finish(self, text: str, state: ProgressState) -> None:  # noqa: ARG002
        """Rewrite the line and end it."""
        self._writer.finish(text)


class NotebookProgress(ProgressDisplay):
    """Progress as one output that is updated."""

    def __init__(self) -> None:
        super().__init__()
        self._handle: Any = None

    def draw(self, text: str, state: ProgressState) -> None:
        """Update the output."""
        content = {"text/plain": text, "text/html": _as_html(text, state)}
        if self._handle is None:
            from IPython import display  # only in a notebook

            show: Any = display.display
            self._handle = show(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def finish(self, text: str, state: ProgressState) -> None:
        """Update the output a last time."""
        self.draw(text, state)


def progress_display() -> ProgressDisplay:
    """Return the display for where this runs: a notebook, a terminal, or one that shows nothing."""
    # A notebook's kernel has imported IPython.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return NotebookProgress()
    return TerminalProgress(sys.stderr) if rewrites(sys.stderr) == "terminal" else ProgressDisplay()


def _as_html(text: str, state: ProgressState) -> str:
    label = html.escape(text)
    if state.total_bytes is None:
        return f"<div>{label}</div>"
    bar = f'<progress max="{max(1, state.total_bytes)}" value="{state.done_bytes}" aria-label="progress"></progress>'
    return f"<div>{bar} <span>{label}</span></div>"
