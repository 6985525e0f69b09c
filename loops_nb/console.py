"""Text for consoles that cannot show every character (ascii, cp1252, latin-1).

All output of the package that is not sent to a notebook's page goes through here, so that no line fails with `UnicodeEncodeError`.
"""

# ruff: noqa: RUF001 - the characters that are replaced

from __future__ import annotations

import codecs
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_HANDLER = "loops_nb.console"
# What the package itself writes, in ASCII.
_ALIKE = {
    "…": "...",
    "·": "-",
    "●": "*",
    "◐": "~",
    "○": "o",
    "✕": "x",
    "■": "#",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "∞": "inf",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "↵": "",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
}


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _ascii(character: str) -> str:
    alike = _ALIKE.get(character)
    if alike is not None:
        return alike
    if unicodedata.category(character) in {"Mn", "Me"}:
        return ""
    # As many places as the character takes, so that columns stay below each other.
    return "??" if unicodedata.east_asian_width(character) in {"W", "F"} else "?"


codecs.register_error(_HANDLER, _replaced)


def encodable(text: str, out: TextIO | None = None) -> str:
    """Return a text with replacements for the characters that a stream cannot encode.

    Parameters
    ----------
    text
        Any text.
    out
        Where it will be written; ``sys.stdout`` when left out.

    Returns
    -------
    str
        The same text where the stream can encode it, or has no encoding, as one in memory.
    """
    encoding = getattr(sys.stdout if out is None else out, "encoding", None)
    if text.isascii() or not isinstance(encoding, str):
        return text
    try:
        return text.encode(encoding, _HANDLER).decode(encoding)
    except (LookupError, UnicodeError):
        return _as_ascii(text)


def say(text: str, *, end: str = "\n", out: TextIO | None = None, flush: bool = False) -> None:
    """Write a text.

    Parameters
    ----------
    text
        Any text.
    end
        What is written behind it.
    out
        Where to; ``sys.stdout`` when left out.  Nothing is written where there is no such stream.
    flush
        Whether to flush it; in a kernel that waits for another thread.
    """
    out = sys.stdout if out is None else out
    if out is None:
        return
    try:
        out.write(encodable(text, out) + end)
    except UnicodeError:
        # A stream that names no encoding, or another one than it uses.
        out.write(_as_ascii(text) + end)
    if flush:
        out.flush()


def _as_ascii(text: str) -> str:
    return text.encode("ascii", _HANDLER).decode("ascii")
