"""Proxies, ``NO_PROXY`` and certificates of the environment, and the errors for invalid ones."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loops_nb import AsyncLoops, Loops
from loops_nb.checkpoints.http import Storage, StoredFile
from loops_nb.config import network
from loops_nb.errors import ConfigError, LoopsError, ServiceUnreachableError
from tests.client.scripted_server import Answer, closed_port, serving

KEY = "sentinel-0123456789-key"
HOSTED = "https://api.example.invalid"
PASSWORD = "sentinel-pass"


@pytest.fixture(autouse=True)
def no_network_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in {
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "SSLKEYLOGFILE",
            "REQUESTS_CA_BUNDLE",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))


def list_sync(url: str = HOSTED) -> None:
    with Loops(KEY, url, timeout=5) as loops:
        loops.runs.list()


def list_async(url: str = HOSTED) -> None:
    async def go() -> None:
        async with AsyncLoops(KEY, url, timeout=5) as loops:
            await loops.runs.list()

    asyncio.run(go())


def read_file(url: str = "https://files.example.invalid") -> None:
    """Read a file whose presigned URL leads to a server that only a proxy could reach."""
    page = {"presigned_urls": [{"url": f"{url}/f", "relative_file_name": "f", "size_bytes": 1}]}
    with serving(page) as server, Loops(KEY, server.url) as loops, Storage(loops.checkpoints) as storage:
        storage.read(StoredFile("c", "f"), 0, 1)


EVERY_WAY = pytest.mark.parametrize("use", [list_sync, list_async, read_file])


def failure(use: Callable[..., None], *url: str) -> LoopsError:
    with pytest.raises(LoopsError) as caught:
        use(*url)
    text = str(caught.value)
    assert PASSWORD not in text
    assert KEY not in text
    assert "tries" not in text
    return caught.value


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        ("localhost,[::1]", "api.example.com", 443, False),
        ("[2001:db8::1]", "2001:db8::1", 443, True),
        ("2001:db8::1", "[2001:db8::1]", 443, True),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443, True),
        ("[2001:db8::1]:8443", "2001:db8::1", 443, False),
        ("2001:db8::/32", "2001:db8:7::1", 443, True),
        ("[2001:db8::]/32", "2001:db8:7::1", 443, True),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.0.0.0/99,[::,%%,*[", "10.1.2.3", 443, False),
        ("fe80::1%eth0", "fe80::1", 443, True),
        ("example.com", "api.example.com", 443, True),
        (".example.com", "api.example.com", 443, True),
        ("*.example.com", "api.example.com.", 443, True),
        ("EXAMPLE.com", "example.com", 443, True),
        ("ample.com", "example.com", 443, False),
        ("example.com:8443", "api.example.com", 443, False),
        ("example.com:443", "api.example.com", 443, True),
        ("a.b  example.com", "example.com", 443, True),
        ("https://example.com", "example.com", 443, True),
        ("api*.example.com", "api7.example.com", 443, True),
        ("*", "example.com", 443, True),
        ("*", "10.0.0.1", 443, True),
        ("", "example.com", 443, False),
    ],
)
def test_no_proxy_names_hosts_domains_addresses_and_ranges(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, host: str, port: int, *, is_direct: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (network.proxy_for("https", host, port) is None) is is_direct


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]"])
def test_this_machine_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://[")
    assert network.proxy_for("http", host, 80) is None


def test_proxy_url_is_parsed_and_its_password_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://me%40x:{PASSWORD}@[2001:db8::1]:3128")
    proxy = network.proxy_for("https", "api.example.com", 443)
    assert proxy is not None
    assert (proxy.variable, proxy.shown) == ("ALL_PROXY", "http://[2001:db8::1]:3128")
    assert (proxy.username, proxy.password) == ("me@x", PASSWORD)
    assert PASSWORD not in f"{proxy!r} {network.variables_in_use()}"


@EVERY_WAY
@pytest.mark.parametrize(
    "text",
    [
        "http://[",
        f"http://u:{PASSWORD}@host:99999",
        "http://:3128",
        f"ftp://u:{PASSWORD}@host",
        "http://a b",
        "http://host:abc",
        "//x",
    ],
)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_malformed_proxy_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[], None], variable: str, text: str
) -> None:
    monkeypatch.setenv(variable, text)
    error = failure(use)
    assert variable in str(error)
    assert "NO_PROXY" in error.hint
    assert text not in str(error)


@EVERY_WAY
def test_unreachable_proxy_is_named_without_retries(monkeypatch: pytest.MonkeyPatch, use: Callable[[], None]) -> None:
    port = closed_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@127.0.0.1:{port}")
    text = str(failure(use))
    assert f"the proxy http://127.0.0.1:{port}, which HTTPS_PROXY names, cannot be reached" in text
    assert "Correct or remove HTTPS_PROXY" in text


@EVERY_WAY
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer({}, 407), "answered 407"),
        (Answer(b"<html>Sign in", 403), "answered 403"),
        (Answer({}, 502), "answered 502"),
        (Answer({}, 302, {"location": "//["}), "answered 302"),
    ],
)
def test_refusing_proxy_is_named_with_its_answer(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[], None], answer: Answer, says: str
) -> None:
    with serving(answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        text = str(failure(use))
        assert [request.method for request in proxy.received] == ["CONNECT"]
    assert says in text
    assert "HTTPS_PROXY" in text
    assert all("authorization" not in request.headers for request in proxy.received)


def test_proxy_authentication_has_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Answer({}, 407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert "HTTPS_PROXY=http://USER:PASSWORD@" in str(failure(list_sync))


@EVERY_WAY
@pytest.mark.parametrize("text", [f"socks5://u:{PASSWORD}@127.0.0.1:1080", "socks5h://127.0.0.1:1080"])
def test_socks_proxy_without_socksio_is_an_error(
    monkeypatch: pytest.MonkeyPatch, use: Callable[[], None], text: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", text)
    error = failure(use)
    assert "ALL_PROXY names a SOCKS proxy" in str(error)
    assert "socksio" in error.hint


def test_a_file_over_plain_http_is_requested_from_the_proxy_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer(b"x", 206, {"content-range": "bytes 0-0/1", "content-type": "application/octet-stream"})
    with serving(answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", f"//me:{PASSWORD}@"))
        read_file("http://files.example.invalid:8080/a//../%2f")
        (request,) = proxy.received
    assert (request.method, request.target) == ("GET", "http://files.example.invalid:8080/a//../%2f/f")
    assert request.headers["host"] == "files.example.invalid:8080"
    assert request.headers["proxy-authorization"].startswith("Basic ")
    assert "authorization" not in request.headers


@contextmanager
def certificate_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> Iterator[None]:
    monkeypatch.setenv(name, str(value))
    network._ssl_context.cache_clear()
    yield
    network._ssl_context.cache_clear()


@EVERY_WAY
@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
@pytest.mark.parametrize("kind", ["missing", "unreadable", "of the other kind"])
def test_certificates_that_cannot_be_loaded_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, use: Callable[[], None], name: str, kind: str
) -> None:
    text, empty, folder = tmp_path / "text.pem", tmp_path / "empty.pem", tmp_path / "folder"
    text.write_text("no certificate")
    empty.write_bytes(b"")
    folder.mkdir()
    value = {
        "missing": tmp_path / "nowhere" / "ca.pem",
        "unreadable": {"SSL_CERT_FILE": text, "SSL_CERT_DIR": text, "SSLKEYLOGFILE": folder}[name],
        "of the other kind": {"SSL_CERT_FILE": folder, "SSL_CERT_DIR": empty, "SSLKEYLOGFILE": folder}[name],
    }[kind]
    with certificate_variable(monkeypatch, name, value), socket.create_server(("127.0.0.1", 0)) as listener:
        error = failure(use, f"https://127.0.0.1:{listener.getsockname()[1]}")
    assert isinstance(error, ConfigError)
    assert f"{name} names {value}" in str(error)
    assert f"Correct {name}" in error.hint


def test_corrected_variable_takes_effect_in_an_existing_client(monkeypatch: pytest.MonkeyPatch) -> None:
    with Loops(KEY, HOSTED, timeout=5) as loops:
        monkeypatch.setenv("HTTPS_PROXY", "http://[")
        with pytest.raises(ConfigError):
            loops.runs.list()
        with serving(Answer({}, 407)) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with pytest.raises(ServiceUnreachableError, match="answered 407"):
                loops.runs.list()
            assert len(proxy.received) == 1


def test_untrusted_certificate_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/company.pem")
    assert "set SSL_CERT_FILE to /etc/company.pem" in network.certificate_hint("self-signed certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert "SSL_CERT_FILE names" in network.certificate_hint("self-signed certificate")
    assert "clock of this machine" in network.certificate_hint("certificate is not yet valid")
