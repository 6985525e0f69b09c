"""Suggestions for unknown words ("Did you mean ...?"), and words made safe to repeat in an error."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_LONGEST_ECHO = 60
# Cutoff for verbs and options: a word less similar than this is a different word, not a typing error.
_TYPO_CUTOFF = 0.72
# Ids, verbs and options are shorter, or have - / : in them; API keys are one long run of letters and digits.
_KEY_LIKE = re.compile(r"(?=[^\W_]*\d)[^\W_]{21,}")


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "", cutoff: float = 0.6) -> str:
    """Return "Did you mean ...?" with up to three known words similar to a word, else ``otherwise``."""
    by_lower = {name.lower(): name for name in known if name != word}
    close = difflib.get_close_matches(word.lower(), by_lower, n=3, cutoff=cutoff)
    if len(word) > 1:
        close += [name for name in by_lower if name.startswith(word.lower()) and name not in close]
    if not close:
        return otherwise
    return f"Did you mean {join_or([by_lower[name] for name in close[:3]])}?"


def suggest_typo(word: str, known: Sequence[str]) -> str:
    """Return "Did you mean ...?" for a verb or an option with a typing error; empty for another word."""
    swapped = [name for name in known if sorted(name) == sorted(word.lower())]
    if swapped:
        return f"Did you mean {join_or(swapped)}?"
    return did_you_mean(word, known, cutoff=_TYPO_CUTOFF)


def suggest_case_or_plural(word: str, known: Sequence[str]) -> str:
    """Return "Did you mean ...?" where only the case, or an s at the end, differs."""
    lower = word.lower()
    variants = {lower, f"{lower}s", lower.removesuffix("s")}
    for name in known:
        if name.lower() in variants:
            return f"Did you mean {name}?"
    return ""


def safe_repr(word: str) -> str:
    """Return a word quoted for an error text, or a placeholder for a long one, which may be a pasted API key."""
    if is_safe(word):
        return repr(word)
    return "that word (it is long, and not repeated here)"


def is_safe(word: str) -> bool:
    """Return whether a word can be repeated in an error text: it is short and does not look like a key."""
    return len(word) <= _LONGEST_ECHO and _KEY_LIKE.search(word) is None


def is_plain(word: str) -> bool:
    """Return whether a word can be repeated unquoted in a suggested line: safe, no option, no spaces."""
    return is_safe(word) and not word.startswith("-") and not re.search(r"\s", word)


def join_or(words: Sequence[str]) -> str:
    """Return "a, b or c"."""
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} or {words[-1]}"
