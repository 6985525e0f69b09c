"""The local service where its folder is on a file system that several machines share."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from loops_nb.config import file_systems
from loops_nb.config.local_services import note_file, own_services
from loops_nb.local.errors import StoreError
from loops_nb.local.service_registry import ServiceInfo, now, registry_file, service_log, service_token, write_registry
from loops_nb.local.store.database import RecordStore
from tests.mounts import show_as


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("LOOPS_NB_HOME", str(folder))
    monkeypatch.setattr(file_systems, "_MOUNTINFO", Path())
    show_as(folder, "nfs4")
    yield folder
    file_systems._found.cache_clear()


def test_records_need_no_memory_that_processes_share(home: Path) -> None:
    store = RecordStore(home / "data")
    with store.transaction():
        store.set_setting("seed", "7")
    assert not list((home / "data").glob("*-shm"))
    with pytest.raises(StoreError, match=r"another local service, perhaps on another machine that shares nfs4 at"):
        RecordStore(home / "data")
    store.close()
    # What was written is read on a local disk too.
    show_as(home, "ext4")
    store = RecordStore(home / "data")
    assert store.setting("seed") == "7"
    store.close()


def test_notes_of_services_are_those_of_this_machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url, names = "http://127.0.0.1:8787", set()
    for name in ("gpu-7", "gpu 8/x", platform.node()):
        monkeypatch.setattr(platform, "node", lambda name=name: name)
        names |= {note_file(url), registry_file(), service_log(registry_file())}
        assert own_services() == []
        store = RecordStore(home / f"data{len(names)}")
        info = ServiceInfo(
            url=url, pid=1, data_dir=str(store.data_dir), version="1", started_at=now(), instance=f"{len(names):016x}"
        )
        write_registry(note_file(url), info)
        assert [one.data_dir for one in own_services()] == [store.data_dir]
        store.close()
    assert len(names) == 9
    show_as(home, "ext4")
    assert registry_file() == home / "local" / "service.json"


def test_file_system_that_shows_the_token_to_others_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    show_as(home, "cifs")
    monkeypatch.setattr("loops_nb.local.service_registry.read_token", lambda _: "")
    with pytest.raises(StoreError, match=r"cannot be kept from other users: its file system \(cifs at .*--data-dir"):
        service_token(home)
