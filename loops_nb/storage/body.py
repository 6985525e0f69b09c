"""The bytes of one answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from loops_nb.storage.answers import Span
from loops_nb.storage.connections import Connection, Head
from loops_nb.storage.faults import Kind, StorageFault
from loops_nb.storage.roads import in_words

_LONGEST_CHUNK_WORD = 16
_MOST_TRAILERS = 100


class Body:
    """The bytes of one answer, read into buffers of the caller's.

    Parameters
    ----------
    connection, head, span
        Where they come from and what was said of them.
    release
        Called once at the end, with the connection and whether another request can follow on it.
    """

    __slots__ = ("_chunk", "_connection", "_ended", "_keeps", "_left", "_release", "_span", "headers", "received", "status")

    def __init__(self, connection: Connection, head: Head, span: Span, release: Callable[[Body, Connection, bool], None]) -> None:
        self._connection = connection
        self._span = span
        self._release: Callable[[Body, Connection, bool], None] | None = release
        self._left = span.length
        self._chunk = 0
        self._ended = False
        self._keeps = head.keeps
        self.status = head.status
        self.headers: Mapping[str, str] = head.headers
        #: Bytes read so far.
        self.received = 0

    @property
    def first(self) -> int:
        """Where the bytes begin in the file; 0 with a 200, whatever was asked for."""
        return self._span.first

    @property
    def length(self) -> int | None:
        """How many bytes will come, if told."""
        return self._span.length

    @property
    def total(self) -> int | None:
        """The size of the whole file, if told."""
        return self._span.total

    @property
    def ends_by_close(self) -> bool:
        """Whether nothing but the end of the connection marks the end: then a cut looks the same as the end."""
        return self._span.length is None and not self._span.chunked

    @property
    def etag(self) -> str | None:
        """The ``ETag`` as it was sent."""
        return self.headers.get("etag") or None

    @property
    def validator(self) -> str | None:
        """What ``If-Range`` can name this version by: a strong ``ETag``, else ``Last-Modified``."""
        etag = self.etag
        if etag is not None and etag.startswith('"'):
            return etag
        return self.headers.get("last-modified") or None

    def readinto(self, view: memoryview) -> int:
        """Read what is there into a buffer; 0 at the clean end.

        Raises
        ------
        StorageFault
            If the connection breaks before the end, or nothing comes for too long.
        """
        if self._ended or not len(view):
            return 0
        fault: StorageFault | None = None
        try:
            count = self._chunked(view) if self._span.chunked else self._plain(view)
        except OSError as error:
            fault = self._stopped() or StorageFault(in_words(error))
        except StorageFault as error:
            fault = self._stopped() or error
        if fault is not None:
            # Raised here, where no other error is being handled: nothing stands in its context.
            raise fault
        self.received += count
        if not count:
            self._ended = True
        return count

    def stop(self) -> None:
        """Let the thread that reads it fail at once; for other threads."""
        self._connection.stop()

    def close(self) -> None:
        """Give the connection back: for another request if this body was read to its end."""
        release, self._release = self._release, None
        if release is not None:
            is_done = self._ended or (self._left == 0 and not self._span.chunked)
            release(self, self._connection, is_done and self._keeps and not self.ends_by_close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _stopped(self) -> StorageFault | None:
        return StorageFault("it was stopped here", Kind.STOPPED) if self._connection.stopped else None

    def _plain(self, view: memoryview) -> int:
        if self._left is None:
            count = self._connection.take(view)
            if not count and self._connection.stopped:
                raise StorageFault("it was stopped here", Kind.STOPPED)
            return count
        if not self._left:
            return 0
        count = self._connection.take(view[: self._left] if self._left < len(view) else view)
        if not count:
            raise StorageFault(f"the connection was cut after {self.received:,} of {self._span.length:,} bytes")
        self._left -= count
        return count

    def _chunked(self, view: memoryview) -> int:
        if not self._chunk:
            self._chunk = self._next_chunk()
            if not self._chunk:
                return 0
        count = self._connection.take(view[: self._chunk] if self._chunk < len(view) else view)
        if not count:
            raise StorageFault(f"the connection was cut after {self.received:,} bytes")
        self._chunk -= count
        if not self._chunk and self._connection.line():
            raise StorageFault("the server sent chunks that cannot be read", Kind.ODD)
        if self._left is not None:
            self._left -= count
            if self._left < 0:
                raise StorageFault("more bytes came than were announced", Kind.ODD)
        return count

    def _next_chunk(self) -> int:
        word = self._connection.line().partition(b";")[0].strip()
        # int() would take signs, underscores and 0x.
        if not 0 < len(word) <= _LONGEST_CHUNK_WORD or word.strip(b"0123456789abcdefABCDEF"):
            raise StorageFault("the server sent chunks that cannot be read", Kind.ODD)
        size = int(word, 16)
        if not size:
            if self._left:
                raise StorageFault("fewer bytes came than were announced")
            for _ in range(_MOST_TRAILERS):
                if not self._connection.line():
                    return size
            raise StorageFault("the server sent trailers that do not end", Kind.ODD)
        return size
