"""Import of databases that the real Trackio wrote."""

from __future__ import annotations

import math
from pathlib import Path

from loops_nb.tracking.interchange import import_file
from loops_nb.tracking.metrics import Metrics
from tests.trackers.conftest import Write


def test_runs_keep_names_parameters_metrics_and_alerts(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("trackio_runs", "3")
    folder = tmp_path / "trackio_dir"
    done = import_file(metrics.store, folder)
    rows = metrics.find(done.new)
    # Two runs of one name stay two.
    assert sorted(row.name for row in rows) == ["first", "same", "same"]
    row = next(row for row in rows if row.name == "first")
    assert (row.project, row.params) == ("proj", {"group": "g", "lr": 0.0, "optimizer": {"beta": 0.9}})
    assert row.notes[0] == "watch: loss is high"
    assert metrics.frame(row.id, keys=["loss"])["value"].tolist() == [1 / (step + 1) for step in range(10)]
    assert metrics.frame(row.id, keys=["grad.norm"])["step"].tolist() == list(range(10))
    assert metrics.frame(row.id, keys=["big"])["value"].tolist() == [math.inf]
    assert "3 images (picture)" in str(done.left_out)
    assert "3 texts (word)" in str(done.left_out)
    assert metrics.import_(folder / "proj.db") == ([], done.new)
