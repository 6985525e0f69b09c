"""Reads the bytes of one response, counts them exactly, and finds out whether they are all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from loops_nb.checkpoints.http.connections import Answer
from loops_nb.checkpoints.http.errors import FaultKind, StorageFault
from loops_nb.checkpoints.http.ranges import BodyRange


class RangeReader:
    """The bytes of one response, read into buffers of the caller.

    Parameters
    ----------
    answer : Answer
        Head and connection of the response.
    body_range : BodyRange
        Which bytes it carries.
    on_close : callable, optional
        Called once when the reader is closed, with the reader.
    """

    __slots__ = ("_answer", "_fault", "_is_at_end", "_left", "_on_close", "_range", "headers", "received", "status")

    def __init__(
        self, answer: Answer, body_range: BodyRange, on_close: Callable[[RangeReader], None] | None = None
    ) -> None:
        self._answer: Answer = answer
        self._range = body_range
        self._on_close = on_close
        self._left = body_range.length
        self._is_at_end = False
        self._fault: StorageFault | None = None
        self.status: int = answer.status
        #: Names in lower case.
        self.headers: Mapping[str, str] = answer.headers
        #: Bytes read so far.
        self.received: int = 0

    @property
    def first(self) -> int:
        """Where the bytes begin in the file; 0 with a 200, whatever was requested."""
        return self._range.first

    @property
    def length(self) -> int | None:
        """How many bytes will come, if the server states it."""
        return self._range.length

    @property
    def total(self) -> int | None:
        """The size of the whole file, if the server states it."""
        return self._range.total

    @property
    def ends_by_close(self) -> bool:
        """Whether only the end of the connection marks the end of the body, so that a cut looks the same."""
        return self._range.length is None and not self._range.is_chunked

    @property
    def etag(self) -> str | None:
        """The ``ETag`` as it was sent."""
        return self.headers.get("etag") or None

    @property
    def validator(self) -> str | None:
        """The value that ``If-Range`` can name this version by: a strong ``ETag``, else ``Last-Modified``."""
        etag = self.etag
        if etag is not None and etag.startswith('"'):
            return etag
        return self.headers.get("last-modified") or None

    def readinto(self, view: memoryview) -> int:
        """Read what has arrived into a buffer; 0 at the clean end.

        Raises
        ------
        StorageFault
            If the connection breaks before the end, nothing comes for too long, or other bytes come than were
            announced.
        """
        return self._read(view, is_optional=False) or 0

    def fill(self, view: memoryview, seconds: float) -> int:
        """Read into a buffer until it is full, or bytes have been gathered for some time; 0 at the clean end.

        Raises
        ------
        StorageFault
            As `readinto`; what was read before the fault is returned first.
        """
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        filled, until = 0, time.monotonic() + seconds
        try:
            while filled < len(view) and time.monotonic() < until:
                count = self._read(view[filled:], is_optional=filled > 0)
                if not count:
                    break
                filled += count
        except StorageFault as error:
            if not filled:
                raise
            self._fault = error
        return filled

    def _read(self, view: memoryview, *, is_optional: bool) -> int | None:
        left = self._left
        if left is not None and left < len(view) and not self._range.is_chunked:
            view = view[:left]
        if self._is_at_end or not len(view):
            return 0
        if self._range.is_chunked:
            count: int | None = self._answer.receive_chunked(view)
        else:
            count = self._answer.receive(view, is_optional=is_optional)
        if count is None:
            return None
        self.received += count
        if left is not None:
            self._left = left = left - count
        if not count:
            self._is_at_end = True
            if left:
                length = self._range.length
                raise StorageFault(f"the connection was cut after {self.received:,} of {length:,} bytes")
        elif left is not None and left < 0:
            raise StorageFault("more bytes came than were announced", FaultKind.PROTOCOL_ERROR)
        return count

    def stop(self) -> None:
        """Make a read in progress fail at once; callable from another thread."""
        self._answer.stop()

    def close(self) -> None:
        """Give the connection back: for another request if this body was read to its end."""
        on_close, self._on_close = self._on_close, None
        is_complete = self._is_at_end or (self._left == 0 and not self._range.is_chunked)
        self._answer.release(is_complete=is_complete and not self._left and not self.ends_by_close)
        if on_close is not None:
            on_close(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
