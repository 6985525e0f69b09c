"""Faults of this package's own code: logged with their traceback, and kept for ``%loops doctor``.

What runs on a background thread may neither print nor raise, so a fault there has to be recorded here and shown by what it affects.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import logging

#: A fault that repeats every second must not fill the memory.
_MOST = 20


class Fault(NamedTuple):
    """One fault.

    Parameters
    ----------
    at
        When, in epoch seconds.
    doing
        What failed, as words that go on after "while".
    error
        Class and text of what was raised.
    place
        File and line that raised it.
    traceback
        The whole of it, as Python prints it.
    """

    at: float
    doing: str
    error: str
    place: str
    traceback: str

    @property
    def reason(self) -> str:
        """The fault in one sentence, for what shows its consequence."""
        what = self.error.partition(":")[0]
        return f"loops_nb itself failed while {self.doing} ({what}, {self.place}): a fault of loops_nb, not of the service."


#: What to type about any of them.
HINT = "%loops doctor shows where it failed; what it prints belongs in a bug report."

_recorded: deque[Fault] = deque(maxlen=_MOST)


def record(logger: logging.Logger, doing: str, error: BaseException) -> Fault:
    """Log a fault with its traceback and keep it.

    Parameters
    ----------
    logger
        Of the module that caught it.
    doing
        What failed, as words that go on after "while".
    error
        What was raised.

    Returns
    -------
    Fault
        The same, in words.
    """
    logger.error("Failed while %s", doing, exc_info=error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.replace(chr(92), '/').rpartition('/')[2]}:{frames[-1].lineno}" if frames else "no place known"
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    fault = Fault(time.time(), doing, text[:500], place, "".join(traceback.format_exception(error)))
    _recorded.append(fault)
    return fault


def recorded() -> tuple[Fault, ...]:
    """Return the newest faults of this process, oldest first."""
    return tuple(_recorded)
