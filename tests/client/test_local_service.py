"""The client against the real local service, with faults injected between them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loops_nb import AsyncLoops, Loops, RetryPolicy
from loops_nb.checkpoints.file_routes import DebugRoutes
from loops_nb.checkpoints.http.errors import FaultKind, StorageFault
from loops_nb.checkpoints.http.listing import StoredFile, read_error
from loops_nb.errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DownloadIncompleteError,
    EndlessPagesError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    ServiceUnreachableError,
    UnreadableAnswerError,
)
from tests.service import AnyService, running_service

QUICK = RetryPolicy(attempts=3, total_seconds=20, first_wait_seconds=0.01, longest_wait_seconds=0.02)


class Faults:
    """ASGI middleware: does to the next requests what a test has put into ``queue``, then steps aside."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.queue: list[str] = []
        self.seen: list[str] = []
        #: What ends like this is answered with 404; empty for nothing.
        self.missing = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self.seen.append(f"{scope['method']} {scope['path']}")
        fault = self.queue.pop(0) if self.queue else ""
        if self.missing and scope["path"].endswith(self.missing):
            await answer(send, 404, b"{}")
        elif fault in {"500", "429"}:
            await answer(send, int(fault), b'{"error": "injected", "retry_after": 0}', [(b"retry-after", b"0")])
        elif fault == "garbage":
            await answer(send, 200, b"<html>hello")
        elif fault == "endless":
            page = b'{"presigned_urls":[{"url":"x","relative_file_name":"a","node_rank":0,'
            page += b'"size_bytes":1,"last_modified":"x"}],'
            await answer(send, 200, page + b'"next_page_token":1,"total_count":2}')
        elif fault == "slow":
            await asyncio.sleep(0.2)
            await self.app(scope, receive, send)
        elif fault == "cut":
            # The service does its work; its answer is cut off on the way.
            await self.app(scope, receive, cutting(send))
        else:
            await self.app(scope, receive, send)


def cutting(send: Send) -> Send:
    async def cut(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "body": message["body"][:5], "more_body": True})
            raise ConnectionError("cut by the test")
        await send(message)

    return cut


async def answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def faults_and_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Faults, AnyService]]:
    made: list[Faults] = []

    def wrap(app: ASGIApp) -> ASGIApp:
        made.append(Faults(app))
        return made[0]

    with running_service(sample=True, wrap=wrap, data_dir=tmp_path_factory.mktemp("service")) as service:
        yield made[0], service


@pytest.fixture
def faults(faults_and_service: tuple[Faults, AnyService]) -> Faults:
    faults_and_service[0].queue.clear()
    faults_and_service[0].seen.clear()
    faults_and_service[0].missing = ""
    return faults_and_service[0]


@pytest.fixture
def loops(faults: Faults, faults_and_service: tuple[Faults, AnyService]) -> Iterator[Loops]:
    with Loops("key", faults_and_service[1].url, retry=QUICK) as client:
        yield client


@pytest.mark.parametrize("fault", ["500", "429", "cut", "slow"])
def test_listing_succeeds_after_faults(faults: Faults, loops: Loops, fault: str) -> None:
    faults.queue += [fault, fault]
    assert len(loops.runs.list()) > 10
    assert len(faults.seen) == (1 if fault == "slow" else 3)


@pytest.mark.parametrize("fault", ["500", "429", "cut"])
def test_listing_without_an_answer_fails(faults: Faults, loops: Loops, fault: str) -> None:
    faults.queue += [fault] * 3
    with pytest.raises(Exception, match=r"Could not list runs.*after 3 tries") as caught:
        loops.runs.list()
    assert type(caught.value).__name__ in {"ServerError", "RateLimitError", "ServiceUnreachableError"}


def test_malformed_answer_is_an_error(faults: Faults, loops: Loops) -> None:
    faults.queue.append("garbage")
    with pytest.raises(UnreadableAnswerError, match="a web page"):
        loops.runs.frame()


def test_create_with_a_truncated_answer_happens_once(faults: Faults, loops: Loops) -> None:
    session = loops.sessions.create()
    faults.queue.append("cut")
    with pytest.raises(OutcomeUnknownError) as caught:
        loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B")
    assert f"%loops find --session {session.id}" in caught.value.hint
    # And that is indeed how to find out.
    (run,) = loops.runs.find(session_id=session.id)
    faults.queue.append("cut")
    with pytest.raises(OutcomeUnknownError, match=f"deactivate run {run.id}"):
        loops.runs.deactivate(run.id)
    ended = loops.runs.get(run.id)
    assert ended.status is not None
    assert ended.status.name == "INACTIVE"


def test_refused_create_does_not_happen(faults: Faults, loops: Loops) -> None:
    session = loops.sessions.create()
    faults.queue.append("429")
    with pytest.raises(RateLimitError):
        loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B")
    assert loops.runs.find(session_id=session.id) == []


def test_endless_pages(faults: Faults, loops: Loops) -> None:
    (run, *_) = [r for r in loops.runs.list() if loops.checkpoints.list(run_id=r.id)]
    checkpoint = loops.checkpoints.list(run_id=run.id)[0]
    faults.queue += ["endless"] * 2
    with pytest.raises(EndlessPagesError):
        list(loops.checkpoints.files(checkpoint.id))


def test_error_quotes_the_message_of_the_service(loops: Loops) -> None:
    with pytest.raises(NotFoundError, match="nosuchrun"):
        loops.runs.get("nosuchrun")
    with pytest.raises((NotFoundError, BadRequestError), match="session"):
        loops.runs.create(session_id="nosuchsession", base_model="Qwen/Qwen3-8B")
    paired = next(r for r in loops.runs.list() if r.sampler is not None)
    assert paired.sampler is not None
    with pytest.raises(ConflictError, match=paired.id):
        loops.samplers.deactivate(paired.sampler.id)


def test_sync_and_async_client_return_the_same(faults_and_service: tuple[Faults, AnyService], loops: Loops) -> None:
    async def listings() -> list[Any]:
        async with AsyncLoops("key", faults_and_service[1].url) as twin:
            runs = await twin.runs.list()
            checkpoints = await twin.checkpoints.frame(base_model="Qwen/Qwen3-8B")
            files = await twin.checkpoints.files_frame(checkpoints["id"].iloc[0])
            return [
                runs,
                await twin.runs.frame(),
                checkpoints,
                files,
                await twin.capabilities.frame(),
                await twin.sessions.frame(runs[0].session_id or ""),
            ]

    import pandas as pd

    runs, runs_frame, checkpoints, files, capabilities, session = asyncio.run(listings())
    assert [r.id for r in runs] == [r.id for r in loops.runs.list()]
    pd.testing.assert_frame_equal(runs_frame, loops.runs.frame())
    pd.testing.assert_frame_equal(checkpoints, loops.checkpoints.frame(base_model="Qwen/Qwen3-8B"))
    pd.testing.assert_frame_equal(files, loops.checkpoints.files_frame(checkpoints["id"].iloc[0]))
    assert "url" not in files.columns
    assert "url" in loops.checkpoints.files_frame(checkpoints["id"].iloc[0], urls=True).columns
    pd.testing.assert_frame_equal(capabilities, loops.capabilities.frame())
    assert len(session) == 1


def test_client_works_after_a_restart_of_the_service(tmp_path: Path) -> None:
    with running_service(data_dir=tmp_path) as service:
        port = service.url.rpartition(":")[2]
        with Loops(base_url=service.url, retry=QUICK) as loops:
            session = loops.sessions.create()
            service.stop()
            with pytest.raises(ServiceUnreachableError, match="nothing listens there"):
                loops.sessions.get(session.id)
            with running_service(data_dir=tmp_path, port=int(port)):
                assert loops.sessions.get(session.id).id == session.id


def test_no_key(faults_and_service: tuple[Faults, AnyService], monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    from loops_nb.client.config import ClientConfig

    answer = httpx.get(f"{faults_and_service[1].url}/v1/loops/runs", trust_env=False)
    assert answer.status_code == 401
    with Loops("key", faults_and_service[1].url) as loops:
        real = ClientConfig.http_request

        def without_key(config: ClientConfig, *args: Any) -> Any:
            request = real(config, *args)
            del request.headers["Authorization"]
            return request

        monkeypatch.setattr(ClientConfig, "http_request", without_key)
        with pytest.raises(AuthenticationError, match="%loops login"):
            loops.runs.list()


def test_a_lost_file_of_a_debug_archive_is_called_one(faults: Faults, loops: Loops, tmp_path: Path) -> None:
    faults.missing = "/logs.jsonl"
    with pytest.raises(DownloadIncompleteError, match="1 file of 4 could not be downloaded") as caught:
        loops.deployments.debug_archive("text-to-sql-moe", tmp_path, quiet=True)
    assert "checkpoint" not in str(caught.value)
    assert "logs.jsonl" in str(caught.value)
    assert caught.value.hint == "Download the archive again: it gets a folder of its own."
    deployment = next(run.deployment_id for run in loops.runs.list() if run.name == "text-to-sql-moe")
    file = StoredFile(str(deployment), "logs.jsonl", owner=DebugRoutes.owner)
    assert f"logs.jsonl of the debug archive of deployment {deployment} could" in str(
        read_error(file, StorageFault("lost", FaultKind.GONE))
    )
