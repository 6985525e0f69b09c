"""JSON documents of every kind of frame, drawn by hypothesis from the table of columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from loops_nb import frames
from loops_nb.frames.columns import Column, Dtype, Kind

#: A busy machine is no failure.
ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: How each kind is read; a files frame takes pages, and its URLs only on request.
READ: dict[str, Callable[[bytes], pd.DataFrame]] = {
    "runs": frames.runs_frame,
    "samplers": frames.samplers_frame,
    "checkpoints": frames.checkpoints_frame,
    "files": lambda body: frames.files_frame([body], urls=True),
    "deployments": frames.deployments_frame,
    "capabilities": frames.capabilities_frame,
    "logs": frames.logs_frame,
    "sessions": frames.sessions_frame,
    "teams": frames.teams_frame,
    "prices": frames.prices_frame,
    "receipts": frames.receipts_frame,
}
#: Fields that stand in two columns, or are combined, are tested by hand.
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
TIMES = st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def time_text(value: datetime, style: int) -> str:
    """Return a time as services write it: with microseconds, whole seconds, milliseconds, or another offset."""
    return [
        value.isoformat().replace("+00:00", "Z"),
        value.replace(microsecond=0).isoformat().replace("+00:00", "Z"),
        value.isoformat(timespec="milliseconds"),
        value.isoformat().replace("+00:00", "+05:30"),
    ][style]


def value_of(column: Column) -> st.SearchStrategy[Any]:
    """Draw a value that the documentation allows in a column."""
    return {
        Dtype.STRING: TEXTS,
        Dtype.STATE: st.sampled_from([*column.words, "A_NEW_WORD"]),
        Dtype.WORD: st.sampled_from([*column.words, "a new word"]),
        Dtype.TIME: st.builds(time_text, TIMES, st.integers(0, 3)),
        Dtype.NANOS: st.integers(0, 2**62).map(str),
        Dtype.COUNT: st.integers(-(2**30), 2**30),
        Dtype.FLAG: st.booleans(),
        Dtype.NUMBER: st.floats(0, 1e6),
        Dtype.MONEY: st.floats(0, 1e6) | st.sampled_from(["0.25", "free"]),
    }[column.dtype]


@st.composite
def rows_of(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    """Draw one object of a kind: required fields, any of the others, nulls, and unknown fields."""
    row: dict[str, Any] = {}
    for column in kind.columns:
        for source in column.sources:
            path = draw(st.sampled_from(source.split(" | "))) if column.required else source.split(" | ")[0]
            if not column.required and draw(st.booleans()):
                continue
            value = draw(value_of(column) if column.required else st.none() | value_of(column))
            *outer, last = path.split(".")
            inner = row
            for name in outer:
                inner = inner.setdefault(name, {})
            inner.setdefault(last, value)
    for name in draw(st.lists(st.sampled_from(["new_field", "newer_field"]), max_size=2)):
        row[name] = draw(JUNK)
    return row


@st.composite
def answers(draw: st.DrawFn, kind: Kind) -> bytes:
    """Draw an answer of a kind, in any of its envelopes."""
    if not kind.many and not kind.one:
        return json.dumps(draw(rows_of(kind))).encode()
    key = draw(st.sampled_from([*kind.many, *kind.one]))
    found: Any = draw(rows_of(kind)) if key in kind.one else draw(st.lists(rows_of(kind), max_size=5))
    return json.dumps({key: found, "a_new_neighbour": draw(JUNK)}).encode()
