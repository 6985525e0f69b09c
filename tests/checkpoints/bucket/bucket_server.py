"""A server of buckets on loopback: moto, with faults of a test's choice in front of it."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

KEY, SECRET_KEY = "AKIALOOPBACK", "c2VjcmV0LW9mLXRoZS1idWNrZXQ"


@dataclass(frozen=True)
class BucketRequest:
    """One request: what a fault is chosen by."""

    method: str
    path: str
    query: str

    @property
    def is_part(self) -> bool:
        """Whether it carries a part of an upload."""
        return self.method == "PUT" and "partNumber=" in self.query


@dataclass(frozen=True)
class Refused:
    """An answer in place of the server's; one without status cuts the connection while the request is read."""

    status: int | None = None
    code: str = ""


BucketFault = Callable[[BucketRequest], Refused | None]


def no_fault(request: BucketRequest) -> Refused | None:
    return None


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any, **__: Any) -> None:
        pass


class BucketServer:
    """moto's S3 with faults; each test takes a bucket of its own."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.fault: BucketFault = no_fault
        self.requests: list[BucketRequest] = []
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_QuietHandler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def environment(self) -> dict[str, str]:
        """Return the variables by which the engine finds it."""
        return environment(self.url)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def behave(self) -> None:
        """Answer well from now on, and forget what was asked."""
        self.fault = no_fault
        self.requests.clear()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = BucketRequest(environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""))
        self.requests.append(request)
        refused = self.fault(request)
        if refused is None:
            answer: Iterable[bytes] = self._moto(environ, start_response)
            return answer
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if refused.status is None:
            environ["wsgi.input"].read(length // 2)
            connection: socket.socket = environ["werkzeug.socket"]
            connection.shutdown(socket.SHUT_RDWR)
            return []
        environ["wsgi.input"].read(length)
        body = f"<Error><Code>{escape(refused.code)}</Code><Message>said {SECRET_KEY}</Message></Error>".encode()
        start_response(f"{refused.status} Refused", [("Content-Length", str(len(body)))])
        return [b"" if request.method == "HEAD" else body]


def environment(url: str) -> dict[str, str]:
    """Return the variables by which the engine finds a server of buckets."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_REGION": "us-east-1",
    }
