"""Checkpoints that trainers save: their files, their states, their time, their names."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from safetensors.numpy import load

from tests.local.conftest import Clock
from tests.local.responses import good, problem
from tests.local.training_client import RANK, TINY, TrainingClient, sample, tokens
from tests.service import AnyService, ProcessService, running_service

pytestmark = pytest.mark.once


@pytest.fixture
def trainer(api: httpx.Client, session_id: str, clock: Clock) -> TrainingClient:
    made = TrainingClient(api, session_id)
    clock.forward(22)
    return made.init()


def listed(trainer: TrainingClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(trainer.api.get("/v1/loops/checkpoints", params={"run_id": trainer.run["id"]}))[
        "checkpoints"
    ]
    return found


def files_of(api: httpx.Client, checkpoint: dict[str, Any]) -> dict[str, dict[str, Any]]:
    page = good(api.get(f"/v1/loops/checkpoints/{checkpoint['id']}/files"))["presigned_urls"]
    return {file["relative_file_name"]: file for file in page}


def test_saved_checkpoints_have_the_layout_of_peft(trainer: TrainingClient) -> None:
    trainer.step()
    trainer.do("save_state", name="one")
    trainer.do("save_weights_for_sampler", name="one", ttl_seconds=None, bump_version=False)
    for checkpoint in listed(trainer):
        assert checkpoint["lora_adapter_config"]["r"] == RANK
        files = files_of(trainer.api, checkpoint)
        assert sum(file["size_bytes"] for file in files.values()) == checkpoint["size_bytes"]
        config = httpx.get(files["adapter_config.json"]["url"]).json()
        assert (config["peft_type"], config["r"], config["base_model_name_or_path"]) == ("LORA", RANK, TINY)
        assert set(config["target_modules"]) == set(checkpoint["lora_adapter_config"]["target_modules"])
        tensors = load(httpx.get(files["adapter_model.safetensors"]["url"]).content)
        for name, tensor in tensors.items():
            assert name.startswith("base_model.model.")
            assert RANK in tensor.shape
            assert name.rsplit(".", 3)[-3] in config["target_modules"]
            assert np.isfinite(tensor).all()
        assert any(tensor.any() for name, tensor in tensors.items() if "lora_B" in name)
        # What is needed to go on is in a trainer's checkpoint only.
        assert any("optimizer" in name for name in files) == (checkpoint["target"] == "trainer")


def test_saved_checkpoint_becomes_complete(trainer: TrainingClient, clock: Clock) -> None:
    path = trainer.do("save_state", name="one")["path"]
    assert [found["sync_status"] for found in listed(trainer)] == ["SYNCING"]
    # It can be found and loaded at once.
    assert len(good(trainer.api.get("/v1/loops/checkpoints", params={"checkpoint_path": path}))["checkpoints"]) == 1
    assert trainer.do("load_state_with_optimizer", path=path) == {"step": 0}
    clock.forward(1.9)
    assert [found["sync_status"] for found in listed(trainer)] == ["SYNCING"]
    clock.forward(0.2)
    assert [found["sync_status"] for found in listed(trainer)] == ["COMPLETE"]


def test_saved_checkpoint_expires(trainer: TrainingClient, clock: Clock, service: AnyService) -> None:
    trainer.do("save_state", name="short", ttl_seconds=60)
    trainer.do("save_weights_for_sampler", name="short", ttl_seconds=90, bump_version=False)
    trainer.do("save_state", name="kept")
    short = next(
        found for found in listed(trainer) if (found["checkpoint_id"], found["target"]) == ("short", "trainer")
    )
    file = next(iter(files_of(trainer.api, short).values()))
    folder = service.data_dir / "checkpoints" / short["id"]
    assert folder.is_dir()
    clock.forward(59)
    assert len(listed(trainer)) == 3
    clock.forward(2)
    assert [(found["checkpoint_id"], found["target"]) for found in listed(trainer)] == [
        ("kept", "trainer"),
        ("short", "sampler"),
    ]
    assert not folder.exists()
    problem(httpx.get(file["url"]), 404)
    problem(trainer.api.get(f"/v1/loops/checkpoints/{short['id']}/files"), 404)
    assert "no checkpoint" in trainer.fail("load_state", path=f"bt://loops:{trainer.run['id']}/weights/short")["error"]
    clock.forward(30)
    assert [found["checkpoint_id"] for found in listed(trainer)] == ["kept"]


def test_reads_work_while_the_disk_refuses_writes(trainer: TrainingClient, clock: Clock, service: AnyService) -> None:
    trainer.do("save_state", name="one", ttl_seconds=60)
    clock.forward(61)
    with sqlite3.connect(service.data_dir / "records.sqlite3", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")  # no other connection can write now
        assert [found["checkpoint_id"] for found in listed(trainer)] == ["one"]
        other.execute("ROLLBACK")
    other.close()
    assert listed(trainer) == []


def test_saving_under_a_used_name_replaces_the_checkpoint(
    trainer: TrainingClient, clock: Clock, service: AnyService
) -> None:
    trainer.do("save_state", name="best")
    before = listed(trainer)
    trainer.step()
    clock.forward(5)
    trainer.do("save_state", name="best")
    after = listed(trainer)
    assert [found["checkpoint_id"] for found in after] == ["best"]
    assert after[0]["id"] != before[0]["id"]
    assert [path.name for path in (service.data_dir / "checkpoints").iterdir()] == [after[0]["id"]]
    problem(trainer.api.get(f"/v1/loops/checkpoints/{before[0]['id']}/files"), 404)
    assert trainer.do("load_state_with_optimizer", path=f"bt://loops:{trainer.run['id']}/weights/best/") == {"step": 1}


def test_load_state_takes_a_folder(trainer: TrainingClient, tmp_path: Path) -> None:
    trainer.step()
    trainer.do("save_state", name="one")
    for name, file in files_of(trainer.api, listed(trainer)[0]).items():
        place = tmp_path / "down loaded" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(httpx.get(file["url"]).content)
    expected = trainer.step()
    for path in (str(tmp_path / "down loaded"), (tmp_path / "down loaded").as_uri()):
        assert trainer.do("load_state_with_optimizer", path=path) == {"step": 1}
        assert trainer.step() == expected
    assert "step" in trainer.do("load_state", path=path)


def test_loading_an_unfit_checkpoint_changes_nothing(
    trainer: TrainingClient, api: httpx.Client, session_id: str, clock: Clock
) -> None:
    wide = TrainingClient(api, session_id, lora_rank=RANK * 2)
    clock.forward(22)
    path = wide.do("save_state", name="wide")["path"]
    trainer.step()
    trainer.do("save_state", name="mine")
    expected = trainer.step()
    trainer.do("load_state_with_optimizer", path=f"bt://loops:{trainer.run['id']}/weights/mine")
    refused = trainer.fail("load_state", path=path)
    assert refused["error_class"] == "ValueError"
    assert f"lora_rank {RANK * 2}, and this run {RANK}" in refused["error"]
    weights = trainer.do("save_weights_for_sampler", name="mine", bump_version=False)["path"]
    assert "optimizer" in trainer.fail("load_state_with_optimizer", path=weights)["error"]
    assert trainer.step() == expected


def test_failed_save_leaves_no_files(trainer: TrainingClient, service: AnyService) -> None:
    trainer.step()
    place = service.data_dir / "checkpoints"
    place.rmdir() if place.exists() else None
    place.write_bytes(b"in the way")
    failed = trainer.fail("save_state", name="one")
    assert failed["error_class"].endswith("Error")
    assert listed(trainer) == []
    place.unlink()
    assert trainer.do("save_state", name="one")["path"].endswith("/one")


def test_published_weights_outlive_their_checkpoint(trainer: TrainingClient, clock: Clock, service: AnyService) -> None:
    for _ in range(20):
        trainer.step()
    sampler = trainer.sampler()
    clock.forward(20)
    base = tokens(sample(trainer.api, sampler))
    trainer.do("save_weights_for_sampler", name="short", ttl_seconds=60, bump_version=True)
    newest = {"X-Min-Policy-Version": "1"}
    tuned = tokens(sample(trainer.api, sampler, headers=newest))
    clock.forward(61)
    assert listed(trainer) == []
    clock.forward(901)
    trainer.api.post(sampler["base_url"] + "/wake")
    clock.forward(8)
    assert tokens(sample(trainer.api, sampler, headers=newest)) == tuned != base
    key = trainer.accepted("save_weights_for_sampler", name="next", bump_version=True)
    clock.forward(10)
    assert trainer.poll(key)["status"] == "done"
    assert len(list((service.data_dir / "engine" / "published" / trainer.run["id"]).iterdir())) == 1


def test_the_older_records_and_interrupted_saves_of_a_folder(tmp_path: Path) -> None:
    """A folder of the version before gets its new tables, and what no record tells of is moved aside."""
    data = tmp_path / "data"
    with running_service(data_dir=data, in_process=True) as service:
        good(httpx.post(service.url + "/v1/loops/sessions", headers=service.headers))
    with sqlite3.connect(data / "records.sqlite3") as records:
        records.executescript(
            "DROP TABLE saves; DROP TABLE published; DROP TABLE tombstones; DROP TABLE deleted_runs; "
            "PRAGMA user_version = 1"
        )
    records.close()
    half = data / "checkpoints" / ".partial-halfway"
    left = [
        data / "checkpoints" / "halfway",
        data / "engine" / "trainers" / "unknown",
        data / "engine" / "published" / "unknown",
    ]
    for folder in (half, *left):
        folder.mkdir(parents=True)
    service = ProcessService(data, "--any-key", "--speed", "1000", "--rate-limit", "0")
    try:
        assert not any(folder.exists() for folder in (half, *left))
        (aside,) = (data / "set-aside").iterdir()
        assert all((aside / folder.relative_to(data)).is_dir() for folder in left)
        assert not list(aside.rglob(".partial-*"))
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api:
            trainer = TrainingClient(api, str(good(api.post("/v1/loops/sessions"))["session"]["id"])).init()
            trainer.do("save_weights_for_sampler", name="one", bump_version=True)
            until_complete(trainer)
    finally:
        service.kill()


@pytest.mark.parametrize("loss", ["removed", "emptied"])
def test_weights_are_moved_aside_and_can_be_loaded_when_the_records_are_gone(tmp_path: Path, loss: str) -> None:
    data = tmp_path / "data"
    service = ProcessService(data, "--speed", "1000", "--rate-limit", "0")
    try:
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api:
            trainer = TrainingClient(api, str(good(api.post("/v1/loops/sessions"))["session"]["id"])).init()
            trainer.step()
            trainer.do("save_state", name="kept")
            expected = trainer.step()
        service.stop()
        for file in data.glob("records.sqlite3*"):
            file.unlink() if loss == "removed" else file.write_bytes(b"")
        service.start()
        (notice,) = (line for line in service.lines if "do not know" in line)
        assert notice.startswith("Warning: ")
        assert "Nothing was deleted" in notice
        (moved,) = (folder for folder in (data / "set-aside").glob("*/checkpoints/*"))
        assert str(moved.parents[1]) in notice
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api:
            again = TrainingClient(api, str(good(api.post("/v1/loops/sessions"))["session"]["id"])).init()
            again.do("load_state_with_optimizer", path=str(moved))
            assert again.step() == expected
        # What was moved aside stays where it is, and is reported once.
        service.stop()
        service.start()
        assert len([line for line in service.lines if "do not know" in line]) == 1
        assert moved.is_dir()
    finally:
        service.kill()


def until_complete(trainer: TrainingClient) -> None:
    deadline = time.monotonic() + 60
    while {found["sync_status"] for found in listed(trainer)} != {"COMPLETE"}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_sample_workspace_trains_too(tmp_path: Path) -> None:
    """Its runs can be asked, and its checkpoints either load or are refused in words."""
    with (
        running_service(sample=True, data_dir=tmp_path / "data") as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api,
    ):
        model = "Qwen/Qwen3-8B"
        saved = good(api.get("/v1/loops/checkpoints", params={"base_model": model}))["checkpoints"]
        old = next(found for found in saved if found["target"] == "trainer")
        session = str(good(api.post("/v1/loops/sessions"))["session"]["id"])
        trainer = TrainingClient(api, session, base_model=model, lora_rank=old["lora_adapter_config"]["r"])
        done = trainer.poll(
            trainer.accepted("load_state", path=f"bt://loops:{old['run_id']}/weights/{old['checkpoint_id']}")
        )
        assert done["status"] == "done" or done["error_class"] == "ValueError"
        assert msgspec.json.encode(done)
        assert trainer.step(list(range(151_000, 151_040))) > 0
