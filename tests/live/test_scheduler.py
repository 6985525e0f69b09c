"""The scheduler with a clock that only the test moves: when listings are requested, and what responses mean."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from loops_nb.errors import (
    AuthenticationError,
    LoopsError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    ServiceUnreachableError,
)
from loops_nb.live import Priority, Query, Snapshot
from loops_nb.live.listings import Listing
from loops_nb.live.scheduler import MAX_BACKOFF, OVERDUE_SECONDS, REFUSED_KEY_SECONDS, PollScheduler
from tests.live.live_service import CHECKPOINTS, DEPLOYMENTS, RUNS, SAMPLERS, StoppedClock, body, deployment, run

ALL = (RUNS, DEPLOYMENTS, SAMPLERS)
KEY = AuthenticationError("The key was refused.", status=401, hint="Type %loops login")
AWAY = ServiceUnreachableError("Nothing listens.", nobody_listens=True)
EMPTY = {kind: body(kind) for kind in ("runs", "deployments", "samplers", "checkpoints")}


class SchedulerDriver:
    """An scheduler, and who would make its requests."""

    def __init__(self, *queries: Query, priority: Priority = Priority.VISIBLE) -> None:
        self.clock = StoppedClock()
        self.scheduler = PollScheduler(self.clock, "http://127.0.0.1:1")
        self.scheduler.interval = 2.0
        self.queries = queries or ALL
        self.attend(priority)

    def attend(self, priority: Priority) -> None:
        self.scheduler.set_demand([(self.queries, priority)])

    def look(self, **answers: bytes | LoopsError) -> list[str]:
        """Make the requests that are due now, and have them answered; return which they were."""
        asked = self.scheduler.take_due()
        for source in asked:
            self.scheduler.handle_response(source, answers.get(source.query.kind, EMPTY[source.query.kind]))
        return [source.query.kind for source in asked]

    def until_next(self) -> float:
        """Let the time pass until something is to be done; return how long that was."""
        seconds = self.scheduler.next_deadline() - self.clock.now()
        # A little more: sums of seconds are not exact.
        self.clock.pass_(max(0.0, seconds) + 1e-6)
        return seconds

    @property
    def snapshot(self) -> Snapshot:
        return self.scheduler.snapshot(self.queries)


def test_each_listing_is_requested_once_per_interval() -> None:
    driver = SchedulerDriver()
    assert driver.look() == ["runs", "deployments", "samplers"]
    assert driver.look() == []
    assert driver.until_next() == pytest.approx(2.0, abs=1e-3)
    assert driver.look() == ["runs", "deployments", "samplers"]


def test_shared_listing_is_polled_at_the_highest_priority() -> None:
    driver = SchedulerDriver()
    driver.scheduler.set_demand(
        [((RUNS,), Priority.BACKGROUND), ((RUNS, DEPLOYMENTS), Priority.WAITING), ((SAMPLERS,), Priority.NONE)]
    )
    assert driver.look() == ["runs", "deployments"]
    assert driver.until_next() == pytest.approx(2.0, abs=1e-3)
    assert driver.look() == ["runs", "deployments"]


def test_poll_interval_slows_when_nothing_changes_and_recovers_on_change() -> None:
    driver = SchedulerDriver(RUNS)
    driver.look(runs=body("runs", run("a")))
    waits = []
    for _ in range(200):
        waits.append(driver.until_next())
        driver.look(runs=body("runs", run("a")))
    assert waits[:25] == pytest.approx([2.0] * 25, abs=1e-3)
    assert all(later >= earlier - 1e-3 for earlier, later in pairwise(waits))
    assert waits[-1] == pytest.approx(10.0, abs=1e-3)
    assert driver.snapshot.health().every == pytest.approx(10.0, abs=1e-3)
    driver.until_next()
    driver.look(runs=body("runs", run("a", "INACTIVE")))
    assert driver.until_next() == pytest.approx(2.0, abs=1e-3)


def test_states_in_transition_keep_polling_fast_for_a_limited_time() -> None:
    driver = SchedulerDriver(DEPLOYMENTS)
    way = body("deployments", deployment("d", "DEPLOYING"))
    driver.look(deployments=way)
    waits = []
    for _ in range(1200):
        waits.append(driver.until_next())
        driver.look(deployments=way)
    assert waits[:800] == pytest.approx([2.0] * 800, abs=1e-3)
    assert waits[-1] == pytest.approx(10.0, abs=1e-3)


@pytest.mark.parametrize(
    ("priority", "seconds"), [(Priority.BACKGROUND, 10.0), (Priority.VISIBLE, 2.0), (Priority.WAITING, 2.0)]
)
def test_priority_sets_the_poll_interval(priority: Priority, seconds: float) -> None:
    driver = SchedulerDriver(RUNS, priority=priority)
    driver.look()
    assert driver.until_next() == pytest.approx(seconds, abs=1e-3)
    assert driver.snapshot.health().every == pytest.approx(seconds, abs=1e-3)


def test_waiting_priority_is_never_slowed_down() -> None:
    driver = SchedulerDriver(RUNS, priority=Priority.WAITING)
    for _ in range(100):
        driver.look()
        assert driver.until_next() == pytest.approx(2.0, abs=1e-3)


def test_queries_without_priority_are_not_polled() -> None:
    driver = SchedulerDriver(RUNS, CHECKPOINTS, priority=Priority.NONE)
    assert driver.look() == []
    assert driver.scheduler.is_idle
    driver.scheduler.refresh(driver.queries)
    assert driver.look() == ["runs"]
    assert driver.scheduler.is_idle
    driver.attend(Priority.VISIBLE)
    assert not driver.scheduler.is_idle


def test_slow_listing_is_not_requested_again_at_once() -> None:
    driver = SchedulerDriver(RUNS)
    (source,) = driver.scheduler.take_due()
    driver.clock.pass_(9.0)
    driver.scheduler.handle_response(source, EMPTY["runs"])
    assert driver.look() == []
    assert driver.until_next() == pytest.approx(1.0, abs=1e-3)


def test_refresh_during_a_request_causes_one_more() -> None:
    driver = SchedulerDriver(RUNS)
    (source,) = driver.scheduler.take_due()
    driver.scheduler.refresh([RUNS])
    assert driver.scheduler.take_due() == []
    driver.scheduler.handle_response(source, EMPTY["runs"])
    assert driver.look() == ["runs"]
    assert driver.look() == []


def test_unreachable_service_is_probed_with_one_request_and_backoff() -> None:
    driver = SchedulerDriver()
    driver.look(runs=body("runs", run("a")))
    driver.until_next()
    assert len(driver.look(runs=AWAY, deployments=AWAY, samplers=AWAY)) == 3
    began = driver.clock.epoch_ms()
    waits = []
    for _ in range(12):
        waits.append(driver.until_next())
        assert driver.look(runs=AWAY, deployments=AWAY, samplers=AWAY) == ["runs"]
        health = driver.snapshot.health()
        assert (health.state, health.since, health.reason) == ("failing", began, "Nothing listens.")
        assert (health.next_at or 0) > driver.clock.epoch_ms()
    for index, wait in enumerate(waits):
        full = min(MAX_BACKOFF, 2.0 * 2**index)
        assert full / 2 <= wait <= full
    assert len({round(wait / min(MAX_BACKOFF, 2.0 * 2**i), 6) for i, wait in enumerate(waits)}) > 1, "without jitter"
    assert set(driver.snapshot.runs) == {"a"}, "the last good data stays"
    driver.until_next()
    assert driver.look(runs=body("runs", run("a"))) == ["runs"]
    assert driver.look() == ["deployments", "samplers"], "the rest follows at once"
    assert driver.snapshot.health().state == "live"


def test_refused_key_is_retried_each_minute_and_on_refresh() -> None:
    driver = SchedulerDriver()
    driver.look(runs=KEY, deployments=KEY, samplers=KEY)
    health = driver.snapshot.health()
    assert (health.state, health.reason, health.hint) == ("failing", "The key was refused.", "Type %loops login")
    for _ in range(3):
        assert driver.until_next() == pytest.approx(REFUSED_KEY_SECONDS, abs=1e-3)
        assert driver.look(runs=KEY) == ["runs"]
    driver.clock.pass_(1.0)
    driver.scheduler.refresh([RUNS])
    assert driver.look() == ["runs"]
    assert set(driver.look()) == {"deployments", "samplers"}
    assert driver.snapshot.health().state == "live"


@pytest.mark.parametrize("kind", [RateLimitError, ServerError])
def test_retry_after_is_kept_despite_refresh(kind: Any) -> None:
    driver = SchedulerDriver()
    status = 429 if kind is RateLimitError else 503
    driver.look(runs=kind("Too many.", status=status, retry_after=40))
    driver.clock.pass_(3)
    driver.scheduler.refresh(ALL)
    assert driver.look() == []
    assert driver.until_next() == pytest.approx(37, abs=1e-3)
    assert len(driver.look()) == 1


def test_answer_in_flight_does_not_cancel_retry_after_of_another() -> None:
    driver = SchedulerDriver()
    asked = driver.scheduler.take_due()
    driver.clock.pass_(0.1)
    driver.scheduler.handle_response(asked[0], RateLimitError("Too many.", status=429, retry_after=40))
    driver.scheduler.handle_response(asked[1], EMPTY["deployments"])
    driver.scheduler.handle_response(asked[2], EMPTY["samplers"])
    assert driver.scheduler.take_due() == []
    assert driver.until_next() == pytest.approx(40, abs=1e-3)


def test_failing_listing_does_not_slow_the_others() -> None:
    driver = SchedulerDriver()
    fault = ServerError("Broken.", status=500)
    driver.look(samplers=fault)
    times: dict[str, int] = {}
    end = driver.clock.now() + 60
    while driver.clock.now() < end:
        driver.until_next()
        for kind in driver.look(samplers=fault):
            times[kind] = times.get(kind, 0) + 1
    assert times["runs"] == times["deployments"] == pytest.approx(30, abs=1)
    assert times["samplers"] < 10
    health = driver.snapshot.health()
    assert (health.state, health.reason) == ("failing", "Broken.")
    assert driver.snapshot.health([RUNS, DEPLOYMENTS]).state == "live"


@pytest.mark.parametrize("error", [PermissionDeniedError("No.", status=403), NotFoundError("None.", status=404)])
def test_forbidden_listing_is_known_and_empty(error: LoopsError) -> None:
    driver = SchedulerDriver()
    driver.look(deployments=error, runs=body("runs", run("a")))
    snapshot = driver.snapshot
    assert snapshot.is_known(DEPLOYMENTS)
    assert snapshot.is_refused(DEPLOYMENTS)
    assert snapshot.deployments == {}
    assert snapshot.health().state == "live"
    assert snapshot.health([DEPLOYMENTS]).reason == error.message
    asked = []
    for _ in range(29):
        driver.until_next()
        asked += driver.look(deployments=error, runs=body("runs", run("a")))
    assert "deployments" not in asked
    driver.clock.pass_(10)
    driver.look(deployments=body("deployments", deployment("d", "RUNNING")))
    assert set(driver.snapshot.deployments) == {"d"}
    assert not driver.snapshot.is_refused(DEPLOYMENTS)


def test_forbidden_runs_are_a_failure() -> None:
    driver = SchedulerDriver()
    driver.look(runs=PermissionDeniedError("No access.", status=403, hint="Ask for a key."))
    health = driver.snapshot.health()
    assert (health.state, health.reason, health.hint) == ("failing", "No access.", "Ask for a key.")


def test_single_404_does_not_clear_a_listing() -> None:
    driver = SchedulerDriver()
    there = body("deployments", deployment("d", "RUNNING"))
    driver.look(deployments=there)
    driver.until_next()
    gone = NotFoundError("None.", status=404)
    driver.look(deployments=gone)
    assert set(driver.snapshot.deployments) == {"d"}
    assert driver.snapshot.health().state == "failing"
    while not driver.snapshot.is_refused(DEPLOYMENTS):
        driver.until_next()
        driver.look(deployments=gone)
    assert driver.snapshot.deployments == {}
    assert driver.snapshot.health().state == "live"


def test_known_runs_are_kept_when_later_forbidden() -> None:
    driver = SchedulerDriver()
    driver.look(runs=body("runs", run("a")))
    for _ in range(10):
        driver.until_next()
        driver.look(runs=PermissionDeniedError("No more.", status=403))
    snapshot = driver.snapshot
    assert set(snapshot.runs) == {"a"}
    assert (snapshot.health().state, snapshot.health().reason) == ("failing", "No more.")


def test_overdue_answer_is_a_failure_until_it_arrives() -> None:
    driver = SchedulerDriver(RUNS)
    (source,) = driver.scheduler.take_due()
    assert driver.until_next() == pytest.approx(OVERDUE_SECONDS, abs=1e-3)
    assert driver.scheduler.take_overdue() == [source]
    assert driver.scheduler.take_overdue() == []
    health = driver.snapshot.health()
    assert health.state == "failing"
    assert "within 20 s" in health.reason
    assert driver.scheduler.take_due() == [], "not asked twice at once"
    driver.scheduler.handle_response(source, body("runs", run("a")))
    assert driver.snapshot.health().state == "live"
    assert set(driver.snapshot.runs) == {"a"}


def test_unreadable_answer_keeps_the_data_and_is_a_failure() -> None:
    driver = SchedulerDriver(RUNS)
    driver.look(runs=body("runs", run("a")))
    for wrong in (
        b"",
        b"<html>",
        b"[]",
        b'{"runs": 5}',
        b'{"runs": [{"id": 5}]}',
        b'{"runs": [{}]}',
        b'{"other": []}',
        b'{"runs": [',
        b"\xff",
        b"[" * 9999,
    ):
        driver.until_next()
        assert driver.look(runs=wrong) == ["runs"]
        health = driver.snapshot.health()
        assert health.state == "failing", wrong
        assert health.reason
        assert set(driver.snapshot.runs) == {"a"}
    driver.until_next()
    driver.look(runs=body("runs", run("a"), run("b")))
    assert driver.snapshot.health().state == "live"
    assert set(driver.snapshot.runs) == {"a", "b"}


def test_health_is_starting_until_every_listing_arrived() -> None:
    driver = SchedulerDriver(RUNS, DEPLOYMENTS)
    assert driver.snapshot.health().state == "starting"
    assert driver.snapshot.health().looked_at is None
    first, second = driver.scheduler.take_due()
    driver.scheduler.handle_response(first, EMPTY["runs"])
    assert driver.snapshot.is_known(RUNS)
    assert driver.snapshot.health().state == "starting"
    driver.clock.pass_(1)
    driver.scheduler.handle_response(second, EMPTY["deployments"])
    health = driver.snapshot.health()
    assert health.state == "live"
    assert health.looked_at == driver.clock.epoch_ms() - 1000, "of several listings the one that has waited longest"
    assert driver.snapshot.at == driver.clock.epoch_ms()


def test_snapshot_is_immutable() -> None:
    driver = SchedulerDriver(RUNS)
    driver.look(runs=body("runs", run("a")))
    snapshot = driver.snapshot
    driver.until_next()
    driver.look(runs=body("runs", run("b")))
    assert set(snapshot.runs) == {"a"}
    assert snapshot.health().state == "live"
    assert set(driver.snapshot.runs) == {"b"}
    assert not snapshot.is_since(driver.clock.now())
    assert driver.snapshot.is_since(driver.clock.now())


def test_listings_without_demand_are_dropped() -> None:
    driver = SchedulerDriver(RUNS)
    for number in range(100):
        driver.scheduler.set_demand([((Query("runs", run_id=f"r{number}"),), Priority.VISIBLE)])
        driver.look()
    assert len(driver.scheduler._listings) < 30


def kinds(sources: list[Listing]) -> list[str]:
    return [source.query.kind for source in sources]


def test_checkpoints_are_requested_once_per_interval_in_rotation() -> None:
    driver = SchedulerDriver(RUNS, CHECKPOINTS)
    models = [f"org/m{n}" for n in range(5)]
    listed = body("runs", *(run(f"r{n}", base_model=model) for n, model in enumerate(models)))
    driver.look(runs=listed)
    at_first = []
    while (asked := driver.scheduler.take_due()) != []:
        assert kinds(asked) == ["checkpoints"], "one after the other"
        at_first.append(asked[0].query.base_model)
        assert not driver.snapshot.is_known(CHECKPOINTS)
        driver.scheduler.handle_response(asked[0], EMPTY["checkpoints"])
    assert at_first == models, "the first time without waiting"
    assert driver.snapshot.is_known(CHECKPOINTS)
    turns = []
    for _ in range(15):
        driver.until_next()
        for source in driver.scheduler.take_due():
            driver.scheduler.handle_response(source, listed if source.query.kind == "runs" else EMPTY["checkpoints"])
            if source.query.kind == "checkpoints":
                turns.append(source.query.base_model)
    assert len(turns) == 15
    assert turns == models * 3


def test_a_refresh_never_waits_for_the_turns_of_checkpoints() -> None:
    driver = SchedulerDriver(RUNS, CHECKPOINTS)
    models = [f"org/m{n}" for n in range(7)]
    listed = body("runs", *(run(f"r{n}", base_model=model) for n, model in enumerate(models)))
    while driver.look(runs=listed):
        pass
    driver.attend(Priority.NONE)
    for _ in range(5):  # More than one allowance of requests without an interval.
        driver.clock.pass_(0.1)
        moment = driver.clock.now()
        driver.scheduler.refresh(driver.queries)
        while driver.look(runs=listed):
            pass
        assert driver.snapshot.is_since(moment), "the end of a cell waits for it"


@pytest.mark.parametrize("later", [0.1, 0.5, 0.9, 1.1, 1.6, 1.9])
def test_checkpoint_requests_are_aligned_with_the_other_listings(later: float) -> None:
    driver = SchedulerDriver(RUNS, CHECKPOINTS)
    listed = body("runs", run("r", base_model="m"))
    driver.look(runs=listed)
    driver.clock.pass_(later)
    driver.look(runs=listed)
    for _ in range(2):
        driver.until_next()
        driver.look(runs=listed)
    for _ in range(10):
        assert driver.until_next() == pytest.approx(2.0, abs=1e-3)
        assert sorted(driver.look(runs=listed)) == ["checkpoints", "runs"], "a look told in two parts costs twice"
