"""Answers that arrive too slowly time out in both flavours, and can be interrupted."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops_nb import AsyncLoops, Loops, RetryPolicy
from loops_nb.checkpoints.http import Storage, StoredFile
from loops_nb.client.time_limit import TimeLimit
from loops_nb.errors import OutcomeUnknownError, ServiceUnreachableError, StorageError, WaitTimeoutError
from tests.client.scripted_server import Answer, Received, ScriptedServer, serving

ONCE = RetryPolicy(attempts=1)
RUNS = {"runs": [{"id": "k4q95w5"}], "more": "x" * 2000}
NEW_RUN: dict[str, Any] = {"session_id": "sess_1", "base_model": "Qwen/Qwen3-8B"}
#: Each byte comes long before the limit on silence.
DRIP, LIMIT = 0.05, 0.4
#: Generous: the point is that it ends at all.
SOON = 8.0


def call_sync(url: str, name: str, arguments: dict[str, Any]) -> None:
    with Loops("key", url, retry=ONCE, timeout=LIMIT) as loops:
        group, method = name.split(".")
        getattr(getattr(loops, group), method)(**arguments)


def call_async(url: str, name: str, arguments: dict[str, Any]) -> None:
    async def go() -> None:
        async with AsyncLoops("key", url, retry=ONCE, timeout=LIMIT) as loops:
            group, method = name.split(".")
            await getattr(getattr(loops, group), method)(**arguments)

    asyncio.run(go())


BOTH = pytest.mark.parametrize("call", [call_sync, call_async], ids=["sync", "async"])
WHERE = pytest.mark.parametrize("start", [0, 30, 200], ids=["from the first byte", "in the headers", "in the body"])


@BOTH
@WHERE
def test_slow_answer_to_a_read_times_out(call: Any, start: int) -> None:
    with serving(Answer(RUNS, drip_seconds=DRIP, drip_from=start)) as server:
        began = time.monotonic()
        with pytest.raises(ServiceUnreachableError, match="the answer came too slowly"):
            call(server.url, "runs.list", {})
        assert time.monotonic() - began < SOON


@BOTH
def test_slow_answer_to_a_create_is_outcome_unknown(
    call: Any,
) -> None:
    with serving(Answer({"run": {"id": "k"}}, headers={"x": "y" * 3000}, drip_seconds=DRIP)) as server:
        began = time.monotonic()
        with pytest.raises(OutcomeUnknownError, match="the answer came too slowly"):
            call(server.url, "runs.create", NEW_RUN)
        assert time.monotonic() - began < SOON
        assert len(server.received) == 1


@BOTH
def test_endless_interim_responses_time_out(call: Any) -> None:
    raw = b"HTTP/1.1 100 Continue\r\n\r\n" * 2000
    with (
        serving(Answer(raw=raw, drip_seconds=DRIP)) as server,
        pytest.raises(ServiceUnreachableError, match="too slowly"),
    ):
        call(server.url, "runs.list", {})


@BOTH
def test_long_steady_answer_is_read(call: Any) -> None:
    body = json.dumps({"runs": [], "more": "x" * 60_000}).encode()
    parts = 12

    def script(_: Received) -> Answer:
        return Answer(body)

    class Steady(ScriptedServer):
        def _send(self, connection: Any, answer: Answer) -> None:
            wire = answer.wire()
            size = len(wire) // parts
            for at in range(0, len(wire), size):
                connection.sendall(wire[at : at + size])
                self._stopped.wait(LIMIT / 6)

    with Steady(script) as server:
        began = time.monotonic()
        call(server.url, "runs.list", {})
        assert time.monotonic() - began > LIMIT


def sampler_script(request: Received) -> Answer:
    if request.target.startswith("/v1/loops/samplers"):
        base = f"http://{request.headers['host']}/sampler"
        return Answer({"sampler": {"id": "s", "base_url": base, "model_id": "m", "status": {"name": "ACTIVE"}}})
    if request.target.startswith("/v1/loops/runs"):
        return Answer({"runs": []})
    return Answer({"choices": []}, headers={"x": "y" * 3000}, drip_seconds=DRIP)


def test_slow_sampler_times_out_with_the_request() -> None:
    with ScriptedServer(sampler_script) as server, Loops("key", server.url, retry=ONCE) as loops:
        began = time.monotonic()
        with pytest.raises(WaitTimeoutError, match="no answer within 1 s"):
            loops.samplers.sample("s", [1, 2], timeout=1)
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize("start", [0, 150], ids=["headers", "body"])
def test_slow_file_fails_after_its_retries(start: int) -> None:
    def script(request: Received) -> Answer:
        if request.target == "/f":
            first = int(request.headers["range"].removeprefix("bytes=").partition("-")[0])
            headers = {"content-range": f"bytes {first}-4999/5000", "content-type": "application/octet-stream"}
            return Answer(b"x" * (5000 - first), 206, headers, drip_seconds=DRIP, drip_from=start)
        url = f"http://{request.headers['host']}/f"
        return Answer(
            {"presigned_urls": [{"url": url, "relative_file_name": "f", "size_bytes": 5000}], "next_page_token": None}
        )

    policy = RetryPolicy(attempts=2, first_wait_seconds=0.01, longest_wait_seconds=0.01)
    with (
        ScriptedServer(script) as server,
        Loops("key", server.url) as loops,
        Storage(loops.checkpoints, silence=LIMIT, retry=policy) as storage,
    ):
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"too slowly, at less than 1 KiB/s \(2 tries\)"):
            storage.read(StoredFile("c", "f"), 0, 5000)
        assert time.monotonic() - began < SOON


def test_slow_answer_can_be_interrupted() -> None:
    async def go(url: str) -> None:
        async with AsyncLoops("key", url, retry=ONCE, timeout=60) as loops:
            await asyncio.wait_for(loops.runs.list(), 0.3)

    with serving(Answer(RUNS, drip_seconds=DRIP)) as server, pytest.raises(TimeoutError):
        asyncio.run(go(server.url))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 100_000)), max_size=50))
def test_time_limit_is_capped_and_refilled_by_bytes(reads: list[tuple[float, int]]) -> None:
    time_limit = TimeLimit(10.0, 5.0, rate=1000)
    for seconds, count in reads:
        time_limit.spend(seconds, count)
        assert time_limit.left <= (5.0 if time_limit.begun else 10.0)
    fast = TimeLimit(1.0, 1.0, rate=1000)
    for _ in range(1000):
        fast.spend(0.5, 500)
        assert fast.left > 0
    slow = TimeLimit(1.0, 1.0, rate=1000)
    for _ in range(4):
        slow.spend(0.5, 100)
    assert slow.left < 0
    most = TimeLimit(1.0, 1.0, rate=1, most=10.0)
    for _ in range(21):
        most.spend(0.5, 100_000)
    assert most.left < 0
