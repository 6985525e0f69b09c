"""Status line of ``wait``: what is waited for, its state and the time."""

from __future__ import annotations

import sys
import time
from typing import Any

from loops_nb.errors import LoopsError, one_line
from loops_nb.live.wait.waiter import WaitProgress
from loops_nb.render.formatting import roughly
from loops_nb.render.status import StatusWriter, rewrites

_NOTEBOOK_WIDTH = 200


class StatusLine:
    """Rewrites one line where the output allows it; elsewhere only the last line is printed.

    In a terminal the time is updated each second.  A notebook keeps everything that was ever written to a line, so
    there it is written only when the state changes.

    Parameters
    ----------
    name : str
        What is waited for.
    until : str
        The state to reach.
    quiet : bool
        Whether to write nothing at all.

    Attributes
    ----------
    tick : float or None
        Seconds between two updates of the time; None where it is not updated.
    """

    def __init__(self, name: str, until: str, *, quiet: bool) -> None:
        self._name = name
        self._until = until
        out = None if quiet else sys.stdout
        where = rewrites(out)
        self._rewrites = where is not None
        self.tick: float | None = 1.0 if where == "terminal" else None
        self._writer = StatusWriter(out, width=_NOTEBOOK_WIDTH if where == "notebook" else None)
        self._started = time.monotonic()
        self._progress: WaitProgress[Any] = WaitProgress("", None)
        self._shown = ""
        self._is_over = False

    @property
    def words(self) -> str:
        """The states that were seen last."""
        return self._progress.states or "no state known"

    @property
    def took(self) -> str:
        """How long it has taken, for people."""
        return roughly(time.monotonic() - self._started)

    def show(self, progress: WaitProgress[Any] | None = None) -> None:
        """Show new progress; without an argument only how long it has taken."""
        self._progress = progress or self._progress
        if not self._rewrites:
            return
        text = f"until {self._until}: {self._progress.states or 'asking'}"
        if self._progress.trouble:
            text += f"; {self._progress.trouble}"
        if self.tick is not None:
            self._writer.rewrite(one_line(f"{self._name}, {self.took}, {text}"))
        elif text != self._shown:
            self._writer.rewrite(one_line(f"{self._name}, {text}"))
        self._shown = text

    def end(self, how: str = "") -> None:
        """Show how it ended; further calls change nothing."""
        if self._is_over:
            return
        self._is_over = True
        text = one_line(f"{self._name}{self._outcome(how)}, after {self.took}")
        if self._rewrites:
            self._writer.finish(text)
        else:
            self._writer.print(text)

    def _outcome(self, how: str) -> str:
        if how:
            return f" {how}" if how.startswith("is ") else f": {how}"
        outcome = self._progress.outcome
        if outcome is not None and not isinstance(outcome, LoopsError):
            return f" is {self._until}"
        if self._progress.states:
            return f": {self._progress.states}, not {self._until}"
        return ": nothing to wait for"
