"""Display of listings with user columns of any content."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loops_nb import frames
from tests.magics.conftest import Notebook
from tests.magics.test_display import runs_body


class Raises:
    """An object of the user whose texts raise."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")

    def __ne__(self, other: object) -> bool:
        raise TypeError("not comparable")

    __hash__ = object.__hash__


class Html:
    """An object that would draw itself."""

    def __repr__(self) -> str:
        return "<img src=x onerror=alert(1)>"

    def _repr_html_(self) -> str:
        return "<script>alert(1)</script>"


ENDLESS: list[Any] = [1]
ENDLESS.append(ENDLESS)
NESTED: dict[str, Any] = {"a": 1}
NESTED["self"] = NESTED

OWN = [
    ("curve", [np.linspace(0, 1, 5)] * 2, "0.25"),
    ("curve", [np.arange(10_000)] * 2, "9999"),
    ("flags", [np.array([True, False])] * 2, "True"),
    ("tags", [["a", "b"], []], "[a, b]"),
    ("tags", [{"a"}, None], "{'a'}"),
    ("params", [{"lr": 0.1}, pd.NA], "{'lr': 0.1}"),
    ("pair", [(1, 2), (3, 4)], "(1, 2)"),
    ("endless", [ENDLESS, NESTED], "1"),
    ("used_bytes", ["a few", None], "a few"),
    ("used_bytes", [1_500_000, "2 GB"], "1.5 MB"),
    ("used_bytes", [0.5, float("inf")], "inf"),
    ("used_bytes", [True, np.array([1])], "yes"),
    ("used_bytes", pd.array([1_500_000, None], dtype="Int64"), "1.5 MB"),
    ("nbytes", [10**400, 5], "5 bytes"),
    ("url", ["https://wandb.example/run/1?workspace=me", None], "https://wandb.example/run/1?workspace=me"),
    ("seed", [2**64 - 1, 10**30], "18446744073709551615"),
    ("count", [1234567.0, 2.5], "1234567"),
    ("huge", [10**5000, 1], "(int, cannot be shown: ValueError)"),
    ("price", [Decimal("1.10"), Decimal("sNaN")], "1.10"),
    ("odd", [Raises(), 7], "(Raises, cannot be shown: RuntimeError)"),
    ("html", [Html(), "<b>bold</b>"], "onerror"),
    ("times", [pd.Timestamp("2026-01-02", tz="UTC"), pd.NaT], "2026-01-02"),
    ("times", pd.array([pd.Timestamp("2026-01-02"), pd.NaT]), "2026-01-02"),
    ("times", np.array(["20000-01-02", "NaT"], dtype="datetime64[s]"), "20000-01-02"),
    ("span", pd.array([pd.Timedelta(milliseconds=300), pd.NaT]), "300 ms"),
    ("span", pd.array([pd.Timedelta(seconds=-10), pd.NaT]), "-00:00:10"),
    ("ns", [np.datetime64("2026-01-02T03:04:05", "ns"), np.datetime64("NaT", "ns")], "2026-01-02T03:04:05"),
    ("period", pd.array([pd.Period("2026-01", "M"), pd.NaT]), "2026-01"),
    ("interval", pd.arrays.IntervalArray.from_tuples([(0, 1), (1, 2)]), "(0, 1]"),
    ("sparse", pd.arrays.SparseArray([0, 1]), "1"),
    ("word", pd.Categorical(["x", None]), "x"),
    ("logic", pd.array([True, None], dtype="boolean"), "yes"),
    ("logic", [np.bool_(1), np.float32(0.5)], "yes"),
    ("wave", [1 + 2j, complex("nan")], "(1+2j)"),
    (("a", 1), ["x", "y"], "x"),
    (3, ["three", "y"], "three"),
    (pd.Interval(0, 1), ["half", "y"], "half"),
]


@pytest.mark.parametrize(("name", "values", "seen"), OWN)
def test_user_column_is_displayed(
    notebook: Notebook, caplog: pytest.LogCaptureFixture, name: Any, values: Any, seen: str
) -> None:
    frame = frames.runs_frame(runs_body(2))
    frame[name] = pd.Series(values, dtype=getattr(values, "dtype", object), index=frame.index)
    with caplog.at_level(logging.WARNING):
        html, plain = notebook.html(frame), notebook.plain(frame)
    assert not caplog.records, "our own display was used"
    assert "math-1" in html
    assert "k1" in plain
    assert seen.replace("'", "&#x27;") in html
    assert seen in plain
    assert "<img" not in html
    assert "<script" not in html


def test_arrow_columns_are_displayed(notebook: Notebook) -> None:
    pytest.importorskip("pyarrow")
    frame = frames.runs_frame(runs_body(2)).convert_dtypes(dtype_backend="pyarrow")
    assert "2026-07-01" in notebook.plain(frame)
    assert "math-1" in notebook.html(frame)


@pytest.mark.parametrize(
    "made",
    [
        lambda frame: frame.head(1),
        lambda frame: frame.set_index("id"),
        lambda frame: frame.set_index(["id", "curve"]),
        lambda frame: frame.groupby("status", observed=True).first(),
        lambda frame: frame.groupby("status", observed=True)["curve"].agg(list),
        lambda frame: frame["curve"],
        lambda frame: frame.T,
        lambda frame: pd.concat([frame, frame], axis=1),
        lambda frame: pd.concat({"a": frame, "b": frame}, axis=1),
        lambda frame: pd.concat({"a": frame, "b": frame}),
        lambda frame: frame.iloc[:0],
    ],
)
def test_pandas_results_with_user_columns_are_displayed(notebook: Notebook, made: Any) -> None:
    frame = frames.runs_frame(runs_body(2))
    frame["curve"] = pd.Series([(1, 2), (3, 4)], index=frame.index)
    shown = made(frame)
    assert notebook.plain(shown)
    notebook.shell.user_ns["shown"] = shown
    assert notebook.run("print(shown)").out


def test_presigned_urls_are_hidden_in_user_columns(notebook: Notebook) -> None:
    secret = "https://bucket.example/file?X-Amz-Credential=AKIA&X-Amz-Signature=5ec4e7"
    frame = frames.runs_frame(runs_body(2))
    own: list[Any] = [secret, {"link": secret}]
    inside: Any = [[secret], np.array([secret])]
    frame["link"], frame["links"] = own, inside
    for text in (notebook.html(frame), notebook.plain(frame)):
        assert "5ec4e7" not in text
        assert "presigned URL, not shown" in text


def test_display_falls_back_to_pandas_on_errors(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_args: Any, **_named: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("loops_nb.magics.listing_table.listing_table", fails)
    frame = frames.runs_frame(runs_body(2))
    files = frames.files_frame(
        [
            b'{"presigned_urls":[{"url":"https://b.example/f?signature=5ec4e7","relative_file_name":"f","size_bytes":1}]}'
        ],
        urls=True,
    )
    with caplog.at_level(logging.ERROR):
        assert "math-1" in notebook.html(frame)
        assert "k1" in notebook.plain(frame)
        assert "5ec4e7" not in notebook.html(files) + notebook.plain(files)
    assert "a fault of ours" in caplog.text
    assert caplog.records[0].name == "loops_nb.magics.display"
