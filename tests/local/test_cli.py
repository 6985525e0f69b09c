"""The ``loops-nb`` command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from loops_nb.cli import main
from loops_nb.config.local_services import read_token
from loops_nb.local.errors import CannotServeError
from loops_nb.local.server.process import bind
from tests.local.responses import good
from tests.service import ProcessService, running_service


def run(*words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"LOOPS_NB_HOME": str(home)} if home else {})}
    command = [sys.executable, "-m", "loops_nb", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def refused(*words: str) -> str:
    """The one line with which a command was refused."""
    found = run("serve", *words)
    assert found.returncode == 2, found
    assert found.stdout == ""
    lines = found.stderr.strip().splitlines()
    assert len(lines) == 1, found.stderr
    assert lines[0].startswith("loops-nb: ")
    return lines[0]


def test_version_where_and_help(tmp_path: Path) -> None:
    assert run("--version").stdout.startswith("loops-nb 0.")
    assert run("where", home=tmp_path / "home").stdout.strip() == str(tmp_path / "home")
    bare = run()
    assert bare.returncode == 0
    assert "loops-nb serve --sample" in bare.stdout
    text = run("serve", "--help").stdout
    for option in ("--host", "--port", "--data-dir", "--sample", "--speed", "--seed", "--url-ttl", "--rate-limit"):
        assert option in text


@pytest.mark.parametrize(
    "words",
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port", "http"),
        ("--speed", "0"),
        ("--speed", "-1"),
        ("--speed", "nan"),
        ("--speed", "inf"),
        ("--speed", "1e-310"),
        ("--data-dir", ""),
        ("--url-ttl", "0"),
        ("--rate-limit", "-1"),
        ("--seed", "x"),
        ("--max-trainers", "0"),
        ("--max-samplers", "x"),
        ("--hold-seconds", "0"),
        ("--hold-seconds", "31"),
        ("--hold-seconds", "nan"),
    ],
)
def test_bad_options_are_named(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *words])
    assert ended.value.code == 2
    assert f"argument {words[0]}" in capsys.readouterr().err.splitlines()[-1]


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused("--port", str(port), "--data-dir", str(tmp_path / "data"))
    assert f"port {port} on 127.0.0.1 is taken" in line
    assert "--port 0" in line
    assert not (tmp_path / "data").exists()


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    assert "cannot listen on 203.0.113.1:0" in refused(
        "--host", "203.0.113.1", "--port", "0", "--data-dir", str(tmp_path / "data")
    )


def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "cannot be written" in refused("--port", "0", "--data-dir", str(tmp_path / "file"))
    assert "cannot be written" in refused("--port", "0", "--data-dir", str(tmp_path / "file" / "below"))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_data_folder_in_use(tmp_path: Path) -> None:
    with running_service(data_dir=tmp_path / "data", in_process=True) as service:
        assert "in use by another local service" in refused("--port", "0", "--data-dir", str(tmp_path / "data"))
        assert good(httpx.get(service.url + "/health"))["status"] == "ok"


def test_records_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    with running_service(data_dir=tmp_path / "data", in_process=True) as service:
        good(httpx.post(service.url + "/v1/loops/sessions", headers=service.headers))
    path = tmp_path / "data" / "records.sqlite3"
    records = sqlite3.connect(path)
    records.execute("PRAGMA user_version = 99")
    records.close()
    before = path.read_bytes()
    assert "newer version of loops_nb (schema 99, this one reads 3)" in refused(
        "--port", "0", "--data-dir", str(tmp_path / "data")
    )
    assert path.read_bytes() == before


def test_serve_refuses_a_file_that_is_no_database(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "records.sqlite3").write_bytes(b"not a database" * 1000)
    assert "cannot be opened" in refused("--port", "0", "--data-dir", str(data))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_its_url_and_ends_quietly(tmp_path: Path, how: signal.Signals) -> None:
    service = ProcessService(tmp_path / "data")
    assert service.lines[0] == f"Loops local service on {service.url} (data in {tmp_path / 'data'})\n"
    with httpx.Client(base_url=service.url, headers=service.headers) as client:
        good(client.post("/v1/loops/sessions"))
        os.kill(service.pid, how)
        service._process.wait(timeout=20)
        key = service.key
    service.stop()
    assert service.lines[1] == f"Token: {key}\n"
    assert "$(loops-nb token)" in service.lines[2]
    assert len(service.lines) == 3


def test_listening_beyond_loopback_is_warned_about(tmp_path: Path) -> None:
    service = ProcessService(tmp_path / "data", "--host", "0.0.0.0")
    try:
        assert service.lines[0].startswith(
            "Warning: other machines can reach this service on 0.0.0.0, and its token crosses"
        )
        assert service.url.startswith("http://127.0.0.1:")
        good(httpx.get(service.url + "/v1/loops/runs", headers=service.headers))
        address = {"Host": "192.168.7.7:1"}
        good(httpx.get(service.url + "/v1/loops/runs", headers={**service.headers, **address}))
        assert (
            httpx.get(service.url + "/v1/loops/runs", headers={**service.headers, "Host": "evil.example"}).status_code
            == 403
        )
    finally:
        service.stop()


def test_data_goes_to_the_home_folder_and_the_sample_has_its_own(tmp_path: Path) -> None:
    environment = {**os.environ, "LOOPS_NB_HOME": str(tmp_path / "home")}
    for words, folder in (((), "data"), (("--sample",), "sample")):
        command = [sys.executable, "-m", "loops_nb", "serve", "--port", "0", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
        assert line.rstrip().endswith(f"(data in {tmp_path / 'home' / 'local' / folder})")


def test_binding_says_why_it_failed() -> None:
    with pytest.raises(CannotServeError, match="cannot listen on no such host"):
        bind("no such host", 0)


def test_speed_shortens_state_changes(tmp_path: Path) -> None:
    with (
        running_service(speed=100_000, data_dir=tmp_path / "data") as service,
        httpx.Client(base_url=service.url, headers=service.headers) as client,
    ):
        session = good(client.post("/v1/loops/sessions"))["session"]["id"]
        body = {"session_id": session, "base_model": "Qwen/Qwen3-8B", "scale_down_delay_seconds": 3600}
        run = good(client.post("/v1/loops/runs", json=body))["run"]
        # An hour of idleness is 36 ms.
        while True:
            found = good(client.get(f"/v1/loops/deployments/{run['deployment_id']}"))["deployment"]
            if found["status"]["name"] == found["sampler"]["status"]["name"] == "SCALED_TO_ZERO":
                break


@pytest.mark.parametrize("where", [">&-", "<&- >&-", ">/dev/full", "| true"])
def test_serve_runs_without_standard_output(tmp_path: Path, where: str) -> None:
    command = [sys.executable, "-m", "loops_nb", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    environment = {**os.environ, "LOOPS_NB_HOME": str(tmp_path / "home")}
    notes = tmp_path / "home" / "local" / "services"
    with subprocess.Popen(
        ["sh", "-c", f'"$@" {where}', "sh", *command], stderr=subprocess.PIPE, text=True, env=environment
    ) as shell:
        assert shell.stderr is not None
        while not (found := list(notes.glob("*.json"))):
            assert shell.poll() is None, shell.stderr.read()
            time.sleep(0.02)
        note = json.loads(found[0].read_bytes())
        headers = {"Authorization": f"Bearer {read_token(tmp_path / 'data')}"}
        session = good(httpx.post(note["url"] + "/v1/loops/sessions", headers=headers))["session"]["id"]
        os.kill(note["pid"], signal.SIGTERM)
        assert shell.stderr.read() in {"", "Terminated\n"}, "the shell's own word, at most"
    with running_service(data_dir=tmp_path / "data", in_process=True) as service:
        good(httpx.get(f"{service.url}/v1/loops/sessions/{session}", headers=service.headers))


def test_an_answer_that_cannot_be_printed_is_one_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "loops_nb", "where"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("loops-nb: the answer could not be written")
    assert done.stderr.count("\n") == 1
