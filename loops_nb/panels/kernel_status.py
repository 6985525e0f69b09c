"""Keeps the published state of the kernel at busy while a cell runs.

A kernel answers messages of a page beside a running cell (on a subshell or its control thread) and publishes ``status:
idle`` after each of them.  Servers take the newest status for the kernel's state: without a correction, a server that
culls idle kernels ends a training.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from loops_nb.panels.cells import is_cell_running, shell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Publish = Callable[..., None]

_EXECUTE = "execute_request"


class BusyState:
    """Repeats ``busy``, with the running cell's header as parent, after each ``idle`` that belongs to another message.

    Parameters
    ----------
    publish
        ``_publish_status`` of the kernel.
    parent_of
        Returns the message that a channel of the kernel handles now.
    running
        The cell that runs already; None for none.
    """

    def __init__(
        self, publish: Publish, parent_of: Callable[[str], Mapping[str, Any]], running: Mapping[str, Any] | None
    ) -> None:
        self._publish = publish
        self._parent_of = parent_of
        # Each subshell runs one cell at a time; None is the main shell.
        self._running: dict[str | None, Mapping[str, Any]] = {} if running is None else {_subshell_of(running): running}
        # The order on the wire has to be the order here: a late busy would keep an idle kernel busy for good.
        self._order = threading.RLock()

    def __call__(self, status: str, channel: str, parent: Mapping[str, Any] | None = None) -> None:
        """Publish a status as the kernel does, and the running cell's after it where that is another one.

        Parameters
        ----------
        status
            ``starting``, ``busy`` or ``idle``.
        channel
            ``shell`` or ``control``.
        parent
            The message that it is about; None for the one that the channel handles now.
        """
        about = parent or self._parent_of(channel)
        with self._order:
            self._note(status, about)
            self._publish(status, channel, parent)
            if status == "idle" and self._running:
                self._publish("busy", "shell", next(reversed(self._running.values())))

    def _note(self, status: str, about: Mapping[str, Any]) -> None:
        header = about.get("header") or {}
        if header.get("msg_type") != _EXECUTE:
            return
        key = _subshell_of(about)
        if status == "busy":
            self._running.pop(key, None)
            self._running[key] = about
        elif status == "idle" and _id_of(self._running.get(key)) == header.get("msg_id"):
            # Before it is published: an interrupt in between must not leave a cell that never ends.
            del self._running[key]


def keep_busy_while_a_cell_runs() -> None:
    """Have this process's kernel say busy for as long as one of its cells runs; calling it again changes nothing.

    There is no public way to publish a kernel's status; a kernel without the private one is left alone.
    """
    kernel: Any = getattr(shell(), "kernel", None)
    publish = getattr(kernel, "_publish_status", None)
    if publish is None or isinstance(publish, BusyState):
        return
    parent = kernel.get_parent("shell")
    is_cell = (parent.get("header") or {}).get("msg_type") == _EXECUTE and is_cell_running()
    kernel._publish_status = BusyState(publish, kernel.get_parent, parent if is_cell else None)  # noqa: SLF001 - see above


def _subshell_of(message: Mapping[str, Any]) -> str | None:
    found: str | None = (message.get("header") or {}).get("subshell_id")
    return found


def _id_of(message: Mapping[str, Any] | None) -> str | None:
    found: str | None = (message.get("header") or {}).get("msg_id") if message is not None else None
    return found
