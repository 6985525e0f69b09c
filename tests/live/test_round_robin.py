"""Round robin over the listings of checkpoints: which model or run is requested next."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from loops_nb.live import Priority, Query
from loops_nb.live.listings import Listing
from loops_nb.live.scheduler import BURST, ENDED_SECONDS, RoundRobin
from tests.live.live_service import CHECKPOINTS, RUNS, body, run


class RoundRobinDriver:
    """A round robin, the listing of runs, and the time."""

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.listings: dict[Query, Listing] = {}
        self.round_robin = RoundRobin(self.source)
        self.now = 1000.0
        self.list(*runs)

    def source(self, query: Query) -> Listing:
        return self.listings.setdefault(query, Listing.of(query))

    def list(self, *runs: dict[str, Any]) -> None:
        if self.source(RUNS).cache.update(body("runs", *runs)):
            self.source(RUNS).record_change(self.now)

    def plan(self, *aims: Query, priority: Priority = Priority.VISIBLE) -> None:
        self.round_robin.plan(dict.fromkeys(aims, priority), {RUNS: self.listings[RUNS]})

    def serve(self, seconds: float, every: float = 2.0) -> Counter[Query]:
        """Ask and answer for some time; count who was asked for."""
        served: Counter[Query] = Counter()
        end = self.now + seconds
        while self.now < end:
            listing = self.round_robin.pick(self.now, every)
            if listing is not None:
                listing.requested_at, listing.refresh_requested = self.now, False
                served[listing.query] += 1
                listing.record_success(at_ms=0)
            self.now = min(max(self.now + 1e-6, self.round_robin.next_due(every)), end)
        return served


def of_model(name: str) -> Query:
    return Query("checkpoints", base_model=name)


def of_run(name: str) -> Query:
    return Query("checkpoints", run_id=name)


def test_single_run_is_requested_by_run() -> None:
    driver = RoundRobinDriver(run("a", base_model="m"), run("b", base_model="n"))
    driver.plan(of_run("a"))
    assert set(driver.serve(10)) == {of_run("a")}


def test_runs_of_one_model_are_requested_together_by_model() -> None:
    driver = RoundRobinDriver(*(run(f"r{n}", base_model="m") for n in range(1000)))
    driver.plan(*(of_run(f"r{n}") for n in range(1000)))
    served = driver.serve(20)
    assert set(served) == {of_model("m")}
    assert served[of_model("m")] == pytest.approx(10, abs=1)


def test_unlisted_run_is_requested_by_run() -> None:
    driver = RoundRobinDriver(run("a", base_model="m"))
    driver.plan(of_run("a"), of_run("elsewhere"))
    assert set(driver.serve(20)) == {of_model("m"), of_run("elsewhere")}


def test_models_of_finished_runs_are_requested_rarely() -> None:
    driver = RoundRobinDriver(
        run("a", base_model="alive"), *(run(f"f{n}", "INACTIVE", base_model=f"old{n}") for n in range(5))
    )
    driver.plan(CHECKPOINTS)
    first = driver.serve(10)
    assert all(first[of_model(f"old{n}")] == 1 for n in range(5)), "once at first, to know"
    later = driver.serve(ENDED_SECONDS)
    assert later[of_model("alive")] > 140
    assert all(later[of_model(f"old{n}")] <= 1 for n in range(5))


def test_only_finished_runs_cause_few_requests() -> None:
    driver = RoundRobinDriver(run("f", "INACTIVE", base_model="old"))
    driver.plan(CHECKPOINTS)
    assert sum(driver.serve(ENDED_SECONDS * 3).values()) <= 4


def test_run_queried_by_id_is_requested_more_often() -> None:
    driver = RoundRobinDriver(*(run(f"r{n}", base_model=f"m{n}") for n in range(8)))
    driver.plan(CHECKPOINTS, of_run("r3"))
    served = driver.serve(400)
    others = [served[of_model(f"m{n}")] for n in range(8) if n != 3]
    assert served[of_model("m3")] > 2 * max(others)
    assert min(others) >= max(others) - 1


def test_model_of_a_run_that_ends_is_requested_once_more() -> None:
    driver = RoundRobinDriver(run("a", base_model="m"), run("b", base_model="n"))
    driver.plan(CHECKPOINTS)
    driver.serve(20)
    driver.list(run("a", "INACTIVE", base_model="m"), run("b", base_model="n"))
    driver.plan(CHECKPOINTS)
    assert driver.serve(4)[of_model("m")] == 1
    assert driver.serve(60)[of_model("m")] == 0


def test_first_requests_are_a_burst_of_limited_size() -> None:
    driver = RoundRobinDriver(*(run(f"r{n}", base_model=f"m{n}") for n in range(100)))
    driver.plan(CHECKPOINTS)
    at_once = driver.serve(1.0)
    assert sum(at_once.values()) == pytest.approx(BURST, abs=1)
    assert len(driver.serve(200)) >= 80, "the rest in turn"


def test_failing_model_does_not_delay_the_others() -> None:
    driver = RoundRobinDriver(run("a", base_model="m"), run("b", base_model="n"))
    driver.plan(CHECKPOINTS)
    driver.serve(4)
    driver.source(of_model("m")).not_before = float("inf")
    served = driver.serve(20)
    assert set(served) == {of_model("n")}


def test_queries_without_priority_are_requested_only_on_refresh() -> None:
    driver = RoundRobinDriver(run("a", base_model="m"))
    driver.plan(CHECKPOINTS, priority=Priority.NONE)
    assert driver.round_robin.next_due(2.0) == float("inf")
    driver.source(of_model("m")).refresh_requested = True
    assert driver.serve(100)[of_model("m")] == 1


def test_runs_without_a_base_model_are_requested_by_run() -> None:
    driver = RoundRobinDriver(run("a", base_model=None), run("b", "INACTIVE", base_model=None))
    driver.plan(CHECKPOINTS)
    assert set(driver.serve(20)) == {of_run("a")}
