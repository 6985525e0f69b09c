"""Filters of the log lines of a model deployment, which the service applies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from loops_nb.client import checks
from loops_nb.errors import InvalidArgumentError

LONGEST_PATTERN = 256
MOST_TEXTS = 8

#: What Python and RE2 read alike: no classes of Unicode, no ends of lines, no counted or possessive repetition.
_ALIKE = re.compile(
    r"""
    \( (?: \?: | (?!\?) ) | [|^] |
    (?: [^\\.^$*+?()\[\]{}|] | \\[\\.^$*+?()\[\]{}|/" '-] | \\d | [.)]
      | \[ \^? (?: [^\\\[\]^&|~-] | (?:[A-Z]-[A-Z]|[a-z]-[a-z]|[0-9]-[0-9]) )+ \]
    ) (?: [*+?] (?![*+?]) )?
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"(?: [^\\.^$*+?()\[\]{}|] | \\[\\.^$*+?()\[\]{}|/\"' -] )+", re.VERBOSE)


@dataclass(frozen=True, slots=True)
class LineFilters:
    """Conditions on log lines, beside time, level and number.

    Parameters
    ----------
    search_pattern : str, optional
        RE2 pattern that is found in the text, of 256 characters at most.
    includes, excludes : sequence of str, default ()
        Texts that are all in the text of a line, and of which none is; 8 each at most.
    replica, request_id, component : str, optional
        Only lines of this replica, inference request or component.
    """

    search_pattern: str | None = None
    includes: Sequence[str] | None = ()
    excludes: Sequence[str] | None = ()
    replica: str | None = None
    request_id: str | None = None
    component: str | None = None

    def __post_init__(self) -> None:
        for name in ("search_pattern", "replica", "request_id", "component"):
            text = checks.optional_text(name, getattr(self, name))
            if text is not None and len(text) > LONGEST_PATTERN:
                raise InvalidArgumentError(
                    f"{name} may have {LONGEST_PATTERN} characters at most, not {len(text):,}.", argument=name
                )
        for name in ("includes", "excludes"):
            given = getattr(self, name)
            texts = [] if given is None or given == () else checks.texts(name, given)
            object.__setattr__(self, name, texts)
            if len(texts) > MOST_TEXTS:
                raise InvalidArgumentError(
                    f"{name} may have {MOST_TEXTS} texts at most, not {len(texts):,}.", argument=name
                )

    def fields(self) -> dict[str, str | list[str] | None]:
        """Return what is sent, by the names of the API; None where there is no condition."""
        return {
            "replica": self.replica,
            "request_id": self.request_id,
            "component": self.component,
            "search_pattern": self.search_pattern,
            "includes": list(self.includes or ()) or None,
            "excludes": list(self.excludes or ()) or None,
        }


NO_FILTERS = LineFilters()


def filters_of(pattern: re.Pattern[str]) -> LineFilters | None:
    """Return filters that leave in every line in which a regular expression is found; None where that is not certain.

    The service reads RE2, in which some of Python's syntax has another meaning or none.

    Parameters
    ----------
    pattern : re.Pattern
        The regular expression.

    Returns
    -------
    LineFilters or None
        A text for a literal, an RE2 pattern where both languages agree, else None.
    """
    text = pattern.pattern
    flags = pattern.flags & ~re.UNICODE
    ignores_case = flags == re.IGNORECASE
    text = text.removeprefix("(?i)") if ignores_case else text
    if not text or not text.isprintable() or (flags and not (ignores_case and text.isascii())):
        return None
    if _PLAIN.fullmatch(text) and not ignores_case:
        literal = re.sub(r"\\(.)", r"\1", text)
        return LineFilters(includes=[literal]) if len(literal) <= LONGEST_PATTERN else None
    place = 0
    parts = ["(?i)"] if ignores_case else []
    while place < len(text):
        found = _ALIKE.match(text, place)
        if found is None:
            return None
        # Of Python, every decimal digit of Unicode is a digit.
        parts.append(re.sub(r"^\\d", r"\\p{Nd}", found[0]))
        place = found.end()
    sent = "".join(parts)
    return LineFilters(search_pattern=sent) if len(sent) <= LONGEST_PATTERN else None
