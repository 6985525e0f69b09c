"""Lexer of the magic line."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.lexer import evaluate_expression, last_word, split_words


def words(line: str, **namespace: object) -> list[str]:
    return split_words(line, lambda expression: evaluate_expression(expression, dict(namespace)))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("   ", []),
        ("runs", ["runs"]),
        ("runs --base-model Qwen/Qwen3-8B", ["runs", "--base-model", "Qwen/Qwen3-8B"]),
        ("find --name 'my run'", ["find", "--name", "my run"]),
        ('find --name="my run"', ["find", "--name=my run"]),
        ("runs # all of them", ["runs"]),
        ("find --name a#b", ["find", "--name", "a#b"]),
        ("find --name '#1'", ["find", "--name", "#1"]),
        (r"local start --data-dir C:\data\loops", ["local", "start", "--data-dir", r"C:\data\loops"]),
        (r"find --name my\ run", ["find", "--name", "my run"]),
        ("find --name '$x {y}'", ["find", "--name", "$x {y}"]),
        ("find --name $$x{{y}}", ["find", "--name", "$x{y}"]),
        ("find --name ''", ["find", "--name", ""]),
        ("find --name 5$", ["find", "--name", "5$"]),
    ],
)
def test_split_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


def test_names_and_expressions_are_expanded() -> None:
    name = "my math run"
    assert words("run $x", x="k1") == ["run", "k1"]
    assert words("find --name $name", name=name) == ["find", "--name", name], "a value with spaces stays one word"
    assert words('find --name "{name}!"', name=name) == ["find", "--name", f"{name}!"]
    assert words("run {d['a b'][0]}", d={"a b": ["k2"]}) == ["run", "k2"]
    assert words("run {x + 1}-$x", x=1) == ["run", "2-1"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run $nope", "nope is not defined in this notebook"),
        ("run {nope}", "nope is not defined in this notebook"),
        ("run {1/0}", "ZeroDivisionError"),
        ("run {frame[}", "never closed"),
        ("run 'k1", "single quote"),
        ('run "k1', "double quote"),
        ("run {x", "never closed"),
        ("run $nothing", "is None"),
        ("run $ids", "is a whole list, where one value is needed. Take one of it, for example {ids[0]}"),
        ("run $df", "is a whole DataFrame, where one value is needed. Take one of it, for example {df.id.iloc[0]}"),
        ("run {df.id}", "is a whole Series, where one value is needed. Take one of it, for example {df.id.iloc[0]}"),
    ],
)
def test_failed_expansion_is_reported(line: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        words(line, nothing=None, ids=["k1"], df=pd.DataFrame({"id": ["k1"]}))
    assert says in str(caught.value)


def test_api_object_expands_to_its_id() -> None:
    from loops_nb.api.models import Session

    assert words("create run --session $s", s=Session(id="sess_1")) == ["create", "run", "--session", "sess_1"]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_any_line_splits_or_raises_a_readable_error(line: str) -> None:
    said = ""
    try:
        assert all(isinstance(word, str) for word in words(line))
    except InvalidArgumentError as error:
        said = str(error)
    assert said == said.strip()
    assert len(said.splitlines()) <= 1


@given(
    st.lists(
        st.text(alphabet=st.characters(codec="utf-8", exclude_characters="'"), min_size=1, max_size=12), max_size=5
    )
)
def test_single_quotes_keep_everything_literal(texts: list[str]) -> None:
    assert words(" ".join(f"'{text}'" for text in texts)) == texts


@given(st.text(max_size=60))
def test_last_word_is_the_end_of_the_line(line: str) -> None:
    _, fragment = last_word(line)
    assert line.endswith(fragment)
