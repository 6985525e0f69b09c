"""One service for all notebooks: started, found again, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from loops_nb.config.local_services import read_token
from loops_nb.errors import LocalServiceError
from loops_nb.local import launcher
from loops_nb.local.environment import without_secrets
from loops_nb.local.service_registry import ServiceInfo, registry_file, write_registry
from tests.local.responses import good
from tests.service import running_service


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    launcher.stop()


def headers_for(info: ServiceInfo) -> dict[str, str]:
    return {"Authorization": f"Bearer {read_token(Path(info.data_dir))}"}


def test_started_found_and_stopped(home: Path) -> None:
    assert launcher.status() is None
    assert launcher.stop() is None
    info = launcher.start()
    assert info.pid != os.getpid()
    health = good(httpx.get(info.url + "/health"))
    assert (health["instance"], health["version"]) == (info.instance, info.version)
    assert len(good(httpx.get(info.url + "/v1/loops/runs", headers=headers_for(info)))["runs"]) >= 12
    assert launcher.start() == info == launcher.status()
    assert registry_file().stat().st_mode & 0o077 == 0
    assert info.data_dir == str(home / "local" / "sample")
    assert launcher.stop() == info
    assert launcher.status() is None
    assert not registry_file().exists()
    # Its folder is free at once.
    assert launcher.start().data_dir == info.data_dir
    assert launcher.stop() is not None
    with pytest.raises(httpx.ConnectError):
        httpx.get(info.url + "/health")


def test_restart_uses_the_last_port() -> None:
    before = launcher.start(sample=False)
    launcher.stop()
    assert launcher.start(sample=False).url == before.url
    launcher.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", int(before.url.rsplit(":", 1)[1])))
        other.listen()
        assert launcher.start(sample=False).url != before.url


@pytest.mark.parametrize("note", ["", "word", "99999999", "-1"])
def test_broken_port_file_is_ignored(tmp_path: Path, note: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "port").write_text(note)
    assert launcher.start(sample=False, data_dir=folder).data_dir == str(folder)


def test_service_is_found_and_stopped_by_another_process(tmp_path: Path) -> None:
    info = launcher.start(sample=False, data_dir=tmp_path / "mine", speed=60)
    assert info.data_dir == str(tmp_path / "mine")
    code = "from loops_nb.local import launcher; print(launcher.start().instance, launcher.stop().url)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.split() == [info.instance, info.url]
    assert launcher.status() is None


def test_service_outlives_its_parent() -> None:
    code = "from loops_nb.local import launcher; print(launcher.start(sample=False).instance)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    running = launcher.status()
    assert running is not None
    assert running.instance == found.stdout.strip()
    assert launcher.stop() == running


def test_concurrent_starts_share_one_service() -> None:
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: launcher.start(sample=False), range(4)))
    assert len({info.instance for info in started}) == 1


def test_registry_of_a_dead_service_is_ignored() -> None:
    first = launcher.start(sample=False)
    os.kill(first.pid, signal.SIGKILL)
    launcher._children[first.pid].wait(10)
    assert registry_file().exists()
    assert launcher.status() is None
    assert launcher.stop() is None
    second = launcher.start(sample=False)
    assert second.instance != first.instance


def test_other_program_on_the_port_is_not_the_service() -> None:
    with running_service(in_process=True) as other:
        note = launcher.ServiceInfo(
            url=other.url,
            pid=other.pid,
            data_dir="",
            version="0",
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            instance="not-this-one",
        )
        write_registry(registry_file(), note)
        assert launcher.status() is None
        assert launcher.stop() is None
        assert good(httpx.get(other.url + "/health"))["status"] == "ok"


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"url": 1}', b"\xff"])
def test_broken_registry_is_ignored(note: bytes) -> None:
    registry_file().parent.mkdir(parents=True)
    registry_file().write_bytes(note)
    assert launcher.status() is None


def test_failed_start_reports_the_reason(tmp_path: Path) -> None:
    with (
        running_service(data_dir=tmp_path / "data", in_process=True),
        pytest.raises(LocalServiceError, match="in use by another local service") as caught,
    ):
        launcher.start(sample=False, data_dir=tmp_path / "data")
    assert "service.log" in caught.value.hint
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalServiceError, match="cannot be written"):
        launcher.start(sample=False, data_dir=tmp_path / "file")
    assert launcher.status() is None
    assert launcher._children == {}


def test_slow_start_is_ended() -> None:
    with pytest.raises(LocalServiceError, match="did not answer in time"):
        launcher.start(sample=True, timeout=0.01)
    assert launcher.status() is None
    assert launcher._children == {}


def test_launcher_import_is_light() -> None:
    heavy = ("starlette", "uvicorn", "httpx", "pandas", "numpy", "asyncio")
    code = f"import sys, loops_nb.local.launcher; print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()
        == "[]"
    )


def test_unresponsive_service_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    info = launcher.start(sample=False)
    os.kill(info.pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as impatient:
            impatient.setattr(launcher, "_HEALTH_TIMEOUT", 0.3)
            for attempt in (lambda: launcher.start(sample=False), launcher.stop):
                with pytest.raises(LocalServiceError, match=rf"process {info.pid}.* does not answer") as caught:
                    attempt()
                assert f"kill {info.pid}" in str(caught.value)
    finally:
        os.kill(info.pid, signal.SIGCONT)
    # Nothing was done to it.
    assert launcher.status() == info
    assert launcher.stop() == info


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://[::1", "", "x", "http://127.0.0.1:x"])
def test_registry_with_a_broken_address_is_ignored(tmp_path: Path, url: str) -> None:
    folders = (tmp_path / "nowhere", registry_file())
    for folder in folders:
        note = ServiceInfo(
            url=url, pid=os.getpid(), data_dir=str(folder), version="1", started_at=datetime.now(UTC), instance="i"
        )
        write_registry(registry_file(), note)
        assert launcher.status() is None
        assert launcher.stop() is None


def test_unusable_home_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "file"))
    assert launcher.status() is None
    with pytest.raises(LocalServiceError, match="cannot be made") as caught:
        launcher.start()
    assert "LOOPS_NB_HOME" in str(caught.value)


def test_start_copies_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without a copy, the start hands the process's own environment over while C code of another thread may move it:
    # "Bad address".
    handed: list[object] = []
    real = subprocess.Popen

    class Watched(real):  # type: ignore[misc, valid-type]
        def __init__(self, *args: object, **options: object) -> None:
            handed.append(options.get("env"))
            super().__init__(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    launcher.start(sample=False, data_dir=tmp_path / "mine")
    (environment,) = handed
    assert environment == without_secrets(os.environ)
    assert environment is not os.environ
