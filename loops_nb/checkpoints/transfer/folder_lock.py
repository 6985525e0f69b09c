"""Lock of a checkpoint's folder: one download at a time."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from loops_nb.checkpoints.transfer.filenames import LOCK
from loops_nb.errors import DownloadError

logger: logging.Logger = logging.getLogger(__name__)
#: How file systems say that they have no locks; nothing can hold one there, so downloads go on without.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class FolderLock:
    """Holds a checkpoint's folder against other processes and other downloads of this one.

    The operating system releases it when the process ends, however it ends.

    Parameters
    ----------
    folder : Path
        The folder; it has to exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LOCK
        # Not by thread: two downloads of one thread exclude each other too.
        self._lock = FileLock(self._path, thread_local=False)

    def __enter__(self) -> Self:
        """Take the lock.

        Raises
        ------
        DownloadError
            If it is taken.
        OSError
            If the lock file cannot be made.
        """
        is_taken = False
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            is_taken = True
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in _NO_LOCKS:
                raise
            logger.debug("No locks in %s", self._folder, exc_info=True)
            return self
        if is_taken:
            raise DownloadError(
                f"Another download into {self._folder} is running{_holder(self._path)}; nothing was changed.",
                hint="Wait until it ends, or choose another folder.",
            )
        # Windows lets no other handle write to a locked file.
        with contextlib.suppress(OSError):
            self._path.write_text(str(os.getpid()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the lock file and release the lock."""
        if self._lock.is_locked:
            # While it is held: filelock does not accept a lock on a file that was removed.
            with contextlib.suppress(OSError):
                self._path.unlink()
            self._lock.release()


def _holder(path: Path) -> str:
    """Return which process holds a lock, in parentheses; empty if its file does not say."""
    try:
        return f" (process {int(path.read_text()[:20])})"
    except (OSError, ValueError):
        return ""
