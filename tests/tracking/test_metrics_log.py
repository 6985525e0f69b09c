"""Following of a recipe's metrics.jsonl while it is written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loops_nb.errors import TrackingError
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.metrics_log import MetricsLog
from loops_nb.tracking.request_log import follow, unfollow


def line(step: int, **more: Any) -> str:
    return json.dumps({"step": step, "loss": 10.0 - step, "num_tokens": 100, "time/total": 0.125, **more}) + "\n"


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "sft"
    folder.mkdir()
    (folder / "config.json").write_text('{"learning_rate": 0.01, "api_key": "sentinel"}', encoding="utf-8")
    return folder / "metrics.jsonl"


def steps() -> list[int]:
    frame = Metrics().frame(keys=["loss"])
    return [int(step) for step in frame["step"]]


def test_values_checkpoints_and_parameters_are_recorded_as_they_come(path: Path) -> None:
    log = MetricsLog(path.parent)
    assert log.read() == 0
    append(path, line(0) + line(1) + '{"step": 2, "lo')
    log = MetricsLog(path.parent)
    assert log.read() == 2
    append(path, 'ss": 8.0}\n')
    append(
        path.with_name("checkpoints.jsonl"), '{"name": "000001", "state_path": "bt://loops:abc1234/weights/000001"}\n'
    )
    assert log.read() == 1
    assert log.flush()
    row = Metrics().experiments().iloc[0]
    assert (row["name"], row["params.learning_rate"], row["last_step"]) == ("sft", 0.01, 2)
    assert "sentinel" not in Metrics().experiments().to_csv()
    assert steps() == [0, 1, 2]
    assert Metrics().frame(keys=["loss"])["tokens"].tolist() == [100.0, 200.0, 200.0]
    marks = Metrics().marks()
    assert marks[["step", "text", "target"]].values.tolist() == [[1, "000001", "trainer"]]
    append(path, line(3))
    log.read()
    assert log.flush()
    assert Metrics().experiments()["run_id"].tolist() == ["abc1234"]


def test_restart_in_the_same_file_is_a_second_attempt(path: Path) -> None:
    log = MetricsLog(path)
    append(path, line(0) + line(1) + line(2))
    log.read()
    append(path, line(1) + line(2))
    log.read()
    log.flush()
    assert Metrics().frame(keys=["loss"])["attempt"].tolist() == [1, 1, 1, 2, 2]


def test_log_that_is_read_by_others_and_again_is_recorded_once(path: Path) -> None:
    append(path, line(0) + line(1))
    append(path.with_name("checkpoints.jsonl"), '{"name": "000001"}\n')
    first, second = MetricsLog(path), MetricsLog(path)
    assert first.read() == second.read() == 2
    append(path, line(2))
    second.read()
    first.read()
    assert first.flush()
    append(path, line(1))
    later = MetricsLog(path)
    later.read()
    assert later.flush()
    assert steps() == [0, 1, 2, 1]
    assert Metrics().frame(keys=["loss"])["attempt"].tolist() == [1, 1, 1, 2]
    assert len(Metrics().marks()) == 1
    assert len(Metrics().experiments()) == 1


@pytest.mark.parametrize("how", ["renamed", "rewritten"])
def test_replaced_file_is_another_experiment_and_nothing_is_lost(path: Path, how: str) -> None:
    log = MetricsLog(path)
    append(path, line(0) + line(1))
    log.read()
    append(path, line(2))
    if how == "renamed":
        path.rename(path.with_name("metrics.jsonl.1"))
    else:
        log.read()
        path.unlink()
    path.write_text(line(0, seed=2) + line(1), encoding="utf-8")
    log.read()
    log.read()
    log.flush()
    assert sorted(len(Metrics().frame(row, keys=["loss"])) for row in Metrics().experiments()["id"]) == [2, 3]


@pytest.mark.parametrize("how", ["renamed", "truncated"])
def test_rotated_log_goes_on_in_the_same_experiment(path: Path, how: str) -> None:
    log = MetricsLog(path)
    append(path, line(0) + line(1) + line(1))
    append(path.with_name("checkpoints.jsonl"), '{"name": "000001", "batch": 1}\n')
    log.read()
    if how == "renamed":
        append(path, line(2))
        path.rename(path.with_name("metrics.jsonl.1"))
        path.write_text(line(3), encoding="utf-8")
    else:
        append(path, line(2))
        log.read()
        # In place, as logrotate's copytruncate does.
        path.write_text("", encoding="utf-8")
        append(path, line(3))
    log.read()
    log.read()
    assert log.flush()
    append(path, line(4) + line(2))
    log.read()
    log.flush()
    # Another process, which has not seen the first file.
    append(path, line(3))
    later = MetricsLog(path)
    later.read()
    assert later.flush()
    (row,) = Metrics().experiments()["id"]
    frame = Metrics().frame(row, keys=["loss"])
    assert frame["step"].tolist() == [0, 1, 1, 2, 3, 4, 2, 3]
    assert frame["attempt"].tolist() == [1, 1, 1, 1, 1, 1, 2, 2]
    assert frame["tokens"].tolist() == [100.0 * (number + 1) for number in range(8)]
    assert len(Metrics().marks()) == 1


def test_import_after_following_adds_nothing_and_following_after_import_is_refused(path: Path, tmp_path: Path) -> None:
    append(path, line(0) + line(1))
    log = MetricsLog(path)
    log.read()
    log.flush()
    (known,) = Metrics().import_(path).known
    assert Metrics().experiments()["id"].tolist() == [known]
    other = tmp_path / "other" / "metrics.jsonl"
    other.parent.mkdir()
    append(other, line(0, seed=7))
    (new,) = Metrics().import_(other).new
    with pytest.raises(TrackingError, match=f"was imported as {new}"):
        MetricsLog(other).read()
    assert len(Metrics().frame(new, keys=["loss"])) == 1


def test_follower_records_within_its_interval_until_it_is_stopped(path: Path) -> None:
    follow(MetricsLog(path))
    try:
        append(path, line(0))
        wait_for(lambda: len(Metrics().experiments()) == 1 and steps() == [0])
        append(path, line(1))
        wait_for(lambda: steps() == [0, 1])
    finally:
        assert unfollow(path)
    append(path, line(2))
    time.sleep(1.2)
    assert steps() == [0, 1]


def test_broken_line_is_counted_and_the_rest_is_read(path: Path) -> None:
    append(path, line(0) + "nonsense\n[1]\n" + line(1))
    log = MetricsLog(path)
    assert log.read() == 2
    log.flush()
    assert log.odd_lines == 2
    assert steps() == [0, 1]
