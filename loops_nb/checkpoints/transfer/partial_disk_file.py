"""A partially downloaded file on disk, under its temporary name, with a log of what is present."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from loops_nb.checkpoints.http import FaultKind, StorageFault
from loops_nb.checkpoints.transfer.checksums import ExpectedChecksum, has_unusual_parts
from loops_nb.checkpoints.transfer.filenames import part_path
from loops_nb.checkpoints.transfer.manifest import boot_id, write_all
from loops_nb.checkpoints.transfer.partial_file import PartialFile, Segment
from loops_nb.checkpoints.transfer.resume import ResumeHeader, ResumeLog, remove_partial, remove_resume_log
from loops_nb.checkpoints.transfer.safetensors_check import safetensors_problem

#: Each connection may have to fetch so much again when the process ends suddenly.
RECORD_BYTES = 4 * 1024 * 1024
_OPEN = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_OPEN_NEW = _OPEN | os.O_CREAT | os.O_EXCL


class PartialDiskFile(PartialFile):
    """One attempt at a file on disk.

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
        super().__init__(
            resume.total if resume is not None else total,
            validator=resume.validator if resume is not None else None,
            spans=spans,
        )
        self.path = path
        self._name = name
        self._exists = self._may_have_log = resume is not None
        self._hashing = threading.Lock()
        self._log: ResumeLog | None = None

    @property
    def unhashed_bytes(self) -> int:
        """Bytes that could be hashed now, but are not; 0 while a thread does it."""
        if self._digests is None or self._hashing.locked():
            return 0
        return self.contiguous_end(self._hashed) - self._hashed

    @contextmanager
    def writing(self, segment: Segment) -> Iterator[Callable[[memoryview], None]]:
        descriptor = self._open()
        try:
            os.lseek(descriptor, segment.pos, os.SEEK_SET)
            yield partial(self._write, descriptor, segment)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
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

    def seal(self) -> int:
        status = part_path(self.path).lstat()
        if status.st_size != self.total or self.abandoned:
            descriptor = self._open()
            try:
                os.ftruncate(descriptor, self.total or 0)
            finally:
                os.close(descriptor)
        return self.total or 0

    def _write(self, descriptor: int, segment: Segment, data: memoryview) -> None:
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

    def hash_ahead(self, buffer: memoryview, stopped: threading.Event, *, wait: bool = False) -> None:
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

    def has_unusual_parts(self, checksum: ExpectedChecksum) -> bool:
        return has_unusual_parts(part_path(self.path), self.total or 0, checksum)

    def safetensors_problem(self) -> str:
        with part_path(self.path).open("rb") as file:
            return safetensors_problem(file, self.total or 0)

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
