"""Reader of TensorBoard's event files: hostile and damaged files, and the rules of names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.errors import LoopsError, TrackingError
from loops_nb.tracking.importers.tensorboard_events import find_event_files, read_event_files
from loops_nb.tracking.metrics import Metrics
from tests.tracking.importers.event_files import field, other, record, scalar, write_run

BEGIN = 1_700_000_000.0


def test_runs_are_called_as_their_folders(tmp_path: Path) -> None:
    for name in ("a", "b/train", "b/validation"):
        # The same content: copies of a run are runs of their own.
        write_run(tmp_path / "logs" / name, scalar("loss", 0.5, 1, BEGIN))
    first = Metrics().import_(tmp_path / "logs")
    assert sorted(Metrics().experiments()["name"]) == ["a", "b/train", "b/validation"]
    assert Metrics().import_(tmp_path / "logs") == ([], first.new)


def test_run_without_any_value_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path)
    with pytest.raises(TrackingError, match=r"have no data yet\. Nothing was changed"):
        Metrics().import_(tmp_path)


def test_run_of_images_alone_is_an_experiment_that_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, other("picture", 4, 1, BEGIN), other("picture", 4, 2, BEGIN))
    Metrics().import_(tmp_path)
    assert Metrics().experiments()["note"].tolist() == ["Left out: 2 images (picture)."]


def test_key_of_the_process_and_signatures_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", "sentinel-of-a-key")
    write_run(tmp_path / "run-sentinel-of-a-key", scalar("loss/sentinel-of-a-key", 0.5, 1, BEGIN))
    Metrics().import_(tmp_path / "run-sentinel-of-a-key")
    assert "sentinel" not in Metrics().experiments().to_csv() + Metrics().frame().to_csv()


@given(data=st.binary(max_size=200), is_framed=st.booleans())
def test_any_bytes_are_read_or_refused_in_words(
    data: bytes, *, is_framed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    path = write_run(folder, scalar("loss", 0.5, 1, BEGIN))
    path.write_bytes(path.read_bytes() + (record(data) if is_framed else data))
    try:
        (run,) = read_event_files(folder, find_event_files(folder))
    except LoopsError:
        pytest.fail("what was before the damage is lost")
    assert run.series["loss"].value[0] == 0.5


def test_values_within_values_without_end_are_no_crash(tmp_path: Path) -> None:
    value = field(3, b"x")
    for _ in range(2_000):
        value = field(6, field(1, value))
    plugin = field(1, b"hparams") + field(2, field(3, field(1, field(1, b"name") + field(2, value))))
    event = field(5, field(1, field(1, b"_hparams_/session_start_info") + field(9, field(1, plugin))))
    write_run(tmp_path, scalar("loss", 0.5, 1, BEGIN), event)
    Metrics().import_(tmp_path)
    assert "is damaged" in Metrics().experiments()["note"].iloc[0]


def test_without_the_package_for_checksums_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, scalar("loss", 0.5, 1, BEGIN))
    monkeypatch.setitem(sys.modules, "anycrc", None)
    with pytest.raises(TrackingError, match=r'Nothing was imported\. %pip install "loops_nb\[checksums\]"'):
        Metrics().import_(tmp_path)
