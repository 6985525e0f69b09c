"""A magic's line becomes words: quotes, comments, and the notebook's own ``$name`` and ``{expression}``.

The line is cut into words before anything is expanded, so that a value with spaces stays one word, and so that a name which does not
exist is an error that says so, instead of a literal ``$name`` that the service would then not know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

_DOLLAR = re.compile(r"\$(\$|[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_QUOTES = "\"'"
# What a line reads in another way than it stands there.
_SPECIAL = re.compile(r"[\s'\"$\\{}]|^#")


def split_words(line: str, evaluate: Callable[[str], str]) -> list[str]:
    """Cut a line into words.

    Parameters
    ----------
    line
        What stands behind ``%loops``.  Single quotes keep everything literal, double quotes keep spaces, ``#`` at the start of a word
        begins a comment, ``{{`` and ``$$`` are a literal brace and dollar.
    evaluate
        Returns the text of a Python expression in the notebook's namespace.

    Raises
    ------
    InvalidArgumentError
        If a quote or a brace is never closed.
    """
    words: list[str] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
        elif line[at] == "#":
            break
        else:
            word, at = _word(line, at, evaluate)
            words.append(word)
    return words


def last_word(text: str) -> tuple[list[str], str]:
    """Return the finished words of an unfinished line and the raw text of the word that is being typed; expressions stay as they are."""
    start = 0
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            start = at
            continue
        start = at
        try:
            _, at = _word(text, at, _as_typed)
        except InvalidArgumentError:
            at = len(text)
    return split_words(text[:start], _as_typed), text[start:]


def unquoted(fragment: str) -> tuple[str, str]:
    """Return the quote with which an unfinished word begins, empty without one, and the word as far as it is there."""
    if fragment[:1] in {"'", '"'}:
        return fragment[0], fragment[1:]
    return "", fragment.replace("\\ ", " ")


def quoted(word: str, quote: str = "") -> str:
    """Return a word as it is typed on a line.

    Parameters
    ----------
    word
        The word.  One that ends with a slash is the beginning of a longer word: its quote stays open.
    quote
        The quote that was opened already; empty for those that the word needs, if any.
    """
    if not quote and not _SPECIAL.search(word):
        return word
    if "'" not in word and quote != '"':
        text = f"'{word}"
        quote = "'"
    else:
        text = '"' + re.sub(r'(["\\$])', r"\\\1", word).replace("{", "{{").replace("}", "}}")
        quote = '"'
    return text if word.endswith("/") else text + quote


def _as_typed(expression: str) -> str:
    return "{" + expression + "}"


def _word(line: str, at: int, evaluate: Callable[[str], str]) -> tuple[str, int]:
    parts: list[str] = []
    while at < len(line) and not line[at].isspace():
        if line[at] == "'":
            end = _closing(line, at)
            parts.append(line[at + 1 : end])
            at = end + 1
        elif line[at] == '"':
            at = _double_quoted(line, at, parts, evaluate)
        elif line[at] == "\\" and line[at + 1 : at + 2] in {" ", "'", '"', "\\", "#", "$", "{"}:
            # Only these: a backslash is an ordinary character in a Windows path.
            parts.append(line[at + 1])
            at += 2
        else:
            at = _one(line, at, parts, evaluate)
    return "".join(parts), at


def _double_quoted(line: str, at: int, parts: list[str], evaluate: Callable[[str], str]) -> int:
    at += 1
    while at < len(line):
        if line[at] == '"':
            return at + 1
        if line[at] == "\\" and line[at + 1 : at + 2] in {'"', "\\", "$", "{"}:
            parts.append(line[at + 1])
            at += 2
        else:
            at = _one(line, at, parts, evaluate)
    raise _unclosed('"')


def _one(line: str, at: int, parts: list[str], evaluate: Callable[[str], str]) -> int:
    """Take one character, one ``$name`` or one ``{expression}``; return where the next begins."""
    if line[at] == "$" and (found := _DOLLAR.match(line, at)):
        parts.append("$" if found[1] == "$" else evaluate(found[1]))
        return found.end()
    if line[at] == "{":
        if line.startswith("{{", at):
            parts.append("{")
            return at + 2
        end = _closing_brace(line, at)
        parts.append(evaluate(line[at + 1 : end].strip()))
        return end + 1
    if line.startswith("}}", at):
        parts.append("}")
        return at + 2
    parts.append(line[at])
    return at + 1


def _closing(line: str, at: int) -> int:
    end = line.find(line[at], at + 1)
    if end < 0:
        raise _unclosed(line[at])
    return end


def _closing_brace(line: str, at: int) -> int:
    depth = 0
    position = at
    while position < len(line):
        character = line[position]
        if character in _QUOTES:
            position = _closing(line, position)
        elif character in "{[(":
            depth += 1
        elif character in "}])":
            depth -= 1
            if depth == 0 and character == "}":
                return position
        position += 1
    raise _unclosed("{")


def _unclosed(mark: str) -> InvalidArgumentError:
    names = {"'": "A single quote (')", '"': 'A double quote (")', "{": "A brace ({)"}
    return InvalidArgumentError(
        f"{names[mark]} is opened and never closed.", hint="Close it; a literal { is written {{ and a literal ' stands in double quotes."
    )
