"""A file server on loopback with presigned URLs, ranges, versions, and responses modified by tests."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote

from loops_nb.api.models import CheckpointFile, CheckpointSource

SECRET = "signature=presigned-secret"
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")


@lru_cache(maxsize=1000)
def _digest(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class Reply:
    """A response that a test may modify."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Shelf:
    """Checkpoints and their files; fits where ``loops.checkpoints`` does.

    Parameters
    ----------
    checkpoints
        From each id to its files.
    change
        Sees each reply before it is sent, with the path that was asked for.
    hide_sizes
        List files without their sizes.
    listed
        From a file to the size that is listed in place of its own.
    """

    checkpoints: dict[str, dict[str, bytes]]
    url: str = ""
    change: Callable[[str, Reply], None] | None = None
    hide_sizes: bool = False
    listed: dict[str, int] = field(default_factory=dict)
    listings: list[str] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        with self.lock:
            self.listings.append(checkpoint_id)
        for name, data in self.checkpoints[checkpoint_id].items():
            yield CheckpointFile(
                url=f"{self.url}/{checkpoint_id}/{quote(name)}?{SECRET}",
                relative_file_name=name,
                node_rank=0,
                size_bytes=None if self.hide_sizes else self.listed.get(name, len(data)),
                last_modified="2026-11-21T10:00:00Z",
            )

    def source(self, checkpoint_id: str) -> CheckpointSource:
        return CheckpointSource(kind="s3")

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        checkpoint_id, _, name = unquote(path.partition("?")[0]).lstrip("/").partition("/")
        data = self.checkpoints[checkpoint_id][name]
        asked = headers.get("range")
        with self.lock:
            self.asked.append((name, asked))
        etag = f'"{_digest(data)}"'
        reply = Reply(200, {"ETag": etag, "Content-Type": "application/octet-stream"}, data)
        span = _RANGE.fullmatch(asked or "")
        if span is not None and headers.get("if-range", etag) == etag:
            first, last = int(span[1]), min(int(span[2] or len(data)), len(data) - 1)
            reply.status, reply.body = 206, data[first : last + 1]
            reply.headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            if first >= len(data):
                reply.status, reply.body, reply.headers["Content-Range"] = 416, b"", f"bytes */{len(data)}"
        if self.change is not None:
            self.change(name, reply)
        with self.lock:
            self.sent += len(reply.body)
        return reply


@contextmanager
def serving(checkpoints: dict[str, dict[str, bytes]], **options: Any) -> Iterator[Shelf]:
    """Serve these checkpoints until the end of the block."""
    shelf = Shelf(checkpoints, **options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            reply = shelf.reply(self.path, {name.lower(): value for name, value in self.headers.items()})
            lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in reply.headers.items())]
            head = "\r\n".join([*lines, f"Content-Length: {len(reply.body)}", "", ""])
            self.wfile.write(head.encode() + reply.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            """Keep the tests' output clean."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up in the middle is part of the tests."""

    with Server(("127.0.0.1", 0), Handler) as server:
        shelf.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield shelf
        finally:
            server.shutdown()
            thread.join()
