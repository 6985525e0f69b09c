"""``%loops doctor``: all checks run, whatever fails."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loops_nb.client.retry import RetryPolicy
from loops_nb.config import file_systems, network
from loops_nb.magics.verbs import doctor
from tests.client.scripted_server import Answer, closed_port, serving
from tests.magics.conftest import Notebook
from tests.mounts import show_as

KEY = "sentinel-0123456789-key"
PASSWORD = "sentinel-pass"
HOSTED = {"LOOPS_BASE_URL": "https://api.example.invalid", "BASETEN_API_KEY": KEY}


@pytest.fixture(autouse=True)
def plain_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if network._READ.fullmatch(name):
            monkeypatch.delenv(name)
    monkeypatch.setattr("loops_nb.client.config.RetryPolicy", lambda: RetryPolicy(attempts=1))
    network._ssl_context.cache_clear()
    yield
    network._ssl_context.cache_clear()


def report(notebook: Notebook) -> list[str]:
    """Return the lines of a report that came to its end."""
    lines = notebook.run("%loops doctor").out.splitlines()
    assert lines[0].startswith("loops_nb ")
    assert lines[-1].startswith(("To fix: ", "Nothing to fix."))
    text = "\n".join(lines)
    assert KEY not in text
    assert PASSWORD not in text
    assert "Traceback" not in text, text
    return lines


SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "IPv6 in NO_PROXY": ({"NO_PROXY": "localhost,[::1],fe80::/10"}, "host name"),
    "proxy that is not there": (
        {"HTTPS_PROXY": f"http://me:{PASSWORD}@127.0.0.1:{closed_port()}"},
        "HTTPS_PROXY names",
    ),
    "malformed proxy": ({"ALL_PROXY": f"http://u:{PASSWORD}@["}, "ALL_PROXY cannot be used"),
    "SOCKS": ({"ALL_PROXY": f"socks5://u:{PASSWORD}@127.0.0.1:1080"}, "socksio"),
    "missing certificates": ({"SSL_CERT_FILE": "/nowhere/ca.pem"}, "SSL_CERT_FILE names /nowhere/ca.pem"),
    "missing folder of certificates": ({"SSL_CERT_DIR": "/nowhere"}, "SSL_CERT_DIR names /nowhere"),
    "log of keys": ({"SSLKEYLOGFILE": "/nowhere/keys"}, "SSLKEYLOGFILE names /nowhere/keys"),
    "key of nonsense": ({"BASETEN_API_KEY": f"{KEY}\n{KEY}"}, "BASETEN_API_KEY is not an API key"),
    "key of other characters": ({"BASETEN_API_KEY": f"{KEY}é\udcff"}, "BASETEN_API_KEY is not an API key"),
    "address of nonsense": ({"LOOPS_BASE_URL": "http://["}, "LOOPS_BASE_URL"),
    "address that is no text": ({"LOOPS_BASE_URL": "https://x\udcff\x1b[2J"}, "LOOPS_BASE_URL"),
    "address with a password": (
        {"LOOPS_BASE_URL": f"https://me:{PASSWORD}@api.example.invalid"},
        "<hidden>@api.example.invalid",
    ),
    "address that no name server takes": ({"LOOPS_BASE_URL": f"https://{'a' * 90}.invalid"}, "must be an address"),
}


@pytest.mark.parametrize(("environment", "says"), SETTINGS.values(), ids=SETTINGS.keys())
def test_doctor_survives_any_network_setting(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], says: str
) -> None:
    for name, text in {**HOSTED, **environment}.items():
        monkeypatch.setenv(name, text)
    lines = report(notebook)
    assert any(says in line for line in lines), lines
    assert lines[-1].startswith("To fix: ")


@pytest.mark.parametrize(
    "answer", [Answer(b"<html>", 200), Answer({}, 302, {"location": "//["}), Answer(b"[" * 90_000), Answer({}, 599)]
)
def test_doctor_survives_any_response(notebook: Notebook, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    with serving(answer) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        monkeypatch.setattr("loops_nb.client.config.NEAR", RetryPolicy(attempts=1))
        assert any(line.startswith("Connected: no.") for line in report(notebook))


@pytest.mark.parametrize("name", [*doctor._CHECKS])
def test_doctor_reports_a_failing_check_and_runs_the_others(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    def broken(_context: Any) -> doctor.CheckResult:
        raise ZeroDivisionError(KEY)

    monkeypatch.setitem(doctor._CHECKS, name, broken)
    monkeypatch.setenv("BASETEN_API_KEY", KEY)
    monkeypatch.setenv("LOOPS_BASE_URL", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setattr("loops_nb.client.config.NEAR", RetryPolicy(attempts=1))
    with caplog.at_level(logging.ERROR):
        lines = notebook.run("%loops doctor").out.splitlines()
    told = [line for line in lines if "could not be checked" in line]
    assert [line.partition(":")[0] for line in told] == [name]
    assert "ZeroDivisionError" in told[0]
    assert KEY not in "\n".join(lines)
    assert "Traceback" in caplog.text


def test_doctor_lists_network_variables(notebook: Notebook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{PASSWORD}@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    with serving({"supported_models": []}) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        lines = report(notebook)
    assert "Network: HTTPS_PROXY=http://proxy.example:3128, NO_PROXY=localhost" in lines
    assert any(line.startswith("Reachable: yes") for line in lines)


def test_doctor_names_a_shared_file_system(notebook: Notebook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(file_systems, "_MOUNTINFO", Path())
    home = tmp_path / "home of mara"
    monkeypatch.setenv("LOOPS_NB_HOME", str(home))
    assert f"Experiments: {home / 'experiments.sqlite'}" in report(notebook)
    home.mkdir()
    show_as(home, "nfs", options="rw,nolock")
    lines = report(notebook)
    at = lines.index(f"Experiments: {home / 'experiments.sqlite'}")
    assert lines[at + 1].startswith(f"File system: nfs at {home}, which other machines may share: a rollback journal")
    assert lines[at + 2].startswith("It is mounted without locks between machines")
    assert re.fullmatch(r"Writing there takes \d+ ms", lines[at + 3])
    assert list(home.iterdir()) == []
    monkeypatch.setattr("loops_nb.tracking.journal.write_seconds", _no_locks)
    lines = report(notebook)
    assert "Writing there fails: disk I/O error" in lines
    file_systems._found.cache_clear()


def _no_locks(_folder: Path) -> float:
    raise sqlite3.OperationalError("disk I/O error")
