"""Faults of this package's own code: logged with their traceback, and kept for ``%loops doctor``.

Background threads must neither print nor raise, so a fault there is recorded here and shown by what it affects.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import logging

#: Limit for faults that repeat every second.
_MOST = 20


class Fault(NamedTuple):
    """One fault.

    Parameters
    ----------
    at : float
        Time in epoch seconds.
    doing : str
        What failed, to be put after "while".
    error : str
        Class and message of the exception.
    place : str
        File and line that raised it.
    traceback : str
        The traceback as Python prints it.
    """

    at: float
    doing: str
    error: str
    place: str
    traceback: str

    @property
    def reason(self) -> str:
        """The fault in one sentence."""
        what = self.error.partition(":")[0]
        return (
            f"loops_nb itself failed while {self.doing} ({what}, {self.place}): a fault of loops_nb, not of the "
            f"service."
        )


#: The hint of an error that a fault caused.
HINT = "%loops doctor shows where it failed; what it prints belongs in a bug report."

_recorded: deque[Fault] = deque(maxlen=_MOST)


def record(logger: logging.Logger, doing: str, error: BaseException) -> Fault:
    """Log a fault with its traceback and keep it.

    Parameters
    ----------
    logger : logging.Logger
        Logger of the module that caught it.
    doing : str
        What failed, to be put after "while".
    error : BaseException
        The exception.

    Returns
    -------
    Fault
        The recorded fault.
    """
    logger.error("Failed while %s", doing, exc_info=error)
    frames = traceback.extract_tb(error.__traceback__)
    place = "no place known"
    if frames:
        place = f"{frames[-1].filename.replace(chr(92), '/').rpartition('/')[2]}:{frames[-1].lineno}"
    text = f"{type(error).__name__}: {error}".removesuffix(": ")
    fault = Fault(time.time(), doing, text[:500], place, "".join(traceback.format_exception(error)))
    _recorded.append(fault)
    return fault


def recorded() -> tuple[Fault, ...]:
    """Return the newest faults of this process, oldest first."""
    return tuple(_recorded)
