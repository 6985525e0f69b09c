"""Connection limits: idle connections, partial requests, large bodies, unread answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loops_nb.local.server.connections import HEAD_BYTES
from loops_nb.local.server.log_files import LogThrottle, keep_small
from loops_nb.local.server.middleware.header_limit import MOST_HEADERS
from loops_nb.local.settings import ConnectionLimits
from tests.local.responses import MODEL, good, problem
from tests.service import ANY_KEY, AnyService, ProcessService, running_service

IDLE = 1100
MIB = 1 << 20
HURRIED = ConnectionLimits(idle_seconds=1.5, head_seconds=0.6, unread_seconds=0.6, closing_seconds=0.6)


def connect(service: AnyService) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", httpx.URL(service.url).port or 0), timeout=20)
    found.settimeout(20)
    return found


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {ANY_KEY}", *lines, "", ""]
    ).encode()


def rest(connection: socket.socket) -> bytes:
    """Everything that comes until the service closes the connection; a reset ends it too."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(MIB):
            found += part
    return found


def at_once(connection: socket.socket) -> bytes:
    """The answer to a request whose body was not sent; empty if there is none soon."""
    connection.settimeout(0.1)
    found = b""
    with contextlib.suppress(TimeoutError):
        while not found.endswith(b"}}"):
            found += connection.recv(65_536)
    return found


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of what comes until the service closes the connection."""
    first, _, body = rest(connection).partition(b"\r\n\r\n")
    return int(first.split()[1]), json.loads(body)


def drip(connection: socket.socket, first: bytes) -> threading.Thread:
    """Send a beginning, then a byte every 50 ms until the connection is gone."""

    def send() -> None:
        with contextlib.suppress(OSError):
            connection.sendall(first)
            while True:
                connection.sendall(b"x")
                time.sleep(0.05)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def hurried() -> Iterator[AnyService]:
    """A service that has little patience."""
    with running_service(
        in_process=True, sample=True, body_seconds=0.6, bodies_limit=100 * MIB, connections=HURRIED
    ) as service:
        yield service


@pytest.fixture
def many_files() -> Iterator[None]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * IDLE:
        pytest.skip("this process may not open so many connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * IDLE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_idle_and_partial_requests_do_not_block_other_clients(tmp_path: Path) -> None:
    service = ProcessService(tmp_path / "data", "--any-key", "--rate-limit", "0")
    new_connections = httpx.Client(
        base_url=service.url, headers=service.headers, timeout=20, limits=httpx.Limits(max_keepalive_connections=0)
    )
    idle: list[socket.socket] = []
    try:
        for beginning in (b"", head("GET", "/v1/loops/runs")[:-20]):
            for _ in range(IDLE):
                idle.append(connect(service))
                with contextlib.suppress(ConnectionError):
                    idle[-1].sendall(beginning)
            # A refusal says so; it ends when those that hold the connections have had a second for their requests.
            statuses: list[int] = []
            while statuses.count(200) < 10:
                found = new_connections.get("/v1/loops/runs")
                statuses.append(found.status_code)
                if found.status_code != 200:
                    assert problem(found, 503)["code"] == "TOO_MANY_CONNECTIONS"
                    assert found.headers["retry-after"] == "1"
                    time.sleep(0.2)
            assert len(statuses) < 60
            files = Path(f"/proc/{service.pid}/fd")
            assert not files.exists() or len(list(files.iterdir())) < 800
    finally:
        for connection in idle:
            connection.close()
        new_connections.close()
        service.stop()
    assert [line for line in service.lines if "connections are open" in line]
    assert len(service.lines) < 12, service.lines


def test_partial_requests_time_out(hurried: AnyService) -> None:
    post = ("POST", "/v1/loops/sessions", "Content-Type: application/json")
    never_ending = {
        "half a head": b"GET /v1/loops/runs HTTP/1.1\r\nHost: local",
        "half a line": b"G",
        "half a body": head(*post, "Content-Length: 100") + b'{"x',
        "half a chunk": head(*post, "Transfer-Encoding: chunked") + b"5\r\nab",
        "no chunk": head(*post, "Transfer-Encoding: chunked"),
        "no body": head(*post, "Content-Length: 5"),
    }
    open_ones = {name: connect(hurried) for name in never_ending}
    open_ones |= {f"{name}, dripping": connect(hurried) for name in ("half a head", "half a body")}
    for name, connection in open_ones.items():
        first = never_ending[name.removesuffix(", dripping")]
        if name.endswith("dripping"):
            drip(connection, first)
        else:
            connection.sendall(first)
    started = time.monotonic()
    for name, connection in open_ones.items():
        status, body = answer(connection)
        assert (status, body["code"]) == (408, "REQUEST_TIMEOUT"), name
        connection.close()
    assert time.monotonic() - started < 10
    good(httpx.get(hurried.url + "/v1/loops/runs", headers=hurried.headers))


def test_idle_connections_are_closed(hurried: AnyService) -> None:
    fresh, used, refused = connect(hurried), connect(hurried), connect(hurried)
    used.sendall(head("GET", "/health"))
    # Answered before its body came, which then does not come.
    refused.sendall(head("POST", "/nonsense", "Content-Length: 100"))
    assert rest(fresh) == b""
    assert rest(used).startswith(b"HTTP/1.1 200")
    assert rest(refused).startswith(b"HTTP/1.1 404")
    for connection in (fresh, used, refused):
        connection.close()


def test_a_connection_that_is_used_stays_open(hurried: AnyService) -> None:
    address = httpx.URL(hurried.url)
    with contextlib.closing(http.client.HTTPConnection(address.host, address.port, timeout=20)) as connection:
        connection.connect()
        used = connection.sock
        until = time.monotonic() + 2 * HURRIED.idle_seconds
        while time.monotonic() < until:
            connection.request("GET", "/health")
            assert json.loads(connection.getresponse().read())["status"] == "ok"
            assert connection.sock is used
            time.sleep(0.3)


def test_a_slow_but_steady_body_is_taken(hurried: AnyService) -> None:
    body = json.dumps({"note": "x" * (200 << 10)}).encode()
    with connect(hurried) as connection:
        connection.sendall(head("POST", "/v1/loops/sessions", f"Content-Length: {len(body)}", "Connection: close"))
        for at in range(0, len(body), 16 << 10):
            connection.sendall(body[at : at + (16 << 10)])
            time.sleep(0.1)
        assert answer(connection)[0] == 200


def test_unread_answer_closes_the_connection(hurried: AnyService) -> None:
    logged: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: logged.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("loops_nb.local.server.connections").addHandler(handler)
    asked = head("GET", "/v1/loops/runs?scope=org") * 3000
    try:
        with connect(hurried) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):
                connection.sendall(asked)
            started = time.monotonic()
            while not [text for text in logged if "was not read" in text]:
                assert time.monotonic() - started < 20
                time.sleep(0.05)
    finally:
        logging.getLogger("loops_nb.local.server.connections").removeHandler(handler)
    good(httpx.get(hurried.url + "/health"))


def test_fifty_large_bodies_are_taken_or_refused_and_small_ones_get_through(hurried: AnyService) -> None:
    with contextlib.ExitStack() as closing:
        client = closing.enter_context(httpx.Client(base_url=hurried.url, headers=hurried.headers, timeout=60))
        session = good(client.post("/v1/loops/sessions"))["session"]["id"]
        run = good(client.post("/v1/loops/runs", json={"session_id": session, "base_model": MODEL}))["run"]
        path = httpx.URL(run["base_url"]).path + "/forward_backward"
        size = 30 * MIB
        open_ones = [closing.enter_context(connect(hurried)) for _ in range(50)]
        for connection in open_ones:
            connection.sendall(head("POST", path, f"Content-Length: {size}"))
        # Three of them fill the room; each of the others is answered before it sends anything.
        ends = [text for connection in open_ones if (text := at_once(connection))]
        assert len(ends) == 47
        for text in ends:
            assert text.startswith(b"HTTP/1.1 503")
            assert b"TOO_MANY_BODIES" in text
            assert re.search(rb"(?i)retry-after: 1\r\n", text)
        good(client.post("/v1/loops/sessions"))
        # The three that were let in are given up when their bodies do not come, and there is room again.
        while (found := client.post(run["base_url"] + "/forward_backward", content=b" " * size)).status_code == 503:
            time.sleep(0.1)
        assert found.status_code in {202, 422}, found.text


def test_a_chunked_body_counts_while_it_comes(hurried: AnyService) -> None:
    with httpx.Client(base_url=hurried.url, headers=hurried.headers, timeout=60) as client:
        endless = (b"x" * 65_536 for _ in range(2000))
        assert problem(client.post("/v1/loops/sessions", content=endless), 413)["code"] == "BODY_TOO_LARGE"
        good(client.get("/health"))


def test_client_disconnect_within_a_body_is_not_an_error(hurried: AnyService, caplog: pytest.LogCaptureFixture) -> None:
    with connect(hurried) as connection:
        connection.sendall(head("POST", "/v1/loops/sessions", "Content-Length: 100") + b"{")
    good(httpx.get(hurried.url + "/v1/loops/runs", headers=hurried.headers))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([f"X-{index}: 1" for index in range(MOST_HEADERS + 1)], 431),
        (["X: " + "x" * HEAD_BYTES], 431),
        (["X: " + "x" * (HEAD_BYTES // 2)], 200),
        ([f"X-{index}: 1" for index in range(MOST_HEADERS - 10)], 200),
        (["no header"], 400),
    ],
)
def test_heads_have_a_limit(hurried: AnyService, lines: list[str], status: int) -> None:
    with connect(hurried) as connection:
        connection.sendall(head("GET", "/v1/loops/runs", *lines, "Connection: close"))
        found, body = answer(connection)
    assert found == status, body
    assert status == 200 or set(body) == {"code", "message", "details"}


def test_a_head_that_does_not_end_is_refused_when_it_is_too_long(hurried: AnyService) -> None:
    with connect(hurried) as connection:
        for _ in range(HEAD_BYTES // 1000 + 2):
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"G" * 1000)
                time.sleep(0.002)
        text = rest(connection)
    assert text == b"" or text.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400"))


def test_equal_log_records_are_throttled_to_one_a_minute() -> None:
    now = [0.0]
    throttle = LogThrottle(lambda: now[0])

    def passes(text: str, *arguments: object) -> str | None:
        record = logging.LogRecord("uvicorn.error", logging.WARNING, "", 1, text, arguments, None)
        return record.getMessage() if throttle.filter(record) else None

    assert passes("Invalid HTTP request received.") == "Invalid HTTP request received."
    assert [passes("Invalid HTTP request received.") for _ in range(1000)] == [None] * 1000
    assert passes("%d are open", 5) == "5 are open"
    assert passes("%d are open", 6) is None
    now[0] = 61.0
    assert (
        passes("Invalid HTTP request received.")
        == "Invalid HTTP request received. (1000 more like it since the last one)"
    )
    assert passes("%d are open", 7) == "7 are open (1 more like it since the last one)"


def test_long_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    with log.open("ab", buffering=0) as held:
        held.write(b"a" * 100)
        keep_small(log, 100)
        assert log.stat().st_size == 100
        held.write(b"b")
        keep_small(log, 100)
        assert log.stat().st_size == 0
        before = log.with_name("service.log.1")
        assert before.read_bytes() == b"a" * 100 + b"b"
        assert before.stat().st_mode & 0o077 == 0
        held.write(b"next")
        assert log.read_bytes() == b"next"
    keep_small(tmp_path / "missing")
