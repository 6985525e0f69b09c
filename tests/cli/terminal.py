"""A command on a real pseudo-terminal: what it writes, keys, and the size of the window."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence

import pyte

WAIT_SECONDS = 30.0


class Terminal:
    """A process on a terminal of its own."""

    def __init__(self, command: Sequence[str], *, rows: int, columns: int, environment: dict[str, str]) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.Stream(self._screen)
        self._leader, follower = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - a terminal to ask on
        )
        os.close(follower)
        self.raw = ""

    @property
    def lines(self) -> list[str]:
        """What the screen shows now."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    def type(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window, of which the kernel tells the process."""
        fcntl.ioctl(self._leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def read_until(self, words: str) -> str:
        """Read until the screen shows some words; return what it shows."""
        end = time.monotonic() + WAIT_SECONDS
        while words not in self.text:
            assert time.monotonic() < end, f"{words!r} is not shown:\n{self.text}"
            assert self.read_more(), f"{words!r} is not shown at the end:\n{self.text}"
        return self.text

    def wait(self) -> int:
        """Read until the process ends; return its status."""
        while self.read_more():
            pass
        return self.process.wait(WAIT_SECONDS)

    def read_more(self) -> bool:
        """Read what is written next; return whether there was anything."""
        if not select.select([self._leader], [], [], WAIT_SECONDS)[0]:
            return False
        try:
            found = os.read(self._leader, 65_536)
        except OSError:
            # Linux says so when the process has closed it.
            return False
        self.raw += found.decode("utf-8", "replace")
        self._stream.feed(found.decode("utf-8", "replace"))
        return bool(found)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        os.close(self._leader)


@contextlib.contextmanager
def terminal(
    *words: str,
    environment: dict[str, str],
    rows: int = 40,
    columns: int = 100,
    command: Sequence[str] = (),
) -> Iterator[Terminal]:
    """Run ``loops-nb`` with some words, or another command, on a terminal."""
    found = Terminal(
        command or [sys.executable, "-m", "loops_nb", *words], rows=rows, columns=columns, environment=environment
    )
    try:
        yield found
    finally:
        found.close()
