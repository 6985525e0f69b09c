"""What a worker process says on its standard error: log records with their level, and what was printed besides.

A record is a line that begins with a control character which printed text does not have, then JSON.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable

import msgspec
from msgspec import Struct

from loops_nb.api.models import LOG_LEVELS
from loops_nb.local.store.process_logs import LONGEST_MESSAGE

_MARK = b"\x1e"
_CHUNK = 1 << 16


class OutputLine(Struct, frozen=True):
    """A line of output; ``level`` is None for what was printed."""

    message: str
    level: str | None = None


class _RecordHandler(logging.Handler):
    """Writes records to standard error, each as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = OutputLine(self.format(record)[:LONGEST_MESSAGE], record.levelname)
            sys.stderr.buffer.write(_MARK + msgspec.json.encode(line) + b"\n")
            sys.stderr.buffer.flush()
        except Exception:  # noqa: BLE001 - as handlers do: an error of the log must not end the work
            self.handleError(record)


def log_to_service() -> None:
    """Send the log records of this process, a worker, to the service."""
    logging.basicConfig(level=logging.INFO, handlers=[_RecordHandler()], format="%(message)s")
    logging.getLogger("loops_nb").setLevel(logging.DEBUG)


async def read_output(stream: asyncio.StreamReader, add: Callable[[list[OutputLine]], None]) -> None:
    """Read lines until the end of the stream; those that arrive together are added together."""
    rest = b""
    while data := await stream.read(_CHUNK):
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > _CHUNK:
            whole, rest = [*whole, rest], b""
        lines = [line for text in whole if (line := _line(text)) is not None]
        if lines:
            add(lines)
    last = _line(rest)
    if last is not None:
        add([last])


def _line(text: bytes) -> OutputLine | None:
    if text.startswith(_MARK):
        try:
            found = _DECODER.decode(text[len(_MARK) :])
        except (msgspec.MsgspecError, UnicodeDecodeError):
            pass
        else:
            return found if found.level in LOG_LEVELS else OutputLine(found.message, "ERROR")
    words = text.decode("utf-8", "replace").rstrip()
    return OutputLine(words[:LONGEST_MESSAGE]) if words else None


_DECODER = msgspec.json.Decoder(OutputLine)
