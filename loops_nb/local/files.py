"""Private files and folders, atomic writes, and a file lock."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can read, and those of its parents that are not there."""
    if not path.parent.exists():
        # mkdir(parents=True) would make the parents with default permissions.
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


def lock_file(path: Path) -> BaseFileLock:
    """Lock a file until `release` of the lock, or the end of the process, however it ends.

    Raises
    ------
    BlockingIOError
        If the lock is held already.
    """
    from filelock import FileLock, Timeout

    # Not by thread: a service is closed by another thread than the one that opened it.
    lock = FileLock(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BlockingIOError(f"{path} is locked") from None
    return lock
