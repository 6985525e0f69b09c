"""A data folder that is full, removed, damaged, or cannot be written: said in one line, and nothing half done."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from loops_nb.local.errors import StoreError
from loops_nb.local.server.app import make_app
from loops_nb.local.settings import Settings
from loops_nb.local.weights import records
from tests.local.responses import good, new_run, problem
from tests.service import AnyService, ProcessService, running_service


def store_of(service: AnyService) -> sqlite3.Connection:
    """The connection of a service in this process."""
    found: sqlite3.Connection = service.app.state.service.store._connection  # type: ignore[union-attr]
    return found


def test_a_full_disk_is_507_and_nothing_is_half_written(
    service: AnyService, api: httpx.Client, session_id: str
) -> None:
    first = new_run(api, session_id)
    records = store_of(service)
    pages = records.execute("PRAGMA page_count").fetchone()[0]
    records.execute(f"PRAGMA max_page_count = {pages + 1}")
    kept, body = [first["id"]], {"session_id": session_id, "base_model": "Qwen/Qwen3-8B", "name": "x" * 255}
    while (answer := api.post("/v1/loops/runs", json=body)).status_code == 200:
        kept.append(answer.json()["run"]["id"])
        assert len(kept) < 1000
    full = problem(answer, 507)
    assert full["code"] == "STORAGE_FULL"
    assert "nothing of this request was kept" in full["message"]
    # What is there can still be read, and nothing of the refused one is there.
    assert [run["id"] for run in good(api.get("/v1/loops/runs"))["runs"]] == kept[::-1]
    assert (
        len(good(api.get("/v1/loops/deployments"))["deployments"])
        == len(good(api.get("/v1/loops/samplers"))["samplers"])
        == len(kept)
    )
    records.execute(f"PRAGMA max_page_count = {pages + 1000}")
    new_run(api, session_id)


def test_a_full_disk_under_the_debug_archive(
    service: AnyService, api: httpx.Client, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(api, session_id)

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path), len(data))

    monkeypatch.setattr("loops_nb.local.rules.debug_archive.write_private", full)
    answer = api.get(f"/v1/loops/deployments/{run['deployment_id']}/debug_archive/files")
    assert problem(answer, 507)["code"] == "STORAGE_FULL"
    assert str(service.data_dir) not in answer.text


def test_removed_data_folder_is_507(service: AnyService, api: httpx.Client, session_id: str) -> None:
    shutil.rmtree(service.data_dir)
    gone = problem(api.post("/v1/loops/sessions"), 507)
    assert gone["code"] == "DATA_FOLDER_GONE"
    problem(api.post("/v1/loops/samplers", json={"session_id": session_id, "base_model": "a/b"}), 507)
    assert good(api.get("/v1/loops/samplers")) == {"samplers": []}


def test_replaced_data_folder_is_507(service: AnyService, api: httpx.Client) -> None:
    records = service.data_dir / "records.sqlite3"
    copy = records.with_suffix(".copy")
    shutil.copy(records, copy)
    copy.replace(records)
    assert problem(api.post("/v1/loops/sessions"), 507)["code"] == "DATA_FOLDER_GONE"


def test_a_service_without_a_folder_ends(tmp_path: Path) -> None:
    service = ProcessService(tmp_path / "data")
    shutil.rmtree(tmp_path / "data")
    assert service._process.wait(timeout=20) == 2
    service.stop()
    assert (
        service.lines[-1]
        == f"loops-nb: the data folder {tmp_path / 'data'} was removed while the service ran; it has ended\n"
    )
    assert len(service.lines) == 4
    assert not (tmp_path / "data").exists()


def test_no_space_for_the_sample_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    real: Callable[..., object] = records.save_checkpoint

    def full_after_a_while(*arguments: object, **named: object) -> object:
        written.append(None)
        if len(written) > 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments, **named)

    monkeypatch.setattr("loops_nb.local.sample_workspace.save_checkpoint", full_after_a_while)
    with pytest.raises(StoreError, match=r"cannot be used .*No space left on device"):
        make_app(Settings(data_dir=tmp_path / "data", sample=True))
    monkeypatch.undo()
    # Room was made: the next start fills it whole, and the lock is free.
    with running_service(in_process=True, sample=True, data_dir=tmp_path / "data") as service:
        assert len(good(httpx.get(service.url + "/v1/loops/runs", headers=service.headers))["runs"]) >= 12


@pytest.mark.parametrize("name", ["signing.key", "records.sqlite3", "lock"])
def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "data" / name).mkdir(parents=True)
    command = [sys.executable, "-m", "loops_nb", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("loops-nb: the ")
    assert ended.stderr.count("\n") == 1


def test_damaged_records_are_one_line(tmp_path: Path) -> None:
    with running_service(in_process=True, sample=True, data_dir=tmp_path / "data"):
        pass
    records = tmp_path / "data" / "records.sqlite3"
    whole = records.read_bytes()
    for damaged in (
        whole[:4096] + b"\xff" * (len(whole) - 4096),
        whole[:20_000],
        whole[:100] + b"\xff" * (len(whole) - 100),
    ):
        records.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"data folder|records in"):
            make_app(Settings(data_dir=tmp_path / "data", sample=True))
    records.write_bytes(whole)
    with running_service(in_process=True, sample=True, data_dir=tmp_path / "data") as service:
        good(httpx.get(service.url + "/v1/loops/runs", headers=service.headers))


@pytest.mark.parametrize("key", [b"", b"short", b"k" * 64])
def test_signing_key_of_another_length_is_replaced(tmp_path: Path, key: bytes) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "signing.key").write_bytes(key)
    with running_service(in_process=True, data_dir=data):
        made = (data / "signing.key").read_bytes()
    assert len(made) == 32
    with running_service(in_process=True, data_dir=data):
        assert (data / "signing.key").read_bytes() == made
    assert (data / "signing.key").stat().st_mode & 0o077 == 0
