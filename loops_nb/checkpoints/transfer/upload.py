"""A file that is uploaded to a bucket while it is downloaded: parts in order, nothing on disk."""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loops_nb.checkpoints.bucket.store import BucketStore, Upload
from loops_nb.checkpoints.http import FaultKind, StorageFault
from loops_nb.checkpoints.transfer.checksums import ExpectedChecksum
from loops_nb.checkpoints.transfer.partial_file import PartialFile, Segment
from loops_nb.checkpoints.transfer.safetensors_check import SafetensorsStart, is_safetensors, safetensors_problem
from loops_nb.errors import BucketError

logger: logging.Logger = logging.getLogger(__name__)
_MIB = 1 << 20
#: A server takes at most 10,000 parts, and none but the last may be shorter than 5 MiB.
PART_BYTES = 8 * _MIB
MAX_PARTS = 10_000
#: Where nothing says how long the file is.
_UNKNOWN_PART_BYTES = 64 * _MIB
#: Parts of one file that are on their way at a time; fewer where they have to be longer.
CONCURRENT_PARTS = 6
#: So far ahead of what was sent may bytes be fetched; they wait in memory.
WINDOW_BYTES = 32 * _MIB


class PartialUpload(PartialFile):
    """One attempt at a file in a bucket.

    Bytes are hashed and sent in their order.  What comes before its turn waits in memory; a worker that fetches the
    next bytes also sends what waits behind them.

    Parameters
    ----------
    store : BucketStore
        The folder of the checkpoint.
    name : str
        The file's relative name.
    total : int or None
        Its size; None while that is not known.
    cancellations : Cancellations
        Cancels uploads on other threads, and counts what may be left.
    """

    is_ordered = True

    def __init__(self, store: BucketStore, name: str, total: int | None, cancellations: Cancellations) -> None:
        super().__init__(total)
        self._store = store
        self._name = name
        self._cancellations = cancellations
        self._upload: Upload | None = None
        self._start = SafetensorsStart() if is_safetensors(name) else None
        self._waiting: dict[int, bytes] = {}
        self._sending = False
        self._sent = threading.Condition(self._lock)

    @property
    def written(self) -> int:
        """Bytes that came; none after it was cancelled."""
        return 0 if self.abandoned else super().written

    @property
    def unhashed_bytes(self) -> int:
        """Nothing: bytes are hashed when they are sent."""
        return 0

    @property
    def memory_bytes(self) -> int:
        # One part is being filled, and one waits for its turn.
        parts = (self._concurrency + 2) * self.part_bytes + WINDOW_BYTES
        return parts if self.total is None else min(parts, self.total)

    @property
    def part_bytes(self) -> int:
        """Bytes of each part but the last."""
        if self.total is None:
            return _UNKNOWN_PART_BYTES
        needed = -(-self.total // MAX_PARTS)
        return max(PART_BYTES, -(-needed // _MIB) * _MIB)

    @property
    def _concurrency(self) -> int:
        return max(1, CONCURRENT_PARTS * PART_BYTES // self.part_bytes)

    def has_room_at(self, first: int) -> bool:
        return first < self._hashed + WINDOW_BYTES

    @contextmanager
    def writing(self, segment: Segment) -> Iterator[Callable[[memoryview], None]]:
        yield lambda data: self._write(segment, data)

    def hash_ahead(self, buffer: memoryview, stopped: threading.Event, *, wait: bool = False) -> None:
        del buffer
        if not wait:
            return
        with self._sent:
            # Another worker may be sending the last bytes.
            while self._sending and not (stopped.is_set() or self.abandoned):
                self._sent.wait(0.1)

    def seal(self) -> int:
        if self._hashed != self.total:
            raise StorageFault(f"only {self._hashed:,} of {self.total or 0:,} bytes were sent", FaultKind.STOPPED)
        return self._hashed

    def has_unusual_parts(self, checksum: ExpectedChecksum) -> bool:
        del checksum
        return False

    def safetensors_problem(self) -> str:
        return "" if self._start is None else safetensors_problem(io.BytesIO(self._start.content), self._hashed)

    def complete(self) -> None:
        """Let the object appear.

        Raises
        ------
        BucketError
            If the server does not take it.
        StorageFault
            If this attempt was abandoned.
        """
        with self._lock:
            if self.abandoned:
                raise _stopped()
            # An empty file has no bytes that would have begun it.
            upload = self._upload or self._begin()
            self._upload = None
        try:
            upload.complete()
        except BucketError:
            # A file of one part leaves none.
            if (self.total or 0) > self.part_bytes:
                self._cancellations.failed += upload.may_be_left
            raise

    def close(self) -> None:
        """Cancel the upload: a later download begins at the start of the file."""
        self.abandon()

    def abandon(self) -> None:
        with self._sent:
            self.abandoned = True
            self._waiting.clear()
            upload, self._upload = self._upload, None
            self._sent.notify_all()
        if upload is not None:
            self._cancellations(upload.cancel)

    def _write(self, segment: Segment, data: memoryview) -> None:
        # The worker reads its next bytes into the same buffer.
        chunk = bytes(data)
        with self._sent:
            if self.abandoned:
                raise _stopped()
            at = segment.pos
            self._waiting[at] = chunk
            segment.pos = at + len(chunk)
            if self._sending or at != self._hashed:
                return
            self._sending = True
        try:
            self._send()
        except BaseException:
            with self._sent:
                self._sending = False
                self._sent.notify_all()
            raise

    def _send(self) -> None:
        """Send all bytes whose turn it is."""
        while True:
            with self._sent:
                if self.abandoned:
                    raise _stopped()
                chunk = self._waiting.pop(self._hashed, None)
                if chunk is None:
                    # In the same block as the look, so that no chunk can come in between and be left.
                    self._sending = False
                    self._sent.notify_all()
                    return
                upload = self._upload = self._upload or self._begin()
            if self._digests is not None:
                self._digests.update(memoryview(chunk))
            if self._start is not None:
                self._start.add(chunk)
            try:
                upload.write(chunk)
            except BucketError:
                self._cancellations.failed += upload.may_be_left
                raise
            with self._sent:
                self._hashed += len(chunk)

    def _begin(self) -> Upload:
        return self._store.upload(self._name, part_bytes=self.part_bytes, concurrency=self._concurrency)


class Cancellations:
    """Runs the cancelling of uploads beside the download, and waits for it at the end."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        #: How many were not taken by the server, or not in time.
        self.failed: int = 0

    def __call__(self, cancel: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._run, args=(cancel,), name="loops-bucket-cancel", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self, seconds: float) -> None:
        """Wait for all of them, for some time altogether."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.failed += sum(thread.is_alive() for thread in self._threads)
        self._threads.clear()

    def _run(self, cancel: Callable[[], None]) -> None:
        try:
            cancel()
        except BucketError as error:
            logger.debug("An upload could not be cancelled: %s", error.message)
            self.failed += 1


def _stopped() -> StorageFault:
    return StorageFault("it was stopped here", FaultKind.STOPPED)
