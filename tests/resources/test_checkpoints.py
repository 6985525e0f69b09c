"""``loops.checkpoints`` and ``df.loops`` with files and weights against the local service, sync and async."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from loops_nb import AsyncLoops, Loops
from loops_nb.checkpoints.transfer.target import Place
from loops_nb.client.frame_connections import CONNECTION_ATTR
from loops_nb.errors import InvalidArgumentError
from tests.client.scripted_server import Answer, Received, ScriptedServer
from tests.service import AnyService, running_service

KEY = "sentinel-key-of-handling-0123456789"


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(in_process=True, sample=True) as running:
        yield running


@pytest.fixture
def loops(service: AnyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loops]:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Loops(KEY, service.url) as made:
        yield made


@pytest.fixture
def run_id(loops: Loops) -> str:
    return next(run.id for run in loops.runs.list() if run.name == "support-tone-r8")


def test_remote_tensor_equals_the_downloaded_one(loops: Loops, run_id: str) -> None:
    brought = loops.checkpoints.download(f"{run_id}/final", target="trainer", quiet=True)
    tensors = load_file(brought.checkpoints[0].path / "adapter_model.safetensors")
    opened = loops.checkpoints.open(f"{run_id}/final", target="trainer")
    name = next(name for name in opened.tensors if name.endswith("lora_A.weight"))
    assert np.array_equal(opened.tensor(name), tensors[name])
    assert opened.adapter_config is not None
    assert opened.adapter_config["r"] == 8
    del opened
    gc.collect()


def test_headers_are_cached_without_urls(loops: Loops, run_id: str, tmp_path: Path) -> None:
    first = loops.checkpoints.tensors(run_id=run_id)
    again = loops.checkpoints.tensors(run_id=run_id)
    pd.testing.assert_frame_equal(first, again)
    assert "headers are cached" in again.attrs["loops_notes"][0]
    kept = [path.read_bytes() for path in (tmp_path / "home" / "cache").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"signature" in text.lower() or KEY.encode() in text for text in kept)


def test_async_checkpoints_do_the_same(loops: Loops, service: AnyService, run_id: str, tmp_path: Path) -> None:
    async def work() -> tuple[Place, pd.DataFrame, pd.DataFrame]:
        async with AsyncLoops(KEY, service.url) as awaited:
            done = await awaited.checkpoints.download(
                run_id=run_id, target="sampler", into=tmp_path / "async", include="*.json", quiet=True
            )
            verified = await awaited.checkpoints.verify(tmp_path / "async")
            assert len(verified) == len(done.checkpoints)
            listed = await awaited.checkpoints.frame(run_id=run_id)
            return done.checkpoints[0].path, await awaited.runs.drift(run_id, by="checkpoint"), listed

    path, drift, listed = asyncio.run(work())
    assert json.loads(Path(path / "adapter_config.json").read_bytes())["r"] == 8
    pd.testing.assert_frame_equal(drift, loops.runs.drift(run_id, by="checkpoint"))
    assert listed.loops.tensors().shape[0] > 0


def test_async_download_can_be_cancelled(tmp_path: Path) -> None:
    """The thread that works ends by itself: its connections are closed."""

    async def work(url: str) -> None:
        async with AsyncLoops(KEY, url) as awaited:
            downloading = asyncio.create_task(awaited.checkpoints.download("c0ffee1", tmp_path / "into", quiet=True))
            await asyncio.to_thread(asked.acquire)
            downloading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await downloading

    import threading

    asked, never = threading.Semaphore(0), threading.Event()

    def script(request: Received) -> Answer:
        if request.target.startswith("/v1/loops/runs"):
            return Answer({"runs": []})
        if request.target.startswith("/v1/loops/checkpoints/"):
            page = {
                "url": f"{server.url}/file?signature=x",
                "relative_file_name": "a.bin",
                "node_rank": 0,
                "size_bytes": 5,
            }
            return Answer(
                {"presigned_urls": [page | {"last_modified": "x"}], "next_page_token": None, "total_count": 1}
            )
        asked.release()
        return Answer(hang_until=never)

    with ScriptedServer(script) as server:
        # asyncio.run waits for the thread; with a connection that stays silent it would do so for half a minute.
        asyncio.run(work(server.url))
        never.set()
    assert not list((tmp_path / "into").rglob("a.bin"))


def test_frame_finds_its_client_without_revealing_it(loops: Loops, run_id: str) -> None:
    frame = loops.checkpoints.frame(run_id=run_id)
    mark = frame.attrs[CONNECTION_ATTR]
    assert mark == loops.checkpoints.frame(run_id=run_id).attrs[CONNECTION_ATTR]
    assert KEY not in mark
    assert loops.base_url not in mark
    kept = frame.sort_values("created_at").query("target == 'trainer'")
    assert len(kept.loops.download(dry_run=True, include="*.json")) == 2 * len(kept)


def test_frame_without_an_origin_needs_the_client(loops: Loops, service: AnyService, run_id: str) -> None:
    frame = loops.checkpoints.frame(run_id=run_id)
    with Loops("another-key", service.url) as other:
        other.checkpoints.frame(run_id=run_id)
    lost = pd.DataFrame(frame.to_dict("list"))
    with pytest.raises(InvalidArgumentError, match=r"does not know which service .*df\.loops\.tensors\(loops=loops\)"):
        lost.loops.tensors()
    assert len(lost.loops.tensors(loops=loops)) > 0


def test_frames_that_name_no_checkpoint_are_refused(loops: Loops, run_id: str) -> None:
    frame = loops.checkpoints.frame(run_id=run_id)
    with pytest.raises(InvalidArgumentError, match="it has no rows"):
        frame.head(0).loops.download()
    with pytest.raises(InvalidArgumentError, match="no column 'id'"):
        frame.drop(columns="id").loops.tensors()
    with pytest.raises(InvalidArgumentError, match=r"df\.loops\.download is for checkpoints"):
        loops.runs.frame().loops.download()
    for wrong in (0, 65, True, "many"):
        with pytest.raises(InvalidArgumentError, match="connections must be"):
            loops.checkpoints.download(frame.head(1), connections=wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="takes patterns"):
        loops.checkpoints.download(frame.head(1), include=[""])
    with pytest.raises(InvalidArgumentError, match="One checkpoint is opened at a time"):
        loops.checkpoints.open(frame.head(2))
    with pytest.raises(InvalidArgumentError, match="by must be"):
        cast("Any", frame).loops.compare("colour")


def test_duplicates_are_found(loops: Loops, run_id: str) -> None:
    listed = loops.checkpoints.frame(run_id=run_id)
    # One checkpoint, named once by its own id and once as another's: to the service they are what they are.
    one = listed[listed["target"] == "sampler"].head(1)
    twin = one.assign(checkpoint_id="the-same-again", id=one["id"])
    found = pd.concat([one, twin]).loops.duplicates()
    assert found["group"].tolist() == [1, 1]
