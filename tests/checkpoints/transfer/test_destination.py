"""The other end: links, foreign files, folders in the way, disks that are full or cannot be written to."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from loops_nb.errors import DownloadError, DownloadIncompleteError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.responses import only
from tests.checkpoints.transfer.scenario import MANIFEST, OURS, WEIGHTS, DownloadScenario, assert_readable


def refused(scenario: DownloadScenario) -> str:
    """Download, expect a refusal, and return what the person reads."""
    with pytest.raises(DownloadError) as caught:
        scenario.download()
    assert_readable(caught.value)
    scenario.check_outside()
    return " ".join(
        [
            str(caught.value),
            *getattr(caught.value, "failures", {}).values(),
            *getattr(caught.value, "refused", {}).values(),
        ]
    )


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_link_in_the_path_of_the_folder_is_not_followed(scenario: DownloadScenario, depth: int) -> None:
    at = scenario.into.joinpath(*scenario.ref.folder.parts[:depth])
    at.parent.mkdir(parents=True)
    at.symlink_to(scenario.root / "precious")
    assert "link" in refused(scenario)
    at.unlink()
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("where", ["optimizer", "tokenizer"])
def test_link_in_place_of_a_folder_is_not_followed(scenario: DownloadScenario, where: str) -> None:
    scenario.folder.mkdir(parents=True)
    (scenario.folder / where).symlink_to(scenario.root / "precious")
    assert refused(scenario).count(str(scenario.folder / where)) == 2  # in the sentence, and in what was refused
    (scenario.folder / where).unlink()
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("target", ["notes.txt", "nothing-there", "precious"])
def test_link_in_place_of_a_file_is_not_followed(scenario: DownloadScenario, target: str) -> None:
    scenario.folder.mkdir(parents=True)
    (scenario.folder / WEIGHTS).symlink_to(scenario.root / target)
    assert "link" in refused(scenario)
    (scenario.folder / WEIGHTS).unlink()
    scenario.completes_with_a_good_server()


def test_folder_of_all_checkpoints_may_be_a_link(scenario: DownloadScenario, tmp_path: Path) -> None:
    disk = tmp_path / "large-disk"
    disk.mkdir()
    scenario.into.symlink_to(disk)
    scenario.download()
    assert (disk / scenario.ref.folder / WEIGHTS).read_bytes() == scenario.weights.body


def ours_after_an_interruption(scenario: DownloadScenario) -> list[Path]:
    """Return the files of ours that a broken download leaves."""
    scenario.server.fault = only(WEIGHTS, responses.cut_in_the_body)
    scenario.fails(DownloadIncompleteError)
    left = [path for path in scenario.folder.rglob("*") if path.name.startswith(OURS) and path.is_file()]
    assert left
    return left


def test_links_in_place_of_internal_files_are_not_followed(scenario: DownloadScenario) -> None:
    """Another user who can write there puts links where files are written."""
    for path in ours_after_an_interruption(scenario):
        path.unlink()
        path.symlink_to(scenario.root / "notes.txt")
    scenario.server.behave()
    with suppress(DownloadError):
        scenario.download()
    scenario.check_outside()


def test_dangling_links_in_place_of_internal_files_are_not_followed(scenario: DownloadScenario) -> None:
    for path in ours_after_an_interruption(scenario):
        path.unlink()
        path.symlink_to(scenario.root / "made-by-us")
    scenario.server.behave()
    with suppress(DownloadError):
        scenario.download()
    scenario.check_outside()


def test_link_in_place_of_the_manifest_is_not_followed(scenario: DownloadScenario) -> None:
    scenario.folder.mkdir(parents=True)
    (scenario.folder / MANIFEST).symlink_to(scenario.root / "notes.txt")
    with suppress(DownloadError):
        scenario.download()
    scenario.check_outside()


CHANGED: dict[str, Callable[[bytes], bytes]] = {
    "another byte": lambda body: b"x" + body[1:],
    "shorter": lambda body: body[:-1],
    "longer": lambda body: body + b"x",
    "empty": lambda _: b"",
}
SPOILED = {
    "empty": b"",
    "cut": b'{"format": 1, "fi',
    "no JSON": b"\x00\xff" * 50,
    "another shape": b"[1, 2, 3]",
    "deep": b"[" * 100_000,
    "numbers that cannot be": b'{"format": 1e999}',
}


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
def test_download_succeeds_with_corrupt_internal_files(scenario: DownloadScenario, spoiled: bytes) -> None:
    for path in ours_after_an_interruption(scenario):
        path.write_bytes(spoiled)
    scenario.completes_with_a_good_server()


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
def test_download_succeeds_with_a_corrupt_manifest(scenario: DownloadScenario, spoiled: bytes) -> None:
    scenario.completes()
    (scenario.folder / MANIFEST).write_bytes(spoiled)
    scenario.completes_with_a_good_server()


def test_changed_bytes_of_a_partial_file_are_fetched_again(scenario: DownloadScenario) -> None:
    """Half a file is there; something writes into it before the command is given again.  The checksum sees it."""
    for path in ours_after_an_interruption(scenario):
        size = path.stat().st_size
        if size > len(scenario.weights.body) // 4:
            with path.open("r+b") as file:
                file.seek(100)
                file.write(b"\x00" * 50)
    scenario.completes_with_a_good_server()


def test_foreign_file_with_other_content_is_reported_or_replaced(scenario: DownloadScenario) -> None:
    """A file of that name and size exists: it is reported or replaced, and never counts as downloaded."""
    scenario.folder.mkdir(parents=True)
    foreign = bytes(len(scenario.weights.body))
    (scenario.folder / WEIGHTS).write_bytes(foreign)
    try:
        scenario.download()
    except DownloadError as error:
        assert_readable(error)
        assert (scenario.folder / WEIGHTS).read_bytes() == foreign, "it was told, so it must not be touched"
        assert not (scenario.folder / MANIFEST).exists()
    else:
        scenario.check_whole()


def test_foreign_file_with_the_right_content_is_accepted(scenario: DownloadScenario) -> None:
    scenario.folder.mkdir(parents=True)
    (scenario.folder / WEIGHTS).write_bytes(scenario.weights.body)
    if scenario.attempt() is None:
        scenario.check_whole()


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED.keys())
def test_finished_file_changed_later_is_fetched_again(
    scenario: DownloadScenario, changed: Callable[[bytes], bytes]
) -> None:
    scenario.completes()
    (scenario.folder / WEIGHTS).write_bytes(changed(scenario.weights.body))
    scenario.completes_with_a_good_server()
    assert {asked.file.name for asked in scenario.server.asked} == {WEIGHTS}


def test_finished_file_removed_later_is_fetched_again(scenario: DownloadScenario) -> None:
    scenario.completes()
    (scenario.folder / WEIGHTS).unlink()
    scenario.completes_with_a_good_server()
    assert {asked.file.name for asked in scenario.server.asked} == {WEIGHTS}


def test_complete_files_are_not_requested_again(scenario: DownloadScenario) -> None:
    scenario.completes()
    done = scenario.completes_with_a_good_server()
    assert scenario.server.asked == []
    assert done.fetched_bytes == 0


def test_other_files_in_the_folder_are_kept(scenario: DownloadScenario) -> None:
    scenario.folder.mkdir(parents=True)
    (scenario.folder / "README.mine").write_text("mine")
    (scenario.folder / "optimizer").mkdir()
    (scenario.folder / "optimizer" / "mine.bin").write_text("mine too")
    scenario.download()
    assert (scenario.folder / "README.mine").read_text() == "mine"
    assert (scenario.folder / "optimizer" / "mine.bin").read_text() == "mine too"


def test_folder_in_place_of_a_file_is_reported(scenario: DownloadScenario) -> None:
    (scenario.folder / WEIGHTS).mkdir(parents=True)
    assert "folder" in refused(scenario)
    (scenario.folder / WEIGHTS).rmdir()
    scenario.completes_with_a_good_server()


def test_file_in_place_of_a_folder_is_reported(scenario: DownloadScenario) -> None:
    scenario.folder.mkdir(parents=True)
    (scenario.folder / "optimizer").write_text("a file")
    assert refused(scenario)
    assert (scenario.folder / "optimizer").read_text() == "a file"
    (scenario.folder / "optimizer").unlink()
    scenario.completes_with_a_good_server()


def test_file_in_place_of_the_download_folder_is_reported(scenario: DownloadScenario) -> None:
    scenario.into.write_text("a file")
    assert f"{scenario.into} is no folder, and one is needed there; nothing was downloaded." in refused(scenario)
    assert scenario.into.read_text() == "a file"
    scenario.into.unlink()
    scenario.completes_with_a_good_server()


def test_pipe_in_place_of_a_file_is_reported(scenario: DownloadScenario) -> None:
    """There is no reader at its other end."""
    scenario.folder.mkdir(parents=True)
    os.mkfifo(scenario.folder / WEIGHTS)
    assert refused(scenario)
    assert stat.S_ISFIFO((scenario.folder / WEIGHTS).lstat().st_mode)
    (scenario.folder / WEIGHTS).unlink()
    scenario.completes_with_a_good_server()
