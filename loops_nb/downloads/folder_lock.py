"""One download at a time in a folder."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from loops_nb.downloads.marks import LOCK
from loops_nb.errors import DownloadError

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FolderLock:
    """Holds a checkpoint's folder against another process, and another download of this one.

    Parameters
    ----------
    folder
        The folder; it has to exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Take it.

        Raises
        ------
        DownloadError
            If another one has it.
        """
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            is_held = False
            try:
                _lock(descriptor)
            except (BlockingIOError, PermissionError):
                is_held = True
            except OSError:
                # A file system without locks: nothing can be held there, and that is no reason to download nothing.
                pass
            if is_held:
                who = _who(descriptor)
                os.close(descriptor)
                raise DownloadError(
                    f"Another download into {self._folder} is running{who}; nothing was changed.",
                    hint="Wait until it ends, or choose another folder.",
                )
            if self._is_still_there(descriptor):
                break
            # Whoever had it has removed it meanwhile.
            os.close(descriptor)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Remove it and let go."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(descriptor)

    def _is_still_there(self, descriptor: int) -> bool:
        try:
            there = self._path.lstat()
        except FileNotFoundError:
            return False
        mine = os.fstat(descriptor)
        return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _who(descriptor: int) -> str:
    with contextlib.suppress(OSError, ValueError):
        os.lseek(descriptor, 0, os.SEEK_SET)
        return f" (process {int(os.read(descriptor, 20))})"
    return ""
