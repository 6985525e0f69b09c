"""A request log file that is read as it grows: read offset, identity, and detection of rewritten files."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from loops_nb.tracking.rows import LogFingerprint

if TYPE_CHECKING:
    from loops_nb.tracking.store import ExperimentStore

_READ_BYTES = 8 << 20
# Bytes that are compared at the beginning and before the read offset: different logs differ there in times and ids.
_COMPARED_BYTES = 4096
# Windows cannot rename or remove an open file, so there the file is opened for each read.
_STAYS_OPEN = os.name != "nt"


class LogFile:
    """A log file, held open so that its rest can be read after it was renamed or removed.

    Parameters
    ----------
    path : Path
        Its current path.
    store : ExperimentStore
        Knows how far each log was read before.
    other_than : str, default ""
        Identity of the log that had this path before: this one is another even if its first line is the same.
    belongs_to : str, default ""
        Identity of another log beside which it lies: such logs may begin with the same line elsewhere.

    Attributes
    ----------
    identity : str
        Unique for each log and independent of its path; empty until the first line is complete.
    known : int
        End of what any process has recorded before, in bytes.
    offset : int
        End of what was read, in bytes.
    """

    def __init__(self, path: Path, store: ExperimentStore, *, other_than: str = "", belongs_to: str = "") -> None:
        self.identity: str = ""
        self.known: int = 0
        self.offset: int = 0
        self._path = path
        self._store = store
        self._other_than = other_than
        self._belongs_to = belongs_to
        self._fingerprint: LogFingerprint | None = None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._stat = os.fstat(descriptor)
        self._descriptor: int | None = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        if not _STAYS_OPEN:
            self._descriptor = None
            self._close()

    @property
    def stays_open(self) -> bool:
        """Whether it can be read after it was renamed or removed."""
        return self._descriptor is not None

    def is_at(self, path: Path) -> bool:
        """Whether the file at a path is this one."""
        try:
            return os.path.samestat(path.stat(), self._stat)
        except OSError:
            return False

    def is_rewritten(self) -> bool:
        """Whether the file was truncated and written again since it was read."""
        if self._fingerprint is None:
            return False
        with self._open() as file:
            is_shorter = os.fstat(file.fileno()).st_size < self._fingerprint.offset
            return is_shorter or not _is_same_log(file, self._fingerprint)

    def lines(self) -> Iterator[tuple[bytes, int]]:
        """Yield the complete lines that were not read yet, each with its end in the file."""
        with self._open() as file:
            if not self.identity and not self._identify(file):
                return
            file.seek(self.offset)
            end = self.offset
            while lines := file.readlines(_READ_BYTES):
                for line in lines:
                    if not line.endswith(b"\n"):
                        # Still being written.
                        return
                    end += len(line)
                    self.offset = end
                    yield line, end

    def fingerprint(self) -> LogFingerprint:
        """Return what stays the same while this log grows; `is_rewritten` compares with it."""
        with self._open() as file:
            self._fingerprint = _fingerprint_of(file, self.offset)
        return self._fingerprint

    def _open(self) -> BinaryIO:
        return self._path.open("rb") if self._descriptor is None else os.fdopen(os.dup(self._descriptor), "rb")

    def _identify(self, file: BinaryIO) -> bool:
        file.seek(0)
        first = file.readline()
        if not first.endswith(b"\n"):
            return False
        # The first line has a time and an address, so hardly two logs begin with the same.
        base = hashlib.blake2b(self._belongs_to.encode() + first, digest_size=16).hexdigest()
        for number in count(1):
            identity = base if number == 1 else hashlib.blake2b(f"{base}/{number}".encode(), digest_size=16).hexdigest()
            known, fingerprint = self._store.followed(identity), self._store.log_fingerprint(identity)
            is_same = not known or fingerprint is None or _is_same_log(file, fingerprint)
            if identity != self._other_than and is_same:
                self.identity, self.known = identity, known
                break
        return True


def _fingerprint_of(file: BinaryIO, offset: int) -> LogFingerprint:
    file.seek(0)
    head = file.read(min(_COMPARED_BYTES, offset))
    file.seek(max(0, offset - _COMPARED_BYTES))
    tail = file.read(min(_COMPARED_BYTES, offset))
    return LogFingerprint(offset, _digest(head), _digest(tail))


def _is_same_log(file: BinaryIO, fingerprint: LogFingerprint) -> bool:
    size = os.fstat(file.fileno()).st_size
    if size >= fingerprint.offset:
        return _fingerprint_of(file, fingerprint.offset) == fingerprint
    # An incomplete copy is the same log as far as it goes; a file truncated in place was compared with a fingerprint of
    # this process before.
    return size >= _COMPARED_BYTES <= fingerprint.offset and _fingerprint_of(file, size).head == fingerprint.head


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def try_open(path: Path, store: ExperimentStore, *, other_than: str = "", belongs_to: str = "") -> LogFile | None:
    """Return the log at a path; None if there is none."""
    with suppress(FileNotFoundError):
        return LogFile(path, store, other_than=other_than, belongs_to=belongs_to)
    return None
