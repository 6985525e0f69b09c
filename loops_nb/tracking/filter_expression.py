"""Filter expressions over named values: ``lr < 1e-3 and lora.rank == 16``; parsed here, never evaluated by Python.

Grammar::

    expression = term {"or" term};    term = factor {"and" factor}
    factor     = "not" factor | "(" expression ")" | comparison
    comparison = operand {("<" | "<=" | ">" | ">=" | "==" | "=" | "!=") operand} | operand ["not"] "in" (list | operand)
    operand    = name | number | string | "true" | "false" | "none"
    list       = "(" operand {"," operand} ")" | "[" operand {"," operand} "]"

A name may have dots, slashes, colons and hyphens (``lora.rank``, ``eval/loss``); any other is put in backquotes.  A
name alone is true where its value is neither missing, false, 0 nor empty.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, NoReturn

from loops_nb.config.time_text import age_of_text, time_of_text
from loops_nb.errors import InvalidArgumentError, one_line

#: Returns the value of a name in one row; None if it is missing.
Lookup = Callable[[str], Any]
_Test = Callable[[Lookup], bool]
_Operand = Callable[[Lookup], Any]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | `(?P<quoted>[^`]+)`
      | (?P<name>[^\W\d](?:[\w./:@-]*\w)?)
      | (?P<symbol><=|>=|==|!=|<>|&&|\|\||[<>=()\[\],!&|])
    )""",
    re.VERBOSE,
)
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
}
_ORDERINGS = frozenset({"<", "<=", ">", ">="})
_WORDS = frozenset({"and", "or", "not", "in", "true", "false", "none", "null"})
_SYMBOL_WORDS = {"&": "and", "&&": "and", "|": "or", "||": "or", "!": "not"}
_CONSTANTS = {"true": True, "false": False, "none": None, "null": None}
_BRACKETS = {"(": ")", "[": "]"}
_LONGEST = 10_000
_DEEPEST = 100
_EXAMPLE = "For example: lr < 1e-3 and lora.rank == 16; or: tags in ('a', 'b') and not eval/loss > 2"


class FilterExpression:
    """A parsed filter.

    Parameters
    ----------
    text : str
        The expression.

    Attributes
    ----------
    names : tuple of str
        The names in it, in their order.

    Raises
    ------
    InvalidArgumentError
        If it does not follow the grammar; the text says where.

    Examples
    --------
    >>> FilterExpression("lr < 1e-3 and rank in (8, 16)").matches({"lr": 1e-4, "rank": 16}.get)
    True
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidArgumentError(
                f"where must be a string, not {type(text).__name__}.", argument="where", hint=_EXAMPLE
            )
        parser = _Parser(text)
        self._test = parser.parse()
        self.text = text
        self.names: tuple[str, ...] = tuple(dict.fromkeys(parser.names))

    def matches(self, lookup: Lookup) -> bool:
        """Whether one row matches.

        A missing value matches no comparison but ``== none`` and ``!=``.  Values of different kinds are not equal.

        Parameters
        ----------
        lookup : callable
            Returns the value of a name.

        Raises
        ------
        InvalidArgumentError
            If ``<`` or ``>`` compares values of different kinds, such as a text with a number.
        """
        return self._test(lookup)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


class _Parser:
    """Recursive descent over the tokens; each method returns a function of the row."""

    def __init__(self, text: str) -> None:
        self.names: list[str] = []
        self._text = text
        self._depth = 0
        if len(text) > _LONGEST:
            raise InvalidArgumentError(
                f"where has {len(text):,} characters; it may have {_LONGEST:,}.", argument="where"
            )
        self._tokens = list(self._tokenized())
        self._next = 0

    def parse(self) -> _Test:
        if not self._tokens:
            raise InvalidArgumentError("where is empty.", argument="where", hint=_EXAMPLE)
        test = self._any()
        if self._peek()[0] != "end":
            self._fail("and, or, or the end")
        return test

    def _tokenized(self) -> Iterable[tuple[str, str, int]]:
        place, end = 0, len(self._text.rstrip())
        while place < end:
            found = _TOKEN.match(self._text, place)
            if found is None or found.lastgroup is None:
                start = place + len(self._text[place:]) - len(self._text[place:].lstrip())
                rest = one_line(self._text[start:], limit=30)
                raise InvalidArgumentError(
                    f"where cannot be read at {rest!r} (character {start + 1}).", argument="where", hint=_EXAMPLE
                )
            kind, word = found.lastgroup, found[found.lastgroup]
            if kind == "name" and word.lower() in _WORDS:
                kind, word = "word", word.lower()
            elif word in _SYMBOL_WORDS and kind == "symbol":
                kind, word = "word", _SYMBOL_WORDS[word]
            yield kind, word, found.start(found.lastgroup)
            place = found.end()

    def _peek(self) -> tuple[str, str, int]:
        if self._next < len(self._tokens):
            return self._tokens[self._next]
        return "end", "", len(self._text)

    def _take(self, kind: str, *words: str) -> str | None:
        found, word, _ = self._peek()
        if found == kind and (not words or word in words):
            self._next += 1
            return word
        return None

    def _fail(self, expected: str) -> NoReturn:
        kind, _, place = self._peek()
        rest = one_line(self._text[place:], limit=30)
        where = "at its end" if kind == "end" else f"at {rest!r} (character {place + 1})"
        raise InvalidArgumentError(f"where needs {expected} {where}.", argument="where", hint=_EXAMPLE)

    def _any(self) -> _Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise InvalidArgumentError(f"where is nested more than {_DEEPEST} deep.", argument="where")
        tests = [self._all()]
        while self._take("word", "or"):
            tests.append(self._all())
        self._depth -= 1
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _all(self) -> _Test:
        tests = [self._factor()]
        while self._take("word", "and"):
            tests.append(self._factor())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _factor(self) -> _Test:
        is_negated = False
        while self._take("word", "not"):
            is_negated = not is_negated
        test = self._grouped() if self._take("symbol", "(") else self._comparison()
        return (lambda row: not test(row)) if is_negated else test

    def _grouped(self) -> _Test:
        test = self._any()
        if not self._take("symbol", ")"):
            self._fail("a closing )")
        return test

    def _comparison(self) -> _Test:
        operands = [self._operand()]
        signs: list[str] = []
        while sign := self._take("symbol", *_COMPARISONS):
            signs.append(sign)
            operands.append(self._operand())
        if signs:
            return _chained(operands, signs)
        is_negated = self._take("word", "not") is not None
        if self._take("word", "in"):
            test = self._membership(operands[0])
            return (lambda row: not test(row)) if is_negated else test
        if is_negated:
            self._fail("in")
        value = operands[0]
        return lambda row: _is_true(value(row))

    def _membership(self, value: _Operand) -> _Test:
        bracket = self._take("symbol", *_BRACKETS)
        if bracket is None:
            container = self._operand()
            return lambda row: _contains(container(row), value(row))
        options = [self._operand()]
        while self._take("symbol", ","):
            options.append(self._operand())
        if not self._take("symbol", _BRACKETS[bracket]):
            self._fail(f"a comma or a closing {_BRACKETS[bracket]}")
        return lambda row: any(_compare("==", value(row), option(row)) for option in options)

    def _operand(self) -> _Operand:
        kind, word, _ = self._peek()
        value: Any
        if kind in {"name", "quoted"}:
            self._next += 1
            self.names.append(word)
            return lambda row: row(word)
        if kind == "number":
            value = _number(word)
        elif kind == "string":
            value = re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL)
        elif kind == "word" and word in _CONSTANTS:
            value = _CONSTANTS[word]
        else:
            self._fail("a name or a value")
        self._next += 1
        return lambda _: value


def _number(word: str) -> int | float:
    text = word.replace("_", "")
    try:
        return int(text)
    except ValueError:
        return float(text)


def _chained(operands: list[_Operand], signs: list[str]) -> _Test:
    def test(row: Lookup) -> bool:
        values = [operand(row) for operand in operands]
        return all(_compare(sign, *pair) for sign, pair in zip(signs, pairwise(values), strict=True))

    return test


def _is_true(value: Any) -> bool:
    return value is not None and bool(value)


def _compare(sign: str, left: Any, right: Any) -> bool:
    left, right = _alike(left, right), _alike(right, left)
    compare = _COMPARISONS[sign]
    if sign in _ORDERINGS:
        if left is None or right is None:
            return False
        if _kind(left) != _kind(right):
            raise InvalidArgumentError(
                f"where compares {_described(left)} with {_described(right)} by {sign}, which have no order.",
                argument="where",
                hint=_EXAMPLE,
            )
    elif isinstance(left, tuple) or isinstance(right, tuple):
        return (
            _contains(left, right) is (compare is operator.eq)
            if isinstance(left, tuple)
            else _compare(sign, right, left)
        )
    elif _kind(left) != _kind(right):
        return compare is operator.ne
    return bool(compare(left, right))


def _alike(value: Any, other: Any) -> Any:
    """Return a text or a number as the time or duration that it is compared with, if it is one."""
    if isinstance(other, datetime) and isinstance(value, str):
        return time_of_text(value) or value
    if isinstance(other, timedelta):
        if isinstance(value, str):
            age = age_of_text(value)
            return value if age is None else age
        if isinstance(value, (int, float)) and math.isfinite(value) and abs(value) < 1e12:  # noqa: PLR2004 - years
            return timedelta(seconds=value)
    return value


def _kind(value: Any) -> type:
    return float if isinstance(value, (bool, int, float)) else type(value)


def _described(value: Any) -> str:
    if isinstance(value, str):
        return f"the text {one_line(value, limit=40)!r}"
    if isinstance(value, (bool, int, float)):
        return f"the number {value!r:.40}"
    return f"a value of type {type(value).__name__}"


def _contains(container: Any, value: Any) -> bool:
    if isinstance(container, str):
        return isinstance(value, str) and value in container
    return isinstance(container, tuple) and value in container
