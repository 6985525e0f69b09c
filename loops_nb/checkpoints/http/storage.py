"""Storage: opens and reads byte ranges of listed files over few connections."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Hashable
from types import TracebackType
from typing import Any, Self

from loops_nb._version import __version__
from loops_nb.checkpoints.http.connections import Answer, ConnectionPools, shut_down
from loops_nb.checkpoints.http.errors import FaultKind, StorageFault
from loops_nb.checkpoints.http.listing import FileListings, FileService, StoredFile, read_error
from loops_nb.checkpoints.http.ranges import (
    OK,
    PARTIAL,
    REDIRECTS,
    BodyRange,
    body_length,
    check_range,
    is_expired,
    refusal,
)
from loops_nb.checkpoints.http.reader import RangeReader
from loops_nb.checkpoints.http.shared_urls import SharedUrl, SharedUrls
from loops_nb.checkpoints.http.urls import PresignedUrl
from loops_nb.client.retry import RetryPolicy, RetryState
from loops_nb.config.fork_safety import ForkAware, reset_on_fork
from loops_nb.errors import InvalidArgumentError

MAX_REDIRECTS = 5
#: Read of a response that is no file, for its error code and to keep the connection.
_ERROR_BYTES = 64 * 1024
#: Skipped when a server sends the whole file in place of a range.
_MAX_SKIPPED_BYTES = 16 * 1024 * 1024
_SKIP_BYTES = 256 * 1024
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"loops-nb/{__version__}"}


class Storage(ForkAware):
    """Reads the files of checkpoints; safe to use from several threads.

    Parameters
    ----------
    service : FileService
        Lists the files: ``loops.checkpoints``.
    connections : int, default 16
        How many may be open at a time.
    silence : float, default 30
        Seconds without a byte after which a connection counts as broken.
    retry : RetryPolicy, optional
        When `read` tries again.

    Raises
    ------
    InvalidArgumentError
        If there is no connection or no time.

    Notes
    -----
    Pickled, it is as its ``service`` pickles: the copy opens connections of its own, which all copies in a process
    share.
    """

    def __init__(
        self, service: FileService, *, connections: int = 16, silence: float = 30.0, retry: RetryPolicy | None = None
    ) -> None:
        if connections < 1:
            raise InvalidArgumentError("connections must be at least 1.", argument="connections")
        if not silence > 0:
            raise InvalidArgumentError("silence must be a number of seconds above 0.", argument="silence")
        self.connections = connections
        self.retry: RetryPolicy = retry or RetryPolicy()
        self._service = service
        self._silence = silence
        #: Names it in other processes.
        self._origin = secrets.token_hex(8)
        self._listings = FileListings(service)
        self._pools = ConnectionPools(connections, silence)
        self._received = 0
        self._closed = threading.Event()
        self._reset()
        reset_on_fork(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return shared_storage, (self._service, self._options)

    @property
    def _options(self) -> dict[str, Any]:
        return {"connections": self.connections, "silence": self._silence, "retry": self.retry}

    def __repr__(self) -> str:
        return f"Storage(connections={self.connections})"

    @property
    def closed(self) -> bool:
        """Whether it was closed; nothing can be read then."""
        return self._closed.is_set()

    @property
    def bytes_received(self) -> int:
        """All bytes of bodies so far."""
        with self._lock:
            return self._received + sum(reader.received for reader in self._readers)

    def listing(self, checkpoint_id: str) -> list[StoredFile]:
        """List the files of a checkpoint, all pages; their URLs are kept in here.

        Raises
        ------
        VolumeBackedError
            If its files have no URLs.
        LoopsError
            If they cannot be listed.
        """
        return self._listings.fetch(checkpoint_id)

    def with_urls(self, checkpoint_id: str, *, is_renewed: bool = False) -> Storage:
        """Return a storage of the same checkpoint whose pickle holds the presigned URLs of its files.

        Parameters
        ----------
        checkpoint_id : str
            Global id of the checkpoint.
        is_renewed : bool, default False
            List the files again for new URLs.

        Raises
        ------
        LoopsError
            If they cannot be listed.
        """
        files = self._listings.shared_urls(checkpoint_id, is_renewed=is_renewed)
        return _StorageWithUrls(self._origin, checkpoint_id, files, self)

    def open(
        self, file: StoredFile, *, first: int = 0, last: int | None = None, if_range: str | None = None
    ) -> RangeReader:
        """Request bytes of a file, once; an expired URL is renewed.

        Parameters
        ----------
        file : StoredFile
            As `listing` gave it.
        first, last : int, optional
            The range of bytes, ``last`` included; all of the file by default.
        if_range : str, optional
            The version (`RangeReader.validator`) that the range belongs to; of another version the whole file is sent,
            with status 200.

        Returns
        -------
        RangeReader
            To be closed.  A server may answer a range with the whole file: `RangeReader.status` is 200 then and
            `RangeReader.first` 0.

        Raises
        ------
        StorageFault
            If there are no such bytes now.
        LoopsError
            If the files cannot be listed again.
        """
        is_ranged = first > 0 or last is not None
        headers = dict(_HEADERS)
        if is_ranged:
            headers["Range"] = f"bytes={first}-{'' if last is None else last}"
            if if_range is not None:
                headers["If-Range"] = if_range
        slots = self._slots
        slots.acquire()
        try:
            answer = self._request(file, headers)
            try:
                body_range = check_range(
                    answer.status, answer.headers, name=file.name, first=first, last=last, is_ranged=is_ranged
                )
            except StorageFault:
                answer.release(is_complete=False)
                raise
            reader = RangeReader(answer, body_range, self._closed_reader)
        except BaseException:
            slots.release()
            raise
        with self._lock:
            self._readers.add(reader)
        if self.closed:
            reader.stop()
        return reader

    def read(self, file: StoredFile, first: int, count: int, *, if_range: str | None = None) -> bytes:
        """Read a part of a file, with retries.

        Parameters
        ----------
        file : StoredFile
            As `listing` gave it.
        first, count : int
            Offset and number of bytes.
        if_range : str, optional
            The version that the bytes have to be of.

        Returns
        -------
        bytes
            Exactly ``count`` bytes.

        Raises
        ------
        StorageError
            If they cannot be read.
        LoopsError
            If the files cannot be listed again.
        """
        if first < 0 or count < 0:
            raise InvalidArgumentError(
                "A part of a file begins at 0 or later and has 0 bytes or more.", argument="first"
            )
        buffer = memoryview(bytearray(count))
        state, done, had_protocol_error = RetryState(self.retry), 0, False
        while done < count:
            fault: StorageFault | None = None
            before = done
            try:
                with self.open(file, first=first + done, last=first + count - 1, if_range=if_range) as reader:
                    self._skip(reader, first + done, if_range)
                    while got := reader.readinto(buffer[done:]):
                        done += got
                if done < count:
                    fault = StorageFault("it ends before the bytes that were requested", FaultKind.PROTOCOL_ERROR)
            except StorageFault as error:
                fault = error
            if fault is None:
                continue
            if done > before and fault.kind is not FaultKind.SLOW:
                state.reset()
            if fault.kind is FaultKind.PROTOCOL_ERROR and not had_protocol_error:
                had_protocol_error = True
                continue
            seconds = state.next_wait(is_transient=fault.is_transient, retry_after=fault.retry_after)
            if seconds is None or self._closed.wait(seconds):
                raise read_error(file, fault, state.summary)
        return bytes(buffer)

    def close(self) -> None:
        """Close all connections; reads and waits in progress fail at once."""
        self._closed.set()
        with self._lock:
            readers, waiting = list(self._readers), list(self._waiting.values())
        for reader in readers:
            reader.stop()
        for sock in waiting:
            shut_down(sock)
        self._pools.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def after_fork_in_child(self) -> None:
        """Start over with new locks and connections; those of the parent are not touched."""
        self._pools.abandon()
        self._listings.reset_locks()
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.connections)
        self._readers: set[RangeReader] = set()
        #: The socket that each thread waits for, to connect or for the head of a response.
        self._waiting: dict[int, socket.socket] = {}

    def _request(self, file: StoredFile, headers: dict[str, str]) -> Answer:
        """Return the response that carries the file, with a renewed URL if need be."""
        grant = self._listings.grant(file)
        while True:
            answer = self._follow_redirects(grant.url, headers)
            if answer.status in {OK, PARTIAL}:
                self._listings.mark_working(file, grant)
                return answer
            body = _read_error_body(answer)
            refused = refusal(answer.status, answer.headers, body)
            if not is_expired(answer.status, body):
                raise refused
            renewed = self._listings.renew(file, grant)
            if renewed is None:
                raise refused
            grant = renewed

    def _follow_redirects(self, url: PresignedUrl, headers: dict[str, str]) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._send(url, headers)
            if answer.status not in REDIRECTS or "location" not in answer.headers:
                return answer
            _read_error_body(answer)
            url = url.redirected(answer.headers["location"])
        raise StorageFault("it was redirected again and again", FaultKind.UNUSABLE)

    def _send(self, url: PresignedUrl, headers: dict[str, str]) -> Answer:
        try:
            return self._pools.request(url, headers, self._watch)
        except StorageFault:
            if not self.closed:
                raise
        finally:
            with self._lock:
                self._waiting.pop(threading.get_ident(), None)
        raise StorageFault("it was stopped here", FaultKind.STOPPED)

    def _watch(self, sock: socket.socket) -> None:
        """Remember what this thread waits for, so that `close` can end it."""
        with self._lock:
            self._waiting[threading.get_ident()] = sock
        if self.closed:
            shut_down(sock)

    def _skip(self, reader: RangeReader, wanted: int, if_range: str | None) -> None:
        """Read up to the first byte that was requested when the whole file is sent.

        Raises
        ------
        StorageFault
            If it is another version, or too far.
        """
        if reader.status != OK or reader.first == wanted:
            return
        if if_range is not None and reader.validator != if_range:
            raise StorageFault("the file has changed since its first part was read", FaultKind.UNUSABLE)
        if wanted > _MAX_SKIPPED_BYTES:
            raise StorageFault("the server does not send parts of files", FaultKind.UNUSABLE)
        skipped = memoryview(bytearray(_SKIP_BYTES))
        left = wanted
        while left:
            got = reader.readinto(skipped[:left])
            if not got:
                raise StorageFault("it ends before the bytes that were requested", FaultKind.PROTOCOL_ERROR)
            left -= got

    def _closed_reader(self, reader: RangeReader) -> None:
        with self._lock:
            if reader not in self._readers:
                # Opened before a fork, closed in the child.
                return
            self._readers.discard(reader)
            self._received += reader.received
        self._slots.release()


#: Of copies that were unpickled in this process, by all that they were made of; the oldest are dropped.
_shared: dict[Hashable, Storage] = {}
_MOST_SHARED = 8


class _StorageWithUrls(Storage):
    """A storage of one checkpoint whose pickle holds the presigned URLs of its files."""

    def __init__(self, origin: str, checkpoint_id: str, files: tuple[SharedUrl, ...], like: Storage) -> None:
        super().__init__(SharedUrls(origin), **like._options)  # noqa: SLF001 - of its own class
        self._given = checkpoint_id, files

    def __reduce__(self) -> tuple[Any, ...]:
        return _storage_of_urls, (self._service, self._options, *self._given)


def shared_storage(service: FileService, options: dict[str, Any]) -> Storage:
    """Return the storage of this process for a service: tasks that come one after the other share its connections.

    Parameters
    ----------
    service : FileService
        Lists the files; hashable.
    options : dict
        Keyword arguments of `Storage`.
    """
    key = service, *options.values()
    found = _shared.get(key)
    if found is None or found.closed:
        found = _shared[key] = Storage(service, **options)
        for oldest in list(_shared)[:-_MOST_SHARED]:
            _shared.pop(oldest, None)
    return found


def _storage_of_urls(
    service: SharedUrls, options: dict[str, Any], checkpoint_id: str, files: tuple[SharedUrl, ...]
) -> Storage:
    storage = shared_storage(service, options)
    if isinstance(storage._service, SharedUrls):  # noqa: SLF001 - of this module; an equal one may have come before
        storage._service.put(checkpoint_id, files)  # noqa: SLF001
    return storage


def _read_error_body(answer: Answer) -> bytes:
    """Read the body of a response that carries no file, so that its connection can be used again."""
    buffer, count = memoryview(bytearray(_ERROR_BYTES)), 0
    try:
        length, is_chunked = body_length(answer.status, answer.headers)
    except StorageFault:
        answer.release(is_complete=False)
        return b""
    with RangeReader(answer, BodyRange(0, length, None, is_chunked)) as reader:
        try:
            while got := reader.readinto(buffer[count:]):
                count += got
        except StorageFault:
            # The status says enough.
            pass
    return bytes(buffer[:count])
