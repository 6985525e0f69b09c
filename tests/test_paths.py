"""``~`` is the home folder in every public function that takes a path, and a path is a string or a path object."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import loops_nb.accessor  # noqa: F401 - registers df.loops
from loops_nb import Loops, experiment, frames
from loops_nb.checkpoints.tensors import open_folder
from loops_nb.config.paths import user_path
from loops_nb.errors import InvalidArgumentError, VerificationError
from loops_nb.tracking import ExperimentStore
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.warn import TrackingWarning


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of this user, while the current folder is another one."""
    made, current = tmp_path / "home-of-user", tmp_path / "current"
    made.mkdir()
    current.mkdir()
    monkeypatch.setenv("HOME", str(made))
    monkeypatch.setenv("USERPROFILE", str(made))
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(current)
    return made


def picture() -> Any:
    row = {
        "id": "c",
        "run_id": "r",
        "checkpoint_id": "step-1",
        "target": "trainer",
        "created_at": "2026-11-21T10:00:00Z",
        "size_bytes": 1,
    }
    plots: Any = frames.checkpoints_frame(json.dumps({"checkpoints": [row]}).encode()).loops.plot
    return plots.timeline()


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_with_tilde_use_the_home_folder(kind: Callable[[str], Any], home: Path) -> None:
    experiment("one").log(loss=1)
    assert Metrics().export(kind("~/numbers.jsonl")) == 2
    assert len(Metrics().import_(kind("~/numbers.jsonl")).known) == 1
    picture().save(kind("~/plot.html"))
    with experiment("two", path=kind("~/own.sqlite")) as exp:
        exp.log(loss=2)
    assert Metrics(kind("~/own.sqlite")).frame()["value"].tolist() == [2]
    assert ExperimentStore(kind("~/own.sqlite")).path == home / "own.sqlite"
    (home / "adapter").mkdir()
    save_file({"w": np.zeros(2, np.float32)}, home / "adapter" / "model.safetensors")
    assert len(open_folder(kind("~/adapter")).infos) == 1
    with (
        Loops("key", "http://127.0.0.1:1") as loops,
        pytest.raises(InvalidArgumentError, match="no checkpoint that was downloaded"),
    ):
        loops.checkpoints.verify(kind("~/adapter"))
    assert {path.name for path in home.iterdir()} >= {"numbers.jsonl", "plot.html", "own.sqlite", "adapter"}
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("path", ["~no-such-user/x.jsonl", "", 5, None, b"x.jsonl", io.StringIO()])
def test_invalid_path_is_refused_first(path: Any, home: Path) -> None:
    experiment("one").log(loss=1)
    calls: list[Callable[[Any], Any]] = [user_path, Metrics().export, Metrics().import_, picture().save, open_folder]
    for call in calls:
        with pytest.raises(InvalidArgumentError, match=r"must be the path of|no such home folder"):
            call(path)
    with Loops("key", "http://127.0.0.1:1") as loops, pytest.raises((InvalidArgumentError, VerificationError)):
        loops.checkpoints.verify(path)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("path", ["postgresql://team:hunter2@h/d", "mysql:/team:hunter2@h/d", "s3://bucket/x"])
def test_address_is_no_path_and_not_shown(path: str, home: Path) -> None:
    experiment("one").log(loss=1)
    calls: list[Callable[[Any], Any]] = [Metrics().export, Metrics().import_, picture().save]
    for call in calls:
        with pytest.raises(InvalidArgumentError, match=r"is an address \(\w+://…\)") as caught:
            call(path)
        assert "hunter2" not in str(caught.value)
    assert list(home.iterdir()) == []


def test_project_file_that_is_refused_is_said_where_experiments_are_recorded(home: Path) -> None:
    del home
    table = '[tool.loops_nb]\ntracking = "postgresql://team:hunter2@h/d"\n'
    Path("pyproject.toml").write_text(table, "utf-8")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        experiment("one").log(loss=1)
    texts = [str(one.message) for one in said if issubclass(one.category, TrackingWarning)]
    assert any("experiments.sqlite meanwhile, and not in a team's store" in text for text in texts)
    assert "hunter2" not in "".join(texts)
    Path("pyproject.toml").unlink()
    assert len(Metrics().experiments()) == 1
