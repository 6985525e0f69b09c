"""Files on disk: private, whole or not there, one owner at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

#: Folder in the data folder: one folder a checkpoint.
CHECKPOINTS = "checkpoints"


class AdapterFile(NamedTuple):
    """A file of a checkpoint: its name in the checkpoint's folder, the node that wrote it, and its bytes."""

    name: str
    node_rank: int
    data: bytes


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can read, and those of its parents that are not there."""
    if not path.parent.exists():
        # Python makes missing parents readable by everybody.
        private_folder(path.parent)
    path.mkdir(exist_ok=True, mode=0o700)


def write_private(path: Path, data: bytes) -> None:
    """Put a file in place: readable by its owner only, and never seen half written."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderLock:
    """A lock that the operating system takes back when the process ends, however it ends.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        try:
            if sys.platform == "win32":
                import msvcrt  # noqa: PLC0415 - only there

                try:
                    msvcrt.locking(self._file.fileno(), msvcrt.LK_NBLCK, 1)
                except OSError:
                    raise BlockingIOError from None
            else:
                import fcntl  # noqa: PLC0415 - not on Windows

                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            self._file.close()
            raise

    def release(self) -> None:
        """Give the lock free."""
        self._file.close()
