"""The other end: links, foreign files, folders in the way, disks that are full or cannot be written to."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from loops_nb.errors import DownloadError, DownloadIncompleteError
from tests.downloads import replies
from tests.downloads.replies import only
from tests.downloads.scene import MANIFEST, OURS, WEIGHTS, Scene, assert_fit_to_read


def refused(lab: Scene) -> str:
    """Download, expect a refusal, and return what the person reads."""
    with pytest.raises(DownloadError) as caught:
        lab.download()
    assert_fit_to_read(caught.value)
    lab.check_outside()
    return " ".join([str(caught.value), *getattr(caught.value, "failures", {}).values(), *getattr(caught.value, "refused", {}).values()])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_link_on_the_way_to_the_folder_is_not_followed(lab: Scene, depth: int) -> None:
    at = lab.into.joinpath(*lab.ref.folder.parts[:depth])
    at.parent.mkdir(parents=True)
    at.symlink_to(lab.root / "precious")
    assert "link" in refused(lab)
    at.unlink()
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("where", ["optimizer", "tokenizer"])
def test_a_link_in_place_of_a_folder_is_not_followed(lab: Scene, where: str) -> None:
    lab.folder.mkdir(parents=True)
    (lab.folder / where).symlink_to(lab.root / "precious")
    assert refused(lab).count(str(lab.folder / where)) == 2  # in the sentence, and in what was refused
    (lab.folder / where).unlink()
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("target", ["notes.txt", "nothing-there", "precious"])
def test_a_link_in_place_of_a_file_is_not_followed(lab: Scene, target: str) -> None:
    lab.folder.mkdir(parents=True)
    (lab.folder / WEIGHTS).symlink_to(lab.root / target)
    assert "link" in refused(lab)
    (lab.folder / WEIGHTS).unlink()
    lab.then_a_good_server_finishes_it()


def test_the_folder_of_all_checkpoints_may_be_a_link(lab: Scene, tmp_path: Path) -> None:
    disk = tmp_path / "large-disk"
    disk.mkdir()
    lab.into.symlink_to(disk)
    lab.download()
    assert (disk / lab.ref.folder / WEIGHTS).read_bytes() == lab.weights.body


def ours_after_an_interruption(lab: Scene) -> list[Path]:
    """Return the files of ours that a broken download leaves."""
    lab.server.fault = only(WEIGHTS, replies.cut_in_the_body)
    lab.fails(DownloadIncompleteError)
    left = [path for path in lab.folder.rglob("*") if path.name.startswith(OURS) and path.is_file()]
    assert left
    return left


def test_links_in_place_of_our_own_files_are_not_followed(lab: Scene) -> None:
    """Somebody who can write there puts links where we are known to write."""
    for path in ours_after_an_interruption(lab):
        path.unlink()
        path.symlink_to(lab.root / "notes.txt")
    lab.server.behave()
    with suppress(DownloadError):
        lab.download()
    lab.check_outside()


def test_links_to_nowhere_in_place_of_our_own_files_are_not_followed(lab: Scene) -> None:
    for path in ours_after_an_interruption(lab):
        path.unlink()
        path.symlink_to(lab.root / "made-by-us")
    lab.server.behave()
    with suppress(DownloadError):
        lab.download()
    lab.check_outside()


def test_a_link_in_place_of_the_manifest_is_not_followed(lab: Scene) -> None:
    lab.folder.mkdir(parents=True)
    (lab.folder / MANIFEST).symlink_to(lab.root / "notes.txt")
    with suppress(DownloadError):
        lab.download()
    lab.check_outside()


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
def test_our_own_files_may_be_spoiled(lab: Scene, spoiled: bytes) -> None:
    for path in ours_after_an_interruption(lab):
        path.write_bytes(spoiled)
    lab.then_a_good_server_finishes_it()


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED.keys())
def test_the_manifest_may_be_spoiled(lab: Scene, spoiled: bytes) -> None:
    lab.finishes()
    (lab.folder / MANIFEST).write_bytes(spoiled)
    lab.then_a_good_server_finishes_it()


def test_bytes_that_changed_under_a_partial_file_do_not_get_into_the_whole(lab: Scene) -> None:
    """Half a file is there; somebody writes into it before the command is given again.  The checksum sees it."""
    for path in ours_after_an_interruption(lab):
        size = path.stat().st_size
        if size > len(lab.weights.body) // 4:
            with path.open("r+b") as file:
                file.seek(100)
                file.write(b"\x00" * 50)
    lab.then_a_good_server_finishes_it()


def test_a_foreign_file_of_another_content_is_not_taken_for_ours(lab: Scene) -> None:
    """Somebody has a file of that name and size there: either it is told, or it becomes the right one; it never counts as downloaded."""
    lab.folder.mkdir(parents=True)
    foreign = bytes(len(lab.weights.body))
    (lab.folder / WEIGHTS).write_bytes(foreign)
    try:
        lab.download()
    except DownloadError as error:
        assert_fit_to_read(error)
        assert (lab.folder / WEIGHTS).read_bytes() == foreign, "it was told, so it must not be touched"
        assert not (lab.folder / MANIFEST).exists()
    else:
        lab.check_whole()


def test_a_foreign_file_of_the_right_content_is_no_trouble(lab: Scene) -> None:
    lab.folder.mkdir(parents=True)
    (lab.folder / WEIGHTS).write_bytes(lab.weights.body)
    if lab.attempt() is None:
        lab.check_whole()


@pytest.mark.parametrize("changed", CHANGED.values(), ids=CHANGED.keys())
def test_a_finished_file_that_was_changed_since_is_fetched_again(lab: Scene, changed: Callable[[bytes], bytes]) -> None:
    lab.finishes()
    (lab.folder / WEIGHTS).write_bytes(changed(lab.weights.body))
    lab.then_a_good_server_finishes_it()
    assert {asked.file.name for asked in lab.server.asked} == {WEIGHTS}


def test_a_finished_file_that_was_removed_since_is_fetched_again(lab: Scene) -> None:
    lab.finishes()
    (lab.folder / WEIGHTS).unlink()
    lab.then_a_good_server_finishes_it()
    assert {asked.file.name for asked in lab.server.asked} == {WEIGHTS}


def test_what_is_whole_is_not_asked_for_again(lab: Scene) -> None:
    lab.finishes()
    done = lab.then_a_good_server_finishes_it()
    assert lab.server.asked == []
    assert done.fetched_bytes == 0


def test_other_files_in_the_folder_are_left_alone(lab: Scene) -> None:
    lab.folder.mkdir(parents=True)
    (lab.folder / "README.mine").write_text("mine")
    (lab.folder / "optimizer").mkdir()
    (lab.folder / "optimizer" / "mine.bin").write_text("mine too")
    lab.download()
    assert (lab.folder / "README.mine").read_text() == "mine"
    assert (lab.folder / "optimizer" / "mine.bin").read_text() == "mine too"


def test_a_folder_in_place_of_a_file_is_told(lab: Scene) -> None:
    (lab.folder / WEIGHTS).mkdir(parents=True)
    assert "folder" in refused(lab)
    (lab.folder / WEIGHTS).rmdir()
    lab.then_a_good_server_finishes_it()


def test_a_file_in_place_of_a_folder_is_told(lab: Scene) -> None:
    lab.folder.mkdir(parents=True)
    (lab.folder / "optimizer").write_text("a file")
    assert refused(lab)
    assert (lab.folder / "optimizer").read_text() == "a file"
    (lab.folder / "optimizer").unlink()
    lab.then_a_good_server_finishes_it()


def test_a_file_in_place_of_the_folder_of_all_is_told(lab: Scene) -> None:
    lab.into.write_text("a file")
    assert f"{lab.into} is no folder, and one is needed there; nothing was downloaded." in refused(lab)
    assert lab.into.read_text() == "a file"
    lab.into.unlink()
    lab.then_a_good_server_finishes_it()


def test_a_pipe_in_place_of_a_file_is_told(lab: Scene) -> None:
    """Nobody waits at its other end."""
    lab.folder.mkdir(parents=True)
    os.mkfifo(lab.folder / WEIGHTS)
    assert refused(lab)
    assert stat.S_ISFIFO((lab.folder / WEIGHTS).lstat().st_mode)
    (lab.folder / WEIGHTS).unlink()
    lab.then_a_good_server_finishes_it()
