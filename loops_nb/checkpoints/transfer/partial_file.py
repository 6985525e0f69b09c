"""A file that is being downloaded: byte ranges present and running checksums."""

from __future__ import annotations

import bisect
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar

from loops_nb.checkpoints.transfer.checksums import ExpectedChecksum, FileDigests


class Segment:
    """A range of a file that one worker fetches.

    Parameters
    ----------
    partial : PartialFile
        The file.
    first : int
        Where it begins.
    end : int or None
        Where it ends (not included); None while that is not known.
    """

    __slots__ = ("end", "first", "partial", "pos", "recorded")

    def __init__(self, partial: PartialFile, first: int, end: int | None) -> None:
        self.partial: PartialFile = partial
        self.first: int = first
        #: How far it is written; only its worker moves it on.
        self.pos: int = first
        #: How far that is in the resume log.
        self.recorded: int = first
        #: Another worker may lower it, to take over what lies behind it.
        self.end: int | None = end

    @property
    def remaining(self) -> int | None:
        """Bytes that are missing; None while that is not known."""
        return None if self.end is None else self.end - self.pos


class PartialFile(ABC):
    """One attempt at a file, from nothing or from what an earlier download left.

    Parameters
    ----------
    total : int or None
        Its size; None while that is not known.
    validator : str, optional
        The version of what an earlier download left.
    spans : tuple of (int, int), default ()
        The ranges (first, end) that are present.
    """

    #: Whether bytes are sent on in their order, so that they cannot be read again.
    is_ordered: ClassVar[bool] = False

    def __init__(
        self, total: int | None, *, validator: str | None = None, spans: tuple[tuple[int, int], ...] = ()
    ) -> None:
        self.total = total
        self.validator = validator
        #: Set when the file is restarted: bytes that still arrive for this attempt are dropped.
        self.abandoned: bool = False
        self._lock = threading.Lock()
        self._digests: FileDigests | None = None
        #: Up to here the bytes are hashed.
        self._hashed = 0
        self._has_checksum = False
        self._segments: list[Segment] = []
        for first, end in spans:
            segment = Segment(self, first, end)
            segment.pos = segment.recorded = end
            self._segments.append(segment)

    @property
    def has_response(self) -> bool:
        """Whether a response for it has come, so that its expected checksums are known."""
        return self._digests is not None

    @property
    def written(self) -> int:
        """Bytes that are present."""
        with self._lock:
            return sum(segment.pos - segment.first for segment in self._segments)

    @property
    def is_complete(self) -> bool:
        """Whether every byte is present."""
        return self.total is not None and self.contiguous_end(0) == self.total

    @property
    @abstractmethod
    def unhashed_bytes(self) -> int:
        """Bytes that could be hashed now, but are not; 0 while a thread does it."""

    @property
    def memory_bytes(self) -> int:
        """Bytes that it may hold in memory, besides the buffers of the workers."""
        return 0

    def has_room_at(self, first: int) -> bool:  # noqa: ARG002 - of targets that hold bytes in memory
        """Return whether a range from there on may be fetched now."""
        return True

    def gaps(self) -> list[tuple[int, int]]:
        """Return the ranges that no segment covers."""
        if self.total is None:
            return []
        with self._lock:
            found, at = [], 0
            for segment in self._segments:
                if segment.first > at:
                    found.append((at, segment.first))
                at = segment.end if segment.end is not None else self.total
            if at < self.total:
                found.append((at, self.total))
        return found

    def add_segment(self, first: int, end: int | None) -> Segment:
        segment = Segment(self, first, end)
        with self._lock:
            bisect.insort(self._segments, segment, key=lambda other: other.first)
        return segment

    def begin(self, checksums: list[ExpectedChecksum], validator: str | None, total: int | None) -> None:
        """Take in what the first response states about the file."""
        self.total = total
        self.validator = validator
        self._has_checksum = bool(checksums)
        self._digests = FileDigests(checksums)

    def contiguous_end(self, at: int) -> int:
        """Return up to where every byte from ``at`` on is present."""
        with self._lock:
            place = max(0, bisect.bisect_right(self._segments, at, key=lambda segment: segment.first) - 1)
            for segment in self._segments[place:]:
                if segment.first > at:
                    break
                at = max(at, segment.pos)
                if segment.pos != segment.end:
                    break
        return at

    def result(self) -> tuple[str, ExpectedChecksum | None]:
        """Return the SHA-256 of the whole file, and the first checksum of the server that differs."""
        digests = self._digests or FileDigests([])
        return digests.sha256, digests.mismatch()

    @abstractmethod
    def writing(self, segment: Segment) -> AbstractContextManager[Callable[[memoryview], None]]:
        """Return a context with a function that writes bytes at the position of a segment, and moves it on.

        Raises
        ------
        StorageFault
            If this attempt was abandoned.
        OSError, LoopsError
            If they cannot be written.
        """

    @abstractmethod
    def hash_ahead(self, buffer: memoryview, stopped: threading.Event, *, wait: bool = False) -> None:
        """Hash bytes that were not hashed when they were written, because they came out of order.

        Parameters
        ----------
        buffer : memoryview
            To read into.
        stopped : threading.Event
            Ends it.
        wait : bool, default False
            Whether to wait for another thread that is hashing.
        """

    @abstractmethod
    def seal(self) -> int:
        """Give the file its full length, and return that."""

    @abstractmethod
    def has_unusual_parts(self, checksum: ExpectedChecksum) -> bool:
        """Return whether a multipart checksum fits the file with an unusual part size."""

    @abstractmethod
    def safetensors_problem(self) -> str:
        """Return why the file cannot be a safetensors file; empty if it can."""

    @abstractmethod
    def close(self) -> None:
        """End this attempt, and keep what a later download can resume from."""

    @abstractmethod
    def abandon(self) -> None:
        """Remove all of it; what workers still write is dropped."""
