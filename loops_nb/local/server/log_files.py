"""Log of the server: repeated records are throttled, and files are kept small."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

#: Loggers of the libraries below the service, and its own.
_LOGGERS = ("uvicorn.error", "asyncio")
_OWN = "loops_nb.local"
_PAUSE_SECONDS = 60.0
_MOST_KINDS = 1000
MOST_LOG_BYTES = 1 << 20


class LogThrottle(logging.Filter):
    """Lets one record of a kind pass each minute, and says with the next one how many did not.

    Records are of one kind when they have the same text (before its arguments, its first line) and the same exception
    from the same line.

    Parameters
    ----------
    clock : callable, optional
        Gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        kind, now = _kind(record), self._clock()
        since, left_out = self._kinds.get(kind, (-_PAUSE_SECONDS, 0))
        if now - since < _PAUSE_SECONDS:
            self._kinds[kind] = (since, left_out + 1)
            return False
        if len(self._kinds) >= _MOST_KINDS:
            self._kinds.clear()
        self._kinds[kind] = (now, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it since the last one)", None
        return True


def _kind(record: logging.LogRecord) -> tuple[object, ...]:
    text = str(record.msg).partition("\n")[0]
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    trace = error.__traceback__ if error is not None else None
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else None
    return record.name, record.levelno, text, type(error), where


def write_to_standard_error() -> None:
    """Write the service's own records to standard error, and throttle them and those of the libraries below it."""
    throttle = LogThrottle()
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    # At the handler, for a filter of a logger does not see the records of those below it.
    handler.addFilter(throttle)
    own = logging.getLogger(_OWN)
    own.addHandler(handler)
    own.propagate = False
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(throttle)


def keep_small(path: Path, limit: int = MOST_LOG_BYTES) -> None:
    """Move what is in a log aside when it is long; the one before is replaced.

    The file itself stays, for processes hold it open to append to it.
    """
    try:
        if path.stat().st_size <= limit:
            return
        with path.open("rb+") as log, _private(path.with_name(f"{path.name}.1")) as before:
            shutil.copyfileobj(log, before)
            log.truncate(0)
    except FileNotFoundError:
        pass  # nothing was written yet, or its folder was removed
    except OSError:
        # A full disk, say, where copying is no help; the log itself must not end the service.
        logging.getLogger(__name__).exception("the log %s could not be kept small", path)


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
