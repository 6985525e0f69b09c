"""Files of experiments as other programs leave and read them: valid JSON, byte order marks, empty lines, spreadsheets."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb import experiment
from loops_nb.errors import TrackingError
from loops_nb.experiments import Metrics
from loops_nb.experiments.exchange import as_json, from_json

FORMATS = (".jsonl", ".csv", ".parquet")
SEED = 1234567890123456789
PARAMS: dict[str, Any] = {
    "clip": math.inf,
    "floor": -math.inf,
    "deep": {"nan": math.nan, "list": [1.5, math.inf, {"x": -math.inf}]},
    "text": "Infinity",
    "looks": {"__number__": "NaN"},
    "wrapped": {"__object__": {"__number__": "NaN"}},
    "seed": SEED,
    "huge": 2**70 + 1,
    "flag": True,
}
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'quoted", "'=x", "plain", " =x")


def brought_over(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Metrics:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "elsewhere"))
    metrics = Metrics()
    assert len(metrics.import_(path).new) == 1
    return metrics


@pytest.mark.parametrize("ending", FORMATS)
def test_parameters_of_every_kind_survive_an_export(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("all", params=PARAMS)
    exp.log(loss=math.inf)
    path = tmp_path / f"all{ending}"
    Metrics().export(path)
    if ending != ".parquet":

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is not JSON")

        lines = path.read_text("utf-8").splitlines()
        texts = lines if ending == ".jsonl" else [row["params"] for row in csv.DictReader(lines) if row["params"]]
        assert [json.loads(text, parse_constant=refuse) for text in texts]
    (row,) = brought_over(path, monkeypatch, tmp_path).store.experiments()
    assert repr(row.params) == repr(PARAMS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["__number__", "__object__", "a"]), inner, max_size=2),
)


@given(JSON)
def test_every_value_is_read_as_it_was_written(value: Any) -> None:
    text = json.dumps(as_json(value), allow_nan=False)
    assert repr(from_json(json.loads(text))) == repr(value)


def test_a_file_of_an_earlier_version_with_bare_infinity_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment("old", params={"clip": math.inf}).log(loss=1)
    path = tmp_path / "old.jsonl"
    Metrics().export(path)
    path.write_text(path.read_text("utf-8").replace('{"__number__": "Infinity"}', "Infinity"), "utf-8")
    assert "Infinity}" in path.read_text("utf-8")
    (row,) = brought_over(path, monkeypatch, tmp_path).store.experiments()
    assert row.params == {"clip": math.inf}


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
@pytest.mark.parametrize(
    "change",
    [
        lambda body: b"\xef\xbb\xbf" + body,
        lambda body: body + b"\n",
        lambda body: body + b"\r\n \r\n" if body.startswith(b"{") else body + b"\r\n\r\n",
        lambda body: body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
        lambda body: body.rstrip(b"\r\n"),
        lambda body: body if body.startswith(b"{") else body + b"," * 16 + b"\r\n",
    ],
    ids=["byte order mark", "empty line", "empty lines", "CRLF", "no last line end", "separators alone"],
)
def test_what_editors_leave_in_a_file_says_nothing(change: Any, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("edited", params={"lr": 0.1})
    for step in range(3):
        exp.log(step=step, loss=step)
    path = tmp_path / f"edited{ending}"
    Metrics().export(path)
    path.write_bytes(change(path.read_bytes()))
    metrics = brought_over(path, monkeypatch, tmp_path)
    assert metrics.frame()["value"].tolist() == [0, 1, 2]


def test_a_file_in_another_encoding_is_refused_in_words(tmp_path: Path) -> None:
    experiment("é").log(loss=1)
    path = tmp_path / "all.jsonl"
    Metrics().export(path)
    path.write_bytes(path.read_text("utf-8").encode("utf-16"))
    with pytest.raises(TrackingError, match="it is not UTF-8 text: save it as UTF-8"):
        Metrics().import_(path)


def test_no_text_of_a_csv_is_a_formula_and_all_of_it_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = experiment("=cmd|' /C calc'!A0", tags=["=1"])
    for text in FORMULAS:
        exp.log({text: -1.5}, step=-1)
        exp.note(text)
    path = tmp_path / "all.csv"
    Metrics().export(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    numbers = {"step", "value", "tokens", "attempt", "at", "created_at", "last_at", "archived"}
    cells = [cell for row in rows for name, cell in row.items() if name not in numbers]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert {row["value"] for row in rows if row["record"] == "point"} == {"-1.5"}
    metrics = brought_over(path, monkeypatch, tmp_path)
    (row,) = metrics.store.experiments()
    assert (row.name, row.tags, row.notes) == ("=cmd|' /C calc'!A0", ("=1",), FORMULAS)
    assert sorted(key.key for key in metrics.store.keys(row.id)) == sorted(FORMULAS)


def test_whole_numbers_and_flags_of_numpy_are_kept_exactly() -> None:
    params = {
        "seed": np.int64(SEED),
        "unsigned": np.uint64(2**64 - 1),
        "flag": np.bool_(False),  # noqa: FBT003 - the value of a parameter
        "array": np.array([SEED]),
        "lr": np.float32(0.5),
    }
    row = Metrics().store.experiment(experiment("numpy", params=params).id)
    assert repr(row.params) == repr({"seed": SEED, "unsigned": 2**64 - 1, "flag": False, "array": SEED, "lr": 0.5})
