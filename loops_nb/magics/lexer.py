"""Lexer of the magic line: quotes, comments, ``$name`` and ``{expression}``.

The line is split before anything is expanded, so that a value with spaces stays one word, and so that an undefined
name is an error, instead of a literal ``$name`` that the service does not know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from loops_nb.errors import InvalidArgumentError, LoopsError

if TYPE_CHECKING:
    from collections.abc import Callable

_DOLLAR = re.compile(r"\$(\$|[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_QUOTES = "\"'"
# Characters that the lexer does not take literally.
_SPECIAL = re.compile(r"[\s'\"$\\{}]|^#")


def split_words(line: str, evaluate: Callable[[str], str]) -> list[str]:
    """Split a line into words.

    Parameters
    ----------
    line : str
        The text after ``%loops``.  Single quotes keep everything literal, double quotes keep spaces, ``#`` at the
        start of a word begins a comment, ``{{`` and ``$$`` are a literal brace and dollar.
    evaluate : callable
        Returns the text of a Python expression in the notebook's namespace.

    Returns
    -------
    list of str
        The words, expanded.

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
    """Return the complete words of an unfinished line, and the raw text of its last word; nothing is expanded."""
    start = 0
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            start = at
            continue
        start = at
        try:
            _, at = _word(text, at, _unexpanded)
        except InvalidArgumentError:
            at = len(text)
    return split_words(text[:start], _unexpanded), text[start:]


def unquoted(fragment: str) -> tuple[str, str]:
    """Return the opening quote of an unfinished word (empty without one), and the word without it."""
    if fragment[:1] in {"'", '"'}:
        return fragment[0], fragment[1:]
    return "", fragment.replace("\\ ", " ")


def quoted(word: str, quote: str = "") -> str:
    """Return a word quoted for a line, if it needs quotes.

    Parameters
    ----------
    word : str
        The word.  One that ends with a slash is the beginning of a longer word: its quote stays open.
    quote : str, default ""
        The quote that is open already; empty to choose one.

    Returns
    -------
    str
        Text from which `split_words` reads the same word.
    """
    if not quote and not _SPECIAL.search(word):
        return word
    if "'" not in word and quote != '"':
        quote = "'"
        text = quote + word
    else:
        quote = '"'
        text = quote + re.sub(r'(["\\$])', r"\\\1", word).replace("{", "{{").replace("}", "}}")
    if word.endswith("/"):
        return text
    return text + quote


def _unexpanded(expression: str) -> str:
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
            at = _character(line, at, parts, evaluate)
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
            at = _character(line, at, parts, evaluate)
    raise _unclosed('"')


def _character(line: str, at: int, parts: list[str], evaluate: Callable[[str], str]) -> int:
    """Append one character, one ``$name`` or one ``{expression}`` to the parts; return the position after it."""
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
        f"{names[mark]} is opened and never closed.",
        hint="Close it; a literal { is written {{ and a literal ' stands in double quotes.",
    )


def evaluate_expression(expression: str, namespace: dict[str, Any]) -> str:
    """Return the text of an expression in the notebook's namespace.

    Raises
    ------
    InvalidArgumentError
        If it cannot be evaluated, or its value is None, a list or a whole table.
    """
    try:
        value = eval(expression, namespace)  # noqa: S307 - the user's own expression, in the user's own notebook
    except LoopsError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's expression can raise anything
        if isinstance(error, NameError) and error.name:
            raise InvalidArgumentError(
                f"{error.name} is not defined in this notebook, so {expression!r} on the line has no value.",
                hint="Run the cell that defines it, or write the value itself (a literal $ is $$, a literal { is {{).",
            ) from None
        raise InvalidArgumentError(
            f"{expression!r} on the line could not be evaluated: {type(error).__name__}: {error}.",
            hint="Fix it, or write the value itself (a literal $ is $$, a literal { is {{).",
        ) from None
    if value is None:
        raise InvalidArgumentError(f"{expression!r} on the line is None, so there is no value to use.")
    kind = type(value)
    if hasattr(value, "iloc") or isinstance(value, (list, tuple, dict, set)):
        first = {"DataFrame": f"{expression}.id.iloc[0]", "Series": f"{expression}.iloc[0]"}
        raise InvalidArgumentError(
            f"{expression!r} on the line is a whole {kind.__name__}, where one value is needed.",
            hint=f"Take one of it, for example {{{first.get(kind.__name__, f'{expression}[0]')}}}",
        )
    # An object of the API stands for its id: `%loops run $run`.
    own_id = getattr(value, "id", None)
    if kind.__module__ == "loops_nb.api.models" and isinstance(own_id, str):
        return own_id
    return str(value)
