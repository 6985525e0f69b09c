"""Fixtures: the local service with its sample workspace, and commands against it in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loops_nb.cli import main
from tests.service import running_service

CLEARED = ("BASETEN_API_KEY", "LOOPS_BASE_URL", "COLUMNS", "NO_COLOR", "LOOPS_TEAM")


@dataclass(frozen=True)
class Ran:
    """Exit status and output of a command."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    """Run the local service with its sample data as a process of its own; the address."""
    with running_service(sample=True, speed=10.0) as found:
        yield found.url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this test a home and a working folder of its own, without any key."""
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("loops_nb.config.credentials._keyring", lambda: None)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("TZ", "UTC")
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return tmp_path / "home"


@pytest.fixture
def alone(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run commands in this process, without a service."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        status = main(words)
        printed = capsys.readouterr()
        return Ran(status, printed.out, printed.err)

    return run


@pytest.fixture
def run(alone: Run, service: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run commands in this process, connected to the service."""
    monkeypatch.setenv("LOOPS_BASE_URL", service)
    return alone
