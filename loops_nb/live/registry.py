"""One poller a connection in this process."""

from __future__ import annotations

import threading
from weakref import WeakValueDictionary

from loops_nb.client.exchange import Exchange
from loops_nb.live.forks import mind
from loops_nb.live.poller import Poller


class _Registry:
    """The pollers of this process; each lives as long as somebody holds it or its thread runs."""

    def __init__(self) -> None:
        self._pollers: WeakValueDictionary[tuple[str, object, str], Poller] = WeakValueDictionary()
        self._lock = threading.Lock()
        mind(self)

    def get(self, exchange: Exchange) -> Poller | None:
        with self._lock:
            return self._pollers.get(_mark(exchange))

    def get_or_make(self, exchange: Exchange) -> Poller:
        with self._lock:
            poller = self._pollers.get(_mark(exchange))
            if poller is None:
                poller = self._pollers[_mark(exchange)] = Poller(exchange)
            return poller

    def forked(self) -> None:
        # Another thread of the parent may have held it.
        self._lock = threading.Lock()


_registry = _Registry()


def poller_for(exchange: Exchange) -> Poller:
    """Return the poller of a connection: the same one for the same address, key and way to send it.

    Nothing is asked before somebody subscribes.
    """
    return _registry.get_or_make(exchange)


def running_poller(exchange: Exchange) -> Poller | None:
    """Return the poller of a connection if somebody has one; never makes one."""
    return _registry.get(exchange)


def _mark(exchange: Exchange) -> tuple[str, object, str]:
    return exchange.address.url, exchange.key.secret, exchange.scheme
