"""Failures of the service: the last good data stays, the reason is reported, and polling recovers by itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from loops_nb import Loops, faults
from loops_nb.live import Poller, Priority, Query
from tests.client.scripted_server import HANG_UP, Answer, Received, ScriptedServer
from tests.live.live_service import DEPLOYMENTS, RUNS, SAMPLERS, WAIT, SnapshotRecorder, end_of, live_service, until
from tests.service import running_service

SENTINEL = "sk-sentinel-key"


class Scripted:
    """A poller before a server that answers what the test says."""

    def __init__(self, url: str) -> None:
        self.poller = Poller(Loops(SENTINEL, url).config)
        self.poller.interval = 0.02
        self.poller.linger = 0.05
        self.recorder = SnapshotRecorder()
        self.subscription = self.poller.subscribe([RUNS], self.recorder, Priority.WAITING)

    def close(self) -> None:
        assert self.poller.last_traceback == ""
        end_of(self.poller)


def test_service_outage_is_reported_until_it_returns(tmp_path: Path) -> None:
    with running_service(data_dir=tmp_path) as service:
        loops = Loops("k", service.url)
        session = loops.sessions.create()
        run = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B")
        port = int(service.url.rpartition(":")[2])
        s = Scripted(service.url)
        s.recorder.until(lambda delivery: run.id in delivery.snapshot.runs)
        service.kill()
        dead = s.recorder.until(lambda delivery: "nothing listens there" in delivery.snapshot.health().reason).snapshot
        assert run.id in dead.runs
        health = dead.health()
        assert health.state == "failing"
        assert health.since is not None
        assert (health.next_at or 0) >= health.since >= (health.looked_at or 0)
        told = len(s.recorder.deliveries)
        with running_service(data_dir=tmp_path, port=port):
            alive = s.recorder.until(lambda delivery: delivery.snapshot.health().state == "live", after=told).snapshot
            assert run.id in alive.runs
            assert alive.health().since is None
            s.close()


def test_revoked_key_is_reported_until_it_works_again() -> None:
    with live_service() as s:
        run = s.make_run()
        subscription, recorder = s.watch(RUNS, DEPLOYMENTS)
        recorder.until(lambda delivery: run.id in delivery.snapshot.runs)
        s.gate.answer = lambda _: JSONResponse({"error": f"the key {SENTINEL} sentinel-key was revoked"}, 401)
        health = recorder.until(
            lambda delivery: delivery.snapshot.health().state == "failing", after=len(recorder.deliveries)
        ).snapshot.health()
        assert "401" in health.reason
        assert "%loops login" in health.hint
        assert "sentinel-key" not in health.reason.replace(SENTINEL, "")
        assert health.next_at is not None
        assert health.since is not None
        assert health.next_at - health.since == pytest.approx(60_000, abs=5_000)
        s.gate.answer = lambda _: None
        told = len(recorder.deliveries)
        subscription.refresh()
        assert recorder.until(lambda delivery: delivery.snapshot.health().state == "live", after=told).snapshot.runs


def test_retry_after_stops_polling_despite_refresh() -> None:
    with live_service() as s:
        _, recorder = s.watch(RUNS, DEPLOYMENTS, SAMPLERS)
        recorder.until(lambda delivery: delivery.snapshot.health().state == "live")
        s.gate.answer = lambda _: JSONResponse({"error": "slow down"}, 429, {"retry-after": "3600"})
        failing = recorder.until(lambda delivery: delivery.snapshot.health().state == "failing").snapshot.health()
        assert (failing.next_at or 0) - (failing.since or 0) > 3_000_000
        until(
            lambda: all(not source.in_flight for source in s.poller._scheduler._listings.values()),
            "what was under way is answered",
        )
        asked = len(s.gate.asked)
        for _ in range(5):
            next(iter(s.poller._subscriptions)).refresh()
        done = threading.Event()
        s.poller.post(done.set)
        assert done.wait(WAIT)
        assert len(s.gate.asked) == asked


def test_listing_missing_from_an_older_service_is_empty() -> None:
    with live_service() as s:
        run = s.make_run()
        s.gate.answer = lambda target: PlainTextResponse("no such page", 404) if "/deployments" in target else None
        _, recorder = s.watch(RUNS, DEPLOYMENTS)
        snapshot = recorder.until(
            lambda delivery: delivery.snapshot.is_known(DEPLOYMENTS) and delivery.snapshot.is_known(RUNS)
        ).snapshot
        assert run.id in snapshot.runs
        assert snapshot.deployments == {}
        assert snapshot.health().state == "live"
        recorder.until(lambda _: True, after=len(recorder.deliveries) + 5)
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
def test_malformed_answer_keeps_the_data_and_reports_the_reason(
    fault: Answer, capfd: pytest.CaptureFixture[str]
) -> None:
    good = Answer({"runs": [{"id": "a"}]})
    now = [good]
    with ScriptedServer(lambda _: now[0]) as server:
        s = Scripted(server.url)
        s.recorder.until(lambda delivery: "a" in delivery.snapshot.runs)
        now[0] = fault
        snapshot = s.recorder.until(lambda delivery: delivery.snapshot.health().state == "failing").snapshot
        health = snapshot.health()
        assert "a" in snapshot.runs
        assert health.reason
        assert health.next_at is not None
        assert SENTINEL not in f"{health}"
        now[0] = Answer({"runs": [{"id": "a"}, {"id": "b"}]})
        s.subscription.refresh()
        s.recorder.until(lambda delivery: "b" in delivery.snapshot.runs and delivery.snapshot.health().state == "live")
        s.close()
    assert capfd.readouterr() == ("", "")


def test_hanging_service_is_reported_until_it_answers() -> None:
    held = threading.Event()
    hanging = [False]

    def script(_: Received) -> Answer:
        return Answer(hang_until=held) if hanging[0] else Answer({"runs": [{"id": "a"}]})

    with ScriptedServer(script) as server:
        poller = Poller(Loops(SENTINEL, server.url, timeout=0.3).config)
        poller.interval, poller.linger = 0.02, 0.05
        recorder = SnapshotRecorder()
        poller.subscribe([RUNS], recorder, Priority.WAITING)
        recorder.until(lambda delivery: "a" in delivery.snapshot.runs)
        hanging[0] = True
        health = recorder.until(lambda delivery: delivery.snapshot.health().state == "failing").snapshot.health()
        assert "no answer within 0.3 s" in health.reason
        hanging[0] = False
        held.set()
        recorder.until(lambda delivery: delivery.snapshot.health().state == "live", after=len(recorder.deliveries))
        end_of(poller)
        assert poller.last_traceback == ""


def test_polls_are_not_retried_by_the_transport() -> None:
    def script(received: Received) -> Answer:
        return Answer({"message": "x"}, 500) if received.method == "GET" else Answer({"id": "a"})

    with ScriptedServer(script) as server:
        s = Scripted(server.url)
        s.subscription.priority = Priority.NONE
        until(lambda: not s.poller.is_running, "the poller ends")
        before = len(server.received)
        s.subscription.refresh()
        until(lambda: not s.poller.is_running, "it was asked for")
        assert len(server.received) == before + 1
        assert s.poller._poll_transport.config.seconds == 15
        assert s.poller._transport.config is s.poller.config
        s.close()


def test_failing_checkpoints_of_one_model_do_not_hide_the_others() -> None:
    every = Query("checkpoints")

    def script(received: Received) -> Answer:
        if "base_model=bad" in received.target:
            return Answer({"message": "broken"}, 500)
        if "checkpoints" in received.target:
            return Answer({"checkpoints": [{"id": "c", "run_id": "a", "checkpoint_id": "step-1"}]})
        return Answer({"runs": [{"id": "a", "base_model": "good"}, {"id": "b", "base_model": "bad"}]})

    with ScriptedServer(script) as server:
        s = Scripted(server.url)
        s.subscription.queries = (RUNS, every)
        snapshot = s.recorder.until(
            lambda delivery: delivery.snapshot.checkpoints(every) and delivery.snapshot.health().state == "failing"
        ).snapshot
        assert set(snapshot.checkpoints(every)) == {"c"}
        assert not snapshot.is_known(every)
        assert snapshot.health([RUNS]).state == "live"
        s.close()


def test_recorded_traceback_contains_no_key(tmp_path: Any) -> None:
    with live_service() as s:

        def faulty(*_: object) -> None:
            raise ValueError(f"{s.poller.config} {s.loops!r}")

        s.poller.subscribe([RUNS], faulty, Priority.WAITING)
        until(lambda: s.poller.last_traceback, "it was told")
        assert "sentinel-key" not in s.poller.last_traceback
        for subscription in tuple(s.poller._subscriptions):
            subscription.close()
        until(lambda: not s.poller.is_running, "the poller ends")
        s.poller.loop.last_traceback = ""


@pytest.mark.parametrize(
    "broken", ["loops_nb.live.listings.ListingCache.update", "loops_nb.live.history.History.record"]
)
def test_internal_error_in_decoding_is_a_failure_until_the_answer_is_read(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with live_service() as s:
        first = s.make_run(name="first")
        _, recorder = s.watch(RUNS)
        recorder.until(lambda delivery: first.id in delivery.snapshot.runs)
        with monkeypatch.context() as patched:

            def fails(*_: Any, **__: Any) -> None:
                raise KeyError("sentinel-fault")

            patched.setattr(broken, fails)
            second = s.make_run(name="second")
            health = recorder.until(lambda delivery: delivery.snapshot.health().state == "failing").snapshot.health()
            assert "loops_nb itself failed while reading the answer" in health.reason
            assert "%loops doctor" in health.hint
            # The same answer again is as unread as before.
            next(iter(s.poller._subscriptions)).refresh()
            told = len(recorder.deliveries)
            assert recorder.until(lambda _: True, after=told + 1).snapshot.health().state == "failing"
        recorder.until(
            lambda delivery: delivery.snapshot.health().state == "live" and second.id in delivery.snapshot.runs,
            after=len(recorder.deliveries),
        )
        assert "sentinel-fault" in faults.recorded()[-1].traceback
