"""Import of what training recipes write: metrics.jsonl, config.json and checkpoints.jsonl."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.recipe_log import find_metrics, read_recipe_log

LINES: list[dict[str, Any]] = [
    {"step": float(step), "epoch": 0, "num_tokens": 100, "train_mean_nll": 6.0 - step, "time/total": 2.0}
    for step in range(1, 5)
]
CONFIG = {"learning_rate": 0.005, "lora_rank": 8, "dataset": {"batch_size": 16}, "api_key": "sentinel-of-a-key"}
CHECKPOINTS = [
    {
        "name": name,
        "batch": 0,
        "state_path": f"bt://loops:abc1234/weights/{name}",
        "sampler_path": f"bt://loops:abc1234/sampler_weights/{name}",
    }
    for name in ("000002", "final")
]


def as_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "sft-baseline"
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(as_lines(LINES), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "checkpoints.jsonl").write_text(as_lines(CHECKPOINTS), encoding="utf-8")
    return folder


@pytest.mark.parametrize("what", ["folder", "file"])
def test_metrics_parameters_and_checkpoints_become_an_experiment(recipe: Path, what: str) -> None:
    metrics = Metrics()
    done = metrics.import_(recipe if what == "folder" else recipe / "metrics.jsonl")
    assert len(done.new) == 1
    row = metrics.experiments().iloc[0]
    assert (row["name"], row["run_id"], row["last_step"], row["params.learning_rate"]) == (
        "sft-baseline",
        "abc1234",
        4,
        0.005,
    )
    assert row["params.dataset.batch_size"] == 16
    assert "sentinel" not in metrics.experiments().to_csv()
    frame = metrics.frame(keys=["train_mean_nll"])
    assert frame["value"].tolist() == [5.0, 4.0, 3.0, 2.0]
    assert frame["tokens"].tolist() == [100.0, 200.0, 300.0, 400.0]
    assert frame["at"].diff().dt.total_seconds().tolist()[1:] == pytest.approx([2.0] * 3, abs=0.002)
    marks = metrics.marks()
    assert marks["step"].tolist() == [2, 2, 4, 4]
    assert set(marks["target"]) == {"trainer", "sampler"}
    assert metrics.best("train_mean_nll").iloc[0]["uri"] == "bt://loops:abc1234/weights/final"


def test_second_import_adds_nothing(recipe: Path) -> None:
    first = Metrics().import_(recipe)
    assert Metrics().import_(recipe / "metrics.jsonl") == ([], first.new)
    assert len(Metrics().experiments()) == 1


def test_resumed_recipe_has_a_second_attempt_and_a_last_line_that_is_being_written_waits(recipe: Path) -> None:
    resumed = as_lines([*LINES, {**LINES[2], "train_mean_nll": math.nan}])
    (recipe / "metrics.jsonl").write_text(resumed + '{"step": 4, "train_me', encoding="utf-8")
    Metrics().import_(recipe)
    frame = Metrics().frame(keys=["train_mean_nll"])
    assert frame["step"].tolist() == [1, 2, 3, 4, 3]
    assert frame["attempt"].tolist() == [1, 1, 1, 1, 2]
    assert math.isnan(frame["value"].iloc[-1])


def test_what_is_left_out_is_the_note(recipe: Path) -> None:
    (recipe / "metrics.jsonl").write_text(as_lines([{**LINES[0], "text": "<b>", "flag": True}]), encoding="utf-8")
    (recipe / "checkpoints.jsonl").write_text(as_lines([{"name": "a", "state_path": "gs://x"}]), encoding="utf-8")
    Metrics().import_(recipe)
    (note,) = Metrics().experiments()["note"]
    assert "Values that are no numbers were left out: text, flag." in note
    assert "1 of the checkpoints" in note


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"loss": 1}\n[1]\n{"loss": 1}\n', "line 2 is not an object"),
        ('{"loss": 1}\nnot json\n', "line 2 is not an object"),
    ],
)
def test_broken_line_is_refused_whole(recipe: Path, text: str, says: str) -> None:
    (recipe / "metrics.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(TrackingError, match=says):
        Metrics().import_(recipe)
    assert len(Metrics().experiments()) == 0


def test_folder_without_metrics_and_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"has no metrics\.jsonl"):
        Metrics().import_(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(TrackingError, match="no line of metrics"):
        Metrics().import_(tmp_path)


def test_own_export_is_no_recipe(recipe: Path, tmp_path: Path) -> None:
    first = Metrics().import_(recipe)
    Metrics().export(tmp_path / "out.jsonl")
    assert find_metrics(tmp_path / "out.jsonl") is None
    assert Metrics().import_(tmp_path / "out.jsonl").known == first.new


_CELLS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["", "1", [1], {}]))


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["step", "loss", "num_tokens", "time/total"]), _CELLS), min_size=1)
)
@example(rows=[{"time/total": 1.7e308}, {"time/total": 1.7e308}])
def test_every_number_is_kept(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("recipe") / "metrics.jsonl"
    path.write_text(as_lines(rows), encoding="utf-8")
    found = read_recipe_log(path)
    expected = [row["loss"] for row in rows if type(row.get("loss")) in {int, float}]
    kept = found.series["loss"].value if "loss" in found.series else []
    assert kept == pytest.approx([float(value) for value in expected], nan_ok=True)
    assert all(type(step) is int for points in found.series.values() for step in points.step)
    assert all(point <= found.row.last_at for points in found.series.values() for point in points.at)
