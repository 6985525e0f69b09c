"""Highlights unlikely tokens of a completion: levels of probability, shown without relying on colour."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from loops_nb.sampling.responses import sum_logprobs

if TYPE_CHECKING:
    from loops_nb.sampling.completion import Completion

#: Probabilities below which the level rises by one.
LIMITS = (0.9, 0.5, 0.2, 0.05)
#: From this level on it is underlined without styles too.
_UNDERLINED = 3
#: Line end, tab, and the joiners.
_VISIBLE = frozenset("\n\t\u200c\u200d")
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "␡"}
#: Limit for the size of a saved notebook.
MAX_HIGHLIGHTED = 3000
_MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class HighlightedPiece:
    """A piece of a completion for display.

    Parameters
    ----------
    text : str
        Its text, with invisible characters escaped.
    logprob : float or None
        Its log-probability, if known.
    tokens : list of int
        Its token ids.
    is_special : bool, default False
        Whether it is a special token.
    """

    text: str
    logprob: float | None
    tokens: list[int]
    is_special: bool = False

    @property
    def level(self) -> int:
        """Highlight level from 0 (likely) to 4."""
        if self.logprob is None:
            return 0
        probability = math.exp(min(self.logprob, 0.0))
        return sum(probability < limit for limit in LIMITS)

    @property
    def tooltip(self) -> str:
        """Tooltip: token ids, log-probability and probability."""
        word = "token"
        if len(self.tokens) > 1:
            word = "tokens"
        ids = f"{word} {', '.join(map(str, self.tokens))}"
        if self.logprob is None:
            return ids
        return f"{ids}: logprob {number(self.logprob)} ({percent(self.logprob)})"


def number(logprob: float) -> str:
    """Format a log-probability."""
    if not math.isfinite(logprob):
        return f"{_MINUS}∞"
    # Not -0.00.
    return f"{round(logprob, 2) or 0.0:.2f}".replace("-", _MINUS)


def percent(logprob: float) -> str:
    """Format a log-probability as a percentage."""
    share = 100 * math.exp(min(logprob, 0.0))
    if share >= 10:  # noqa: PLR2004 - two digits
        return f"{share:.0f} %"
    if share >= 0.1:  # noqa: PLR2004
        return f"{share:.1f} %"
    return "< 0.1 %"


def highlighted_pieces(completion: Completion) -> list[HighlightedPiece]:
    """Return the pieces of a completion: text, or token ids if no tokenizer is known."""
    tokens = completion.tokens
    scores = completion.logprobs or [None] * len(tokens)
    if completion.pieces:
        return [
            HighlightedPiece(
                escape_invisible(piece.text),
                sum_logprobs(scores[piece.start : piece.stop]),
                tokens[piece.start : piece.stop],
                piece.is_special,
            )
            for piece in completion.pieces
        ]
    return [HighlightedPiece(f"{token} ", scores[at], [token]) for at, token in enumerate(tokens)]


def highlighted_html(pieces: list[HighlightedPiece], most: int = MAX_HIGHLIGHTED) -> str:
    """Return pieces as HTML with tooltips; unlikely ones are underlined, the less likely the thicker."""
    parts = [_span(piece) for piece in pieces[:most]]
    if len(pieces) > most:
        parts.append(escape("".join(piece.text for piece in pieces[most:])))
    return "".join(parts)


def _span(piece: HighlightedPiece) -> str:
    text = escape(_visible_line_ends(piece))
    if piece.level >= _UNDERLINED:
        text = f"<u>{text}</u>"
    classes = f"p{piece.level}"
    if piece.is_special:
        classes += " x"
    return f'<span class="{classes}" title="{escape(piece.tooltip)}">{text}</span>'


def _visible_line_ends(piece: HighlightedPiece) -> str:
    # An underline below a line end would be invisible.
    if piece.level and not piece.text.strip("\n"):
        return piece.text.replace("\n", "↵\n")
    return piece.text


def escape_invisible(text: str) -> str:
    """Escape invisible and control characters of a text."""
    if text.isprintable():
        return text
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() or character in _VISIBLE or unicodedata.category(character) == "Zs":
        return character
    code = ord(character)
    # The control characters have pictures of their own.
    return _PICTURES.get(code) or f"\\u{code:04x}"
