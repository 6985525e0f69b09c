"""Filter expressions: grammar, comparisons, and errors."""

from __future__ import annotations

import ast
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.filter_expression import FilterExpression

ROW: dict[str, Any] = {
    "lr": 1e-4,
    "lora.rank": 16,
    "eval/loss": 2.5,
    "top-p": 0.9,
    "a b (2)": 1,
    "model": "qwen",
    "seed": 2**63 + 1,
    "flag": True,
    "off": False,
    "tags": ("a", "sweep"),
    "created_at": datetime(2026, 11, 20, tzinfo=UTC),
    "duration": timedelta(minutes=90),
}


@pytest.mark.parametrize(
    "text",
    [
        "lr < 1e-3 and lora.rank == 16",
        "lr<1e-3 AND NOT lora.rank=8",
        "1e-5 < lr <= .0001",
        "eval/loss > 2 or nothing",
        "not (eval/loss < 2 or top-p < .5)",
        "`a b (2)` == 1",
        "model == 'qwen' and model != \"llama\"",
        "model in ('llama', 'qwen')",
        "model not in ['llama', 'it\\'s']",
        "'we' in model",
        "seed == 9_223_372_036_854_775_809 and seed != 9223372036854775808",
        "flag and not off and flag == true and flag == 1",
        "tags == 'a' and 'sweep' in tags and tags in ('x', 'a') and tags != 'b'",
        "nothing == none and nothing != 3 and not nothing < 3 and not nothing >= 3",
        "created_at > '2026-11-19' and created_at < '2026-11-21T00:00+00:00'",
        "duration > '1h' and duration < 6000 and duration == '90m'",
        "duration > '0s' and not duration == '0s'",
        "model != 3 and not model == 3",
        "lr > 0 && (flag || off) & !off",
    ],
)
def test_expression_matches(text: str) -> None:
    assert FilterExpression(text).matches(ROW.get)
    assert not FilterExpression(f"not ({text})").matches(ROW.get)


def test_names_are_listed_once_in_their_order() -> None:
    assert FilterExpression("b.c < 1 or `a b` > 2 or b.c == 3").names == ("b.c", "a b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "where is empty"),
        ("lr <", "where needs a name or a value at its end"),
        ("(lr < 1", r"where needs a closing \) at its end"),
        ("lr < 1)", r"where needs and, or, or the end at '\)' \(character 7\)"),
        ("lr in (1, 2", r"where needs a comma or a closing \) at its end"),
        ("lr not 3", "where needs in at '3'"),
        ("lr < 1 rank > 2", "where needs and, or, or the end at 'rank > 2' .character 8."),
        ("lr < 'x", 'where cannot be read at "\'x" .character 6.'),
        ("__import__('os')", r"where needs and, or, or the end at .*character 11"),
        ("lr < 1e-3 and ", "where needs a name or a value at its end"),
        ("(" * 200 + "lr" + ")" * 200, "where is nested more than 100 deep"),
        ("lr < 1 or " * 2000 + "lr", "where has 20,002 characters"),
    ],
)
def test_expression_outside_the_grammar_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        FilterExpression(text)


def test_order_of_text_and_number_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="compares the text 'qwen' with the number 3 by <"):
        FilterExpression("model < 3").matches(ROW.get)
    with pytest.raises(InvalidArgumentError, match="where must be a string, not int"):
        FilterExpression(3)  # type: ignore[arg-type]


NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.sampled_from(["a", "b", "c"])
COMPARED = st.tuples(NAMES, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), NUMBERS).map(
    lambda parts: f"{parts[0]} {parts[1]} {parts[2]!r}"
)
EXPRESSIONS = st.recursive(
    COMPARED | st.tuples(NAMES, st.lists(NUMBERS, min_size=2)).map(lambda pair: f"{pair[0]} in {tuple(pair[1])!r}"),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join)
        | inner.map(lambda text: f"not {text}")
        | inner.map(lambda text: f"({text})")
    ),
    max_leaves=12,
)


@given(text=EXPRESSIONS, row=st.fixed_dictionaries(dict.fromkeys("abc", NUMBERS)))
def test_expression_has_the_value_that_python_gives(text: str, row: dict[str, float]) -> None:
    expected = eval(compile(ast.parse(text, mode="eval"), "text", "eval"), {}, dict(row))  # noqa: S307
    assert FilterExpression(text).matches(row.get) == bool(expected)


PIECES = st.sampled_from([*"ab.<>=!()[],'\"\\`1e-_ ", " and ", " or ", " not ", " in "])


@given(text=st.lists(PIECES).map("".join))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidArgumentError):
        FilterExpression(text).matches({"a": 1, "b": "x"}.get)
