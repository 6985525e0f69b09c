"""The poller with the real local service: snapshots, request counts, threads, and that nothing is left behind."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import weakref
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from loops_nb import Loops
from loops_nb.api.models import Deactivated
from loops_nb.api.states import status_name
from loops_nb.client.operations import runs
from loops_nb.errors import InvalidArgumentError, LoopsError, NotFoundError
from loops_nb.live import Poller, Priority, Query, Snapshot, poller_for
from loops_nb.live.threads import TimerHandle
from tests.client.scripted_server import Answer, ScriptedServer
from tests.live.live_service import (
    CHECKPOINTS,
    DEPLOYMENTS,
    RUNS,
    SAMPLERS,
    SnapshotRecorder,
    end_of,
    live_service,
    until,
)
from tests.service import running_service


def test_snapshot_contains_what_the_service_lists() -> None:
    with live_service(sample=True) as s:
        _, recorder = s.watch(RUNS, DEPLOYMENTS, SAMPLERS, CHECKPOINTS)
        snapshot = recorder.until(lambda delivery: delivery.snapshot.is_known(CHECKPOINTS)).snapshot
        listed = s.loops.runs.list()
        assert list(snapshot.runs) == [run.id for run in listed]
        assert snapshot.runs[listed[0].id].name == listed[0].name
        assert list(snapshot.deployments) == [d.id for d in s.loops.deployments.list()]
        assert list(snapshot.samplers) == [d.id for d in s.loops.samplers.list()]
        everything = [c for run in listed for c in s.loops.checkpoints.list(run_id=run.id)]
        assert set(snapshot.checkpoints(CHECKPOINTS)) == {c.id for c in everything}
        for run in listed:
            mine = [c for c in everything if c.run_id == run.id]
            newest = snapshot.newest_checkpoint(run.id)
            assert (newest and newest.created_at) == max((c.created_at for c in mine if c.created_at), default=None)
        health = snapshot.health([RUNS])
        assert (health.state, health.every, health.reason) == ("live", 0.05, "")
        assert snapshot.at >= (health.looked_at or 0) > 0


def test_snapshot_after_a_change_keeps_unchanged_objects() -> None:
    with live_service() as s:
        first, second = s.make_run(name="first"), s.make_run(name="second")
        _, recorder = s.watch(RUNS)
        before = recorder.until(lambda delivery: len(delivery.snapshot.runs) == 2).snapshot
        s.loops.runs.deactivate(first.id)
        after = recorder.until(lambda delivery: status_name(delivery.snapshot.runs[first.id]) == "INACTIVE", after=1)
        assert after.changed
        assert after.snapshot.runs[second.id] is not None
        quiet = recorder.until(lambda delivery: not delivery.changed, after=len(recorder.deliveries)).snapshot
        last = recorder.until(lambda delivery: not delivery.changed, after=len(recorder.deliveries)).snapshot
        assert quiet.runs is last.runs
        assert status_name(before.runs[first.id]) == "ACTIVE"


def test_all_subscribers_are_called_on_one_thread() -> None:
    with live_service() as s:
        recorders = [s.watch(RUNS)[1] for _ in range(5)]
        pages = [recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS)) for recorder in recorders]
        assert {delivery.thread.name for delivery in pages} == {"loops-nb-live-poller"}
        assert len({delivery.thread for delivery in pages}) == 1


def test_thousand_subscribers_cause_the_requests_of_one() -> None:
    with live_service(interval=3600) as s:
        run = s.make_run()
        mine = Query("checkpoints", run_id=run.id)
        s.gate.asked.clear()
        watchers = [s.watch(RUNS, DEPLOYMENTS, mine) for _ in range(1000)]
        for _, recorder in watchers:
            recorder.until(
                lambda delivery: all(delivery.snapshot.is_known(query) for query in (RUNS, DEPLOYMENTS, mine))
            )
        one_look = ["GET /v1/loops/checkpoints?run_id=" + run.id, "GET /v1/loops/deployments", "GET /v1/loops/runs"]
        assert sorted(s.gate.asked) == one_look
        s.gate.asked.clear()
        told = [len(recorder.deliveries) for _, recorder in watchers]
        watchers[0][0].refresh()
        for (_, recorder), before in zip(watchers, told, strict=True):
            recorder.until(lambda _: True, after=before)
        assert sorted(s.gate.asked) == one_look


def test_equal_connections_share_a_poller() -> None:
    with running_service(in_process=True) as service:
        one, two, other = Loops("a", service.url), Loops("a", service.url), Loops("b", service.url)
        assert poller_for(one.config) is poller_for(two.config)
        assert poller_for(one.config) is not poller_for(other.config)
        assert poller_for(one.config) is not poller_for(Loops("a", service.url, auth_scheme="Api-Key").config)


def test_subscription_without_priority_polls_only_on_refresh() -> None:
    with live_service() as s:
        subscription, recorder = s.watch(RUNS, priority=Priority.NONE)
        assert not s.poller.is_running
        subscription.refresh()
        recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS))
        until(lambda: not s.poller.is_running, "the poller ends")
        asked = s.gate.count("/runs")
        assert asked == 1
        s.make_run()
        subscription.priority = Priority.VISIBLE
        woken = recorder.until(lambda delivery: len(delivery.snapshot.runs) == 1)
        assert woken.changed
        subscription.priority = Priority.NONE
        until(lambda: not s.poller.is_running, "the poller ends again")
        assert s.poller.snapshot(subscription.queries).health().every == 0


def test_subscription_without_priority_gets_no_snapshots_of_others() -> None:
    with live_service() as s:
        sleeper, sleeping = s.watch(RUNS, priority=Priority.NONE)
        _, awake = s.watch(RUNS)
        awake.until(lambda delivery: delivery.snapshot.is_known(RUNS), after=3)
        assert sleeping.deliveries == []
        sleeper.priority = Priority.BACKGROUND
        assert sleeping.until(lambda delivery: delivery.snapshot.is_known(RUNS)).changed


def test_new_subscriber_gets_known_data_without_a_request() -> None:
    with live_service(interval=3600) as s:
        _, first = s.watch(RUNS)
        first.until(lambda delivery: delivery.snapshot.is_known(RUNS))
        asked = len(s.gate.asked)
        _, second = s.watch(RUNS, priority=Priority.BACKGROUND)
        assert second.until(lambda delivery: delivery.snapshot.is_known(RUNS)).changed
        assert len(s.gate.asked) == asked


def test_queries_of_a_subscription_can_be_changed() -> None:
    with live_service(sample=True) as s:
        subscription, recorder = s.watch(RUNS)
        mine = recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS)).snapshot
        everybody = Query("runs", scope="org")
        subscription.queries = (everybody,)
        assert subscription.queries == (everybody,)
        everything = recorder.until(lambda delivery: delivery.snapshot.is_known(everybody)).snapshot
        assert set(mine.runs) < set(everything.runs)
        until(
            lambda: s.gate.asked[-8:] and all("scope=org" in line for line in s.gate.asked[-8:]),
            "only the new listing is asked for",
        )


def test_closed_subscription_is_never_called() -> None:
    with live_service(interval=0.01) as s:
        for _ in range(20):
            subscription, recorder = s.watch(RUNS)
            recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS))
            subscription.close()
            told = len(recorder.deliveries)
            subscription.close()
            subscription.refresh()
            until(lambda: not s.poller.is_running, "the poller ends")
            assert len(recorder.deliveries) == told


def test_close_waits_for_a_running_callback_except_from_within_it() -> None:
    with live_service() as s:
        entered, leave, over = threading.Event(), threading.Event(), []

        def slow(snapshot: Snapshot, changed: bool) -> None:
            entered.set()
            leave.wait(20)
            over.append(True)

        subscription = s.poller.subscribe([RUNS], slow, Priority.WAITING)
        assert entered.wait(20)
        closer = threading.Thread(target=subscription.close)
        closer.start()
        assert not over
        leave.set()
        closer.join(20)
        assert over == [True]

        closed = threading.Event()

        def once(snapshot: Snapshot, changed: bool) -> None:
            itself.close()
            closed.set()

        itself = s.poller.subscribe([RUNS], once, Priority.WAITING)
        assert closed.wait(20)


def test_exception_of_a_subscriber_is_recorded_and_stops_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    with live_service() as s:

        def faulty(snapshot: Snapshot, changed: bool) -> None:
            raise SystemExit("sentinel-fault")

        s.poller.subscribe([RUNS], faulty, Priority.WAITING)
        _, recorder = s.watch(RUNS)
        recorder.until(lambda _: True, after=5)
        assert "sentinel-fault" in s.poller.last_traceback
        s.poller.loop.last_traceback = ""
        end_of(s.poller)
        s.poller.loop.last_traceback = ""
    assert capfd.readouterr() == ("", "")


def test_closed_subscriptions_leave_no_threads_or_objects() -> None:
    with live_service(interval=0.01) as s:
        before = set(threading.enumerate())
        for _ in range(100):
            subscription, recorder = s.watch(RUNS, DEPLOYMENTS)
            recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS))
            assert len(set(threading.enumerate()) - before) <= 6
            subscription.close()
        until(lambda: not s.poller.is_running, "the poller's thread ends")
        s.poller._poll_pool.linger = 0
        until(lambda: set(threading.enumerate()) <= before, "all threads end")
        mark = weakref.ref(recorder)
        del subscription, recorder
        gc.collect()
        assert mark() is None


def test_unreferenced_poller_is_collected() -> None:
    with running_service(in_process=True) as service:
        mark = weakref.ref(poller_for(Loops("k", service.url).config))
        gc.collect()
        assert mark() is None


def test_timers_run_in_order_and_can_be_cancelled() -> None:
    with live_service() as s:
        order: list[str] = []
        done = threading.Event()
        never: list[TimerHandle] = []

        def begin() -> None:
            # On the thread that would do it, so that it cannot be too late.
            never.append(s.poller.call_later(0, lambda: order.append("never")))
            never[0].cancel()

        def last() -> None:
            order.append("third")
            done.set()

        third = s.poller.call_later(0.2, last)
        s.poller.call_later(0.1, lambda: order.append("second"))
        s.poller.post(begin)
        s.poller.post(lambda: order.append("first"))
        assert third.is_pending
        assert done.wait(20)
        assert order == ["first", "second", "third"]
        assert not any(later.is_pending for later in (third, *never))


def test_send_and_refresh_delivers_the_result_and_polls_at_once() -> None:
    with live_service(interval=3600) as s:
        run = s.make_run()
        _, recorder = s.watch(RUNS, DEPLOYMENTS)
        recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS) and delivery.snapshot.is_known(DEPLOYMENTS))
        known = len(recorder.deliveries) - 1
        results: list[tuple[Deactivated | LoopsError, str]] = []
        s.poller.send_and_refresh(
            runs.deactivate(run.id), lambda result: results.append((result, threading.current_thread().name))
        )
        recorder.until(lambda delivery: status_name(delivery.snapshot.runs[run.id]) == "INACTIVE", after=known)
        (result, thread), *_ = results
        assert isinstance(result, Deactivated)
        assert result.id == run.id
        assert thread == "loops-nb-live-poller"


def test_send_and_refresh_delivers_the_error() -> None:
    with live_service() as s:
        results: list[Any] = []
        said = threading.Event()

        def done(result: object) -> None:
            results.append(result)
            said.set()

        s.poller.send_and_refresh(runs.deactivate("nosuchrun"), done)
        assert said.wait(20)
        assert isinstance(results[0], NotFoundError)
        until(lambda: not s.poller.is_running, "nothing is left to do")


def test_send_does_not_wait_for_hanging_polls() -> None:
    with live_service() as s:
        run = s.make_run()
        held = threading.Event()

        def hang(target: str) -> Response | None:
            return HangingResponse(held) if target.startswith("/v1/loops/") and "deactivate" not in target else None

        s.gate.answer = hang
        done = threading.Event()
        for query in (RUNS, DEPLOYMENTS, SAMPLERS, Query("runs", scope="org"), Query("samplers", scope="org")):
            s.watch(query)
        until(lambda: s.gate.count("GET /v1/loops") >= 4, "all hands are at work")
        s.poller.send_and_refresh(runs.deactivate(run.id), lambda _: done.set())
        assert done.wait(20)
        s.gate.answer = lambda _: None
        held.set()


class HangingResponse(JSONResponse):
    """An answer that comes when it is let go."""

    def __init__(self, held: threading.Event) -> None:
        super().__init__({"runs": [], "deployments": [], "samplers": [], "checkpoints": []})
        self._held = held

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import anyio.to_thread

        await anyio.to_thread.run_sync(self._held.wait, 30)
        await super().__call__(scope, receive, send)


def test_hanging_listing_does_not_delay_the_others() -> None:
    with live_service() as s:
        held = threading.Event()
        s.gate.answer = lambda target: HangingResponse(held) if "/deployments" in target else None
        _, recorder = s.watch(RUNS, DEPLOYMENTS)
        first = recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS)).snapshot
        assert not first.is_known(DEPLOYMENTS)
        assert first.health().state == "starting"
        run = s.make_run()
        recorder.until(lambda delivery: run.id in delivery.snapshot.runs)
        s.gate.answer = lambda _: None
        held.set()
        recorder.until(lambda delivery: delivery.snapshot.is_known(DEPLOYMENTS))


def test_invalid_queries_and_intervals_raise() -> None:
    for arguments in (
        {"kind": "sessions"},
        {"kind": "deployments", "run_id": "r"},
        {"kind": "checkpoints", "run_id": "r", "base_model": "m"},
    ):
        with pytest.raises(InvalidArgumentError):
            Query(**arguments)  # type: ignore[arg-type]
    assert Query("deployments", team_id="t").canonical == Query("deployments")
    assert hash(Query("runs")) == hash(RUNS)
    with live_service() as s:
        for interval in (0, -1, float("nan"), float("inf")):
            with pytest.raises(InvalidArgumentError):
                s.poller.interval = interval


@pytest.mark.skipif(not hasattr(os, "fork"), reason="queries fork")
def test_forked_child_does_not_poll_and_can_subscribe() -> None:
    with live_service() as s:
        _, recorder = s.watch(RUNS)
        recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS))
        told = multiprocessing.get_context("fork").Queue()

        def child() -> None:
            own = SnapshotRecorder()
            alone = [t.name for t in threading.enumerate()]
            seen = len(recorder.deliveries)
            subscription = s.poller.subscribe([RUNS], own, Priority.WAITING)
            own.until(lambda delivery: delivery.snapshot.is_known(RUNS))
            subscription.close()
            told.put((alone, len(recorder.deliveries) == seen))

        process = multiprocessing.get_context("fork").Process(target=child)
        with pytest.warns(DeprecationWarning, match="fork") if sys.version_info >= (3, 12) else _nothing():
            process.start()
        names, untold = told.get(timeout=30)
        process.join(30)
        assert process.exitcode == 0
        assert not any(name.startswith("loops-nb") for name in names)
        assert untold
        recorder.until(lambda _: True, after=len(recorder.deliveries) + 2)


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_interpreter_exits_cleanly_while_polling() -> None:
    with running_service(in_process=True, sample=True) as service:
        program = f"""
import threading
from loops_nb import Loops
from loops_nb.live import Query, poller_for
loops = Loops("key", "{service.url}")
came = threading.Event()
poller = poller_for(loops.config)
poller.interval = 0.001
poller.subscribe([Query("runs"), Query("checkpoints")], lambda snapshot, changed: came.set())
came.wait(20)
print("ends")
"""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


def test_interpreter_exit_does_not_wait_for_a_request_in_flight() -> None:
    held = threading.Event()
    with ScriptedServer(lambda _: Answer(hang_until=held)) as server:
        program = f"""
import time
from loops_nb import Loops
from loops_nb.live import Query, poller_for
poller = poller_for(Loops("key", "{server.url}").config)
poller.subscribe([Query("runs")], print)
poller.send(Query("samplers").request(), print)
time.sleep(1)
"""
        process = subprocess.Popen([sys.executable, "-c", program])
        until(lambda: len(server.received) == 2, "both requests are in flight")
        assert process.wait(timeout=10) == 0
        held.set()


def test_poll_requests_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    with live_service() as s, caplog.at_level(logging.DEBUG):
        _, recorder = s.watch(RUNS)
        recorder.until(lambda _: True, after=5)
        mine = [record.getMessage() for record in caplog.records if (record.threadName or "").startswith("loops-nb")]
        assert mine == []
        s.loops.runs.list()
        assert any(record.name.startswith("httpcore") for record in caplog.records), (
            "the person's own requests are logged as ever"
        )


def test_poller_interval_defaults_to_two_seconds() -> None:
    with running_service(in_process=True) as service:
        assert Poller(Loops("k", service.url).config).interval == 2.0


def test_refresh_without_priority_delivers_until_all_listings_arrived() -> None:
    with live_service(sample=True) as s:
        subscription, recorder = s.watch(RUNS, DEPLOYMENTS, SAMPLERS, CHECKPOINTS, priority=Priority.NONE)
        subscription.refresh()
        recorder.until(
            lambda delivery: (
                delivery.snapshot.is_known(CHECKPOINTS)
                and delivery.snapshot.is_known(SAMPLERS)
                and delivery.snapshot.is_known(DEPLOYMENTS)
            )
        )
        until(lambda: not s.poller.is_running, "it sleeps again")
        told = len(recorder.deliveries)
        s.make_run()
        _, other = s.watch(RUNS)
        other.until(lambda _: True, after=3)
        assert len(recorder.deliveries) == told


def test_connection_failure_is_reported_to_all_subscribers() -> None:
    with live_service() as s:
        watchers = [s.watch(query)[1] for query in (RUNS, DEPLOYMENTS, SAMPLERS)]
        for recorder in watchers:
            recorder.until(lambda delivery: delivery.snapshot.health().state == "live")
        s.gate.answer = lambda _: JSONResponse({"error": "revoked"}, 401)
        for recorder in watchers:
            recorder.until(lambda delivery: delivery.snapshot.health().state == "failing")
        s.gate.answer = lambda _: None
        told = [len(recorder.deliveries) for recorder in watchers]
        next(iter(s.poller._subscriptions)).refresh()
        for recorder, before in zip(watchers, told, strict=True):
            recorder.until(lambda delivery: delivery.snapshot.health().state == "live", after=before)


def test_endless_posts_do_not_block_the_poller() -> None:
    with live_service() as s:
        stop = threading.Event()

        def again() -> None:
            if not stop.is_set():
                s.poller.post(again)

        again()
        _, recorder = s.watch(RUNS)
        recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS))
        stop.set()


def test_internal_exception_is_recorded_and_polling_continues(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with live_service() as s:
        start, faults = s.poller._scheduler.take_due, [RuntimeError("sentinel-fault")]

        def faulty() -> Any:
            if faults:
                raise faults.pop()
            return start()

        monkeypatch.setattr(s.poller._scheduler, "take_due", faulty)
        _, recorder = s.watch(RUNS)
        recorder.until(lambda delivery: delivery.snapshot.is_known(RUNS))
        assert "sentinel-fault" in s.poller.last_traceback
        s.poller.loop.last_traceback = ""
    assert capfd.readouterr() == ("", "")


def test_work_runs_on_another_thread_and_its_result_arrives_on_the_poller() -> None:
    with live_service() as s:
        told: list[tuple[object, str]] = []
        ended = threading.Semaphore(0)

        def done(outcome: object) -> None:
            told.append((outcome, threading.current_thread().name))
            ended.release()

        def fails() -> str:
            raise ZeroDivisionError("by nothing")

        def gives_up() -> str:
            raise SystemExit(3)

        for job in (lambda: threading.current_thread().name, fails, gives_up):
            s.poller.run_in_background(job, done)
            assert ended.acquire(timeout=20)
        (where, writer), (error, _), (given_up, _) = told
        assert where != writer
        assert isinstance(error, ZeroDivisionError)
        assert isinstance(given_up, RuntimeError)
        assert s.poller.last_traceback == ""
