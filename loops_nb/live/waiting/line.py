"""The one line that says how the waiting stands."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from typing import Any, TextIO

from loops_nb import console
from loops_nb.drawing.wording import roughly
from loops_nb.errors import LoopsError, one_line
from loops_nb.live.waiting.vigil import News

_WIDTH = 100


class Line:
    """Rewrites itself where it can, and else is printed once at the end.

    A terminal counts the seconds on.  A notebook keeps everything that was ever written to a line, so there it is written only when there
    is something to say.

    Parameters
    ----------
    name
        What is waited for.
    until
        The state it should get to.
    quiet
        Whether to write nothing at all.
    """

    def __init__(self, name: str, until: str, *, quiet: bool) -> None:
        self._name = name
        self._until = until
        self._out: TextIO | None = None if quiet else sys.stdout
        self._rewrites, self.tick = (False, None) if self._out is None else _way_of(self._out)
        self._started = time.monotonic()
        self._news: News[Any] = News("", None)
        self._said = ""
        self._written = 0
        self._over = False

    @property
    def words(self) -> str:
        """The states that were seen last."""
        return self._news.words or "no state known"

    @property
    def took(self) -> str:
        """How long it has taken, for people."""
        return roughly(time.monotonic() - self._started)

    def show(self, news: News[Any] | None = None) -> None:
        """Show how it stands now; without news only how long it has taken."""
        self._news = news or self._news
        if not self._rewrites:
            return
        trouble = f"; {self._news.trouble}" if self._news.trouble else ""
        said = f"until {self._until}: {self._news.words or 'asking'}{trouble}"
        if self.tick is None and said == self._said:
            return
        self._said = said
        took = f", {self.took}" if self.tick is not None else ""
        self._write(f"{self._name}{took}, {said}")

    def end(self, how: str = "") -> None:
        """Show how it ended; again changes nothing."""
        if self._over:
            return
        self._over = True
        over = self._news.over
        if not how and over is not None and not isinstance(over, LoopsError):
            how = f"is {self._until}"
        elif not how:
            how = f"{self._news.words}, not {self._until}" if self._news.words else "nothing to wait for"
        joint = "" if how.startswith("is ") else ":"
        self._write(f"{self._name}{joint} {how}, after {self.took}", last=True)

    def _write(self, text: str, *, last: bool = False) -> None:
        if self._out is None:
            return
        text = one_line(text)
        if self._rewrites and not last:
            # A line that wraps could not be rewritten.
            room = max(20, (shutil.get_terminal_size().columns if self.tick is not None else _WIDTH * 2) - 1)
            text = text if len(text) <= room else text[: room - 1] + "…"
        padding = " " * (self._written - len(text))
        self._written = len(text)
        # Nobody may be left to read it.
        with contextlib.suppress(OSError, ValueError):
            console.say(("\r" if self._rewrites else "") + text + padding, end="\n" if last else "", out=self._out, flush=True)


def _way_of(out: TextIO) -> tuple[bool, float | None]:
    """Return whether a line can be rewritten there, and every how many seconds it is."""
    if type(out).__module__.startswith("ipykernel"):
        return True, None
    try:
        return (True, 1.0) if out.isatty() else (False, None)
    except (AttributeError, ValueError):
        return False, None
