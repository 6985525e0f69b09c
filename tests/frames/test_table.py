"""Every frame keeps to the one table of columns and dtypes, whatever the service sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import loops_nb.accessor  # noqa: F401 - registers df.loops
from loops_nb import frames
from loops_nb.errors import UnreadableAnswerError
from loops_nb.frames.columns import KINDS, Column, Dtype, Kind
from tests.frames.strategies import ANY_MACHINE, READ, answers

PANDAS: dict[Dtype, Callable[[Any], bool]] = {
    Dtype.STRING: lambda dtype: isinstance(dtype, pd.StringDtype),
    Dtype.STATE: lambda dtype: isinstance(dtype, pd.CategoricalDtype) and dtype.ordered is True,
    Dtype.WORD: lambda dtype: isinstance(dtype, pd.CategoricalDtype) and dtype.ordered is False,
    Dtype.TIME: lambda dtype: dtype == pd.DatetimeTZDtype("us", "UTC"),
    Dtype.NANOS: lambda dtype: dtype == pd.DatetimeTZDtype("ns", "UTC"),
    Dtype.COUNT: lambda dtype: dtype == pd.Int64Dtype(),
    Dtype.FLAG: lambda dtype: dtype == pd.BooleanDtype(),
    Dtype.NUMBER: lambda dtype: dtype == "float64",
    Dtype.MONEY: lambda dtype: dtype == "float64",
}
LISTED = [kind for kind in KINDS.values() if kind.many]


def keeps_to_table(frame: pd.DataFrame, kind: Kind) -> None:
    assert list(frame.columns) == [column.name for column in kind.columns]
    for column in kind.columns:
        dtype = frame[column.name].dtype
        assert PANDAS[column.dtype](dtype), f"{kind.name}.{column.name} is {dtype}"
        if column.words:
            # Documented words come first and in order, new ones after them.
            assert tuple(dtype.categories[: len(column.words)]) == column.words  # type: ignore[union-attr]
    assert frame.index.equals(pd.RangeIndex(len(frame)))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@ANY_MACHINE
@given(data=st.data())
def test_any_answer_has_the_tables_columns_and_dtypes(kind: Kind, data: st.DataObject) -> None:
    body = data.draw(answers(kind))
    frame = READ[kind.name](body)
    keeps_to_table(frame, kind)
    assert frame.loops.kind == kind.name


@pytest.mark.parametrize("kind", LISTED, ids=lambda kind: kind.name)
def test_an_empty_listing_has_the_same_columns_and_dtypes(kind: Kind) -> None:
    for key in kind.many:
        frame = READ[kind.name](json.dumps({key: []}).encode())
        keeps_to_table(frame, kind)
        assert frame.empty
        for column in kind.columns:
            if column.words:
                assert tuple(frame[column.name].cat.categories) == column.words


@pytest.mark.parametrize(
    ("kind", "column", "source"),
    [
        pytest.param(kind, column, source, id=f"{kind.name}-{column.name}-{source}")
        for kind in KINDS.values()
        for column in kind.columns
        if column.combine is None
        for path in column.sources
        for source in path.split(" | ")
    ],
)
def test_each_column_is_read_from_each_of_its_sources(kind: Kind, column: Column, source: str) -> None:
    sent: dict[Dtype, Any] = {
        Dtype.TIME: "2026-11-21T10:00:00.25Z",
        Dtype.NANOS: "1700000000000000001",
        Dtype.COUNT: 7,
        Dtype.FLAG: False,
        Dtype.NUMBER: 0.25,
        Dtype.MONEY: "0.25",
    }
    value = sent.get(column.dtype, column.words[-1] if column.words else "a text")
    row: dict[str, Any] = {}
    for other in kind.columns:
        if other.required and other is not column:
            row[other.sources[0].split(" | ")[0]] = sent.get(other.dtype, "required")
    inner = row
    *outer, last = source.split(".")
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = value
    body = {kind.many[0]: [row]} if kind.many else row
    found = READ[kind.name](json.dumps(body).encode())[column.name][0]
    expected = {
        Dtype.TIME: pd.Timestamp("2026-11-21T10:00:00.25Z"),
        Dtype.NANOS: pd.Timestamp(1700000000000000001, tz="UTC"),
        Dtype.MONEY: 0.25,
    }.get(column.dtype, value)
    assert found == expected


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_required_field_must_be_there_and_not_null(kind: Kind) -> None:
    required = [column for column in kind.columns if column.required]
    whole = {column.sources[0].split(" | ")[0]: "1" for column in required}
    for column in required:
        name = column.sources[0].split(" | ")[0]
        for row in ({key: value for key, value in whole.items() if key != name}, {**whole, name: None}):
            body = {kind.many[0]: [whole, row]} if kind.many else row
            with pytest.raises(UnreadableAnswerError, match=rf"{name}\b") as caught:
                READ[kind.name](json.dumps(body).encode())
            assert kind.many == () or "[1]" in str(caught.value)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_wrong_type_in_a_documented_field_names_its_place(kind: Kind) -> None:
    wrong: dict[Dtype, Any] = {Dtype.COUNT: "7", Dtype.FLAG: 1, Dtype.NUMBER: "7", Dtype.MONEY: True}
    whole = {column.sources[0].split(" | ")[0]: "1" for column in kind.columns if column.required}
    tested = 0
    for column in kind.columns:
        if column.lenient:
            continue
        for source in column.sources:
            row: dict[str, Any] = json.loads(json.dumps(whole))
            inner = row
            *outer, last = source.split(" | ")[0].split(".")
            for name in outer:
                inner = inner.setdefault(name, {})
            inner[last] = wrong.get(column.dtype, 7)
            if column.combine is not None and column.dtype is Dtype.COUNT:
                inner[last] = "7"
            body = {kind.many[0]: [whole, row]} if kind.many else row
            with pytest.raises(UnreadableAnswerError) as caught:
                READ[kind.name](json.dumps(body).encode())
            place = f"$.{kind.many[0]}[1].{'.'.join([*outer, last])}" if kind.many else f"$.{'.'.join([*outer, last])}"
            assert place in str(caught.value)
            tested += 1
    assert tested


@pytest.mark.parametrize("name", [kind.name for kind in KINDS.values()])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "nothing where JSON"),
        (b"  ", "nothing where JSON"),
        (b"<!DOCTYPE html><p>Sign in", "web page"),
        (b'{"checkpoints":[{"id":"a"', "not complete JSON"),
        (b"[]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b'{"message":"something else"}', "field"),
        (b'{"id":{"' * 100_000, "JSON|Expected"),
    ],
    ids=["empty", "blank", "html", "cut", "list", "null", "other object", "deep"],
)
def test_what_is_no_answer_is_one_clear_error(name: str, body: bytes, says: str) -> None:
    with pytest.raises(UnreadableAnswerError, match=says):
        READ[name](body)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_text_that_is_not_utf_8_is_an_error_and_not_other_text(kind: Kind) -> None:
    texts = [column for column in kind.columns if column.required] or kind.columns[:1]
    found: dict[str, Any] = {}
    for column in texts:
        *outer, last = column.sources[0].split(" | ")[0].split(".")
        inner = found
        for name in outer:
            inner = inner.setdefault(name, {})
        inner[last] = "1"
    row = json.dumps(found)
    body = f'{{"{kind.many[0]}":[{row}]}}' if kind.many else row
    with pytest.raises(UnreadableAnswerError, match="not complete JSON"):
        READ[kind.name](body.encode().replace(b'"1"', b'"\xff"', 1))


def test_the_table_is_sound() -> None:
    for kind in KINDS.values():
        names = [column.name for column in kind.columns]
        assert len(set(names)) == len(names)
        for column in kind.columns:
            assert column.meaning.endswith(".")
            assert bool(column.words) == (column.dtype in {Dtype.STATE, Dtype.WORD})
            for source in column.sources:
                # They are compiled.
                assert all(part.isidentifier() for path in source.split(" | ") for part in path.split("."))


def test_every_docstring_names_the_columns() -> None:
    for kind in KINDS.values():
        text = getattr(frames, f"{kind.name}_frame").__doc__
        for column in kind.columns:
            assert column.name in text, f"{kind.name}_frame does not mention {column.name}"


def test_every_kind_has_a_reader_and_every_reader_a_kind() -> None:
    public = {name.removesuffix("_frame") for name in frames.__all__ if name.endswith("_frame")}
    assert public == set(KINDS) == set(READ)


def test_string_columns_miss_values_as_pandas_does() -> None:
    frame = frames.samplers_frame(b'{"samplers":[{"id":"a","base_model":null},{"id":"b","base_model":"m"}]}')
    assert frame["base_model"].isna().tolist() == [True, False]
    assert frame["model_id"].isna().all()
    assert frame["base_model"].dtype == frame["model_id"].dtype
    assert frame["model_id"].array is not frame["deployment_id"].array
    frame.loc[0, "model_id"] = "mine"
    assert frame["model_id"].tolist()[0] == "mine"
    assert frame["deployment_id"].isna().all()
    assert not np.shares_memory(frame["model_id"].to_numpy(), frame["deployment_id"].to_numpy())
