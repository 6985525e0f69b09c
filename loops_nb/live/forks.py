"""What begins anew in a forked child: threads, locks and sockets do not come along, or must not be shared."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    """Something that holds threads, locks or sockets."""

    def forked(self) -> None:
        """Begin anew; called in the child, where there is only one thread."""


_everybody: WeakSet[Forkable] = WeakSet()


def mind(thing: Forkable) -> None:
    """Have something told when it finds itself in a forked child."""
    _everybody.add(thing)


def _after_fork() -> None:
    for thing in list(_everybody):
        thing.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
