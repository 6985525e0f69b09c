"""Output to consoles that cannot encode every character (ascii, cp1252, latin-1), without `UnicodeEncodeError`."""

# ruff: noqa: RUF001 - the characters that are replaced

from __future__ import annotations

import codecs
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_HANDLER = "loops_nb.console"
# ASCII forms of the characters that the package itself writes.
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
    # As wide as the character, so that columns stay aligned.
    return "??" if unicodedata.east_asian_width(character) in {"W", "F"} else "?"


codecs.register_error(_HANDLER, _replaced)


def encodable(text: str, out: TextIO | None = None) -> str:
    """Return a text with replacements for the characters that a stream cannot encode.

    Parameters
    ----------
    text : str
        Any text.
    out : text stream, optional
        Where it will be written; default is ``sys.stdout``.

    Returns
    -------
    str
        The same text if the stream can encode it, or has no encoding.
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
    text : str
        Any text.
    end : str, default newline
        Written after it.
    out : text stream, optional
        The stream; default is ``sys.stdout``.  Without one nothing is written.
    flush : bool, default False
        Flush the stream; in a kernel this waits for another thread.
    """
    out = sys.stdout if out is None else out
    if out is None:
        return
    try:
        out.write(encodable(text, out) + end)
    except UnicodeError:
        # The stream has no encoding, or another one than it says.
        out.write(_as_ascii(text) + end)
    if flush:
        out.flush()


def _as_ascii(text: str) -> str:
    return text.encode("ascii", _HANDLER).decode("ascii")
