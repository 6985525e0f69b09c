"""A log file that is read as it grows: where reading stands, and whether it is still the same log."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from loops_nb.tracking.rows import LogMark

if TYPE_CHECKING:
    from loops_nb.tracking.store import Store

_AT_ONCE = 8 << 20
# So much at the beginning and before the place where reading stands is compared: logs differ there in times and ids.
_COMPARED = 4096
# An open file can be renamed and removed here.  Elsewhere it is opened for each look.
_STAYS_OPEN = os.name != "nt"


class LogFile:
    """One log: a file, held open so that its rest can be read after it was renamed or removed.

    Parameters
    ----------
    path
        Where it lies now.
    store
        Where it stands how far each log was read.
    other_than
        Identity of a log that had this file before: it is not this one, though it may begin with the same line.

    Attributes
    ----------
    identity
        Tells it from all other logs, wherever it is moved to; empty while its first line is not complete.
    known
        How far it was recorded before, by any process, in bytes.
    offset
        How far it was read here, in bytes.
    """

    def __init__(self, path: Path, store: Store, *, other_than: str = "") -> None:
        self.identity = ""
        self.known = 0
        self.offset = 0
        self._path = path
        self._store = store
        self._other_than = other_than
        self._mark: LogMark | None = None
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._stat = os.fstat(descriptor)
        self._descriptor: int | None = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)
        if not _STAYS_OPEN:
            self._let_go()

    @property
    def stays_open(self) -> bool:
        """Whether it can be read also after it was renamed or removed."""
        return self._descriptor is not None

    def is_at(self, path: Path) -> bool:
        """Tell whether the file of this name is this one."""
        try:
            return os.path.samestat(path.stat(), self._stat)
        except OSError:
            return False

    def is_rewritten(self) -> bool:
        """Tell whether the file was cut and written again since it was read."""
        if self._mark is None:
            return False
        with self._open() as file:
            return os.fstat(file.fileno()).st_size < self._mark.offset or not _has(file, self._mark)

    def lines(self) -> Iterator[tuple[bytes, int]]:
        """Yield the complete lines that were not read yet, each with its end in the file."""
        with self._open() as file:
            if not self.identity and not self._identify(file):
                return
            file.seek(self.offset)
            at = self.offset
            while lines := file.readlines(_AT_ONCE):
                for line in lines:
                    if not line.endswith(b"\n"):
                        # Being written at this moment.
                        return
                    at += len(line)
                    self.offset = at
                    yield line, at

    def mark(self) -> LogMark:
        """Return what is the same in this log as long as it only grows, and note it for `is_rewritten`."""
        with self._open() as file:
            self._mark = _mark_of(file, self.offset)
        return self._mark

    def _let_go(self) -> None:
        self._descriptor = None
        self._close()

    def _open(self) -> BinaryIO:
        return self._path.open("rb") if self._descriptor is None else os.fdopen(os.dup(self._descriptor), "rb")

    def _identify(self, file: BinaryIO) -> bool:
        file.seek(0)
        first = file.readline()
        if not first.endswith(b"\n"):
            return False
        # The first line has a time and an address: hardly any other log begins alike.
        base = hashlib.blake2b(first, digest_size=16).hexdigest()
        for number in count(1):
            identity = base if number == 1 else hashlib.blake2b(f"{base}/{number}".encode(), digest_size=16).hexdigest()
            known, mark = self._store.followed(identity), self._store.followed_mark(identity)
            if identity != self._other_than and (not known or mark is None or _has(file, mark)):
                self.identity, self.known = identity, known
                break
        return True


def _mark_of(file: BinaryIO, offset: int) -> LogMark:
    file.seek(0)
    head = file.read(min(_COMPARED, offset))
    file.seek(max(0, offset - _COMPARED))
    tail = file.read(min(_COMPARED, offset))
    return LogMark(offset, _digest(head), _digest(tail))


def _has(file: BinaryIO, mark: LogMark) -> bool:
    size = os.fstat(file.fileno()).st_size
    if size >= mark.offset:
        return _mark_of(file, mark.offset) == mark
    # A copy that is not complete is the same log as far as it goes; a file cut in place was compared with a mark of this process.
    return size >= _COMPARED <= mark.offset and _mark_of(file, size).head == mark.head


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=12).hexdigest()


def try_open(path: Path, store: Store, *, other_than: str = "") -> LogFile | None:
    """Return the log of this name; None while there is none."""
    with suppress(FileNotFoundError):
        return LogFile(path, store, other_than=other_than)
    return None
