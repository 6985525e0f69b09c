"""Log lines of worker processes: one file for each deployment and sampler, kept over restarts of the service.

A line has the time at which the service read it, by the service's clock, so that it sorts among the recorded events.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path

import msgspec
from msgspec import Struct

from loops_nb.local.files import private_folder

logger: logging.Logger = logging.getLogger(__name__)
#: Of one file; the one before it is kept beside it.
MOST_BYTES = 1 << 20
LONGEST_MESSAGE = 8000
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")


class ProcessLine(Struct, frozen=True, omit_defaults=True):
    """A line that a process wrote.

    Parameters
    ----------
    at : int
        Epoch milliseconds.
    message : str
        Its text.
    level : str or None, default None
        One of `loops_nb.api.models.LOG_LEVELS`; None for what was not logged but printed.
    """

    at: int
    message: str
    level: str | None = None


class ProcessLogs:
    """The log files of one data folder.

    Parameters
    ----------
    folder : Path
        Made when the first line is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, subject: str, lines: list[ProcessLine]) -> None:
        """Append lines to the log of a subject; a full disk loses them and nothing else."""
        path = self._path(subject)
        data = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        try:
            private_folder(self._folder)
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size + len(data) > MOST_BYTES:
                    path.replace(path.with_suffix(".1"))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                file.write(data)
        except OSError:
            logger.warning("log lines of %s were not kept", subject, exc_info=True)

    def lines(self, subject: str) -> list[ProcessLine]:
        """Return the lines of a subject, oldest first."""
        path, found = self._path(subject), []
        for part in (path.with_suffix(".1"), path):
            with contextlib.suppress(FileNotFoundError):
                for text in part.read_bytes().splitlines():
                    # The last one may be cut, by a full disk or a power cut.
                    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                        found.append(_DECODER.decode(text))
        return found

    def _path(self, subject: str) -> Path:
        return self._folder / f"{_UNSAFE.sub('-', subject)}.log"


_DECODER = msgspec.json.Decoder(ProcessLine)
