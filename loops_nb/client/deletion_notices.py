"""Notices of deletions in this process, for what shows runs and checkpoints of the same service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from weakref import WeakMethod

from loops_nb.config.fork_safety import ForkAware, reset_on_fork

logger: logging.Logger = logging.getLogger(__name__)


class DeletionNotices(ForkAware):
    """Calls its listeners after each deletion that a service accepted; one a process."""

    def __init__(self) -> None:
        self._listeners: dict[WeakMethod[Callable[[], None]], str] = {}
        reset_on_fork(self)

    def after_fork_in_child(self) -> None:
        """Forget the listeners, which are the parent's."""
        self._listeners = {}

    def listen(self, service: str, method: Callable[[], None]) -> None:
        """Call a method after each deletion, for as long as its object lives.

        Parameters
        ----------
        service : str
            URL of the service.
        method : callable
            A bound method; called on any thread, it must return at once.
        """
        for reference in [one for one in list(self._listeners) if one() is None]:
            self._listeners.pop(reference, None)
        self._listeners[WeakMethod(method)] = service

    def deleted(self, service: str) -> None:
        """Take in that something of a service was deleted."""
        for reference, of in list(self._listeners.items()):
            method = reference()
            if method is None:
                self._listeners.pop(reference, None)
            elif of == service:
                try:
                    method()
                except Exception:
                    logger.exception("a listener of deletions failed")


DELETION_NOTICES = DeletionNotices()
