"""A file on its way: its bytes under a temporary name, which of them are there, and their checksums so far."""

from __future__ import annotations

import bisect
import os
import threading
from pathlib import Path

from loops_nb.downloads.boot import boot
from loops_nb.downloads.checks import Check, Digests
from loops_nb.downloads.marks import part_path
from loops_nb.downloads.partial import Grown, PartialState, forget, forget_state
from loops_nb.downloads.records import write_all
from loops_nb.storage import StorageFault
from loops_nb.storage.faults import Kind

#: So much may have to be fetched again by each connection when everything ends at once.
NOTE_BYTES = 4 * 1024 * 1024
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_NEW = _OPEN | os.O_CREAT | os.O_EXCL


class Part:
    """A stretch of a file that one worker fetches.

    Parameters
    ----------
    growth
        The file.
    first
        Where it begins.
    end
        Where it ends (not included); None while that is not known.
    """

    __slots__ = ("end", "first", "growth", "noted", "pos")

    def __init__(self, growth: Growth, first: int, end: int | None) -> None:
        self.growth = growth
        self.first = first
        #: How far it is written; only its worker moves it on.
        self.pos = first
        self.noted = first
        #: Another worker may bring it nearer, to take over what lies behind it.
        self.end = end

    @property
    def left(self) -> int | None:
        """Bytes that are missing yet; None while that is not known."""
        return None if self.end is None else self.end - self.pos


class Growth:
    """One attempt at a file, from nothing or from what was there.

    Parameters
    ----------
    path
        The finished file's place.
    name
        Its relative name.
    total
        Its size; None while that is not known.
    grown, spans
        What is there of it already.
    """

    def __init__(
        self, path: Path, name: str, total: int | None, *, grown: Grown | None = None, spans: tuple[tuple[int, int], ...] = ()
    ) -> None:
        self.path = path
        self.total = grown.total if grown is not None else total
        self.validator = grown.validator if grown is not None else None
        #: Set when others begin this file anew: what still comes in here goes nowhere.
        self.abandoned = False
        self._name = name
        self._is_there = self._may_have_state = grown is not None
        self._lock = threading.Lock()
        self._hashing = threading.Lock()
        self._digests: Digests | None = None
        self._front = 0
        self._checked = False
        self._state: PartialState | None = None
        self._parts: list[Part] = []
        for first, end in spans:
            part = Part(self, first, end)
            part.pos = part.noted = end
            self._parts.append(part)

    @property
    def began(self) -> bool:
        """Whether an answer for it has come, so that what to check is known."""
        return self._digests is not None

    @property
    def written(self) -> int:
        """Bytes that are there."""
        with self._lock:
            return sum(part.pos - part.first for part in self._parts)

    @property
    def is_whole(self) -> bool:
        """Whether every byte is there."""
        return self.total is not None and self.reach(0) == self.total

    @property
    def lag(self) -> int:
        """Bytes that are there and could be hashed, but are not; 0 while a thread does it."""
        return self.reach(self._front) - self._front if self._digests is not None and not self._hashing.locked() else 0

    def gaps(self) -> list[tuple[int, int]]:
        """Return the stretches that nobody fetches yet, from what was there at the beginning."""
        if self.total is None:
            return []
        with self._lock:
            found, at = [], 0
            for part in self._parts:
                if part.first > at:
                    found.append((at, part.first))
                at = part.end if part.end is not None else self.total
            if at < self.total:
                found.append((at, self.total))
        return found

    def add(self, first: int, end: int | None) -> Part:
        """Begin a stretch."""
        part = Part(self, first, end)
        with self._lock:
            bisect.insort(self._parts, part, key=lambda p: p.first)
        return part

    def begin(self, checks: list[Check], validator: str | None, total: int | None) -> None:
        """Take in what the first answer says of the file."""
        self.total = total
        self.validator = validator
        self._checked = bool(checks)
        self._digests = Digests(checks)

    def writer(self) -> int:
        """Open the growing file to write; who calls it closes it.

        Raises
        ------
        OSError
            If it cannot be written.
        StorageFault
            If it was abandoned.
        """
        with self._lock:
            if self.abandoned:
                raise StorageFault("it was stopped here", Kind.STOPPED)
            growing = part_path(self.path)
            if self._is_there:
                return os.open(growing, _OPEN)
            # What lies there from before cannot be used, or it would have been.
            forget_state(self.path)
            try:
                descriptor = os.open(growing, _OPEN_NEW, 0o666)
            except FileExistsError:
                forget(self.path)
                descriptor = os.open(growing, _OPEN_NEW, 0o666)
            self._is_there = True
            return descriptor

    def settle(self) -> os.stat_result:
        """Give the growing file its length, and return what the system says of it.

        Raises
        ------
        OSError
            If it cannot be changed.
        StorageFault
            If it was abandoned.
        """
        status = part_path(self.path).lstat()
        if status.st_size == self.total and not self.abandoned:
            return status
        descriptor = self.writer()
        try:
            os.ftruncate(descriptor, self.total or 0)
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def write(self, descriptor: int, part: Part, data: memoryview) -> None:
        """Write bytes at the place where a part stands; the descriptor stands there too.

        Raises
        ------
        OSError
            If they cannot be written; none of them counts then.
        """
        at = part.pos
        write_all(descriptor, data)
        part.pos = at + len(data)
        if self._front == at and self._digests is not None and self._hashing.acquire(blocking=False):
            try:
                if self._front == at:
                    self._digests.update(data)
                    self._front = at + len(data)
            finally:
                self._hashing.release()
        if part.pos - part.noted >= NOTE_BYTES:
            self.note(part)

    def note(self, part: Part) -> None:
        """Write down how far a part is, where it can be gone on from."""
        with self._lock:
            if self.abandoned or self.validator is None or self.total is None or part.pos == part.noted:
                return
            if self._state is None:
                grown = Grown(name=self._name, total=self.total, validator=self.validator, checked=self._checked, boot=boot())
                self._state = PartialState(self.path, grown)
                self._may_have_state = True
            self._state.note(part.noted, part.pos)
            part.noted = part.pos

    def reach(self, at: int) -> int:
        """Return up to where every byte from ``at`` on is there."""
        with self._lock:
            place = max(0, bisect.bisect_right(self._parts, at, key=lambda p: p.first) - 1)
            for part in self._parts[place:]:
                if part.first > at:
                    break
                at = max(at, part.pos)
                if part.pos != part.end:
                    break
        return at

    def advance(self, buffer: memoryview, stopped: threading.Event, *, wait: bool = False) -> None:
        """Hash what is there and was not hashed when it came, because it came out of order.

        Parameters
        ----------
        buffer
            To read into.
        stopped
            Ends it.
        wait
            Whether to wait for another thread that does the same.
        """
        if self._digests is None or not self._hashing.acquire(blocking=wait):
            return
        try:
            if self._front >= self.reach(self._front):
                return
            with part_path(self.path).open("rb", buffering=0) as file:
                file.seek(self._front)
                while (room := self.reach(self._front) - self._front) > 0 and not (stopped.is_set() or self.abandoned):
                    count = file.readinto(buffer[: min(room, len(buffer))])
                    if not count:
                        raise OSError("the growing file became shorter")
                    self._digests.update(buffer[:count])
                    self._front += count
        finally:
            self._hashing.release()

    def verdict(self) -> tuple[str, Check | None]:
        """Return the SHA-256 of the whole file, and which checksum of the server's is another one."""
        digests = self._digests or Digests([])
        return digests.sha256, digests.mismatch()

    def close(self) -> None:
        """Write down how far each part is, and let go of the files."""
        with self._lock:
            parts = list(self._parts)
        for part in parts:
            self.note(part)
        with self._lock:
            if self._state is not None:
                self._state.close()
                self._state = None

    def finished(self) -> None:
        """Remove what was written down of it: it is in its place."""
        with self._lock:
            self.abandoned = True
            if self._state is not None:
                self._state.close()
                self._state = None
        if self._may_have_state:
            forget_state(self.path)

    def abandon(self) -> None:
        """Remove it all; workers that still write to it write to nothing."""
        with self._lock:
            self.abandoned = True
            if self._state is not None:
                self._state.close()
                self._state = None
            forget(self.path)
