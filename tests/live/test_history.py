"""The history of states of runs, deployments and samplers since they were first seen."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.api.decoding import decode_object
from loops_nb.api.models import Deployment, Run, Sampler
from loops_nb.live.history import EXACT_WITHIN_MS, History
from tests.live.live_service import deployment, run

SAMPLER = {"id": "s", "status": {"name": "BUILDING"}}


class HistoryRecorder:
    """A history that is fed one listing per second."""

    def __init__(self) -> None:
        self.history = History()
        self.at = 1000.0
        self.last: dict[str, float] = {}

    def saw(self, kind: Any, *items: dict[str, Any], gone: tuple[str, ...] = (), after: float = 1000.0) -> None:
        self.at += after
        model: Any = {"runs": Run, "deployments": Deployment, "samplers": Sampler}[kind]
        found = [decode_object(msgspec.json.encode(item), model) for item in items]
        self.history.record(kind, found, gone, at=self.at, last=self.last.get(kind))
        self.last[kind] = self.at

    def spans(self, of: dict[str, Any], *deployments: dict[str, Any]) -> list[tuple[Any, ...]]:
        listed = {d["id"]: decode_object(msgspec.json.encode(d), Deployment) for d in deployments}
        found = self.history.of_run(decode_object(msgspec.json.encode(of), Run), listed)
        return [(s.what, s.status, s.start, s.until, s.exact) for s in found]


def test_history_of_a_run_contains_deployment_and_sampler() -> None:
    d = HistoryRecorder()
    mine = run("a", deployment_id="d", sampler=SAMPLER)
    d.saw("runs", mine)
    d.saw("deployments", deployment("d", "DEPLOYING"))
    d.saw("deployments", running := deployment("d", "RUNNING", active_run_id="a", latest_run_id="a"))
    d.saw("runs", mine | {"sampler": {"id": "s", "status": {"name": "ACTIVE"}}})
    assert d.spans(mine, running) == [
        ("run", "ACTIVE", 2000.0, None, False),
        ("sampler", "BUILDING", 2000.0, 5000.0, False),
        ("deployment", "DEPLOYING", 3000.0, 4000.0, False),
        ("deployment", "RUNNING", 4000.0, None, True),
        ("sampler", "ACTIVE", 5000.0, None, True),
    ]


def test_run_that_appears_later_starts_then() -> None:
    d = HistoryRecorder()
    d.saw("runs")
    d.saw("runs", run("a"))
    assert d.spans(run("a")) == [("run", "ACTIVE", 3000.0, None, True)]


def test_start_of_a_state_is_inexact_after_a_gap() -> None:
    d = HistoryRecorder()
    d.saw("runs", run("a"))
    d.saw("runs", run("a", "INACTIVE"), after=EXACT_WITHIN_MS + 1)
    assert [span[4] for span in d.spans(run("a", "INACTIVE"))] == [False, False]


def test_deployment_states_belong_to_the_run_of_their_time() -> None:
    d = HistoryRecorder()
    former, later = run("a", deployment_id="d"), run("b", deployment_id="d")
    d.saw("runs", former)
    d.saw("deployments", deployment("d", "RUNNING", latest_run_id="a"))
    d.saw("runs", former | {"status": {"name": "INACTIVE"}}, later)
    d.saw("deployments", now := deployment("d", "FAILED", latest_run_id="b"))
    ended = former | {"status": {"name": "INACTIVE"}}
    assert d.spans(ended, now) == [
        ("run", "ACTIVE", 2000.0, 4000.0, False),
        ("deployment", "RUNNING", 3000.0, 4000.0, False),
        ("run", "INACTIVE", 4000.0, None, True),
    ]
    assert ("deployment", "FAILED", 5000.0, None, True) in d.spans(later, now)


def test_state_ends_when_its_object_leaves_the_listing() -> None:
    d = HistoryRecorder()
    d.saw("runs", run("a", deployment_id="d"))
    d.saw("deployments", deployment("d", "RUNNING"))
    d.saw("deployments", gone=("d",))
    assert d.spans(run("a", deployment_id="d"))[1] == ("deployment", "RUNNING", 3000.0, 4000.0, False)


def test_run_of_the_first_api_version_is_paired_with_its_deployment() -> None:
    d = HistoryRecorder()
    old = {"run_id": "k4q95w5", "base_model": "Qwen/Qwen3-8B"}
    d.saw("runs", old)
    d.saw("deployments", serving := {"id": "dep", "status": {"name": "RUNNING"}, "active_run_id": "k4q95w5"})
    assert d.spans(old, serving) == [("run", None, 2000.0, None, False), ("deployment", "RUNNING", 3000.0, None, False)]


def test_sampler_states_of_a_run_come_from_the_runs_listing() -> None:
    d = HistoryRecorder()
    mine = run("a", sampler={"id": "s", "status": {"name": "ACTIVE"}})
    d.saw("runs", mine)
    d.saw("samplers", {"id": "s", "status": {"name": "BUILDING"}}, {"id": "alone", "status": {"name": "ACTIVE"}})
    d.saw("samplers", gone=("s", "alone"))
    assert d.spans(mine)[1] == ("sampler", "ACTIVE", 2000.0, None, False)
    assert d.history.of("sampler", "alone")[0].until == 4000.0


@given(st.lists(st.sampled_from(["ACTIVE", "INACTIVE", "NEW", None]), min_size=1, max_size=500))
def test_spans_are_contiguous_and_limited(statuses: list[str | None]) -> None:
    d = HistoryRecorder()
    for status in statuses:
        d.saw("runs", run("a", status))
    spans = d.spans(run("a", statuses[-1]))
    assert len(spans) <= 200
    assert spans[-1][1] == statuses[-1]
    assert spans[-1][3] is None
    for (_, status, _, until, _), (_, after, start, _, _) in itertools.pairwise(spans):
        assert until == start
        assert status != after
