"""A service that fails in every way: the last good data stays, the reason is told, and it goes on by itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from loops_nb import Loops, faults
from loops_nb.live import Attention, Need, Poller
from tests.client.scripted_server import HANG_UP, Answer, Received, ScriptedServer
from tests.live.stage import DEPLOYMENTS, RUNS, SAMPLERS, WAIT, Diary, end_of, stage, until
from tests.service import running_service

SENTINEL = "sk-sentinel-key"


class Scripted:
    """A poller before a server that answers what the test says."""

    def __init__(self, url: str) -> None:
        self.poller = Poller(Loops(SENTINEL, url).exchange)
        self.poller.interval = 0.02
        self.poller.linger = 0.05
        self.diary = Diary()
        self.subscription = self.poller.subscribe([RUNS], self.diary, Attention.WAITING)

    def close(self) -> None:
        assert self.poller.fault == ""
        end_of(self.poller)


def test_a_service_that_dies_and_comes_back(tmp_path: Path) -> None:
    with running_service(data_dir=tmp_path) as service:
        loops = Loops("k", service.url)
        session = loops.sessions.create()
        run = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B")
        port = int(service.url.rpartition(":")[2])
        s = Scripted(service.url)
        s.diary.until(lambda page: run.id in page.board.runs)
        service.kill()
        dead = s.diary.until(lambda page: "nobody listens there" in page.board.health().reason).board
        assert run.id in dead.runs
        health = dead.health()
        assert health.state == "failing"
        assert health.since is not None
        assert (health.next_at or 0) >= health.since >= (health.looked_at or 0)
        told = len(s.diary.pages)
        with running_service(data_dir=tmp_path, port=port):
            alive = s.diary.until(lambda page: page.board.health().state == "live", after=told).board
            assert run.id in alive.runs
            assert alive.health().since is None
            s.close()


def test_a_key_that_is_revoked_and_works_again() -> None:
    with stage() as s:
        run = s.make_run()
        subscription, diary = s.watch(RUNS, DEPLOYMENTS)
        diary.until(lambda page: run.id in page.board.runs)
        s.gate.answer = lambda _: JSONResponse({"error": f"the key {SENTINEL} sentinel-key was revoked"}, 401)
        health = diary.until(lambda page: page.board.health().state == "failing", after=len(diary.pages)).board.health()
        assert "401" in health.reason
        assert "%loops login" in health.hint
        assert "sentinel-key" not in health.reason.replace(SENTINEL, "")
        assert health.next_at is not None
        assert health.since is not None
        assert health.next_at - health.since == pytest.approx(60_000, abs=5_000)
        s.gate.answer = lambda _: None
        told = len(diary.pages)
        subscription.refresh()
        assert diary.until(lambda page: page.board.health().state == "live", after=told).board.runs


def test_retry_after_is_kept() -> None:
    with stage() as s:
        _, diary = s.watch(RUNS, DEPLOYMENTS, SAMPLERS)
        diary.until(lambda page: page.board.health().state == "live")
        s.gate.answer = lambda _: JSONResponse({"error": "slow down"}, 429, {"retry-after": "3600"})
        failing = diary.until(lambda page: page.board.health().state == "failing").board.health()
        assert (failing.next_at or 0) - (failing.since or 0) > 3_000_000
        until(lambda: all(not source.in_flight for source in s.poller._agenda._sources.values()), "what was under way is answered")
        asked = len(s.gate.asked)
        for _ in range(5):
            s.poller.refresh(next(iter(s.poller._subscriptions)))
        done = threading.Event()
        s.poller.post(done.set)
        assert done.wait(WAIT)
        assert len(s.gate.asked) == asked


def test_a_listing_that_an_older_service_does_not_have() -> None:
    with stage() as s:
        run = s.make_run()
        s.gate.answer = lambda target: PlainTextResponse("no such page", 404) if "/deployments" in target else None
        _, diary = s.watch(RUNS, DEPLOYMENTS)
        board = diary.until(lambda page: page.board.known(DEPLOYMENTS) and page.board.known(RUNS)).board
        assert run.id in board.runs
        assert board.deployments == {}
        assert board.health().state == "live"
        diary.until(lambda _: True, after=len(diary.pages) + 5)
        assert s.gate.count("/deployments") == 1


MALFORMED: dict[str, Answer] = {
    "a web page": Answer(b"<!DOCTYPE html><p>Sign in"),
    "cut JSON": Answer(b'{"runs": [{"id": "a"'),
    "another document": Answer({"models": []}),
    "a wrong type": Answer({"runs": [{"id": 7}]}),
    "no id": Answer({"runs": [{"name": "x"}]}),
    "nothing": Answer(b""),
    "500": Answer({"message": "oh"}, 500),
    "502": Answer(b"<html>bad gateway", 502),
    "hang up": HANG_UP,
    "cut body": Answer({"runs": []}, cut_after=5),
    "bad gzip": Answer(b"no gzip", headers={"content-encoding": "gzip"}),
    "elsewhere": Answer(b"", 302, {"location": "https://elsewhere.example/"}),
    "403": Answer({"message": f"not with {SENTINEL}"}, 403),
    "400": Answer({"message": "bad"}, 400),
}


@pytest.mark.parametrize("fault", MALFORMED.values(), ids=MALFORMED.keys())
def test_whatever_comes_back_the_data_stays_and_the_reason_is_told(fault: Answer, capfd: pytest.CaptureFixture[str]) -> None:
    good = Answer({"runs": [{"id": "a"}]})
    now = [good]
    with ScriptedServer(lambda _: now[0]) as server:
        s = Scripted(server.url)
        s.diary.until(lambda page: "a" in page.board.runs)
        now[0] = fault
        board = s.diary.until(lambda page: page.board.health().state == "failing").board
        health = board.health()
        assert "a" in board.runs
        assert health.reason
        assert health.next_at is not None
        assert SENTINEL not in f"{health}"
        now[0] = Answer({"runs": [{"id": "a"}, {"id": "b"}]})
        s.subscription.refresh()
        s.diary.until(lambda page: "b" in page.board.runs and page.board.health().state == "live")
        s.close()
    assert capfd.readouterr() == ("", "")


def test_a_service_that_hangs_is_told_and_goes_on_by_itself() -> None:
    held = threading.Event()
    hanging = [False]

    def script(_: Received) -> Answer:
        return Answer(hang_until=held) if hanging[0] else Answer({"runs": [{"id": "a"}]})

    with ScriptedServer(script) as server:
        poller = Poller(Loops(SENTINEL, server.url, timeout=0.3).exchange)
        poller.interval, poller.linger = 0.02, 0.05
        diary = Diary()
        poller.subscribe([RUNS], diary, Attention.WAITING)
        diary.until(lambda page: "a" in page.board.runs)
        hanging[0] = True
        health = diary.until(lambda page: page.board.health().state == "failing").board.health()
        assert "no answer within 0.3 s" in health.reason
        hanging[0] = False
        held.set()
        diary.until(lambda page: page.board.health().state == "live", after=len(diary.pages))
        end_of(poller)
        assert poller.fault == ""


def test_looks_are_not_sent_again_by_the_transport_but_other_requests_are() -> None:
    def script(received: Received) -> Answer:
        return Answer({"message": "x"}, 500) if received.method == "GET" else Answer({"id": "a"})

    with ScriptedServer(script) as server:
        s = Scripted(server.url)
        s.subscription.attention = Attention.ASLEEP
        until(lambda: not s.poller.is_running, "nobody is awake")
        before = len(server.received)
        s.subscription.refresh()
        until(lambda: not s.poller.is_running, "it was asked for")
        assert len(server.received) == before + 1
        assert s.poller._looks.exchange.seconds == 15
        assert s.poller._acts.exchange is s.poller.exchange
        s.close()


def test_one_model_whose_checkpoints_cannot_be_listed() -> None:
    every = Need("checkpoints")

    def script(received: Received) -> Answer:
        if "base_model=bad" in received.target:
            return Answer({"message": "broken"}, 500)
        if "checkpoints" in received.target:
            return Answer({"checkpoints": [{"id": "c", "run_id": "a", "checkpoint_id": "step-1"}]})
        return Answer({"runs": [{"id": "a", "base_model": "good"}, {"id": "b", "base_model": "bad"}]})

    with ScriptedServer(script) as server:
        s = Scripted(server.url)
        s.subscription.needs = (RUNS, every)
        board = s.diary.until(lambda page: page.board.checkpoints(every) and page.board.health().state == "failing").board
        assert set(board.checkpoints(every)) == {"c"}
        assert not board.known(every)
        assert board.health([RUNS]).state == "live"
        s.close()


def test_a_fault_shows_no_key(tmp_path: Any) -> None:
    with stage() as s:

        def faulty(*_: object) -> None:
            raise ValueError(f"{s.poller.exchange} {s.loops!r}")

        s.poller.subscribe([RUNS], faulty, Attention.WAITING)
        until(lambda: s.poller.fault, "it was told")
        assert "sentinel-key" not in s.poller.fault
        for subscription in tuple(s.poller._subscriptions):
            subscription.close()
        until(lambda: not s.poller.is_running, "nobody is left")
        s.poller.writer.fault = ""


@pytest.mark.parametrize("broken", ["loops_nb.live.shelf.Shelf.put", "loops_nb.live.history.History.saw"])
def test_fault_in_reading_an_answer_is_failing_until_all_of_it_is_read(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage() as s:
        first = s.make_run(name="first")
        _, diary = s.watch(RUNS)
        diary.until(lambda page: first.id in page.board.runs)
        with monkeypatch.context() as patched:

            def fails(*_: Any, **__: Any) -> None:
                raise KeyError("sentinel-fault")

            patched.setattr(broken, fails)
            second = s.make_run(name="second")
            health = diary.until(lambda page: page.board.health().state == "failing").board.health()
            assert "loops_nb itself failed while reading the answer" in health.reason
            assert "%loops doctor" in health.hint
            # The same answer again is as unread as before.
            s.poller.refresh(next(iter(s.poller._subscriptions)))
            told = len(diary.pages)
            assert diary.until(lambda _: True, after=told + 1).board.health().state == "failing"
        diary.until(lambda page: page.board.health().state == "live" and second.id in page.board.runs, after=len(diary.pages))
        assert "sentinel-fault" in faults.recorded()[-1].traceback
