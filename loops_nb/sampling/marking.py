"""How unlikely a model found what it wrote: in levels, as marks that need no colour, and in numbers."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loops_nb.sampling.completions import Completion

#: A piece less likely than this has the level of its place, from 1; the last level is the least likely.
LIMITS = (0.9, 0.5, 0.2, 0.05)
#: From this level on a page without styles underlines too.
_UNDERLINED = 3
_JOINERS = frozenset("\u200c\u200d")
#: More of them would make a saved notebook large, and nobody reads them one by one.
MOST_MARKS = 3000
_MINUS = "\u2212"


@dataclass(frozen=True, slots=True)
class Mark:
    """A piece of a completion as it is shown.

    Parameters
    ----------
    text
        Its characters, those that cannot be seen written out.
    logprob
        Its log-probability; None where it is not known.
    tokens
        The ids of its tokens.
    is_special
        Whether it is a mark of the tokenizer and no text.
    """

    text: str
    logprob: float | None
    tokens: list[int]
    is_special: bool = False

    @property
    def level(self) -> int:
        """From 0, likely, to the last of `LIMITS`."""
        if self.logprob is None:
            return 0
        probability = math.exp(min(self.logprob, 0.0))
        return sum(probability < limit for limit in LIMITS)

    @property
    def words(self) -> str:
        """What is said of it: the ids, the log-probability, and the probability."""
        ids = f"token{'s' if len(self.tokens) > 1 else ''} {', '.join(map(str, self.tokens))}"
        return ids if self.logprob is None else f"{ids}: logprob {number(self.logprob)} ({percent(self.logprob)})"


def number(logprob: float) -> str:
    """Return a log-probability for people."""
    # Nearly nothing is no minus nothing.
    return f"{round(logprob, 2) or 0.0:.2f}".replace("-", _MINUS) if math.isfinite(logprob) else f"{_MINUS}∞"


def percent(logprob: float) -> str:
    """Return the probability of a log-probability for people."""
    share = 100 * math.exp(min(logprob, 0.0))
    return f"{share:.0f} %" if share >= 10 else f"{share:.1f} %" if share >= 0.1 else "< 0.1 %"  # noqa: PLR2004 - two digits


def marks_of(completion: Completion) -> list[Mark]:
    """Return a completion cut into marks: pieces of text, or token ids where no tokenizer is known."""
    scores = completion.logprobs
    if completion.pieces:
        return [
            Mark(
                visible(piece.text),
                _together(None if scores is None else scores[piece.start : piece.stop]),
                completion.tokens[piece.start : piece.stop],
                piece.is_special,
            )
            for piece in completion.pieces
        ]
    return [Mark(f"{token} ", None if scores is None else scores[at], [token]) for at, token in enumerate(completion.tokens)]


def _together(scores: list[float | None] | None) -> float | None:
    if not scores:
        return None
    known = [one for one in scores if one is not None]
    return sum(known) if len(known) == len(scores) else None


def marked_html(marks: list[Mark], most: int = MOST_MARKS) -> str:
    """Return marks as HTML: each with its numbers as title, the unlikely ones underlined, the heavier the more unlikely."""
    parts = [_span(mark) for mark in marks[:most]]
    if len(marks) > most:
        parts.append(escape("".join(mark.text for mark in marks[most:])))
    return "".join(parts)


def _span(mark: Mark) -> str:
    text = escape(_line_ends_seen(mark))
    if mark.level >= _UNDERLINED:
        text = f"<u>{text}</u>"
    classes = f"p{mark.level}" + (" x" if mark.is_special else "")
    return f'<span class="{classes}" title="{escape(mark.words)}">{text}</span>'


def _line_ends_seen(mark: Mark) -> str:
    # An underline below nothing cannot be seen.
    return mark.text.replace("\n", "↵\n") if mark.level and not mark.text.strip("\n") else mark.text


def visible(text: str) -> str:
    """Return a text in which what cannot be seen, and what a terminal or a page would obey, is written out."""
    if text.isprintable():
        return text
    return "".join(character if _is_harmless(character) else _written(character) for character in text)


def _is_harmless(character: str) -> bool:
    return character in "\n\t" or character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"


def _written(character: str) -> str:
    code = ord(character)
    if code < 0x20:  # noqa: PLR2004 - the control characters have pictures of their own
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"\\u{code:04x}"  # noqa: PLR2004
