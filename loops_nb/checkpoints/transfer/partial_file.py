"""A partially downloaded file: byte ranges present and running checksums."""

from __future__ import annotations

import bisect
import os
import threading
from pathlib import Path

from loops_nb.checkpoints.http import FaultKind, StorageFault
from loops_nb.checkpoints.transfer.checksums import ExpectedChecksum, FileDigests
from loops_nb.checkpoints.transfer.filenames import part_path
from loops_nb.checkpoints.transfer.manifest import boot_id, write_all
from loops_nb.checkpoints.transfer.resume import ResumeHeader, ResumeLog, remove_partial, remove_resume_log

#: Each connection may have to fetch so much again when the process ends suddenly.
RECORD_BYTES = 4 * 1024 * 1024
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_NEW = _OPEN | os.O_CREAT | os.O_EXCL


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


class PartialFile:
    """One attempt at a file, from nothing or from what an earlier download left.

    Parameters
    ----------
    path : Path
        Where the finished file will be.
    name : str
        Its relative name.
    total : int or None
        Its size; None while that is not known.
    resume : ResumeHeader, optional
        What an earlier download left.
    spans : tuple of (int, int), optional
        The ranges (first, end) that are present.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        total: int | None,
        *,
        resume: ResumeHeader | None = None,
        spans: tuple[tuple[int, int], ...] = (),
    ) -> None:
        self.path = path
        self.total = resume.total if resume is not None else total
        self.validator = resume.validator if resume is not None else None
        #: Set when the file is restarted: bytes that still arrive for this attempt are dropped.
        self.abandoned: bool = False
        self._name = name
        self._exists = self._may_have_log = resume is not None
        self._lock = threading.Lock()
        self._hashing = threading.Lock()
        self._digests: FileDigests | None = None
        #: Up to here the bytes are hashed.
        self._hashed = 0
        self._has_checksum = False
        self._log: ResumeLog | None = None
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
    def unhashed_bytes(self) -> int:
        """Bytes that could be hashed now, but are not; 0 while a thread does it."""
        if self._digests is None or self._hashing.locked():
            return 0
        return self.contiguous_end(self._hashed) - self._hashed

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

    def open_for_writing(self) -> int:
        """Open the file under its temporary name; the caller closes the descriptor.

        Raises
        ------
        OSError
            If it cannot be written.
        StorageFault
            If this attempt was abandoned.
        """
        with self._lock:
            if self.abandoned:
                raise StorageFault("it was stopped here", FaultKind.STOPPED)
            temporary = part_path(self.path)
            if self._exists:
                return os.open(temporary, _OPEN)
            # What an earlier download left cannot be resumed, or it would have been.
            remove_resume_log(self.path)
            try:
                descriptor = os.open(temporary, _OPEN_NEW, 0o666)
            except FileExistsError:
                remove_partial(self.path)
                descriptor = os.open(temporary, _OPEN_NEW, 0o666)
            self._exists = True
            return descriptor

    def set_length(self) -> os.stat_result:
        """Give the temporary file its full length, and return its status.

        Raises
        ------
        OSError
            If it cannot be changed.
        StorageFault
            If this attempt was abandoned.
        """
        status = part_path(self.path).lstat()
        if status.st_size == self.total and not self.abandoned:
            return status
        descriptor = self.open_for_writing()
        try:
            os.ftruncate(descriptor, self.total or 0)
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def write(self, descriptor: int, segment: Segment, data: memoryview) -> None:
        """Write bytes at the position of a segment, which is also that of the descriptor.

        Raises
        ------
        OSError
            If they cannot be written; none of them counts then.
        """
        at = segment.pos
        write_all(descriptor, data)
        segment.pos = at + len(data)
        if self._hashed == at and self._digests is not None and self._hashing.acquire(blocking=False):
            try:
                if self._hashed == at:
                    self._digests.update(data)
                    self._hashed = at + len(data)
            finally:
                self._hashing.release()
        if segment.pos - segment.recorded >= RECORD_BYTES:
            self.record(segment)

    def record(self, segment: Segment) -> None:
        """Write down how far a segment is, so that a later download can resume."""
        with self._lock:
            if self.abandoned or self.validator is None or self.total is None or segment.pos == segment.recorded:
                return
            if self._log is None:
                header = ResumeHeader(
                    name=self._name,
                    total=self.total,
                    validator=self.validator,
                    checked=self._has_checksum,
                    boot=boot_id(),
                )
                self._log = ResumeLog(self.path, header)
                self._may_have_log = True
            self._log.add(segment.recorded, segment.pos)
            segment.recorded = segment.pos

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
        if self._digests is None or not self._hashing.acquire(blocking=wait):
            return
        try:
            if self._hashed >= self.contiguous_end(self._hashed):
                return
            with part_path(self.path).open("rb", buffering=0) as file:
                file.seek(self._hashed)
                while not (stopped.is_set() or self.abandoned):
                    available = self.contiguous_end(self._hashed) - self._hashed
                    if not available:
                        break
                    count = file.readinto(buffer[: min(available, len(buffer))])
                    if not count:
                        raise OSError("the temporary file became shorter")
                    self._digests.update(buffer[:count])
                    self._hashed += count
        finally:
            self._hashing.release()

    def result(self) -> tuple[str, ExpectedChecksum | None]:
        """Return the SHA-256 of the whole file, and the first checksum of the server that differs."""
        digests = self._digests or FileDigests([])
        return digests.sha256, digests.mismatch()

    def close(self) -> None:
        """Write down how far each segment is, and close the resume log."""
        with self._lock:
            segments = list(self._segments)
        for segment in segments:
            self.record(segment)
        with self._lock:
            self._close_log()

    def complete(self) -> None:
        """Remove the resume log: the file is in its place."""
        with self._lock:
            self.abandoned = True
            self._close_log()
        if self._may_have_log:
            remove_resume_log(self.path)

    def abandon(self) -> None:
        """Remove all of it; what workers still write goes to a deleted file."""
        with self._lock:
            self.abandoned = True
            self._close_log()
            remove_partial(self.path)

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
