"""What is asked when, and what an answer means: with a clock that only the test moves."""

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
from loops_nb.live import Attention, Board, Need
from loops_nb.live.agenda import OVERDUE, Agenda
from loops_nb.live.pace import AFTER_A_REFUSED_KEY, LONGEST_BACKOFF
from loops_nb.live.source import Source
from tests.live.stage import CHECKPOINTS, DEPLOYMENTS, RUNS, SAMPLERS, StoppedClock, body, deployment, run

ALL = (RUNS, DEPLOYMENTS, SAMPLERS)
KEY = AuthenticationError("The key was refused.", status=401, hint="Type %loops login")
AWAY = ServiceUnreachableError("Nobody listens.", nobody_listens=True)
EMPTY = {kind: body(kind) for kind in ("runs", "deployments", "samplers", "checkpoints")}


class Desk:
    """An agenda, and who would make its requests."""

    def __init__(self, *needs: Need, attention: Attention = Attention.WATCHED) -> None:
        self.clock = StoppedClock()
        self.agenda = Agenda(self.clock, "http://127.0.0.1:1")
        self.agenda.interval = 2.0
        self.needs = needs or ALL
        self.attend(attention)

    def attend(self, attention: Attention) -> None:
        self.agenda.want([(self.needs, attention)])

    def look(self, **answers: bytes | LoopsError) -> list[str]:
        """Make the requests that are due now, and have them answered; return which they were."""
        asked = self.agenda.start()
        for source in asked:
            self.agenda.answered(source, answers.get(source.need.kind, EMPTY[source.need.kind]))
        return [source.need.kind for source in asked]

    def until_next(self) -> float:
        """Let the time pass until something is to be done; return how long that was."""
        seconds = self.agenda.next_at() - self.clock.now()
        # A little more: sums of seconds are not exact.
        self.clock.pass_(max(0.0, seconds) + 1e-6)
        return seconds

    @property
    def board(self) -> Board:
        return self.agenda.board(self.needs)


def test_one_look_asks_for_each_listing_once() -> None:
    desk = Desk()
    assert desk.look() == ["runs", "deployments", "samplers"]
    assert desk.look() == []
    assert desk.until_next() == pytest.approx(2.0, abs=1e-3)
    assert desk.look() == ["runs", "deployments", "samplers"]


def test_what_many_want_is_asked_for_once_and_as_eagerly_as_the_most_eager_wants() -> None:
    desk = Desk()
    desk.agenda.want([((RUNS,), Attention.HEARTBEAT), ((RUNS, DEPLOYMENTS), Attention.WAITING), ((SAMPLERS,), Attention.ASLEEP)])
    assert desk.look() == ["runs", "deployments"]
    assert desk.until_next() == pytest.approx(2.0, abs=1e-3)
    assert desk.look() == ["runs", "deployments"]


def test_the_pace_falls_when_all_is_still_and_rises_with_a_change() -> None:
    desk = Desk(RUNS)
    desk.look(runs=body("runs", run("a")))
    waits = []
    for _ in range(200):
        waits.append(desk.until_next())
        desk.look(runs=body("runs", run("a")))
    assert waits[:25] == pytest.approx([2.0] * 25, abs=1e-3)
    assert all(later >= earlier - 1e-3 for earlier, later in pairwise(waits))
    assert waits[-1] == pytest.approx(10.0, abs=1e-3)
    assert desk.board.health().every == pytest.approx(10.0, abs=1e-3)
    desk.until_next()
    desk.look(runs=body("runs", run("a", "INACTIVE")))
    assert desk.until_next() == pytest.approx(2.0, abs=1e-3)


def test_what_is_under_way_keeps_the_pace_up_but_not_for_ever() -> None:
    desk = Desk(DEPLOYMENTS)
    way = body("deployments", deployment("d", "DEPLOYING"))
    desk.look(deployments=way)
    waits = []
    for _ in range(1200):
        waits.append(desk.until_next())
        desk.look(deployments=way)
    assert waits[:800] == pytest.approx([2.0] * 800, abs=1e-3)
    assert waits[-1] == pytest.approx(10.0, abs=1e-3)


@pytest.mark.parametrize(("attention", "seconds"), [(Attention.HEARTBEAT, 10.0), (Attention.WATCHED, 2.0), (Attention.WAITING, 2.0)])
def test_attention_sets_the_pace(attention: Attention, seconds: float) -> None:
    desk = Desk(RUNS, attention=attention)
    desk.look()
    assert desk.until_next() == pytest.approx(seconds, abs=1e-3)
    assert desk.board.health().every == pytest.approx(seconds, abs=1e-3)


def test_a_waiting_person_is_never_slowed_down() -> None:
    desk = Desk(RUNS, attention=Attention.WAITING)
    for _ in range(100):
        desk.look()
        assert desk.until_next() == pytest.approx(2.0, abs=1e-3)


def test_nobody_awake_nothing_asked() -> None:
    desk = Desk(RUNS, CHECKPOINTS, attention=Attention.ASLEEP)
    assert desk.look() == []
    assert desk.agenda.is_idle
    desk.agenda.refresh(desk.needs)
    assert desk.look() == ["runs"]
    assert desk.agenda.is_idle
    desk.attend(Attention.WATCHED)
    assert not desk.agenda.is_idle


def test_a_listing_that_is_slow_to_answer_is_not_asked_again_at_once() -> None:
    desk = Desk(RUNS)
    (source,) = desk.agenda.start()
    desk.clock.pass_(9.0)
    desk.agenda.answered(source, EMPTY["runs"])
    assert desk.look() == []
    assert desk.until_next() == pytest.approx(1.0, abs=1e-3)


def test_a_refresh_while_an_answer_is_awaited_asks_once_more_when_it_came() -> None:
    desk = Desk(RUNS)
    (source,) = desk.agenda.start()
    desk.agenda.refresh([RUNS])
    assert desk.agenda.start() == []
    desk.agenda.answered(source, EMPTY["runs"])
    assert desk.look() == ["runs"]
    assert desk.look() == []


def test_a_service_that_is_away_is_tried_with_one_request_ever_more_seldom() -> None:
    desk = Desk()
    desk.look(runs=body("runs", run("a")))
    desk.until_next()
    assert len(desk.look(runs=AWAY, deployments=AWAY, samplers=AWAY)) == 3
    began = desk.clock.epoch_ms()
    waits = []
    for _ in range(12):
        waits.append(desk.until_next())
        assert desk.look(runs=AWAY, deployments=AWAY, samplers=AWAY) == ["runs"]
        health = desk.board.health()
        assert (health.state, health.since, health.reason) == ("failing", began, "Nobody listens.")
        assert (health.next_at or 0) > desk.clock.epoch_ms()
    for index, wait in enumerate(waits):
        full = min(LONGEST_BACKOFF, 2.0 * 2**index)
        assert full / 2 <= wait <= full
    assert len({round(wait / min(LONGEST_BACKOFF, 2.0 * 2**i), 6) for i, wait in enumerate(waits)}) > 1, "without jitter"
    assert set(desk.board.runs) == {"a"}, "the last good data stays"
    desk.until_next()
    assert desk.look(runs=body("runs", run("a"))) == ["runs"]
    assert desk.look() == ["deployments", "samplers"], "the rest follows at once"
    assert desk.board.health().state == "live"


def test_a_refused_key_is_tried_once_a_minute_and_again_when_somebody_asks() -> None:
    desk = Desk()
    desk.look(runs=KEY, deployments=KEY, samplers=KEY)
    health = desk.board.health()
    assert (health.state, health.reason, health.hint) == ("failing", "The key was refused.", "Type %loops login")
    for _ in range(3):
        assert desk.until_next() == pytest.approx(AFTER_A_REFUSED_KEY, abs=1e-3)
        assert desk.look(runs=KEY) == ["runs"]
    desk.clock.pass_(1.0)
    desk.agenda.refresh([RUNS])
    assert desk.look() == ["runs"]
    assert set(desk.look()) == {"deployments", "samplers"}
    assert desk.board.health().state == "live"


@pytest.mark.parametrize("kind", [RateLimitError, ServerError])
def test_a_wait_that_the_service_asks_for_is_kept_even_when_somebody_is_impatient(kind: Any) -> None:
    desk = Desk()
    status = 429 if kind is RateLimitError else 503
    desk.look(runs=kind("Too many.", status=status, retry_after=40))
    desk.clock.pass_(3)
    desk.agenda.refresh(ALL)
    assert desk.look() == []
    assert desk.until_next() == pytest.approx(37, abs=1e-3)
    assert len(desk.look()) == 1


def test_an_answer_that_was_under_way_does_not_end_the_wait_that_another_was_told() -> None:
    desk = Desk()
    asked = desk.agenda.start()
    desk.clock.pass_(0.1)
    desk.agenda.answered(asked[0], RateLimitError("Too many.", status=429, retry_after=40))
    desk.agenda.answered(asked[1], EMPTY["deployments"])
    desk.agenda.answered(asked[2], EMPTY["samplers"])
    assert desk.agenda.start() == []
    assert desk.until_next() == pytest.approx(40, abs=1e-3)


def test_one_faulty_listing_does_not_slow_the_others_down() -> None:
    desk = Desk()
    fault = ServerError("Broken.", status=500)
    desk.look(samplers=fault)
    times: dict[str, int] = {}
    end = desk.clock.now() + 60
    while desk.clock.now() < end:
        desk.until_next()
        for kind in desk.look(samplers=fault):
            times[kind] = times.get(kind, 0) + 1
    assert times["runs"] == times["deployments"] == pytest.approx(30, abs=1)
    assert times["samplers"] < 10
    health = desk.board.health()
    assert (health.state, health.reason) == ("failing", "Broken.")
    assert desk.board.health([RUNS, DEPLOYMENTS]).state == "live"


@pytest.mark.parametrize("error", [PermissionDeniedError("No.", status=403), NotFoundError("None.", status=404)])
def test_a_listing_that_the_key_may_not_see_is_empty_and_known(error: LoopsError) -> None:
    desk = Desk()
    desk.look(deployments=error, runs=body("runs", run("a")))
    board = desk.board
    assert board.known(DEPLOYMENTS)
    assert board.refused(DEPLOYMENTS)
    assert board.deployments == {}
    assert board.health().state == "live"
    assert board.health([DEPLOYMENTS]).reason == error.message
    asked = []
    for _ in range(29):
        desk.until_next()
        asked += desk.look(deployments=error, runs=body("runs", run("a")))
    assert "deployments" not in asked
    desk.clock.pass_(10)
    desk.look(deployments=body("deployments", deployment("d", "RUNNING")))
    assert set(desk.board.deployments) == {"d"}
    assert not desk.board.refused(DEPLOYMENTS)


def test_runs_that_may_not_be_listed_are_a_failure() -> None:
    desk = Desk()
    desk.look(runs=PermissionDeniedError("No access.", status=403, hint="Ask for a key."))
    health = desk.board.health()
    assert (health.state, health.reason, health.hint) == ("failing", "No access.", "Ask for a key.")


def test_one_stray_404_does_not_wipe_what_was_there() -> None:
    desk = Desk()
    there = body("deployments", deployment("d", "RUNNING"))
    desk.look(deployments=there)
    desk.until_next()
    gone = NotFoundError("None.", status=404)
    desk.look(deployments=gone)
    assert set(desk.board.deployments) == {"d"}
    assert desk.board.health().state == "failing"
    while not desk.board.refused(DEPLOYMENTS):
        desk.until_next()
        desk.look(deployments=gone)
    assert desk.board.deployments == {}
    assert desk.board.health().state == "live"


def test_runs_that_were_there_stay_whatever_is_refused_later() -> None:
    desk = Desk()
    desk.look(runs=body("runs", run("a")))
    for _ in range(10):
        desk.until_next()
        desk.look(runs=PermissionDeniedError("No more.", status=403))
    board = desk.board
    assert set(board.runs) == {"a"}
    assert (board.health().state, board.health().reason) == ("failing", "No more.")


def test_an_overdue_answer_counts_as_none_and_is_welcome_when_it_comes() -> None:
    desk = Desk(RUNS)
    (source,) = desk.agenda.start()
    assert desk.until_next() == pytest.approx(OVERDUE, abs=1e-3)
    assert desk.agenda.late() == [source]
    assert desk.agenda.late() == []
    health = desk.board.health()
    assert health.state == "failing"
    assert "within 20 s" in health.reason
    assert desk.agenda.start() == [], "not asked twice at once"
    desk.agenda.answered(source, body("runs", run("a")))
    assert desk.board.health().state == "live"
    assert set(desk.board.runs) == {"a"}


def test_an_answer_that_cannot_be_read_leaves_the_data_and_says_so() -> None:
    desk = Desk(RUNS)
    desk.look(runs=body("runs", run("a")))
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
        desk.until_next()
        assert desk.look(runs=wrong) == ["runs"]
        health = desk.board.health()
        assert health.state == "failing", wrong
        assert health.reason
        assert set(desk.board.runs) == {"a"}
    desk.until_next()
    desk.look(runs=body("runs", run("a"), run("b")))
    assert desk.board.health().state == "live"
    assert set(desk.board.runs) == {"a", "b"}


def test_starting_until_everything_came() -> None:
    desk = Desk(RUNS, DEPLOYMENTS)
    assert desk.board.health().state == "starting"
    assert desk.board.health().looked_at is None
    first, second = desk.agenda.start()
    desk.agenda.answered(first, EMPTY["runs"])
    assert desk.board.known(RUNS)
    assert desk.board.health().state == "starting"
    desk.clock.pass_(1)
    desk.agenda.answered(second, EMPTY["deployments"])
    health = desk.board.health()
    assert health.state == "live"
    assert health.looked_at == desk.clock.epoch_ms() - 1000, "of several listings the one that has waited longest"
    assert desk.board.at == desk.clock.epoch_ms()


def test_a_board_never_changes() -> None:
    desk = Desk(RUNS)
    desk.look(runs=body("runs", run("a")))
    board = desk.board
    desk.until_next()
    desk.look(runs=body("runs", run("b")))
    assert set(board.runs) == {"a"}
    assert board.health().state == "live"
    assert set(desk.board.runs) == {"b"}
    assert not board.is_since(desk.clock.now())
    assert desk.board.is_since(desk.clock.now())


def test_listings_of_closed_panels_are_forgotten_some_time() -> None:
    desk = Desk(RUNS)
    for number in range(100):
        desk.agenda.want([((Need("runs", run_id=f"r{number}"),), Attention.WATCHED)])
        desk.look()
    assert len(desk.agenda._sources) < 30


def kinds(sources: list[Source]) -> list[str]:
    return [source.need.kind for source in sources]


def test_checkpoints_are_one_request_an_interval_in_turn() -> None:
    desk = Desk(RUNS, CHECKPOINTS)
    models = [f"org/m{n}" for n in range(5)]
    listed = body("runs", *(run(f"r{n}", base_model=model) for n, model in enumerate(models)))
    desk.look(runs=listed)
    at_first = []
    while (asked := desk.agenda.start()) != []:
        assert kinds(asked) == ["checkpoints"], "one after the other"
        at_first.append(asked[0].need.base_model)
        assert not desk.board.known(CHECKPOINTS)
        desk.agenda.answered(asked[0], EMPTY["checkpoints"])
    assert at_first == models, "the first time without waiting"
    assert desk.board.known(CHECKPOINTS)
    turns = []
    for _ in range(15):
        desk.until_next()
        for source in desk.agenda.start():
            desk.agenda.answered(source, listed if source.need.kind == "runs" else EMPTY["checkpoints"])
            if source.need.kind == "checkpoints":
                turns.append(source.need.base_model)
    assert len(turns) == 15
    assert turns == models * 3


@pytest.mark.parametrize("later", [0.1, 0.5, 0.9, 1.1, 1.6, 1.9])
def test_checkpoints_fall_into_step_with_the_other_listings(later: float) -> None:
    desk = Desk(RUNS, CHECKPOINTS)
    listed = body("runs", run("r", base_model="m"))
    desk.look(runs=listed)
    desk.clock.pass_(later)
    desk.look(runs=listed)
    for _ in range(2):
        desk.until_next()
        desk.look(runs=listed)
    for _ in range(10):
        assert desk.until_next() == pytest.approx(2.0, abs=1e-3)
        assert sorted(desk.look(runs=listed)) == ["checkpoints", "runs"], "a look told in two parts costs twice"
