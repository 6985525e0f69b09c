"""Cells of the notebook, as far as the kernel knows: which one runs, which were deleted, and when one ended."""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb import faults

if TYPE_CHECKING:
    from collections.abc import Callable


_LOG = logging.getLogger(__name__)


class CellPosition(NamedTuple):
    """The cell execution that an output belongs to.

    Parameters
    ----------
    cell : str
        The cell's id; empty where the front end does not send it.
    run : int
        The execution count.
    deleted : tuple of str, default ()
        Ids of cells that were deleted since the last execution.
    """

    cell: str
    run: int
    deleted: tuple[str, ...] = ()


def shell() -> Any:
    """Return the IPython shell of this process, or None; never imports IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def is_notebook() -> bool:
    """Tell whether a kernel runs this process: a front end may show widgets."""
    return getattr(shell(), "kernel", None) is not None


def is_cell_running() -> bool:
    """Tell whether the main thread is inside a cell now; False while a cell of coroutines waits."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - the documented way to another thread's frames
    while frame is not None:
        if frame.f_code.co_name == "run_cell_async":
            return True
        frame = frame.f_back
    return False


def current_position() -> CellPosition | None:
    """Return the cell that runs now; None outside of a kernel."""
    ip = shell()
    kernel = getattr(ip, "kernel", None)
    if kernel is None:
        return None
    try:
        metadata = kernel.get_parent("shell").get("metadata", {})
    except (AttributeError, TypeError, LookupError):
        metadata = {}
    deleted = metadata.get("deletedCells")
    return CellPosition(
        cell=str(metadata.get("cellId") or ""),
        run=int(getattr(ip, "execution_count", 0) or 0),
        deleted=tuple(str(name) for name in deleted) if isinstance(deleted, list) else (),
    )


class CellClock:
    """When cells run in this kernel; one a process."""

    def __init__(self) -> None:
        self._running = 0
        self._ended = float("-inf")
        self._listening: Any = None
        self._at_end: list[Callable[[], None]] = []

    def listen(self) -> None:
        """Start to follow the shell's cells, if there is a shell; the cell that runs now counts."""
        ip = shell()
        if ip is None or self._listening is ip:
            return
        self._listening = ip
        ip.events.register("pre_run_cell", self._start)
        ip.events.register("post_run_cell", self._end)
        # Called from a cell: its own start was not heard.
        self._running = 1

    def ended(self) -> float | None:
        """Return the monotonic time when the last cell ended; None while one is running, minus infinity if unknown."""
        return None if self._running else self._ended

    def at_end(self, do: Callable[[], None]) -> Callable[[], None]:
        """Have something done on the main thread whenever a cell ends; return what takes it back."""
        self._at_end.append(do)

        def undo() -> None:
            if do in self._at_end:
                self._at_end.remove(do)

        return undo

    def _start(self, _info: Any = None) -> None:
        self._running = 1

    def _end(self, _result: Any = None) -> None:
        self._running = 0
        self._ended = time.monotonic()
        for do in list(self._at_end):
            try:
                do()
            except KeyboardInterrupt:
                # The cell is over; only the wait for its last report is given up.
                return
            except Exception as error:  # noqa: BLE001 - IPython would print it under the cell, which has nothing to do with it
                faults.record(_LOG, "bringing panels up to date at the end of a cell", error)


CELL_CLOCK = CellClock()
