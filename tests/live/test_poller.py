"""The poller over the real local service: who is told what, how often it asks, and that nothing is left behind."""

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
from loops_nb.client.operations import runs
from loops_nb.errors import InvalidArgumentError, LoopsError, NotFoundError
from loops_nb.live import Attention, Board, Need, Poller, poller_for
from loops_nb.live.source import status_name
from loops_nb.live.writer import Later
from loops_nb.models import Deactivated
from tests.live.stage import CHECKPOINTS, DEPLOYMENTS, RUNS, SAMPLERS, Diary, end_of, stage, until
from tests.service import running_service


def test_the_board_shows_what_the_service_lists() -> None:
    with stage(sample=True) as s:
        _, diary = s.watch(RUNS, DEPLOYMENTS, SAMPLERS, CHECKPOINTS)
        board = diary.until(lambda page: page.board.known(CHECKPOINTS)).board
        listed = s.loops.runs.list()
        assert list(board.runs) == [run.id for run in listed]
        assert board.runs[listed[0].id].name == listed[0].name
        assert list(board.deployments) == [d.id for d in s.loops.deployments.list()]
        assert list(board.samplers) == [d.id for d in s.loops.samplers.list()]
        everything = [c for run in listed for c in s.loops.checkpoints.list(run_id=run.id)]
        assert set(board.checkpoints(CHECKPOINTS)) == {c.id for c in everything}
        for run in listed:
            mine = [c for c in everything if c.run_id == run.id]
            newest = board.newest_checkpoint(run.id)
            assert (newest and newest.created_at) == max((c.created_at for c in mine if c.created_at), default=None)
        health = board.health([RUNS])
        assert (health.state, health.every, health.reason) == ("live", 0.05, "")
        assert board.at >= (health.looked_at or 0) > 0


def test_a_change_is_told_and_the_rest_stays_the_same_object() -> None:
    with stage() as s:
        first, second = s.make_run(name="first"), s.make_run(name="second")
        _, diary = s.watch(RUNS)
        before = diary.until(lambda page: len(page.board.runs) == 2).board
        s.loops.runs.deactivate(first.id)
        after = diary.until(lambda page: status_name(page.board.runs[first.id]) == "INACTIVE", after=1)
        assert after.changed
        assert after.board.runs[second.id] is not None
        quiet = diary.until(lambda page: not page.changed, after=len(diary.pages)).board
        last = diary.until(lambda page: not page.changed, after=len(diary.pages)).board
        assert quiet.runs is last.runs
        assert status_name(before.runs[first.id]) == "ACTIVE"


def test_everybody_is_told_on_one_thread() -> None:
    with stage() as s:
        diaries = [s.watch(RUNS)[1] for _ in range(5)]
        pages = [diary.until(lambda page: page.board.known(RUNS)) for diary in diaries]
        assert {page.thread.name for page in pages} == {"loops-nb-live-poller"}
        assert len({page.thread for page in pages}) == 1


def test_a_thousand_watchers_cost_what_one_costs() -> None:
    with stage(interval=3600) as s:
        run = s.make_run()
        mine = Need("checkpoints", run_id=run.id)
        s.gate.asked.clear()
        watchers = [s.watch(RUNS, DEPLOYMENTS, mine) for _ in range(1000)]
        for _, diary in watchers:
            diary.until(lambda page: all(page.board.known(need) for need in (RUNS, DEPLOYMENTS, mine)))
        one_look = ["GET /v1/loops/checkpoints?run_id=" + run.id, "GET /v1/loops/deployments", "GET /v1/loops/runs"]
        assert sorted(s.gate.asked) == one_look
        s.gate.asked.clear()
        told = [len(diary.pages) for _, diary in watchers]
        watchers[0][0].refresh()
        for (_, diary), before in zip(watchers, told, strict=True):
            diary.until(lambda _: True, after=before)
        assert sorted(s.gate.asked) == one_look


def test_two_panels_of_a_connection_share_its_poller() -> None:
    with running_service(in_process=True) as service:
        one, two, other = Loops("a", service.url), Loops("a", service.url), Loops("b", service.url)
        assert poller_for(one.exchange) is poller_for(two.exchange)
        assert poller_for(one.exchange) is not poller_for(other.exchange)
        assert poller_for(one.exchange) is not poller_for(Loops("a", service.url, auth_scheme="Api-Key").exchange)


def test_nobody_asks_for_a_sleeper_but_a_refresh_does() -> None:
    with stage() as s:
        subscription, diary = s.watch(RUNS, attention=Attention.ASLEEP)
        assert not s.poller.is_running
        subscription.refresh()
        diary.until(lambda page: page.board.known(RUNS))
        until(lambda: not s.poller.is_running, "nobody is awake")
        asked = s.gate.count("/runs")
        assert asked == 1
        s.make_run()
        subscription.attention = Attention.WATCHED
        woken = diary.until(lambda page: len(page.board.runs) == 1)
        assert woken.changed
        subscription.attention = Attention.ASLEEP
        until(lambda: not s.poller.is_running, "nobody is awake again")
        assert subscription.board.health().every == 0


def test_a_sleeper_is_not_told_what_others_look_at() -> None:
    with stage() as s:
        sleeper, sleeping = s.watch(RUNS, attention=Attention.ASLEEP)
        _, awake = s.watch(RUNS)
        awake.until(lambda page: page.board.known(RUNS), after=3)
        assert sleeping.pages == []
        sleeper.attention = Attention.HEARTBEAT
        assert sleeping.until(lambda page: page.board.known(RUNS)).changed


def test_a_newcomer_is_told_at_once_what_is_known() -> None:
    with stage(interval=3600) as s:
        _, first = s.watch(RUNS)
        first.until(lambda page: page.board.known(RUNS))
        asked = len(s.gate.asked)
        _, second = s.watch(RUNS, attention=Attention.HEARTBEAT)
        assert second.until(lambda page: page.board.known(RUNS)).changed
        assert len(s.gate.asked) == asked


def test_needs_can_be_changed() -> None:
    with stage(sample=True) as s:
        subscription, diary = s.watch(RUNS)
        mine = diary.until(lambda page: page.board.known(RUNS)).board
        everybody = Need("runs", scope="org")
        subscription.needs = (everybody,)
        assert subscription.needs == (everybody,)
        everything = diary.until(lambda page: page.board.known(everybody)).board
        assert set(mine.runs) < set(everything.runs)
        until(lambda: s.gate.asked[-8:] and all("scope=org" in line for line in s.gate.asked[-8:]), "only the new listing is asked for")


def test_after_close_nothing_is_told() -> None:
    with stage(interval=0.01) as s:
        for _ in range(20):
            subscription, diary = s.watch(RUNS)
            diary.until(lambda page: page.board.known(RUNS))
            subscription.close()
            told = len(diary.pages)
            subscription.close()
            subscription.refresh()
            until(lambda: not s.poller.is_running, "nobody is left")
            assert len(diary.pages) == told


def test_close_waits_for_a_call_that_runs_and_can_be_called_from_within_it() -> None:
    with stage() as s:
        entered, leave, over = threading.Event(), threading.Event(), []

        def slow(board: Board, changed: bool) -> None:  # noqa: FBT001
            entered.set()
            leave.wait(20)
            over.append(True)

        subscription = s.poller.subscribe([RUNS], slow, Attention.WAITING)
        assert entered.wait(20)
        closer = threading.Thread(target=subscription.close)
        closer.start()
        assert not over
        leave.set()
        closer.join(20)
        assert over == [True]

        closed = threading.Event()

        def once(board: Board, changed: bool) -> None:  # noqa: FBT001
            itself.close()
            closed.set()

        itself = s.poller.subscribe([RUNS], once, Attention.WAITING)
        assert closed.wait(20)


def test_what_a_subscriber_raises_is_kept_and_stops_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with stage() as s:

        def faulty(board: Board, changed: bool) -> None:  # noqa: FBT001
            raise SystemExit("sentinel-fault")

        s.poller.subscribe([RUNS], faulty, Attention.WAITING)
        _, diary = s.watch(RUNS)
        diary.until(lambda _: True, after=5)
        assert "sentinel-fault" in s.poller.fault
        s.poller.writer.fault = ""
        end_of(s.poller)
        s.poller.writer.fault = ""
    assert capfd.readouterr() == ("", "")


def test_a_hundred_subscriptions_leave_nothing_behind() -> None:
    with stage(interval=0.01) as s:
        before = set(threading.enumerate())
        for _ in range(100):
            subscription, diary = s.watch(RUNS, DEPLOYMENTS)
            diary.until(lambda page: page.board.known(RUNS))
            assert len(set(threading.enumerate()) - before) <= 6
            subscription.close()
        until(lambda: not s.poller.is_running, "the poller's thread ends")
        s.poller._asking.linger = 0
        until(lambda: set(threading.enumerate()) <= before, "all threads end")
        mark = weakref.ref(diary)
        del subscription, diary
        gc.collect()
        assert mark() is None


def test_a_poller_that_nobody_holds_is_collected() -> None:
    with running_service(in_process=True) as service:
        mark = weakref.ref(poller_for(Loops("k", service.url).exchange))
        gc.collect()
        assert mark() is None


def test_later_is_later_and_can_be_cancelled() -> None:
    with stage() as s:
        order: list[str] = []
        done = threading.Event()
        never: list[Later] = []

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


def test_an_act_is_carried_out_and_looked_at_at_once() -> None:
    with stage(interval=3600) as s:
        run = s.make_run()
        _, diary = s.watch(RUNS, DEPLOYMENTS)
        diary.until(lambda page: page.board.known(RUNS) and page.board.known(DEPLOYMENTS))
        results: list[tuple[Deactivated | LoopsError, str]] = []
        s.poller.act(runs.deactivate(run.id), lambda result: results.append((result, threading.current_thread().name)))
        diary.until(lambda page: status_name(page.board.runs[run.id]) == "INACTIVE")
        (result, thread), *_ = results
        assert isinstance(result, Deactivated)
        assert result.id == run.id
        assert thread == "loops-nb-live-poller"


def test_an_act_that_fails_says_so() -> None:
    with stage() as s:
        results: list[Any] = []
        said = threading.Event()

        def done(result: object) -> None:
            results.append(result)
            said.set()

        s.poller.act(runs.deactivate("nosuchrun"), done)
        assert said.wait(20)
        assert isinstance(results[0], NotFoundError)
        until(lambda: not s.poller.is_running, "nothing is left to do")


def test_an_act_does_not_wait_behind_looks_that_hang() -> None:
    with stage() as s:
        run = s.make_run()
        held = threading.Event()

        def hang(target: str) -> Response | None:
            return HangingResponse(held) if target.startswith("/v1/loops/") and "deactivate" not in target else None

        s.gate.answer = hang
        done = threading.Event()
        for need in (RUNS, DEPLOYMENTS, SAMPLERS, Need("runs", scope="org"), Need("samplers", scope="org")):
            s.watch(need)
        until(lambda: s.gate.count("GET /v1/loops") >= 4, "all hands are at work")
        s.poller.act(runs.deactivate(run.id), lambda _: done.set())
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


def test_one_listing_that_hangs_does_not_hold_up_the_others() -> None:
    with stage() as s:
        held = threading.Event()
        s.gate.answer = lambda target: HangingResponse(held) if "/deployments" in target else None
        _, diary = s.watch(RUNS, DEPLOYMENTS)
        first = diary.until(lambda page: page.board.known(RUNS)).board
        assert not first.known(DEPLOYMENTS)
        assert first.health().state == "starting"
        run = s.make_run()
        diary.until(lambda page: run.id in page.board.runs)
        s.gate.answer = lambda _: None
        held.set()
        diary.until(lambda page: page.board.known(DEPLOYMENTS))


def test_what_cannot_be_needed_is_refused() -> None:
    for arguments in (
        {"kind": "sessions"},
        {"kind": "deployments", "run_id": "r"},
        {"kind": "checkpoints", "run_id": "r", "base_model": "m"},
    ):
        with pytest.raises(InvalidArgumentError):
            Need(**arguments)  # type: ignore[arg-type]
    assert Need("deployments", team_id="t").plain == Need("deployments")
    assert hash(Need("runs")) == hash(RUNS)
    with stage() as s:
        for interval in (0, -1, float("nan"), float("inf")):
            with pytest.raises(InvalidArgumentError):
                s.poller.interval = interval


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_neither_polls_nor_hangs_and_can_begin_anew() -> None:
    with stage() as s:
        _, diary = s.watch(RUNS)
        diary.until(lambda page: page.board.known(RUNS))
        told = multiprocessing.get_context("fork").Queue()

        def child() -> None:
            own = Diary()
            alone = [t.name for t in threading.enumerate()]
            seen = len(diary.pages)
            subscription = s.poller.subscribe([RUNS], own, Attention.WAITING)
            own.until(lambda page: page.board.known(RUNS))
            subscription.close()
            told.put((alone, len(diary.pages) == seen))

        process = multiprocessing.get_context("fork").Process(target=child)
        with pytest.warns(DeprecationWarning, match="fork") if sys.version_info >= (3, 12) else _nothing():
            process.start()
        names, untold = told.get(timeout=30)
        process.join(30)
        assert process.exitcode == 0
        assert not any(name.startswith("loops-nb") for name in names)
        assert untold
        diary.until(lambda _: True, after=len(diary.pages) + 2)


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


def test_the_interpreter_ends_at_once_while_it_polls() -> None:
    with running_service(in_process=True, sample=True) as service:
        program = f"""
import threading
from loops_nb import Loops
from loops_nb.live import Need, poller_for
loops = Loops("key", "{service.url}")
came = threading.Event()
poller = poller_for(loops.exchange)
poller.interval = 0.001
poller.subscribe([Need("runs"), Need("checkpoints")], lambda board, changed: came.set())
came.wait(20)
print("ends")
"""
        done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


def test_it_never_logs_whatever_the_person_logs(caplog: pytest.LogCaptureFixture) -> None:
    with stage() as s, caplog.at_level(logging.DEBUG):
        _, diary = s.watch(RUNS)
        diary.until(lambda _: True, after=5)
        mine = [record.getMessage() for record in caplog.records if (record.threadName or "").startswith("loops-nb")]
        assert mine == []
        s.loops.runs.list()
        assert any(record.name.startswith("httpcore") for record in caplog.records), "the person's own requests are logged as ever"


def test_a_poller_has_a_sensible_pace_from_the_start() -> None:
    with running_service(in_process=True) as service:
        assert Poller(Loops("k", service.url).exchange).interval == 2.0


def test_a_sleeper_that_looks_is_told_until_all_of_the_look_came() -> None:
    with stage(sample=True) as s:
        subscription, diary = s.watch(RUNS, DEPLOYMENTS, SAMPLERS, CHECKPOINTS, attention=Attention.ASLEEP)
        subscription.refresh()
        diary.until(lambda page: page.board.known(CHECKPOINTS) and page.board.known(SAMPLERS) and page.board.known(DEPLOYMENTS))
        until(lambda: not s.poller.is_running, "it sleeps again")
        told = len(diary.pages)
        s.make_run()
        _, other = s.watch(RUNS)
        other.until(lambda _: True, after=3)
        assert len(diary.pages) == told


def test_trouble_with_the_connection_is_told_to_everybody() -> None:
    with stage() as s:
        watchers = [s.watch(need)[1] for need in (RUNS, DEPLOYMENTS, SAMPLERS)]
        for diary in watchers:
            diary.until(lambda page: page.board.health().state == "live")
        s.gate.answer = lambda _: JSONResponse({"error": "revoked"}, 401)
        for diary in watchers:
            diary.until(lambda page: page.board.health().state == "failing")
        s.gate.answer = lambda _: None
        told = [len(diary.pages) for diary in watchers]
        next(iter(s.poller._subscriptions)).refresh()
        for diary, before in zip(watchers, told, strict=True):
            diary.until(lambda page: page.board.health().state == "live", after=before)


def test_who_posts_without_end_does_not_keep_the_others_from_their_turn() -> None:
    with stage() as s:
        stop = threading.Event()

        def again() -> None:
            if not stop.is_set():
                s.poller.post(again)

        again()
        _, diary = s.watch(RUNS)
        diary.until(lambda page: page.board.known(RUNS))
        stop.set()


def test_a_fault_of_its_own_is_kept_and_does_not_end_it(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    with stage() as s:
        start, faults = s.poller._agenda.start, [RuntimeError("sentinel-fault")]

        def faulty() -> Any:
            if faults:
                raise faults.pop()
            return start()

        monkeypatch.setattr(s.poller._agenda, "start", faulty)
        _, diary = s.watch(RUNS)
        diary.until(lambda page: page.board.known(RUNS))
        assert "sentinel-fault" in s.poller.fault
        s.poller.writer.fault = ""
    assert capfd.readouterr() == ("", "")


def test_work_is_done_elsewhere_and_its_end_is_told_here() -> None:
    with stage() as s:
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
            s.poller.work(job, done)
            assert ended.acquire(timeout=20)
        (where, writer), (error, _), (given_up, _) = told
        assert where != writer
        assert isinstance(error, ZeroDivisionError)
        assert isinstance(given_up, RuntimeError)
        assert s.poller.fault == ""
