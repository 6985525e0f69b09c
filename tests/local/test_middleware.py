"""What stands before the routes: hosts, keys, rates, sizes."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from loops_nb.local.server.middleware.host_check import host_name, is_local_name
from tests.local.responses import good, problem
from tests.service import AnyService, running_service


def raw(url: str, head: str) -> tuple[int, str]:
    """Send a request head as it stands and return the status and everything that came back."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1"))
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    text = answer.decode("latin-1")
    return int(text.split()[1]), text


def request(url: str, target: str, host: str | None, *, method: str = "GET") -> tuple[int, str]:
    line = "" if host is None else f"Host: {host}\n"
    return raw(url, f"{method} {target} HTTP/1.1\n{line}Authorization: Bearer k\nConnection: close\n\n")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Api-Key", "Basic dTpw", "some-key"])
def test_no_key_is_401(service: AnyService, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.get(service.url + "/v1/loops/runs", headers=headers)
    assert problem(answer, 401)["code"] == "UNAUTHORIZED"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer k", "Api-Key k", "bearer k", "API-KEY k"])
def test_both_schemes_open(service: AnyService, header: str) -> None:
    good(httpx.get(service.url + "/v1/loops/runs", headers={"Authorization": header}))


def test_unknown_routes_need_a_key_too_and_answer_json(service: AnyService, api: httpx.Client) -> None:
    problem(httpx.get(service.url + "/v1/chains"), 401)
    problem(api.get("/v1/chains"), 404)
    problem(api.get("/v1/loops/runs/"), 404)
    answer = api.delete("/v1/loops/runs")
    problem(answer, 405)
    assert "GET" in answer.headers["allow"]


def test_health_needs_no_key(service: AnyService) -> None:
    health = good(httpx.get(service.url + "/health"))
    assert health["status"] == "ok"
    assert health["service"] == "loops_nb.local"
    assert f"%loops connect {service.url}" in good(httpx.get(service.url))["message"]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9", "127.8.8.8", "localhost", "LOCALHOST:80", "a.b.localhost", "[::1]", "[::1]:80"]
)
def test_local_hosts_pass(service: AnyService, host: str) -> None:
    assert request(service.url, "/v1/loops/runs", host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "192.168.1.5",
        "10.0.0.1",
        "",
        "localhost:x",
        "[::1",
        "[::1%25lo]",
        "[127.0.0.1]",
        "evil.example/.localhost",
        "me@evil.example#.localhost",
        "a b.localhost",
        "\xe9.localhost",
        "127.0.0.1:999999",
    ],
)
def test_other_hosts_are_refused(service: AnyService, host: str) -> None:
    status, text = request(service.url, "/v1/loops/runs", host)
    assert status == 403, text
    assert "HOST_NOT_ALLOWED" in text


def test_even_the_open_routes_check_the_host(service: AnyService) -> None:
    assert request(service.url, "/health", "evil.example")[0] == 403


def test_absolute_targets_are_accepted(service: AnyService) -> None:
    status, text = request(service.url, f"{service.url}/v1/loops/runs?scope=org", "127.0.0.1")
    assert status == 200
    assert text.endswith('{"runs":[]}')
    assert request(service.url, "http://localhost:1/v1/loops/sessions", "127.0.0.1", method="POST")[0] == 200


def test_the_host_of_an_absolute_target_overrules_the_header(service: AnyService) -> None:
    assert request(service.url, "http://evil.example/v1/loops/runs", "127.0.0.1")[0] == 403
    assert request(service.url, "http://user@evil.example/v1/loops/runs", "127.0.0.1")[0] == 403
    assert request(service.url, "http://127.0.0.1@evil.example/v1/loops/runs", "127.0.0.1")[0] == 403
    assert request(service.url, "ftp://127.0.0.1/v1/loops/runs", "127.0.0.1")[0] == 403
    assert request(service.url, "http:///v1/loops/runs", "127.0.0.1")[0] == 403
    assert request(service.url, "http://[::1/v1/loops/runs", "127.0.0.1")[0] == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "::1", "localhost", "x.localhost"])
def test_local_names(name: str) -> None:
    assert is_local_name(name)


@pytest.mark.parametrize(
    ("header", "name"), [("a:80", "a"), ("[::1]:80", "::1"), ("[::1]x", ""), ("a:b", ""), ("A", "a")]
)
def test_host_names(header: str, name: str) -> None:
    assert host_name(header) == name


def test_there_is_no_cors(service: AnyService) -> None:
    headers = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = httpx.options(service.url + "/v1/loops/runs", headers=headers)
    assert answer.status_code == 401
    answer = httpx.get(service.url + "/v1/loops/runs", headers={"Origin": "http://evil.example", **service.headers})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_long_bodies_are_refused(api: httpx.Client) -> None:
    long = b'{"training_project_id": "' + b"x" * (1 << 20) + b'"}'
    assert problem(api.post("/v1/loops/sessions", content=long), 413)["details"]["limit_bytes"] == 1 << 20

    def unannounced() -> list[bytes]:
        return [b'{"x": "'] + [b"x" * 65_536] * 20

    problem(api.post("/v1/loops/sessions", content=iter(unannounced())), 413)
    good(api.post("/v1/loops/sessions"))


def test_the_rate_limit_counts_each_key_and_endpoint_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_service(in_process=True, rate_limit=5) as service, httpx.Client(base_url=service.url) as client:
        one, two = {"Authorization": "Bearer one"}, {"Authorization": "Bearer two"}
        answers = [client.get(f"/v1/loops/runs/r{index}", headers=one) for index in range(40)]
        limited = [answer for answer in answers if answer.status_code == 429]
        assert len(limited) >= 20
        assert limited[0].json() == {"error": "Rate limit exceeded. Please try again later.", "retry_after": 1}
        assert limited[0].headers["retry-after"] == "1"
        assert [answer.status_code for answer in answers[:5]] == [404] * 5
        assert client.get("/v1/loops/runs/r1", headers=two).status_code == 404
        assert client.get("/v1/loops/runs", headers=one).status_code == 200
        assert client.get("/v1/loops/runs/r1", headers={}).status_code == 401


def test_keys_are_nowhere_on_the_disk_or_in_the_output() -> None:
    key = "sentinel-key-6f1d"
    with running_service(sample=False) as service:
        headers = {"Authorization": f"Bearer {key}"}
        good(httpx.post(service.url + "/v1/loops/sessions", headers=headers))
        problem(httpx.get(service.url + f"/v1/loops/runs/{'x' * 300}", headers=headers), 404)
        problem(httpx.post(service.url + "/v1/loops/runs", headers=headers, content=b"{"), 400)
        service.stop()
        for path in service.data_dir.rglob("*"):
            assert not path.is_file() or key.encode() not in path.read_bytes(), path
        assert key not in "".join(getattr(service, "lines", []))
