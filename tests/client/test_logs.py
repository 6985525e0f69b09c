"""Log lines over the real local service: back over the limit of an answer, both halves, and what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from loops_nb import AsyncLoops, Loops
from loops_nb.client.logs import MOST_LINES, LogTail, find_target, log_query
from loops_nb.client.transport import Transport
from loops_nb.errors import InvalidArgumentError, NotFoundError
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


def test_errors_of_logs_say_what_to_give(service: Any) -> None:
    with Loops("key", service.url) as loops:
        cases: list[tuple[dict[str, Any], str]] = [
            ({"grep": "("}, "no regular expression"),
            ({"half": "left"}, "trainer, sampler, both"),
            ({"limit": MOST_LINES + 1}, "limit"),
            ({"since": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
            ({"since": timedelta(hours=1), "until": timedelta(hours=2)}, "start must not be after end"),
        ]
        for wanted, text in cases:
            with pytest.raises(InvalidArgumentError, match=text):
                loops.logs.list("no-request-is-sent", **wanted)
        with pytest.raises(NotFoundError, match="no run, deployment or sampler 'nothere'"):
            loops.logs.list("nothere", until=datetime.now(UTC))
