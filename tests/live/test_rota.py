"""Whose checkpoints are asked for next."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from loops_nb.live import Attention, Need
from loops_nb.live.rota import FINISHED_EVERY, MOST_AT_ONCE, Rota
from loops_nb.live.source import Source
from tests.live.stage import CHECKPOINTS, RUNS, body, run


class Office:
    """A rota, the listing of runs, and the time."""

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.sources: dict[Need, Source] = {}
        self.rota = Rota(self.source)
        self.now = 1000.0
        self.list(*runs)

    def source(self, need: Need) -> Source:
        return self.sources.setdefault(need, Source.of(need))

    def list(self, *runs: dict[str, Any]) -> None:
        if self.source(RUNS).shelf.put(body("runs", *runs)):
            self.source(RUNS).changed(self.now)

    def plan(self, *aims: Need, attention: Attention = Attention.WATCHED) -> None:
        self.rota.plan(dict.fromkeys(aims, attention), {RUNS: self.sources[RUNS]})

    def serve(self, seconds: float, every: float = 2.0) -> Counter[Need]:
        """Ask and answer for some time; count who was asked for."""
        served: Counter[Need] = Counter()
        end = self.now + seconds
        while self.now < end:
            query = self.rota.pick(self.now, every)
            if query is not None:
                query.asked_at, query.ask_now = self.now, False
                served[query.need] += 1
                query.good(at_ms=0)
            self.now = min(max(self.now + 1e-6, self.rota.due(every)), end)
        return served


def of_model(name: str) -> Need:
    return Need("checkpoints", base_model=name)


def of_run(name: str) -> Need:
    return Need("checkpoints", run_id=name)


def test_one_run_alone_is_asked_for_alone() -> None:
    office = Office(run("a", base_model="m"), run("b", base_model="n"))
    office.plan(of_run("a"))
    assert set(office.serve(10)) == {of_run("a")}


def test_several_runs_of_a_model_are_one_request() -> None:
    office = Office(*(run(f"r{n}", base_model="m") for n in range(1000)))
    office.plan(*(of_run(f"r{n}") for n in range(1000)))
    served = office.serve(20)
    assert set(served) == {of_model("m")}
    assert served[of_model("m")] == pytest.approx(10, abs=1)


def test_a_run_that_is_not_listed_is_asked_for_alone() -> None:
    office = Office(run("a", base_model="m"))
    office.plan(of_run("a"), of_run("elsewhere"))
    assert set(office.serve(20)) == {of_model("m"), of_run("elsewhere")}


def test_models_of_finished_runs_only_once_in_a_while() -> None:
    office = Office(run("a", base_model="alive"), *(run(f"f{n}", "INACTIVE", base_model=f"old{n}") for n in range(5)))
    office.plan(CHECKPOINTS)
    first = office.serve(10)
    assert all(first[of_model(f"old{n}")] == 1 for n in range(5)), "once at first, to know"
    later = office.serve(FINISHED_EVERY)
    assert later[of_model("alive")] > 140
    assert all(later[of_model(f"old{n}")] <= 1 for n in range(5))


def test_when_all_is_over_hardly_anything_is_asked() -> None:
    office = Office(run("f", "INACTIVE", base_model="old"))
    office.plan(CHECKPOINTS)
    assert sum(office.serve(FINISHED_EVERY * 3).values()) <= 4


def test_what_was_asked_for_by_name_comes_more_often() -> None:
    office = Office(*(run(f"r{n}", base_model=f"m{n}") for n in range(8)))
    office.plan(CHECKPOINTS, of_run("r3"))
    served = office.serve(400)
    others = [served[of_model(f"m{n}")] for n in range(8) if n != 3]
    assert served[of_model("m3")] > 2 * max(others)
    assert min(others) >= max(others) - 1


def test_a_run_that_ends_is_looked_at_once_more_for_what_it_saved_last() -> None:
    office = Office(run("a", base_model="m"), run("b", base_model="n"))
    office.plan(CHECKPOINTS)
    office.serve(20)
    office.list(run("a", "INACTIVE", base_model="m"), run("b", base_model="n"))
    office.plan(CHECKPOINTS)
    assert office.serve(4)[of_model("m")] == 1
    assert office.serve(60)[of_model("m")] == 0


def test_the_first_requests_do_not_wait_but_are_not_without_end() -> None:
    office = Office(*(run(f"r{n}", base_model=f"m{n}") for n in range(100)))
    office.plan(CHECKPOINTS)
    at_once = office.serve(1.0)
    assert sum(at_once.values()) == pytest.approx(MOST_AT_ONCE, abs=1)
    assert len(office.serve(200)) >= 80, "the rest in turn"


def test_one_that_fails_does_not_stop_the_turn() -> None:
    office = Office(run("a", base_model="m"), run("b", base_model="n"))
    office.plan(CHECKPOINTS)
    office.serve(4)
    office.source(of_model("m")).not_before = float("inf")
    served = office.serve(20)
    assert set(served) == {of_model("n")}


def test_sleepers_are_served_only_on_request() -> None:
    office = Office(run("a", base_model="m"))
    office.plan(CHECKPOINTS, attention=Attention.ASLEEP)
    assert office.rota.due(2.0) == float("inf")
    office.source(of_model("m")).ask_now = True
    assert office.serve(100)[of_model("m")] == 1


def test_runs_without_a_base_model_are_asked_for_alone() -> None:
    office = Office(run("a", base_model=None), run("b", "INACTIVE", base_model=None))
    office.plan(CHECKPOINTS)
    assert set(office.serve(20)) == {of_run("a")}
