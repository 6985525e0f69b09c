"""Faults of the network and of the service: what is retried, what is not, and the error messages."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from loops_nb import AsyncLoops, Loops, RetryPolicy
from loops_nb.client import http
from loops_nb.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    EndlessPagesError,
    LoopsError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RedirectRefusedError,
    ServerError,
    ServiceUnreachableError,
    UnreadableAnswerError,
)
from tests.client.scripted_server import HANG_UP, Answer, Received, ScriptedServer, closed_port, serving

QUICK = RetryPolicy(attempts=4, total_seconds=20, first_wait_seconds=0.01, longest_wait_seconds=0.02)
RUNS = {"runs": [{"id": "k4q95w5"}]}
RUN = {"run": {"id": "k4q95w5"}}
NEW_RUN: dict[str, Any] = {"session_id": "sess_1", "base_model": "Qwen/Qwen3-8B"}

Flavour = Callable[[str, str, dict[str, Any]], Any]


def call_sync(url: str, name: str, arguments: dict[str, Any]) -> Any:
    with Loops("key", url, retry=QUICK, timeout=0.5) as loops:
        group, method = name.split(".")
        return getattr(getattr(loops, group), method)(**arguments)


def call_async(url: str, name: str, arguments: dict[str, Any]) -> Any:
    async def go() -> Any:
        async with AsyncLoops("key", url, retry=QUICK, timeout=0.5) as loops:
            group, method = name.split(".")
            return await getattr(getattr(loops, group), method)(**arguments)

    return asyncio.run(go())


@pytest.fixture(params=[call_sync, call_async], ids=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Flavour:
    flavour: Flavour = request.param
    return flavour


PASSING = {
    "500": Answer({"message": "x"}, 500),
    "502": Answer(b"<html>bad gateway", 502),
    "503": Answer({}, 503, {"retry-after": "0"}),
    "504": Answer({}, 504),
    "408": Answer({}, 408),
    "429": Answer({"error": "Rate limit exceeded. Please try again later.", "retry_after": 0}, 429),
    "hang up": HANG_UP,
    "cut body": Answer(RUNS, cut_after=5),
    "cut in the headers": Answer(RUNS, headers={"x": "y"}, length=10_000, cut_after=0),
    "bad gzip": Answer(b"no gzip", headers={"content-encoding": "gzip"}),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_read_is_retried_after_a_transient_fault(call: Flavour, fault: Answer) -> None:
    with serving(fault, fault, Answer(RUNS)) as server:
        assert [r.id for r in call(server.url, "runs.list", {})] == ["k4q95w5"]
        assert len(server.received) == 3


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_failed_read_names_the_reason_and_the_attempts(call: Flavour, fault: Answer) -> None:
    with serving(fault) as server:
        with pytest.raises(
            (APIError, ServiceUnreachableError), match=r"Could not list runs: .*after 4 tries in \d"
        ) as caught:
            call(server.url, "runs.list", {})
        assert len(server.received) == 4
    assert caught.value.hint


def test_connection_refused_suggests_the_local_service(call: Flavour) -> None:
    with pytest.raises(
        ServiceUnreachableError, match=r"nothing listens there.*Start the local service with %loops local start"
    ) as caught:
        call(f"http://127.0.0.1:{closed_port()}", "runs.list", {})
    assert caught.value.nobody_listens


def test_create_without_a_connection_says_nothing_was_sent(call: Flavour) -> None:
    with pytest.raises(ServiceUnreachableError, match=r"after 4 tries.*Nothing was sent, so nothing was changed"):
        call(f"http://127.0.0.1:{closed_port()}", "runs.create", NEW_RUN)


def test_silent_server_times_out(call: Flavour) -> None:
    never = threading.Event()
    with serving(Answer(hang_until=never)) as server:
        with pytest.raises(
            ServiceUnreachableError, match=r"no answer within 0.5 s.*It may be busy: try again, or wait longer"
        ) as caught:
            call(server.url, "runs.list", {})
        never.set()
    assert not caught.value.nobody_listens


def test_timeout_of_a_create_names_its_own_limit(call: Flavour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.client.operations.runs.CREATE_SECONDS", 1.0)
    never = threading.Event()
    with serving(Answer(hang_until=never)) as server:
        with pytest.raises(OutcomeUnknownError, match=r"no answer within 1 s"):
            call(server.url, "runs.create", NEW_RUN)
        never.set()


LOST = {
    "hang up": HANG_UP,
    "cut body": Answer(RUN, cut_after=5),
    "408": Answer({}, 408),
    "502": Answer({}, 502),
    "504": Answer(b"<html>", 504),
    "html": Answer(b"<!doctype html><p>ok"),
    "cut json": Answer(b'{"run": {"id'),
    "wrong type": Answer({"run": {"id": 7}}),
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize(
    ("name", "arguments", "way_out"),
    [
        ("runs.create", NEW_RUN, "%loops find --session sess_1"),
        ("trainers.create", NEW_RUN, "%loops find --session sess_1"),
        ("runs.deactivate", {"run_id": "k4q95w5"}, "%loops run k4q95w5"),
    ],
)
def test_write_with_a_lost_answer_is_not_repeated(
    call: Flavour, fault: Answer, name: str, arguments: dict[str, Any], way_out: str
) -> None:
    if name == "runs.deactivate" and fault is LOST["wrong type"]:
        fault = Answer({"id": 7})
    with serving(fault) as server:
        with pytest.raises(OutcomeUnknownError) as caught:
            call(server.url, name, arguments)
        assert len(server.received) == 1
    assert way_out in caught.value.hint


REFUSALS = [
    (400, BadRequestError),
    (401, AuthenticationError),
    (403, PermissionDeniedError),
    (404, NotFoundError),
    (409, ConflictError),
    (418, BadRequestError),
    (422, BadRequestError),
    (429, RateLimitError),
    (500, ServerError),
    (503, ServerError),
]


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
def test_refused_write_is_not_repeated(call: Flavour, status: int, kind: type[APIError]) -> None:
    body = {"code": "SOME_CODE", "message": "a reason", "details": {"reason": "R"}}
    with serving(Answer(body, status)) as server:
        with pytest.raises(kind, match=f"answered {status} SOME_CODE .a reason.") as caught:
            call(server.url, "runs.create", NEW_RUN)
        assert len(server.received) == 1
    assert (caught.value.status, caught.value.code, caught.value.details) == (status, "SOME_CODE", {"reason": "R"})


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_refused_read_is_not_repeated(call: Flavour, status: int) -> None:
    with serving(Answer({"error": "no"}, status)) as server:
        with pytest.raises(APIError, match="no"):
            call(server.url, "runs.list", {})
        assert len(server.received) == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": "m"}, "m"),
        ({"detail": "d"}, "d"),
        ({"error": "e"}, "e"),
        ({"error": {"type": "BadRequestError", "message": "v"}}, "v"),
        ({"detail": [{"loc": ["a"]}]}, "loc"),
        ("plain", "plain"),
        (b"not json", "not json"),
        (b"<html>secret page</html>", "a web page instead of JSON"),
        (b"", "answered 400."),
        (b"\xff\xfe", "400"),
        (b"[" * 100_000, "400"),
        ({"message": "two\nlines \x1b[31mred\x07"}, "two lines [31mred"),
    ],
)
def test_error_bodies_of_all_known_shapes(body: Any, said: str) -> None:
    with serving(Answer(body, 400)) as server, pytest.raises(BadRequestError) as caught:
        call_sync(server.url, "runs.list", {})
    text = str(caught.value)
    assert said in text
    assert text.isprintable()
    assert len(text) < 1000


def test_retry_after_is_waited_for() -> None:
    import time

    with serving(Answer({}, 429, {"retry-after": "1"}), Answer(RUNS)) as server:
        started = time.monotonic()
        call_sync(server.url, "runs.list", {})
        assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    "answer", [Answer({}, 503, {"retry-after": "3600"}), Answer({"error": "slow", "retry_after": 3600}, 429)]
)
def test_a_retry_after_beyond_the_limit_ends_it_at_once(call: Flavour, answer: Answer) -> None:
    with serving(answer) as server:
        with pytest.raises(APIError, match="asked to wait 3600 s") as caught:
            call(server.url, "runs.list", {})
        assert len(server.received) == 1
    assert caught.value.retry_after == 3600


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf", "Wed, 99 Foo", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_malformed_retry_after_is_ignored(value: str) -> None:
    with serving(Answer({}, 503, {"retry-after": value}), Answer(RUNS)) as server:
        assert len(call_sync(server.url, "runs.list", {})) == 1


UNREADABLE = {
    "html": (Answer(b"<!doctype html><p>hello", headers={"content-type": "text/html"}), "a web page"),
    "cut json": (Answer(b'{"runs": [{"id": "a"'), "not complete JSON"),
    "empty": (Answer(b""), "answered nothing"),
    "binary": (Answer(b"\xff\xfe\x00"), "not complete JSON"),
    "list": (Answer([]), "another type"),
    "no envelope": (Answer({"items": []}), "without the documented field 'runs'"),
    "wrong envelope": (Answer({"runs": {}}), "another type"),
    "wrong field": (Answer({"runs": [{"id": "a"}, {"id": 7}]}), "`$[1].id` (in runs)"),
    "no id": (Answer({"runs": [{"base_model": "m"}]}), "missing required field"),
    "null": (Answer({"runs": None}), "another type"),
    "deep": (Answer(b'{"runs":' + b"[" * 100_000), "JSON"),
}


@pytest.mark.parametrize(("answer", "words"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_undocumented_answer_is_an_error(call: Flavour, answer: Answer, words: str) -> None:
    with serving(answer) as server, pytest.raises(UnreadableAnswerError) as caught:
        call(server.url, "runs.list", {})
    assert words in str(caught.value)
    assert str(caught.value).startswith("Could not list runs: ")


def pages_of(make: Callable[[int], dict[str, Any]]) -> ScriptedServer:
    count = iter(range(10**9))
    return ScriptedServer(lambda _: Answer(make(next(count))))


def file(n: int) -> dict[str, Any]:
    return {
        "url": f"https://x/{n}?sig=1",
        "relative_file_name": f"f{n}",
        "node_rank": 0,
        "size_bytes": 1,
        "last_modified": "x",
    }


ENDLESS = {
    "the same token": lambda n: {"presigned_urls": [file(n)], "next_page_token": 1, "total_count": 9},
    "going back": lambda n: {"presigned_urls": [file(n)], "next_page_token": 5 - n, "total_count": 9},
    "empty pages": lambda n: {"presigned_urls": [], "next_page_token": n + 1, "total_count": 9},
    "ever on": lambda n: {"presigned_urls": [file(n)], "next_page_token": n + 1, "total_count": 9},
}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS.keys())
def test_endless_pages_end(make: Callable[[int], dict[str, Any]]) -> None:
    with (
        pages_of(make) as server,
        Loops("key", server.url) as loops,
        pytest.raises(EndlessPagesError, match="do not end"),
    ):
        list(loops.checkpoints.files("c"))


def test_pages_are_fetched_as_they_are_needed() -> None:
    def make(n: int) -> dict[str, Any]:
        return {"presigned_urls": [file(n)], "next_page_token": n + 1 if n < 2 else None, "total_count": 3}

    with pages_of(make) as server, Loops("key", server.url) as loops:
        walk = loops.checkpoints.files("c", page_size=1)
        assert server.received == []
        assert next(walk).relative_file_name == "f0"
        assert len(server.received) == 1
        assert [f.relative_file_name for f in walk] == ["f1", "f2"]
        assert [r.target.rpartition("=")[2] for r in server.received] == ["0", "1", "2"]


def test_debug_archive_pages_have_opaque_tokens() -> None:
    def make(n: int) -> dict[str, Any]:
        return {"presigned_urls": [file(n)], "next_page_token": ["b/&?", None][n]}

    with pages_of(make) as server, Loops("key", server.url) as loops:
        assert len(list(loops.deployments.debug_files("d"))) == 2
        assert server.received[1].target.endswith("page_token=b%2F%26%3F")


@pytest.mark.parametrize(
    "where", ["https://elsewhere.example/v1/loops/runs", "http://127.0.0.1:1/v1", "//other.example/x", "https:///x"]
)
def test_a_redirect_to_another_host_is_not_followed(call: Flavour, where: str) -> None:
    with serving(Answer({}, 307, {"location": where})) as server:
        with pytest.raises(RedirectRefusedError, match="the key was not sent there"):
            call(server.url, "runs.list", {})
        assert len(server.received) == 1


def test_a_redirect_to_the_same_host_is_followed_for_reads_only(call: Flavour) -> None:
    def script(request: Received) -> Answer:
        return Answer(RUNS) if request.target.endswith("/moved") else Answer({}, 308, {"location": "/v1/moved"})

    with ScriptedServer(script) as server:
        assert len(call(server.url, "runs.list", {})) == 1
        with pytest.raises(RedirectRefusedError):
            call(server.url, "runs.create", NEW_RUN)
        assert [r.method for r in server.received] == ["GET", "GET", "POST"]


def test_endless_redirects_fail(call: Flavour) -> None:
    with serving(Answer({}, 302, {"location": "/v1/loops/runs"})) as server:
        with pytest.raises(RedirectRefusedError, match="without an answer"):
            call(server.url, "runs.list", {})
        assert len(server.received) == 6


def test_an_interrupted_create_says_that_it_may_have_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    loops = Loops("key", f"http://127.0.0.1:{closed_port()}")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loops._transport, "_exchange", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        loops.runs.create(**NEW_RUN)
    assert "may have been carried out" in caught.value.__notes__[0]


def test_errors_survive_pickling() -> None:
    with serving(Answer({"code": "C", "message": "m"}, 404)) as server, pytest.raises(NotFoundError) as caught:
        call_sync(server.url, "runs.get", {"run_id": "x"})
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.status, again.code) == (NotFoundError, str(caught.value), 404, "C")


def test_errors_are_one_line_in_a_notebook() -> None:
    error = LoopsError("what\nhappened", hint="do  this")
    assert error._render_traceback_() == ["LoopsError: what happened do this"]


def test_a_second_listing_opens_no_connection() -> None:
    with serving(Answer(RUNS)) as server, Loops("key", server.url) as loops:
        for _ in range(3):
            loops.runs.list()
        assert server.connections == 1


def test_there_is_one_ssl_context_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    from loops_nb.config import network

    made = []
    real = ssl.create_default_context

    def counted(**options: Any) -> Any:
        made.append(1)
        return real(**options)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    network._ssl_context.cache_clear()
    for _ in range(3):
        with (
            Loops("key", "https://127.0.0.1:1", retry=RetryPolicy(attempts=1)) as loops,
            pytest.raises(ServiceUnreachableError),
        ):
            loops.runs.list()
    assert made == [1]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_client_works_in_two_event_loops_one_after_the_other() -> None:
    import gc

    with serving(Answer(RUNS)) as server:
        loops = AsyncLoops("key", server.url)

        async def once() -> int:
            return len(await loops.runs.list())

        assert asyncio.run(once()) == 1

        async def once_and_close() -> int:
            count = len(await loops.runs.list())
            await loops.close()
            return count

        assert asyncio.run(once_and_close()) == 1
    # The sockets of the first loop could not be closed in the second one: collect them here, where that is expected.
    gc.collect()


def test_closing_waits_for_what_is_being_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    is_opening, may_open = threading.Event(), threading.Event()
    connect = http._Backend.connect_tcp

    def connect_late(*words: Any, **named: Any) -> Any:
        is_opening.set()
        assert may_open.wait(30)
        opened.append(connect(*words, **named))
        return opened[-1]

    monkeypatch.setattr(http._Backend, "connect_tcp", connect_late)
    with serving(Answer(RUNS)) as server, ThreadPoolExecutor(1) as thread:
        loops = Loops("key", server.url)
        listed = thread.submit(loops.runs.list)
        assert is_opening.wait(30)
        loops.close()
        may_open.set()
        assert len(listed.result()) == 1
        assert opened[0].get_extra_info("socket").fileno() == -1
        # It is of use again.
        assert len(loops.runs.list()) == 1
        loops.close()
        assert [stream.get_extra_info("socket").fileno() for stream in opened] == [-1, -1]


def test_closing_waits_for_what_a_task_is_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    connect = http._AsyncBackend.connect_tcp

    async def closes_meanwhile() -> int:
        is_opening, may_open = asyncio.Event(), asyncio.Event()

        async def connect_late(*words: Any, **named: Any) -> Any:
            is_opening.set()
            await may_open.wait()
            opened.append(await connect(*words, **named))
            return opened[-1]

        monkeypatch.setattr(http._AsyncBackend, "connect_tcp", connect_late)
        loops = AsyncLoops("key", server.url)
        listed = asyncio.create_task(loops.runs.list())
        await is_opening.wait()
        await loops.close()
        may_open.set()
        return len(await listed)

    with serving(Answer(RUNS)) as server:
        assert asyncio.run(closes_meanwhile()) == 1
    assert opened[0].get_extra_info("socket").fileno() == -1


def test_create_sends_plain_json(call: Flavour) -> None:
    with serving(Answer(RUN)) as server:
        call(server.url, "runs.create", NEW_RUN)
        assert server.received[0].headers["content-type"] == "application/json"
        assert json.loads(server.received[0].body)["base_model"] == "Qwen/Qwen3-8B"
