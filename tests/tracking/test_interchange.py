"""Export and import: valid JSON, byte order marks, empty lines, spreadsheets."""

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
from loops_nb.tracking import interchange
from loops_nb.tracking.interchange import as_json, from_json
from loops_nb.tracking.metrics import Metrics

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
def test_export_keeps_parameters_of_every_type(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["__number__", "__object__", "a"]), inner, max_size=2)
    ),
)


@given(JSON)
def test_export_and_import_keep_every_value(value: Any) -> None:
    text = json.dumps(as_json(value), allow_nan=False)
    assert repr(from_json(json.loads(text))) == repr(value)


def test_import_reads_bare_infinity_of_an_earlier_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_import_ignores_byte_order_marks_and_empty_lines(
    change: Any, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment("edited", params={"lr": 0.1})
    for step in range(3):
        exp.log(step=step, loss=step)
    path = tmp_path / f"edited{ending}"
    Metrics().export(path)
    path.write_bytes(change(path.read_bytes()))
    metrics = brought_over(path, monkeypatch, tmp_path)
    assert metrics.frame()["value"].tolist() == [0, 1, 2]


def test_import_refuses_another_encoding(tmp_path: Path) -> None:
    experiment("é").log(loss=1)
    path = tmp_path / "all.jsonl"
    Metrics().export(path)
    path.write_bytes(path.read_text("utf-8").encode("utf-16"))
    with pytest.raises(TrackingError, match="it is not UTF-8 text: save it as UTF-8"):
        Metrics().import_(path)


def test_csv_export_escapes_formulas_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_numpy_integers_and_flags_are_kept_exactly() -> None:
    params = {
        "seed": np.int64(SEED),
        "unsigned": np.uint64(2**64 - 1),
        "flag": np.bool_(False),  # noqa: FBT003 - the value of a parameter
        "array": np.array([SEED]),
        "lr": np.float32(0.5),
    }
    row = Metrics().store.experiment(experiment("numpy", params=params).id)
    assert repr(row.params) == repr({"seed": SEED, "unsigned": 2**64 - 1, "flag": False, "array": SEED, "lr": 0.5})


@pytest.mark.parametrize("ending", FORMATS)
def test_export_keeps_project_summary_and_environments(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with experiment("all", project="=bot") as exp:
        exp.log(loss=1)
    exp.summary.update(best=math.inf, deep={"nan": math.nan, "seed": SEED}, text="=1+1")
    experiment("all", resume=True).close()
    experiment("plain").close()
    path = tmp_path / f"all{ending}"
    Metrics().export(path, "all")
    row = Metrics().store.experiment(exp.id)
    environments = Metrics().store.environments(exp.id)
    assert len(environments) == 2
    assert environments[0].content["packages"]
    metrics = brought_over(path, monkeypatch, tmp_path)
    assert repr(metrics.store.experiment(exp.id)) == repr(row)
    assert metrics.store.environments(exp.id) == environments


@pytest.mark.parametrize("ending", FORMATS)
def test_export_of_an_earlier_version_is_read(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with experiment("old", params={"lr": 1}, project="not in it") as exp:
        exp.log(loss=1)
    monkeypatch.setattr(interchange, "COLUMNS", interchange._FIRST_COLUMNS)
    path = tmp_path / f"old{ending}"
    rows_of = interchange._rows_parts_of

    def old_rows(*given: Any, **more: Any) -> Any:
        for row in rows_of(*given, **more):
            yield {name: value for name, value in row.items() if name in interchange._FIRST_COLUMNS}

    monkeypatch.setattr(interchange, "_rows_parts_of", old_rows)
    Metrics().export(path)
    monkeypatch.undo()
    metrics = brought_over(path, monkeypatch, tmp_path)
    row = metrics.store.experiment(exp.id)
    assert (row.params, row.project, row.summary) == ({"lr": 1}, None, {})
    assert metrics.store.environments(exp.id) == []


def test_wrong_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(",".join([*interchange._FIRST_COLUMNS, "other"]) + "\n", "utf-8")
    with pytest.raises(TrackingError, match="its columns are others"):
        Metrics().import_(path)
