"""TLS, directly and through a proxy: certificates of the environment and proxy passwords."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loops_nb import AsyncLoops, Loops
from loops_nb.checkpoints.http import Storage, StoredFile
from loops_nb.config import network
from loops_nb.errors import LoopsError, ServiceUnreachableError
from tests.client.scripted_server import Answer, Received, ScriptedServer

HOST = "loops.example.invalid"


def certificate(folder: Path) -> Path:
    """Write a certificate that signs itself, together with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests of loops_nb")])
    names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime.now(UTC) - timedelta(days=1)).not_valid_after(
        datetime.now(UTC) + timedelta(days=2)
    )
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "ca.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + secret)
    return path


class TLSServer(ScriptedServer):
    """The same server, which speaks TLS."""

    def __init__(self, script: Callable[[Received], Answer], certificate_file: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate_file)
        super().__init__(script)
        self.port = int(self.url.rpartition(":")[2])
        self.url = self.url.replace("http:", "https:")

    def _serve(self, connection: socket.socket) -> None:
        try:
            secured = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        super()._serve(secured)


class ConnectProxy(ScriptedServer):
    """A proxy that leads every name to one port, and asks for a password if it has one."""

    def __init__(self, port: int, password: str = "") -> None:
        self._port = port
        self._wanted = f"Basic {base64.b64encode(password.encode()).decode()}" if password else ""
        super().__init__(lambda _: Answer())

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += connection.recv(1)
            first, *lines = head.decode().strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            self.received.append(Received("CONNECT", first.split()[1], headers, b""))
            if headers.get("proxy-authorization", "") != self._wanted:
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self._port)) as onward:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=relay, args=(onward, connection), daemon=True)
                back.start()
                relay(connection, onward)
                back.join()


def relay(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def script(request: Received) -> Answer:
    if request.target == "/f":
        return Answer(b"x", 206, {"content-range": "bytes 0-0/1", "content-type": "application/octet-stream"})
    if "/files" in request.target:
        url = f"https://{request.headers['host']}/f"
        return Answer(
            {"presigned_urls": [{"url": url, "relative_file_name": "f", "size_bytes": 1}], "next_page_token": None}
        )
    return Answer({"runs": [{"id": "k"}]})


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def server(pem: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TLSServer]:
    for name in (
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(name, raising=False)
    network._ssl_context.cache_clear()
    with TLSServer(script, pem) as running:
        yield running
    network._ssl_context.cache_clear()


def use(url: str) -> None:
    """List runs in both flavours, and read a file."""
    with Loops("key", url, timeout=5) as loops, Storage(loops.checkpoints) as storage:
        assert [run.id for run in loops.runs.list()] == ["k"]
        assert storage.read(StoredFile("c", "f"), 0, 1) == b"x"

    async def go() -> Any:
        async with AsyncLoops("key", url, timeout=5) as loops:
            return await loops.runs.list()

    assert len(asyncio.run(go())) == 1


def test_a_certificate_of_the_environment_is_trusted(
    server: TLSServer, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    use(server.url)


def test_untrusted_certificate_fails_without_retries(server: TLSServer) -> None:
    with (
        Loops("key", server.url, timeout=5) as loops,
        pytest.raises(ServiceUnreachableError, match=r"not trusted.*set SSL_CERT_FILE"),
    ):
        loops.runs.list()
    assert server.received == []


@pytest.mark.parametrize("password", ["", "me:sentinel-pass"])
def test_a_proxy_leads_to_the_service_and_to_files(
    server: TLSServer, pem: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with ConnectProxy(server.port, password) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//{password}@" if password else "//"))
        use(f"https://{HOST}")
        assert {request.target for request in proxy.received} == {f"{HOST}:443"}
        assert all("authorization" not in request.headers for request in proxy.received), (
            "the key is for the service alone"
        )
    assert all("proxy-authorization" not in request.headers for request in server.received)
    assert all("authorization" not in request.headers for request in server.received if request.target == "/f")


def test_wrong_proxy_password_is_an_error_that_hides_it(
    server: TLSServer, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    with ConnectProxy(server.port, "me:right") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:sentinel-pass@"))
        with pytest.raises(LoopsError, match=r"answered 407.*HTTPS_PROXY") as caught:
            use(f"https://{HOST}")
    assert "sentinel" not in str(caught.value)
    assert len(proxy.received) == 1
