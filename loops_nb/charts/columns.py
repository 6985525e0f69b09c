"""Checked access to the columns of a frame, with errors that say what is missing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from loops_nb.errors import InvalidArgumentError
from loops_nb.frames.arrays import times_of
from loops_nb.frames.attributes import KIND_ATTR
from loops_nb.render.formatting import first_and_more

if TYPE_CHECKING:
    from collections.abc import Sequence

_A_LINE = 12
_IN_A_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
LINE_OF = {
    "checkpoints": "df = %loops checkpoints RUN",
    "drift": "df = %loops drift RUN",
    "experiments": "df = %loops experiments",
}


def need(frame: pd.DataFrame, plot: str, kind: str, columns: Sequence[str]) -> None:
    """Check that a frame is of a kind, and has some columns.

    Raises
    ------
    InvalidArgumentError
        If it is not a frame, is of another kind, or lacks a column or has it twice.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InvalidArgumentError(
            f"plot.{plot} draws a DataFrame of {kind}; this is a {type(frame).__name__}.",
            argument="frame",
            hint=f"Start from {LINE_OF[kind]}",
        )
    noted = frame.attrs.get(KIND_ATTR)
    missing = [name for name in columns if name not in frame.columns]
    # A frame with all columns is accepted whatever kind is noted on it.
    if isinstance(noted, str) and noted != kind and missing:
        raise InvalidArgumentError(
            f"plot.{plot} is for {kind}; this is a frame of {noted}.",
            argument="frame",
            hint=f"Start from {LINE_OF[kind]}",
        )
    if missing:
        raise InvalidArgumentError(
            f"plot.{plot} needs the column {missing[0]!r}, which this frame does not have.",
            argument="frame",
            hint=f"Keep it when selecting columns, or start from {LINE_OF[kind]}. It has {_listed(frame)}.",
        )
    twice = [name for name in columns if list(frame.columns).count(name) > 1]
    if twice:
        raise InvalidArgumentError(
            f"plot.{plot} needs one column {twice[0]!r}, and this frame has several.",
            argument="frame",
            hint="df = df.loc[:, ~df.columns.duplicated()]",
        )


def choice(plot: str, argument: str, given: object, choices: Sequence[str]) -> str:
    """Return an argument that must be one of some words.

    Raises
    ------
    InvalidArgumentError
        If it is none of them; the text names them, and the nearest one.
    """
    if isinstance(given, str) and given in choices:
        return given
    close = difflib.get_close_matches(given, choices, n=1) if isinstance(given, str) else []
    meant = f"Did you mean {close[0]!r}? " if close else ""
    raise InvalidArgumentError(
        f"plot.{plot}: {argument} cannot be {given!r}.",
        argument=argument,
        hint=f"{meant}It can be {', '.join(map(repr, choices)) or 'nothing: the frame has no such columns'}.",
    )


def texts(frame: pd.DataFrame, column: str) -> list[str | None]:
    """Return a column as texts, None where something is missing or the frame has no such column."""
    if column not in frame.columns:
        return [None] * len(frame)
    values = frame[column]
    return [None if gone else str(value) for value, gone in zip(values.tolist(), values.isna().tolist(), strict=True)]


def numbers(frame: pd.DataFrame, column: str) -> list[float | None]:
    """Return a column as numbers, None where one is missing, not finite or no number."""
    if column not in frame.columns:
        return [None] * len(frame)
    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype="float64", na_value=float("nan"))
    return [float(value) if abs(value) < float("inf") else None for value in values]


def moments(frame: pd.DataFrame, column: str, plot: str) -> list[float | None]:
    """Return a column of times as seconds since 1970, None where one is missing.

    Raises
    ------
    InvalidArgumentError
        If they are not times with a time zone.
    """
    values: Any = times_of(frame[column])
    if values is None:
        raise InvalidArgumentError(
            f"plot.{plot} needs times with a time zone in {column!r}, which are {frame[column].dtype} here (a file "
            f"keeps texts).",
            argument="frame",
            hint=f'df["{column}"] = pd.to_datetime(df["{column}"], format="ISO8601", utc=True)',
        )
    naive = values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    # Counted by hand: pandas would refuse a whole column for one year that nanoseconds do not reach.
    counts = naive.view("int64") / _IN_A_SECOND[np.datetime_data(naive.dtype)[0]]
    return [None if gone else float(count) for count, gone in zip(counts, values.isna(), strict=True)]


def _listed(frame: pd.DataFrame) -> str:
    names = list(map(str, frame.columns))
    return first_and_more(names, _A_LINE) or "none"
