"""The storage: bytes of listed files."""

from __future__ import annotations

import socket
import ssl
import threading
from types import TracebackType
from typing import Self

from loops_nb._version import __version__
from loops_nb.client.retry import RetryPolicy
from loops_nb.errors import InvalidArgumentError
from loops_nb.storage.answers import REDIRECTS, Span, body_length, is_expired, refusal, span_of
from loops_nb.storage.body import Body
from loops_nb.storage.connections import Connection, Head, end
from loops_nb.storage.faults import Kind, StorageFault
from loops_nb.storage.files import FileService, StoredFile
from loops_nb.storage.listings import Listings, failed
from loops_nb.storage.patience import Patience
from loops_nb.storage.places import Presigned
from loops_nb.storage.pool import Pool
from loops_nb.storage.roads import connected, in_words

MOST_REDIRECTS = 5
#: What is read of an answer that is no file, for its code and to keep the connection.
_ERROR_BYTES = 64 * 1024
#: What is read and thrown away when a server sends the whole file in place of a range.
_MOST_SKIPPED = 16 * 1024 * 1024
_SKIP_BYTES = 256 * 1024
_HEADERS = f"Accept: */*\r\nAccept-Encoding: identity\r\nUser-Agent: loops-nb/{__version__}\r\n"


class Storage:
    """Reads the files of checkpoints; safe to use from several threads.

    Parameters
    ----------
    service
        Who lists the files: ``loops.checkpoints``.
    connections
        How many may be open at a time.
    silence
        Seconds without a byte after which a connection counts as broken.
    retry
        When `read` tries again.
    """

    def __init__(self, service: FileService, *, connections: int = 16, silence: float = 30.0, retry: RetryPolicy | None = None) -> None:
        if connections < 1:
            raise InvalidArgumentError("connections must be at least 1.", argument="connections")
        if not silence > 0:
            raise InvalidArgumentError("silence must be a number of seconds above 0.", argument="silence")
        self.connections = connections
        self.retry = retry or RetryPolicy()
        self._silence = silence
        self._listings = Listings(service)
        self._pool = Pool(connections)
        self._room = threading.BoundedSemaphore(connections)
        self._lock = threading.Lock()
        self._received = 0
        self._open: set[Body] = set()
        #: Sockets of which somebody waits for a connection or for the head of an answer, each with its thread.
        self._awaited: dict[int, socket.socket] = {}
        self._closed = threading.Event()

    def __repr__(self) -> str:
        return f"Storage(connections={self.connections})"

    @property
    def closed(self) -> bool:
        """Whether it was closed: nothing comes from it any more."""
        return self._closed.is_set()

    @property
    def bytes_received(self) -> int:
        """All bytes of bodies so far."""
        with self._lock:
            return self._received + sum(body.received for body in self._open)

    def listing(self, checkpoint_id: str) -> list[StoredFile]:
        """List the files of a checkpoint, all pages; their URLs stay in here.

        Raises
        ------
        VolumeBackedError
            If its files have no URLs.
        LoopsError
            If they cannot be listed.
        """
        return self._listings.fetch(checkpoint_id)

    def open(self, file: StoredFile, *, first: int = 0, last: int | None = None, if_range: str | None = None) -> Body:
        """Ask for bytes of a file, once; an expired URL is renewed.

        Parameters
        ----------
        file
            As `listing` gave it.
        first, last
            The range of bytes, ``last`` included; all of the file when both are left out.
        if_range
            The version (`Body.validator`) that the range is of; of another one the whole file is sent, with status 200.

        Returns
        -------
        body
            To be closed.  A server may answer a range with the whole file: `Body.status` is 200 then and `Body.first` 0.

        Raises
        ------
        StorageFault
            If there are no such bytes now.
        LoopsError
            If the files cannot be listed again.
        """
        ranged = first > 0 or last is not None
        extra = f"Range: bytes={first}-{'' if last is None else last}\r\n" if ranged else ""
        if ranged and if_range is not None:
            extra += f"If-Range: {if_range}\r\n"
        self._room.acquire()
        body: Body | None = None
        fault: StorageFault | None = None
        try:
            connection, head = self._answered(file, extra)
            try:
                body = Body(connection, head, span_of(head, name=file.name, first=first, last=last, ranged=ranged), self._released)
            except StorageFault as error:
                connection.close()
                fault = error
        finally:
            if body is None:
                self._room.release()
        if body is None:
            raise fault or StorageFault("there was no answer")
        with self._lock:
            self._open.add(body)
        if self._closed.is_set():
            body.stop()
        return body

    def read(self, file: StoredFile, first: int, count: int, *, if_range: str | None = None) -> bytes:
        """Read a part of a file, trying again as the policy says.

        Parameters
        ----------
        file
            As `listing` gave it.
        first, count
            Where it begins, and how many bytes.
        if_range
            The version that it has to be of.

        Returns
        -------
        part
            Exactly ``count`` bytes.

        Raises
        ------
        StorageError
            If they cannot be had.
        LoopsError
            If the files cannot be listed again.
        """
        if first < 0 or count < 0:
            raise InvalidArgumentError("A part of a file begins at 0 or later and has 0 bytes or more.", argument="first")
        into = bytearray(count)
        patience, done, was_odd = Patience(self.retry), 0, False
        while done < count:
            fault: StorageFault | None = None
            before = done
            try:
                with self.open(file, first=first + done, last=first + count - 1, if_range=if_range) as body:
                    self._skip(body, first + done, if_range)
                    for got in iter(lambda: body.readinto(memoryview(into)[done:]), 0):  # noqa: B023 - called in this turn only
                        done += got
                if done < count:
                    fault = StorageFault("it ends before the bytes that were asked for", Kind.ODD)
            except StorageFault as error:
                fault = error
            if fault is not None:
                if done > before and fault.kind is not Kind.SLOW:
                    patience.progressed()
                if fault.kind is Kind.ODD and not was_odd:
                    was_odd = True
                    continue
                seconds = patience.wait(fault)
                if seconds is None or self._closed.wait(seconds):
                    raise failed(file, fault, patience.tried)
        return bytes(into)

    def close(self) -> None:
        """Close all connections; what is being read or waited for fails at once."""
        self._closed.set()
        with self._lock:
            reading, awaited = list(self._open), list(self._awaited.values())
        for body in reading:
            body.stop()
        for sock in awaited:
            end(sock)
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _answered(self, file: StoredFile, extra: str) -> tuple[Connection, Head]:
        """Return the answer that carries the file, with a renewed URL if need be."""
        ticket = self._listings.ticket(file)
        while True:
            connection, head = self._followed(ticket.url, extra)
            if head.status in {200, 206}:
                self._listings.worked(file, ticket)
                return connection, head
            said = self._drained(connection, head)
            refused = refusal(head, said)
            if not is_expired(head.status, said):
                raise refused
            fresh = self._listings.renewed(file, ticket)
            if fresh is None:
                raise refused
            ticket = fresh

    def _followed(self, url: Presigned, extra: str) -> tuple[Connection, Head]:
        for _ in range(MOST_REDIRECTS + 1):
            connection, head = self._exchanged(url, extra)
            if head.status not in REDIRECTS or "location" not in head.headers:
                return connection, head
            self._drained(connection, head)
            url = url.onward(head.headers["location"])
        raise StorageFault("it was redirected again and again", Kind.UNFIT)

    def _exchanged(self, url: Presigned, extra: str) -> tuple[Connection, Head]:
        """Send one request; once more when a kept connection turns out to be closed."""
        while True:
            kept = self._pool.get(url.place)
            try:
                connection, came = self._tried(kept, url, extra)
            finally:
                with self._lock:
                    self._awaited.pop(threading.get_ident(), None)
            if connection is not None and isinstance(came, Head):
                return connection, came
            if self._closed.is_set():
                raise StorageFault("it was stopped here", Kind.STOPPED)
            # Closed by the server just as the request left: nothing is known against the server.
            if isinstance(came, StorageFault) and (kept is None or kept.used):
                raise came

    def _tried(self, kept: Connection | None, url: Presigned, extra: str) -> tuple[Connection | None, Head | StorageFault]:
        """Send one request on a kept connection or a new one; that is closed after a fault."""
        connection = kept
        try:
            if connection is None:
                connection = connected(url.place, silence=self._silence, hold=self._awaits)
            self._awaits(connection.socket)
            connection.used = False
            request = f"GET {connection.prefix}{url.target} HTTP/1.1\r\nHost: {url.place.netloc}\r\n{_HEADERS}{connection.extra}{extra}\r\n"
            return connection, connection.ask(request.encode("latin-1"))
        except OSError as error:
            # A certificate that is not trusted is not trusted a moment later either.
            fault = StorageFault(in_words(error), Kind.UNFIT if isinstance(error, ssl.SSLCertVerificationError) else Kind.BROKEN)
            if connection is not None:
                # Silence is no end.
                connection.used = connection.used or isinstance(error, TimeoutError)
        except StorageFault as error:
            fault = error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if connection is not None:
            connection.close()
        return None, fault

    def _awaits(self, sock: socket.socket) -> None:
        """Take note of what this thread waits for."""
        with self._lock:
            self._awaited[threading.get_ident()] = sock
        if self._closed.is_set():
            end(sock)

    def _drained(self, connection: Connection, head: Head) -> bytes:
        """Read what an answer says that carries no file, so that its connection can be used again."""
        said = bytearray(_ERROR_BYTES)
        count = 0
        try:
            length, chunked = (0, False) if head.status in {204, 304} else body_length(head)
            body = Body(connection, head, Span(0, length, None, chunked), self._returned)
        except StorageFault:
            connection.close()
            return b""
        with body:
            try:
                while got := body.readinto(memoryview(said)[count:]):
                    count += got
            except StorageFault:
                pass
        return bytes(said[:count])

    def _skip(self, body: Body, wanted: int, if_range: str | None) -> None:
        """Come to the first byte that was asked for when the whole file is sent.

        Raises
        ------
        StorageFault
            If it is another version, or too far.
        """
        if body.status != 200 or body.first == wanted:  # noqa: PLR2004 - HTTP statuses are their own names
            return
        if if_range is not None and body.validator != if_range:
            raise StorageFault("the file has changed since its first part was read", Kind.UNFIT)
        if wanted > _MOST_SKIPPED:
            raise StorageFault("the server does not send parts of files", Kind.UNFIT)
        waste = memoryview(bytearray(_SKIP_BYTES))
        left = wanted
        while left:
            got = body.readinto(waste[:left])
            if not got:
                raise StorageFault("it ends before the bytes that were asked for", Kind.ODD)
            left -= got

    def _released(self, body: Body, connection: Connection, clean: bool) -> None:  # noqa: FBT001 - one caller
        with self._lock:
            self._open.discard(body)
            self._received += body.received
        self._returned(body, connection, clean)
        self._room.release()

    def _returned(self, body: Body, connection: Connection, clean: bool) -> None:  # noqa: ARG002, FBT001 - as `_released`
        if clean and connection.usable:
            self._pool.put(connection)
        else:
            connection.close()
