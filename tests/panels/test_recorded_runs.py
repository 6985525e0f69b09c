"""What this machine has recorded of runs, in the panel of all runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import loops_nb
from loops_nb.panels.columns import COLUMNS, cell
from loops_nb.panels.fleet import FleetView
from loops_nb.panels.recorded_runs import RunRecords
from tests.panels.manual_poller import ManualPoller
from tests.panels.test_controller import panel
from tests.panels.workspace import run, sampler, workspace


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LOOPS_NB_HOME", str(folder))
    return folder


def test_a_run_has_the_last_loss_the_last_step_and_a_sparkline_of_its_newest_experiment(home: Path) -> None:
    recorded = RunRecords()
    assert recorded.read() == {}
    assert not home.exists(), "looking makes no file"
    with loops_nb.experiment("old", run="r_live") as old:
        old.log(step=900, loss=9.0)
    exp = loops_nb.experiment("new", run="r_live")
    for step in range(4):
        exp.log({"loss": 3.0 - step, "accuracy": 0.1}, step=step, tokens_seen=500 * step if step else None)
    exp.flush()
    assert recorded.has_news()
    first = recorded.read()
    assert first["r_live"] == (0.0, 3, "zfK0", 1500)
    assert not recorded.has_news()
    assert recorded.read() is first
    exp.log(step=4, loss=math.nan)
    exp.flush()
    assert recorded.has_news()
    assert recorded.read()["r_live"] == ("NaN", 4, "zfK0", 1500)
    exp.close()
    recorded.close()


def test_the_row_of_a_run_follows_what_is_recorded_between_two_polls() -> None:
    recorded = RunRecords()
    controller, hand, page = panel(FleetView(recorded=recorded.read))
    controller.has_local_news = recorded.has_news
    assert isinstance(hand, ManualPoller)
    hand.answer(workspace())
    hand.turn(1)
    assert cell(controller.state.content.tables["runs"]["r_live"], "runs", "last_value") is None
    with loops_nb.experiment("now", run="r_live") as exp:
        exp.log(step=7, loss=0.5)
    hand.turn(6)
    row = controller.state.content.tables["runs"]["r_live"]
    assert [cell(row, "runs", name) for name in ("last_value", "last_step")] == [0.5, 7]
    assert cell(controller.state.content.tables["runs"]["r_idle"], "runs", "spark") is None
    assert page is not None
    recorded.close()


def test_a_serverless_run_shows_its_tokens_in_place_of_gpus() -> None:
    recorded = RunRecords()
    controller, hand, _ = panel(FleetView(recorded=recorded.read))
    assert isinstance(hand, ManualPoller)
    listings = workspace()
    shared: dict[str, Any] = {"model_id": None, "deployment_id": None, "instance_type": None}
    alone = sampler("samp_shared", **shared)
    listings["runs"] += [
        run("r_shared", deployment_id=None, sampler=sampler("samp_r_shared", **shared)),
        run("r_silent", deployment_id=None, sampler=None),
    ]
    listings["samplers"].append(alone)
    with loops_nb.experiment("now", run="r_shared") as exp:
        exp.log({"loss": 0.5}, step=7, tokens_seen=12_345)
    hand.answer(listings)
    hand.turn(1)
    content = controller.state.content
    columns = ("deployment_status", "gpus", "gpu_type")
    rows = content.tables["runs"]
    assert [cell(rows["r_shared"], "runs", name) for name in columns] == ["SERVERLESS", "12,345 tokens", "serverless"]
    assert [cell(rows["r_silent"], "runs", name) for name in columns] == ["SERVERLESS", 0, "serverless"]
    assert [cell(rows["r_live"], "runs", name) for name in columns] == ["RUNNING", 9, "H100 + L4"]
    # The first documents' shape names no deployment: that says nothing.
    assert cell(rows["r_old"], "runs", "deployment_status") is None
    assert [cell(content.tables["samplers"]["samp_shared"], "samplers", name) for name in columns[1:]] == [
        0,
        "serverless",
    ]
    assert {fact.label: fact.value for fact in content.facts}["serverless, billed by tokens"] == "4"
    recorded.close()


def test_a_file_that_cannot_be_read_leaves_the_columns_empty(home: Path) -> None:
    home.mkdir()
    (home / "experiments.sqlite").write_bytes(b"this is no database, and never was one" * 100)
    recorded = RunRecords()
    assert not recorded.has_news()
    assert recorded.read() == {}
    recorded.close()


def test_the_columns_of_what_is_recorded_stand_beside_the_states() -> None:
    names = [column.name for column in COLUMNS["runs"]]
    assert names[names.index("sampler_status") + 1 :][:3] == ["spark", "last_value", "last_step"]
