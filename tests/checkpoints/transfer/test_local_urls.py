"""Against the presigned URLs of the local service, which live a short time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loops_nb import Loops
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.transfer import Download, execute_plan, plan, verify
from loops_nb.errors import DownloadIncompleteError
from tests.checkpoints.transfer.scenario import QUICK
from tests.local.conftest import Clock
from tests.service import AnyService, running_service

LIFE = 60


class ExpiringUrls:
    """Lets the URLs of the last listing die when a file is asked for, and breaks answers off."""

    clock = Clock()
    #: Each n-th file expires before it is sent, when it is requested for the first time; 0 for none.
    every = 0
    breaks = False
    refused = 0
    seen: ClassVar[set[str]] = set()

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        cls = type(self)
        if scope["type"] != "http" or not scope["path"].startswith("/files/"):
            await self.app(scope, receive, send)
            return
        if scope["path"] not in cls.seen:
            cls.seen.add(scope["path"])
            if cls.every and len(cls.seen) % cls.every == 0:
                cls.clock.forward(LIFE + 1)

        async def pass_on(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 403:
                cls.refused += 1
            if message["type"] == "http.response.body" and cls.breaks:
                raise ConnectionResetError
            await send(message)

        await self.app(scope, receive, pass_on)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyService]:
    data = tmp_path_factory.mktemp("local") / "data"
    with running_service(
        sample=True, clock=ExpiringUrls.clock, url_ttl=LIFE, wrap=ExpiringUrls, data_dir=data
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def reset_expiry() -> None:
    ExpiringUrls.every = ExpiringUrls.refused = 0
    ExpiringUrls.breaks = False
    ExpiringUrls.seen.clear()


def refs_of(loops: Loops, count: int) -> list[CheckpointRef]:
    return [CheckpointRef.of(found) for found in loops.checkpoints.list(base_model="Qwen/Qwen3-8B")[:count]]


def download_checkpoints(service: AnyService, into: Path, count: int, *, connections: int = 4) -> Download:
    with (
        Loops("key", service.url, retry=QUICK) as loops,
        Storage(loops.checkpoints, connections=connections, retry=QUICK) as storage,
    ):
        return execute_plan(storage, plan(storage, refs_of(loops, count), into), connections=connections)


def assert_same(service: AnyService, into: Path, count: int) -> None:
    with Loops("key", service.url) as loops:
        refs = refs_of(loops, count)
    for ref in refs:
        there = service.data_dir / "checkpoints" / ref.id
        names = [path.relative_to(there) for path in there.rglob("*") if path.is_file()]
        assert names
        for name in names:
            assert (into / ref.folder / name).read_bytes() == (there / name).read_bytes()
        assert verify(into / ref.folder).ok


def test_several_checkpoints_download_completely(service: AnyService, tmp_path: Path) -> None:
    done = download_checkpoints(service, tmp_path, 6)
    assert len(done.checkpoints) == 6
    assert_same(service, tmp_path, 6)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_repeatedly_expiring_urls_are_renewed(service: AnyService, tmp_path: Path, every: int) -> None:
    ExpiringUrls.every = every
    download_checkpoints(service, tmp_path, 4, connections=1)
    assert ExpiringUrls.refused >= len(ExpiringUrls.seen) // every
    assert_same(service, tmp_path, 4)


def test_urls_expiring_during_parallel_downloads_are_renewed(service: AnyService, tmp_path: Path) -> None:
    ExpiringUrls.every = 9
    download_checkpoints(service, tmp_path, 4)
    assert ExpiringUrls.refused > 0
    assert_same(service, tmp_path, 4)


def test_download_resumes_after_broken_answers(service: AnyService, tmp_path: Path) -> None:
    ExpiringUrls.breaks = True
    with pytest.raises(DownloadIncompleteError) as caught:
        download_checkpoints(service, tmp_path, 2)
    assert caught.value.failures
    ExpiringUrls.breaks = False
    download_checkpoints(service, tmp_path, 2)
    assert_same(service, tmp_path, 2)
