"""Log lines over the real local service: back over the limit of an answer, both halves, and what is new."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from loops_nb import AsyncLoops, Loops
from loops_nb.client.logs import MOST_LINES, LogTail, find_target, log_query, read_logs
from loops_nb.client.operations.line_filters import LineFilters, filters_of
from loops_nb.client.transport import Transport
from loops_nb.errors import BadRequestError, InvalidArgumentError, NotFoundError
from loops_nb.local.store.process_logs import ProcessLine
from tests.local.training_client import TrainingClient, sample
from tests.service import running_service

DAY = 86_400_000


@pytest.fixture(scope="module")
def service() -> Iterator[Any]:
    with running_service(in_process=True) as found:
        yield found


def test_every_line_is_read_once_over_pages_weeks_and_equal_times(service: Any) -> None:
    store = service.app.state.service.store
    with Loops("key", service.url) as loops:
        run = loops.runs.create(session_id=loops.sessions.create().id, base_model="loops-local/tiny", name="long-log")
        now = service.app.state.service.statuses.now()
        times = [now - 16 * DAY + n // 700 for n in range(2_500)] + [now - 40_000 + n for n in range(1_200)]
        levels = ("DEBUG", "INFO", "WARNING", "ERROR")
        lines = [ProcessLine(at, f"line {n}", levels[n % 4]) for n, at in enumerate(times)]
        store.logs.add(f"deployments/{run.deployment_id}", lines)

        everything = loops.logs.frame(run.id, since=timedelta(days=17))
        written = everything[everything.message.str.startswith("line ")]
        assert list(written.message) == [line.message for line in lines]
        assert everything.timestamp.is_monotonic_increasing
        assert set(everything.half) == {"trainer"}
        assert str(everything.timestamp.dtype) == "datetime64[ns, UTC]"
        assert everything.level.cat.ordered

        url = "https://bucket.example/a.bin?X-Amz-Credential=AKIA1&X-Amz-Signature=0123456789abcdef"
        store.logs.add(f"deployments/{run.deployment_id}", [ProcessLine(now, f"fetching {url}", "DEBUG")])
        (secret,) = loops.logs.list(run.id, grep="fetching https://bucket.example")
        assert "0123456789abcdef" not in f"{secret.message} {secret!r} {secret.to_dict()}"

        colored = [
            "\x1b[1;31mCUDA\x1b[0m error",
            "\x1b]8;;http://x\x1b\\link\x1b]8;;\x07",
            "10%\r20%\r100% done\r",
            "a\r\nb",
        ]
        store.logs.add(f"deployments/{run.deployment_id}", [ProcessLine(now, text, "INFO") for text in colored])
        shown = ["CUDA error", "link", "100% done", "a\nb"]
        assert [line.message for line in loops.logs.list(run.id, grep=r"^(CUDA error|link|100% done|a\nb)$")] == shown
        assert [line.message for line in loops.logs.list(run.id, grep="^CUDA error$")] == ["CUDA error"]

        # By the name of the run, and by the deployment: the newest ones, of one level, by their text.
        assert loops.logs.frame("long-log", grep=r"line \d*7$", since=timedelta(days=17)).message.nunique() == 370
        newest = loops.logs.frame(run.deployment_id or "", limit=3, grep="^line")
        assert list(newest.message) == ["line 3697", "line 3698", "line 3699"]
        assert "newest 3 lines" in newest.attrs["loops_notes"][0]
        errors = loops.logs.list(run.id, min_level="ERROR", since=timedelta(days=17))
        assert len(errors) == 3_700 // 4
        assert loops.logs.list(run.id, until=timedelta(days=30)) == []

        async def twin() -> list[str]:
            async with AsyncLoops("key", service.url) as other:
                followed = []
                async for line in other.logs.follow(run.id, limit=5):
                    followed.append(line.message)
                    if len(followed) == 5:
                        break
                assert followed == [line.message for line in await other.logs.list(run.id, limit=5)]
                return followed

        assert asyncio.run(twin()) == [line.message for line in loops.logs.list(run.id, limit=5)]


def test_lines_of_both_halves_are_those_of_their_processes(service: Any) -> None:
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as api:
        trainer = TrainingClient(api, api.post("/v1/loops/sessions").json()["session"]["id"]).init()
        trainer.step()
        sampler = trainer.sampler()
        assert sample(api, sampler).status_code == 200
    with Loops("key", service.url) as loops:
        key = trainer.run["id"]
        both = loops.logs.frame(key, half="both")
        trained = both[both.message.str.startswith("step 1, ")]
        assert list(trained.half) == ["trainer"]
        assert list(trained.level) == ["INFO"]
        assert list(both[both.message.str.contains("completions, ")].half) == ["sampler"]
        assert not loops.logs.frame(key).message.str.contains("completions, ").any()
        own = loops.logs.list(sampler["id"])
        assert [line.message for line in own] == list(both[both.half == "sampler"].message)

        transport = Transport(loops.config)
        query = log_query(half="trainer", grep="step")
        follower = LogTail(transport.send_each(find_target(key, "trainer")), query)
        first = transport.send_each(follower.steps()).lines
        assert "step 1, " in first[-1].line.message
        assert transport.send_each(follower.steps()).lines == []
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as api:
            trainer.api = api
            trainer.step()
        new = [line.line.message for line in transport.send_each(follower.steps()).lines]
        assert len(new) == 1
        assert new[0].startswith("step 2, ")
        transport.close()


def test_the_service_filters_long_logs_of_a_sampler_and_is_compared(service: Any) -> None:
    store = service.app.state.service.store
    with Loops("key", service.url) as loops:
        sampler = loops.samplers.create(session_id=loops.sessions.create().id, base_model="loops-local/tiny")
        now = service.app.state.service.statuses.now()
        texts = [f"line {n}" + (f" CUDA (error {n % 4})" if n % 500 == 7 else "") for n in range(4_500)]
        lines = [ProcessLine(now - 30_000 + n, text, "INFO") for n, text in enumerate(texts)]
        store.logs.add(f"samplers/{sampler.id}", lines)
        expected = [text for text in texts if "CUDA" in text]

        def read(grep: str, *, drop: str = "", refuse: bool = False) -> tuple[list[str], list[str]]:
            steps = read_logs(sampler.id, log_query(grep=grep, since=timedelta(days=2)))
            sent: list[str] = []
            answer: Any = None
            fault: BadRequestError | None = None
            transport = Transport(loops.config)
            with contextlib.closing(transport):
                while True:
                    try:
                        request = steps.send(answer) if fault is None else steps.throw(fault)
                    except StopIteration as stop:
                        return [one.line.message for one in stop.value.lines], sent
                    fault = None
                    answer = transport.send(request)
                    filters = [request.query.get("search_pattern"), request.query.get("includes")]
                    if "/logs" in request.path:
                        sent.append(str(next(filter(None, filters), "")))
                    if any(filters) and refuse:
                        fault = BadRequestError("no", status=400)
                    elif any(filters) and drop:
                        answer = [line for line in answer if drop not in line.message]

        assert read("CUDA") == (expected, ["", "['CUDA']"])
        pytest.importorskip("re2")
        assert read(r"CUDA \(error \d") == (expected, ["", r"CUDA \(error \p{Nd}"])
        # What the service must not be asked, refuses or answers wrongly is filtered here alone.
        assert read(r"CUDA\b") == (expected, [""] * 5)
        assert read("CUDA", refuse=True) == (expected, ["", "['CUDA']", *[""] * 4])
        assert read("CUDA", drop="line 4007") == (expected, ["", "['CUDA']", *[""] * 4])

        logs = partial(loops.model_deployments.logs, sampler.model_id or "", sampler.deployment_id or "")
        assert len(logs(includes=["CUDA", "error 3"], excludes=["line 7 "], limit=1000)) == 8
        assert logs(replica="other", search_pattern="CUDA") == logs(component="x") == logs(request_id="x") == []
        with pytest.raises(BadRequestError, match="no RE2 pattern"):
            logs(search_pattern="(?=CUDA)")
        search = loops.model_deployments.search_logs
        found = search(sampler.model_id or "", sampler.deployment_id or "", search_pattern="^line 7 C", direction="asc")
        assert [line.message for line in found] == ["line 7 CUDA (error 3)"]


def test_filters_of_the_service_never_leave_out_what_python_finds() -> None:
    re2 = pytest.importorskip("re2")
    lines = [
        "",
        "a",
        "A b",
        "x=٣",
        "K \u017f",
        "a.b|c",
        "CUDA (error 3)\n",
        "tab\there",
        "a\\b",
        "é-ü",
        "a+b",
        "[x]",
        "b" * 300,
    ]
    patterns = [
        "a",
        "a.b",
        r"a\.b",
        r"x=\d+",
        "[a-c]+",
        "[^a]",
        "^a|^K",
        "(?:a|K) ?",
        r"\(error",
        "é",
        r"a\+b",
        "b*",
        "3.",
    ]
    sent = 0
    for pattern in [re.compile(text, flags) for text in patterns for flags in (0, re.IGNORECASE)]:
        filters = filters_of(pattern)
        for line in filter(pattern.search, lines):
            if filters is not None:
                sent += 1
                assert filters.search_pattern is None or re2.search(filters.search_pattern, line), (pattern, line)
                assert all(text in line for text in filters.includes or ())
    assert sent > 50
    for text in (
        r"a$",
        r"\w",
        r"\s",
        r"a\b",
        "a{,2}",
        "a{2}",
        "a++",
        "(?=a)",
        "(?P<x>a)",
        r"(a)\1",
        "a\x00",
        "a" * 257,
        "",
    ):
        assert filters_of(re.compile(text)) is None, text
    assert filters_of(re.compile("é", re.IGNORECASE)) is None
    assert filters_of(re.compile("a", re.ASCII)) is None
    assert filters_of(re.compile(re.escape("a b-c/d_[e]"))) == LineFilters(includes=["a b-c/d_[e]"])
    for wrong in ({"search_pattern": "a" * 257}, {"includes": ["a"] * 9}, {"includes": "abc"}, {"replica": ""}):
        with pytest.raises(InvalidArgumentError):
            LineFilters(**wrong)


def test_errors_of_logs_say_what_to_give(service: Any) -> None:
    with Loops("key", service.url) as loops:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"grep": "("}, "no regular expression"),
            ({"grep": re.compile(b"a")}, "pattern of bytes"),
            ({"half": "left"}, "trainer, sampler, both"),
            ({"limit": MOST_LINES + 1}, "limit"),
            ({"since": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
            ({"since": "2h"}, "since must be an age .timedelta. or a time"),
            ({"until": timedelta(hours=-1)}, "until is a time to come"),
            ({"since": datetime(2999, 1, 1, tzinfo=UTC)}, "since is a time to come: 2999-01-01 00:00 UTC"),
            ({"since": timedelta(hours=1), "until": timedelta(hours=2)}, "since must not be later than until"),
        ]
        for wanted, text in cases:
            with pytest.raises(InvalidArgumentError, match=text):
                loops.logs.list("no-request-is-sent", **wanted)
        with pytest.raises(NotFoundError, match="no run, deployment or sampler 'nothere'"):
            loops.logs.list("nothere", until=datetime.now(UTC))
