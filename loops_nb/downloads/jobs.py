"""The files of a download, and what became of each."""

from __future__ import annotations

import threading
from pathlib import Path

from loops_nb.downloads.growth import Growth, Part
from loops_nb.downloads.places import Found, There
from loops_nb.downloads.records import Journal, Record
from loops_nb.storage import Body, Patience, StoredFile

#: A request for a stretch should take no more than this share of the time that its bytes take.
_MOST_WAITING = 0.1
_WORTH_ASKING = 2 << 20


class Pace:
    """How fast a server answers, and sends then.

    Several workers write and read here without a lock: each value is whole at any time.
    """

    def __init__(self) -> None:
        self._wait = float("inf")
        self._rate = 0.0

    def answered(self, seconds: float) -> None:
        """Take note of how long an answer was waited for."""
        self._wait = min(self._wait, seconds)

    def came(self, count: int, seconds: float) -> None:
        """Take note of how long bytes took."""
        self._rate = count / max(seconds, 1e-6)

    @property
    def worth_asking(self) -> int:
        """For how many bytes at least a request is worth its while."""
        return int(self._wait * self._rate / _MOST_WAITING) if self._rate else _WORTH_ASKING


class Job:
    """One file of a download.

    Parameters
    ----------
    file
        As it is listed.
    path
        Its place.
    label
        Its path below the folder of all checkpoints.
    found
        What is there of it.
    journal
        Of its checkpoint.
    patience
        Its own, for as long as each new attempt has to begin at the start.
    """

    def __init__(self, file: StoredFile, path: Path, label: str, found: Found, journal: Journal, patience: Patience) -> None:
        self.file = file
        self.path = path
        self.label = label
        self.found = found
        self.journal = journal
        self.patience = patience
        #: Whether a file of ours lies in its place that may be replaced.
        self.replaces = found.is_taken
        self.growth = Growth(path, file.name, file.size, grown=found.grown, spans=found.spans)
        #: Whether the server sends parts; None while that is not known.
        self.ranges: bool | None = None
        #: Stretches that nobody fetches yet.
        self.gaps: list[tuple[int, int]] = []
        #: Whether it is fetched in stretches, by several workers.
        self.splits = False
        self.pace = Pace()
        self.active: dict[Part, Body | None] = {}
        self._counting = threading.Lock()
        self.fetched_bytes = 0
        self.record: Record | None = None
        self.failure = ""
        self._renewals: set[str] = set()

    @property
    def over(self) -> bool:
        """Whether nothing more is done for it."""
        return self.record is not None or bool(self.failure)

    @property
    def there_bytes(self) -> int:
        """Bytes that are there."""
        if self.record is not None:
            return self.record.size_bytes
        return self.found.size if self.found.there in {There.UNSURE, There.UNMOVED} else self.growth.written

    def fetched(self, count: int) -> None:
        """Count bytes that came over the network."""
        with self._counting:
            self.fetched_bytes += count

    def may_begin_anew(self, why: str) -> bool:
        """Tell whether it may begin anew for a reason; once for each."""
        if why in self._renewals:
            return False
        self._renewals.add(why)
        return True

    def anew(self) -> None:
        """Begin anew, with nothing of it there."""
        self.growth.abandon()
        for body in self.active.values():
            if body is not None:
                body.stop()
        self.growth = Growth(self.path, self.file.name, self.file.size)
        self.gaps = []
        self.active = {}
        self.found = Found(There.NOTHING)
