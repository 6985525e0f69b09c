"""A file server on loopback that sends exactly the bytes a test chooses, and lists its files as the Loops API does."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, Self
from urllib.parse import parse_qs, urlsplit

from tests.checkpoints.transfer.responses import Fault, Reply, as_it_is, honest
from tests.checkpoints.transfer.stored_file import SECRET, Asked, Stored

#: Limit of every wait for something that happens in this process.
LONGEST_WAIT = 60.0
Json = dict[str, Any]


class HostileServer:
    """One checkpoint, its listing and its files.

    Parameters
    ----------
    files
        What it keeps; may be changed while it runs.
    """

    def __init__(self, files: Sequence[Stored]) -> None:
        self.files = list(files)
        #: Done to every answer with a file's bytes.
        self.fault: Fault = as_it_is
        #: Answers the listing in place of it: from the token and the page size to status and document.
        self.listing: Callable[[int, int], tuple[int, Json]] | None = None
        self.source: Json = {"kind": "s3"}
        #: Listings made before this one hold URLs that have expired.
        self.valid_from = 0
        self.listings = 0
        self.asked: list[Asked] = []
        self.api_calls: list[str] = []
        self.connections = 0
        self.open_now = 0
        self.most_open = 0
        #: Seconds between two pieces of a body.
        self.pause = 0.0
        self.sent = 0
        self._changed = threading.Condition()
        self._counts: Counter[int] = Counter()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    # What tests do.

    def behave(self) -> None:
        """Be a good server from now on, and forget what was asked."""
        with self._changed:
            self.fault = as_it_is
            self.listing = None
            self.pause = 0.0
            self.asked.clear()
            self.api_calls.clear()
            self._counts.clear()

    def expire(self) -> None:
        """End the validity of every URL that was listed until now."""
        self.valid_from = self.listings + 1

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return as soon as this is so."""
        with self._changed:
            assert self._changed.wait_for(condition, LONGEST_WAIT), "it never came to that"

    def asked_for(self, name: str) -> list[Asked]:
        """Return the requests for a file, oldest first."""
        return [asked for asked in self.asked if asked.file.name == name]

    def url_of(self, stored: Stored) -> str:
        """Return a presigned URL as the listing has it now."""
        index = next(i for i, f in enumerate(self.files) if f is stored)
        return f"{self.url}/bucket-{SECRET}/{index}?X-Amz-Expires=60&listing={self.listings}&X-Amz-Signature={SECRET}"

    def rows(self) -> list[Json]:
        """Return all rows of the listing."""
        return [
            {
                "url": self.url_of(stored),
                "relative_file_name": stored.name,
                "node_rank": stored.rank,
                "size_bytes": len(stored.body),
                "last_modified": "2026-05-01T10:00:00Z",
                **stored.listed,
            }
            for stored in self.files
        ]

    def close(self) -> None:
        """Stop listening and end all connections."""
        self._closing.set()
        # Closing alone does not wake who waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # How it is done.

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.add(connection)
            self.connections += 1
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
        try:
            with connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None and self._answer(connection, *request):
                    pass
        except OSError:
            pass
        finally:
            with self._changed:
                self._open.discard(connection)
                self.open_now -= 1
                self._changed.notify_all()
            connection.close()

    def _answer(self, connection: socket.socket, target: str, headers: Mapping[str, str]) -> bool:
        reply = self._api(target) if target.startswith("/v1/") else self._file(target, headers)
        self._send(connection, reply)
        if reply.ending == "silence":
            self._closing.wait(LONGEST_WAIT)
        if reply.ending == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return reply.ending == "keep" and reply.cut is None

    def _api(self, target: str) -> Reply:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        token, size = int(query.get("page_token", 0)), int(query.get("page_size", 1000))
        is_listing = parts.path.endswith("/files")
        with self._changed:
            self.api_calls.append(parts.path)
            self._changed.notify_all()
            if is_listing and token == 0:
                self.listings += 1
            listing = self.listing
        if parts.path.endswith("/source"):
            return _json(200, {"source": self.source})
        if not is_listing:
            return _json(404, {"code": "NOT_FOUND", "message": "no such route"})
        if listing is not None:
            return _json(*listing(token, size))
        with self._changed:
            rows = self.rows()
            end = token + size
            page = {
                "presigned_urls": rows[token:end],
                "next_page_token": end if end < len(rows) else None,
                "total_count": len(rows),
            }
            return _json(200, page)

    def _file(self, target: str, headers: Mapping[str, str]) -> Reply:
        parts = urlsplit(target)
        last = parts.path.rpartition("/")[2]
        if not last.isdecimal():
            return Reply(404, {"content-length": "0"})
        with self._changed:
            index = int(last)
            self._counts[index] += 1
            asked = Asked(self.files[index], self._counts[index], headers, target)
            self.asked.append(asked)
            self._changed.notify_all()
            fault = self.fault
        if int(parse_qs(parts.query)["listing"][0]) < self.valid_from:
            body = (
                f"<Error><Code>AccessDenied</Code><Message>Request has expired</Message><R>{target}</R></Error>"
            ).encode()
            return Reply(403, {"content-type": "application/xml", "content-length": str(len(body))}, body)
        return fault(asked, honest(asked))

    def _send(self, connection: socket.socket, reply: Reply) -> None:
        wire = memoryview(reply.wire)
        half = len(wire) // 2
        for at in range(0, len(wire), reply.pieces):
            piece = wire[at : at + reply.pieces]
            if reply.held is not None and at <= half < at + reply.pieces:
                connection.sendall(piece[: half - at])
                self._count(half - at)
                reply.held.wait(LONGEST_WAIT)
                piece = piece[half - at :]
            connection.sendall(piece)
            self._count(len(piece))
            if self.pause:
                time.sleep(self.pause)

    def _count(self, sent: int) -> None:
        with self._changed:
            self.sent += sent
            self._changed.notify_all()


def _json(status: int, document: Json) -> Reply:
    body = json.dumps(document).encode()
    return Reply(status, {"content-type": "application/json", "content-length": str(len(body))}, body)


def _read(stream: BinaryIO) -> tuple[str, dict[str, str]] | None:
    line = stream.readline().decode("latin-1").strip()
    if " " not in line:
        # The end, or bytes that are not a request.
        return None
    target = line.split(" ")[1]
    headers = {}
    while header := stream.readline().decode("latin-1").strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return target, headers
