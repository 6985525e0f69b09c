"""What is logged goes to the real MLflow or Trackio as well, and a sink that fails disturbs nothing."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pytest

import loops_nb
from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.metrics import Metrics
from tests.trackers.conftest import Write


def test_points_parameters_notes_and_ends_are_in_mlflow(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    database = tmp_path / "mlflow.db"
    write("sink_to_mlflow", f"sqlite:///{database}")
    assert len(metrics.frame("base", keys=["train/loss"])) == 50
    done = metrics.import_(database)
    rows = {row.name: row for row in metrics.find(done.new)}
    assert sorted(rows) == ["base", "open"]
    base = rows["base"]
    assert (base.project, base.params, base.notes[0]) == ("proj", {"lr": 1e-3, "warmup": 100}, "a note")
    # MLflow keeps the first value of a parameter; later ones and texts of the summary are tags.
    assert {"t", "params.lr=0.002", "summary.verdict=good"} <= set(base.tags)
    assert metrics.frame(base.id, keys=["summary.accuracy"])[["step", "value"]].to_numpy().tolist() == [[49, 0.93]]
    assert metrics.frame(base.id, keys=["train/loss"])["value"].tolist() == [1 / (step + 1) for step in range(50)]
    assert len(metrics.frame(base.id, keys=["odd_key"])) == 50
    states = metrics.experiments().set_index("id")["state"]
    assert [states[row.id] for row in rows.values()] == ["finished", "finished"]


def test_points_parameters_notes_and_summary_are_in_trackio(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("sink_to_trackio")
    done = metrics.import_(tmp_path / "trackio_dir")
    rows = {row.name: row for row in metrics.find(done.new)}
    assert sorted(rows) == ["base", "open", "own"]
    base = rows["base"]
    assert base.project == "proj"
    own_id = base.params.pop("loops_nb.experiment")
    params = {"lr": 2e-3, "param_x": 1, "warmup": 100, "opt.beta": 0.9}
    assert base.params == params | {"tags": "t", "note": "a note", "summary.accuracy": 0.93}
    frame = metrics.frame(base.id, keys=["train/loss"])
    assert frame["value"].tolist() == metrics.frame(own_id, keys=["train/loss"])["value"].tolist()
    assert metrics.frame(base.id, keys=["time_"])["value"].tolist() == [7.0] * 50
    assert metrics.frame(rows["own"].id, keys=["loss"])["value"].tolist() == [1.0]


def test_failing_sink_is_said_once_and_everything_is_recorded(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with loops_nb.experiment("x", sink="mlflow") as exp:
            until = time.monotonic() + 60
            step = 0
            while not said and time.monotonic() < until:
                exp.log(loss=1.0)
                step += 1
                time.sleep(0.05)
            exp.log(loss=1.0)
    assert len(said) == 1
    assert str(said[0].message).startswith("mlflow gets nothing more of 'x' (")
    assert len(metrics.frame("x")) == step + 1


def test_unknown_sink_is_refused_before_anything_begins(metrics: Metrics) -> None:
    with pytest.raises(InvalidArgumentError, match="sink must be 'mlflow' or 'trackio', not 'wandb'"):
        loops_nb.experiment("x", sink="wandb")
    assert len(metrics.experiments()) == 0
