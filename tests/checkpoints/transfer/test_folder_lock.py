"""One download at a time in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loops_nb.checkpoints.transfer.filenames import LOCK
from loops_nb.checkpoints.transfer.folder_lock import FolderLock
from loops_nb.errors import DownloadError

HOLD = """
import sys
from pathlib import Path
from loops_nb.checkpoints.transfer.folder_lock import FolderLock
with FolderLock(Path(sys.argv[1])):
    print(flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_by_a_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_lock_held_by_another_process_is_refused_each_time(tmp_path: Path) -> None:
    with held_by_a_process(tmp_path) as process:
        for _ in range(3):
            with pytest.raises(DownloadError, match=rf"is running \(process {process.pid}\)"), FolderLock(tmp_path):
                pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with held_by_a_process(tmp_path) as process:
        process.kill()
        process.wait()
        assert (tmp_path / LOCK).exists()
        with FolderLock(tmp_path):
            assert (tmp_path / LOCK).read_text() == str(os.getpid())


def test_lock_excludes_this_process_too_and_leaves_nothing(tmp_path: Path) -> None:
    with (
        FolderLock(tmp_path),
        pytest.raises(DownloadError, match=rf"is running \(process {os.getpid()}\)"),
        FolderLock(tmp_path),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path):
        pass


def test_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("years of work")
    (tmp_path / LOCK).symlink_to("precious")
    with pytest.raises(OSError, match=LOCK), FolderLock(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "years of work"
