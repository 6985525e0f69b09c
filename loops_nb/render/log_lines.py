"""Log lines as text: time, level, half and message; control characters and markup in a message do nothing."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.errors import one_line
from loops_nb.render.formatting import moment

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEVEL_WIDTH, _HALF_WIDTH = 7, 7
_INDENT = "    "
#: Sequences that color text, move the cursor, set a title or a link (ECMA-48: CSI, OSC and the short ones).
_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")
#: CSS rules of `html_lines`; the level is written out too, so the color is never all that tells it.
STYLE = (
    ".loops-nb .log{margin:0;white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere}"
    ".loops-nb .log{font-size:.92em;line-height:1.45}"
    ".loops-nb .log .ERROR{color:var(--jp-error-color1,#c62828);font-weight:600}"
    ".loops-nb .log .WARNING{color:var(--jp-warn-color0,#a65200)}"
    ".loops-nb .log .DEBUG{opacity:.7}"
)


class ShownLine(NamedTuple):
    """A log line to show; ``half`` is None where all are of one."""

    at: datetime
    message: str
    level: str | None = None
    half: str | None = None


def text_line(line: ShownLine, zone: tzinfo | None) -> str:
    """Return a line as text; further lines of its message are indented."""
    half = "" if line.half is None else f"{line.half:<{_HALF_WIDTH}} "
    first, *others = message_lines(line.message)
    head = f"{moment(line.at, zone, fraction=True)} {_level(line):<{_LEVEL_WIDTH}} {half}{first}"
    return "\n".join([head.rstrip(), *(f"{_INDENT}{other}" for other in others)])


def html_lines(lines: Iterable[ShownLine], zone: tzinfo | None) -> str:
    """Return lines as one preformatted block of HTML; `STYLE` has its rules."""
    parts = []
    for line in lines:
        level = _level(line)
        marked = f' class="{level}"' if level.isalpha() else ""
        parts.append(f"<span{marked}>{escape(text_line(line, zone))}</span>")
    return '<pre class="log">' + "\n".join(parts) + "</pre>"


def terminal_text(message: str) -> str:
    """Return what a terminal shows of a message: no escape sequences, and a progress bar as it was last."""
    if "\x1b" in message or "\x9b" in message:
        message = _ESCAPES.sub("", message)
    if "\r" in message:
        message = "\n".join(_overwritten(line) for line in message.split("\n"))
    return message


def _overwritten(line: str) -> str:
    """Return what is left of a line after its carriage returns."""
    return next((part for part in reversed(line.split("\r")) if part), "")


def message_lines(message: str) -> list[str]:
    """Return the lines of a message without control characters; indentation is kept."""
    found = []
    for text in message.splitlines():
        body = text.lstrip(" \t")
        found.append(" " * len(text[: len(text) - len(body)].expandtabs(4)) + one_line(body))
    return found or [""]


def _level(line: ShownLine) -> str:
    return one_line(line.level or "-", limit=20)
