"""Import of event files that a real ``SummaryWriter`` wrote."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from loops_nb.tracking.interchange import import_file
from loops_nb.tracking.metrics import Metrics
from tests.trackers.conftest import Write


def test_runs_keep_names_scalars_steps_times_and_hparams(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard")
    done = metrics.import_(tmp_path / "runs")
    assert len(done.new) == 2
    rows = {row.name: row for row in metrics.find(done.new)}
    assert sorted(rows) == ["lr-0.01", "lr-0.1"]
    row = rows["lr-0.1"]
    assert row.params == {"lr": 0.1, "optimizer": "adam", "bias": True, "rank": 16}
    assert row.created_at == 1_700_000_000_000
    frame = metrics.frame(row.id, keys=["train/loss"])
    assert frame["step"].tolist() == list(range(20))
    assert frame["value"].tolist() == pytest.approx([math.exp(-0.1 * step) for step in range(20)], rel=1e-6)
    assert frame["at"].diff().dt.total_seconds().tolist()[1:] == [1.0] * 19
    assert metrics.frame(row.id, keys=["eval/acc"])["value"].tolist() == pytest.approx([0, 0.25, 0.5, 0.75])
    assert metrics.frame(row.id, keys=["odd"])["value"].tolist() == [math.inf]
    assert {key.key for key in metrics.store.keys(row.id)} == {"train/loss", "eval/acc", "odd", "hparam/acc"}


def test_what_is_left_out_is_counted_and_texts_are_notes(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard")
    done = import_file(metrics.store, tmp_path / "runs")
    text = str(done.left_out)
    for part in ("2 histograms (weights)", "2 images (picture)", "2 precision-recall curves (pr)"):
        assert part in text
    first, last = metrics.find(done.new)[0].notes
    assert first == "samples: hello <b>world</b>"
    assert last.startswith("Left out: 1 histogram (weights), 1 image (picture)")


def test_second_import_adds_nothing_however_it_is_named(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard")
    first = metrics.import_(tmp_path / "runs")
    assert metrics.import_(tmp_path / "runs").known == first.new
    assert len(metrics.import_(tmp_path / "runs" / "lr-0.1").known) == 1
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert metrics.import_(tmp_path).new == []


def test_continued_run_has_a_second_attempt(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard_restarted")
    metrics.import_(tmp_path / "runs")
    frame = metrics.frame()
    assert frame["step"].tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 6, 7]
    assert frame["attempt"].tolist() == [1] * 5 + [2] * 5


def test_file_that_is_still_written_is_read_up_to_its_end(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard_restarted")
    last = max((tmp_path / "runs").iterdir())
    last.write_bytes(last.read_bytes()[:-7])
    metrics.import_(tmp_path / "runs")
    assert metrics.frame()["step"].tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 6]
    assert metrics.experiments()["note"].isna().all()


def test_damaged_file_is_read_up_to_the_damage_and_says_so(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard_restarted")
    first, second = sorted((tmp_path / "runs").iterdir())
    content = bytearray(second.read_bytes())
    content[-30] ^= 0xFF
    second.write_bytes(content)
    metrics.import_(tmp_path / "runs")
    assert metrics.frame()["step"].tolist() == [0, 1, 2, 3, 4, 3, 4, 5, 6]
    (note,) = metrics.experiments()["note"]
    assert note == f"{second.name} is damaged (a record with a wrong checksum); what follows there could not be read."
    assert first.name not in note


def test_folder_of_one_run_has_its_name(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard_restarted", "one-run")
    metrics.import_(tmp_path / "one-run")
    assert metrics.experiments()["name"].tolist() == ["one-run"]


def test_tensors_with_scalars_texts_and_parameters_are_read(write: Write, tmp_path: Path, metrics: Metrics) -> None:
    write("tensorboard_tensors")
    (new,) = metrics.import_(tmp_path / "runs").new
    (row,) = metrics.find(new)
    assert row.params == {"units": 32, "dropout": 0.25, "bias": False, "name": "x", "layers": [8, "wide"]}
    assert row.notes == ("notes: one | two",)
    frame = metrics.frame(new)
    assert frame["value"].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert frame["step"].tolist() == [0, 1, 2, 3, 4]
    assert metrics.experiments()["state"].tolist() == ["finished"]
