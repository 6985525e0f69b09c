"""Points of series that this process has read, so that a panel that is opened again reads only newer ones."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from loops_nb.charts.series import MetricHistory

#: Of series that no panel shows any more so much is kept, those that were shown last.
MOST_BYTES = 256_000_000


class HistoryCache:
    """Histories of series, each as far as it was read; safe with any number of threads.

    What a panel holds is shared as long as it does, whatever its size; of the rest the newest stay.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._shown: weakref.WeakValueDictionary[Hashable, MetricHistory] = weakref.WeakValueDictionary()
        #: Copies, the newest at the end, and their size in bytes.
        self._kept: dict[Hashable, tuple[MetricHistory, int]] = {}
        self._size = 0

    def get(self, key: Hashable) -> MetricHistory | None:
        """Return a copy of a history that shares its memory; None if it is not known."""
        with self._lock:
            shown = self._shown.get(key)
            kept = self._kept.get(key)
        if shown is not None:
            return shown.fork()
        return None if kept is None else kept[0].fork()

    def put(self, key: Hashable, history: MetricHistory) -> None:
        """Take in the history that a panel shows."""
        copy = history.fork()
        size = copy.nbytes
        with self._lock:
            self._shown[key] = history
            self._drop(key)
            self._kept[key] = copy, size
            self._size += size
            while self._size > self._most:
                self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        dropped = self._kept.pop(key, None)
        if dropped is not None:
            self._size -= dropped[1]


#: That of all panels of this process.
HISTORIES: HistoryCache = HistoryCache()
