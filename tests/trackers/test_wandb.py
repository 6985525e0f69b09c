"""Import of offline runs that the real W&B wrote, and of histories exported from them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from loops_nb.errors import TrackingError
from loops_nb.tracking.interchange import import_file
from loops_nb.tracking.metrics import Metrics
from tests.trackers.conftest import Write


def test_offline_run_keeps_everything_that_has_a_place(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("wandb_offline")
    done = import_file(metrics.store, tmp_path / "wandb_dir" / "wandb")
    (row,) = metrics.find(done.new)
    assert (row.name, row.project, row.tags, row.summary) == ("base", "proj", ("a", "b"), {"best": 0.5})
    assert row.params == {
        "lr": 1e-4,
        "optimizer": {"name": "adam", "betas": [0.9, 0.99]},
        "group": "g1",
        "job_type": "train",
        "late": 7,
    }
    assert row.notes[:2] == ("my note", "watch: loss is high")
    assert {key.key for key in metrics.store.keys(row.id)} == {
        "loss",
        "grad.norm",
        "epoch",
        "flag",
        "eval/acc",
        "bad",
        "big",
    }
    assert metrics.frame(row.id, keys=["loss"])["value"].tolist() == [1 / (step + 1) for step in range(30)]
    assert metrics.frame(row.id, keys=["big"])["value"].tolist() == [math.inf]
    assert metrics.experiments()["state"].tolist() == ["finished"]
    for part in ("1 histogram (h)", "1 image (i)", "1 table (t)", "1 text (word)"):
        assert part in str(done.left_out)
        assert part in row.notes[-1]


def test_steps_follow_define_metric_and_the_note_says_so(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("wandb_offline")
    metrics.import_(tmp_path / "wandb_dir")
    assert metrics.frame(keys=["eval/acc"])["step"].tolist() == [0, 1, 2]
    assert "Steps of eval/acc are values of epoch (define_metric)." in metrics.experiments()["note"].iloc[0]


def test_run_of_many_blocks_is_read_whole_and_once(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("wandb_long")
    (file,) = (tmp_path / "wandb_dir").glob("wandb/offline-run-*/*.wandb")
    assert file.stat().st_size > 4 * 32 * 1024
    (new,) = metrics.import_(file).new
    assert metrics.frame(keys=["loss"])["value"].tolist() == [step / 7 for step in range(3_000)]
    assert metrics.import_(file.parent) == ([], [new])


def test_resumed_run_is_one_experiment(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("wandb_resumed")
    metrics.import_(tmp_path / "wandb_dir")
    assert metrics.experiments()["name"].tolist() == ["resumed"]
    assert metrics.frame()["step"].tolist() == list(range(10))


def test_run_that_failed_is_crashed(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("wandb_offline", "crashed")
    metrics.import_(tmp_path / "wandb_dir")
    assert metrics.experiments()["state"].tolist() == ["crashed"]


def test_cut_file_is_read_up_to_its_end_and_another_version_is_refused(
    write: Write, tmp_path: Path, metrics: Metrics
) -> None:
    write("wandb_long")
    (file,) = (tmp_path / "wandb_dir").glob("wandb/offline-run-*/*.wandb")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    metrics.import_(file)
    assert 1_000 < len(metrics.frame(keys=["loss"])) < 3_000
    file.write_bytes(content[:6] + b"\x09" + content[7:])
    with pytest.raises(TrackingError, match=r"unknown version 9\)\. Nothing was changed"):
        metrics.import_(file)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_exported_history_is_a_run(write: Write, tmp_path: Path, metrics: Metrics, ending: str) -> None:
    # A server alone exports; the rows are those that it would have, from the values of a real run.
    write("wandb_long")
    metrics.import_(tmp_path / "wandb_dir")
    frame = metrics.frame(keys=["loss"]).head(50)
    history = frame[["step", "value"]].rename(columns={"step": "_step", "value": "loss"})
    history["_timestamp"] = frame["at"].map(lambda at: at.timestamp())
    path = tmp_path / f"history.{ending}"
    if ending == "csv":
        history.to_csv(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in history.to_dict("records")), encoding="utf-8")
    (new,) = metrics.import_(path).new
    found = metrics.frame(new)
    assert found["value"].tolist() == frame["value"].tolist()
    assert found["at"].tolist() == frame["at"].tolist()
    assert metrics.import_(path).known == [new]


def test_csv_of_a_chart_has_a_run_for_each_column(tmp_path: Path, metrics: Metrics) -> None:
    path = tmp_path / "chart.csv"
    path.write_text(
        '"Step","a - b - loss","a - b - loss__MIN","a - b - loss__MAX","c - loss"\n"0","0.5","0.5","0.5",""\n'
        '"1","0.25","0.2","0.3","NaN"\n',
        encoding="utf-8",
    )
    metrics.import_(path)
    assert sorted(metrics.experiments()["name"]) == ["a - b", "c"]
    assert metrics.frame("a - b")["value"].tolist() == [0.5, 0.25]
    assert metrics.frame("c")["step"].tolist() == [1]
