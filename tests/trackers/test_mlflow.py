"""Import of folders and databases that the real MLflow wrote."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from loops_nb.errors import TrackingError
from loops_nb.tracking.interchange import import_file
from loops_nb.tracking.metrics import Metrics
from tests.trackers.conftest import Write


@pytest.mark.parametrize("kind", ["folder", "database"])
def test_runs_keep_names_parameters_tags_metrics_and_ends(
    write: Write, tmp_path: Path, metrics: Metrics, kind: str
) -> None:
    place = tmp_path / ("mlruns" if kind == "folder" else "mlflow.db")
    write("mlflow_runs", f"file://{place}" if kind == "folder" else f"sqlite:///{place}")
    done = import_file(metrics.store, place)
    rows = {row.name: row for row in metrics.find(done.new)}
    assert sorted(rows) == ["base", "child", "failed"]
    assert "1 deleted run" in str(done.left_out)
    base = rows["base"]
    assert base.project is not None
    assert base.project.startswith('"Quoted": experiment é with a long name with a long name')
    assert base.params == {"lr": 0.001, "optimizer": "adam", "shuffle": True, "n": 16, "seed": "007"}
    assert set(base.tags) == {"team=nlp", "flag"}
    assert base.notes[0] == "what it is"
    assert metrics.frame(base.id, keys=["train/loss"])["value"].tolist() == [1 / (step + 1) for step in range(10)]
    odd = metrics.frame(base.id, keys=["bad", "big"]).set_index("key")["value"]
    assert math.isnan(odd["bad"])
    assert odd["big"] == -math.inf
    states = metrics.experiments().set_index("name")["state"]
    assert states.to_dict() == {"base": "finished", "failed": "crashed", "child": "finished"}
    assert len(rows["child"].params["parent_run"]) == 32
    assert metrics.import_(place) == ([], done.new)


def test_folder_around_a_store_and_one_run_are_found(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("mlflow_runs", f"file://{tmp_path / 'mlruns'}")
    (run,) = (file.parent.parent for file in (tmp_path / "mlruns").glob("*/*/params/lr"))
    assert [row.name for row in metrics.find(metrics.import_(run).new)] == ["base"]
    assert len(metrics.import_(tmp_path).new) == 2


def test_missing_yaml_says_what_to_install(
    write: Write, tmp_path: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("mlflow_runs", f"file://{tmp_path / 'mlruns'}")

    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("loops_nb.tracking.importers.mlflow_store.importlib.import_module", fail)
    with pytest.raises(TrackingError, match=r"needs PyYAML, which is not installed\. Nothing was changed") as raised:
        metrics.import_(tmp_path / "mlruns")
    assert raised.value.hint == "pip install pyyaml"
