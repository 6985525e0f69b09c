"""Events and the clock give the status."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES
from loops_nb.local.rules.lifecycle import (
    DEPLOYMENT,
    REMARKS,
    RUN,
    SAMPLER,
    SERVERLESS_SAMPLER,
    StateMachine,
    compute_state,
    history,
    status,
)
from loops_nb.local.settings import DEFAULT_SPEED
from loops_nb.local.store.records import Event

MACHINES = {"run": RUN, "deployment": DEPLOYMENT, "sampler": SAMPLER, "serverless": SERVERLESS_SAMPLER}
DOCUMENTED = {
    "run": RUN_STATUSES,
    "deployment": DEPLOYMENT_STATUSES,
    "sampler": SAMPLER_STATUSES,
    "serverless": SAMPLER_STATUSES,
}
KINDS = (
    "activity",
    "remark",
    "trouble",
    "attached",
    "updated",
    "held",
    "unhealthy",
    "recovered",
    *dict.fromkeys((*RUN.ends, *SAMPLER.ends)),
)


@st.composite
def lives(draw: st.DrawFn) -> tuple[str, list[Event], int]:
    at, pace = draw(st.integers(0, 10_000)), st.sampled_from([0.5, 1.0, 60.0, 1000.0])
    events = [Event(at=at, kind="created", pace=draw(pace), idle_after_seconds=draw(st.integers(1, 3600)))]
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.integers(0, 120_000) | st.integers(0, 5_000_000))
        idle = draw(st.none() | st.integers(1, 3600))
        events.append(Event(at=at, kind=draw(st.sampled_from(KINDS)), pace=draw(pace), idle_after_seconds=idle))
    return draw(st.sampled_from(sorted(MACHINES))), events, at + draw(st.integers(0, 10_000_000))


@given(lives())
def test_every_state_is_documented_and_the_times_rise(life: tuple[str, list[Event], int]) -> None:
    name, events, now = life
    changes = history(MACHINES[name], events, now)
    assert {change.state for change in changes} <= set(DOCUMENTED[name])
    times = [change.at for change in changes]
    assert times == sorted(times)
    assert events[0].at <= times[0]
    assert times[-1] <= now


@given(lives(), st.integers(0, 20_000_000))
def test_later_events_do_not_change_the_history(life: tuple[str, list[Event], int], later: int) -> None:
    name, events, now = life
    before = history(MACHINES[name], events, now)
    after = history(MACHINES[name], events, now + later)
    assert after[: len(before)] == before


@given(lives(), st.lists(st.sampled_from(KINDS), max_size=5))
def test_a_terminal_state_is_the_last(life: tuple[str, list[Event], int], more: list[str]) -> None:
    name, events, now = life
    machine = MACHINES[name]
    if status(machine, events, now) in machine.terminal:
        after = [*events, *(Event(at=now + 1000 * index, kind=kind) for index, kind in enumerate(more))]
        assert status(machine, after, now + 10_000_000) == status(machine, events, now)
    seen = [change.state for change in history(machine, events, now)]
    assert not any(state in machine.terminal for state in seen[:-1])


@given(lives())
def test_an_ending_always_ends(life: tuple[str, list[Event], int]) -> None:
    name, events, now = life
    machine = MACHINES[name]
    ended = [*(event for event in events if event.kind != "held"), Event(at=now, kind="deactivated")]
    assert status(machine, ended, now + 3_000_000_000) in machine.terminal


@given(lives())
def test_activity_wakes_every_live_state(life: tuple[str, list[Event], int]) -> None:
    name, events, now = life
    machine = MACHINES[name]
    before = status(machine, events, now)
    assume(before not in machine.terminal and before not in {"DEACTIVATING", machine.broken})
    longest_way_up = 3_600_000
    woken = [*events, Event(at=now, kind="activity", idle_after_seconds=3600, pace=1.0)]
    states = {change.state for change in history(machine, woken, now + longest_way_up) if change.at >= now} | {before}
    assert machine.up in states


@given(lives())
def test_remarks_change_nothing(life: tuple[str, list[Event], int]) -> None:
    name, events, now = life
    silent = [event for event in events if event.kind not in REMARKS]
    assert history(MACHINES[name], events, max(now, events[-1].at)) == history(
        MACHINES[name], silent, max(now, events[-1].at)
    )


@given(lives(), st.integers(0, 10_000_000))
def test_computed_state_holds_until_its_end(life: tuple[str, list[Event], int], later: int) -> None:
    name, events, now = life
    found = compute_state(MACHINES[name], events, now)
    assert found.state == status(MACHINES[name], events, now)
    if found.until is None or max(now, events[-1].at) + later < found.until:
        assert status(MACHINES[name], events, max(now, events[-1].at) + later) == found.state
    else:
        assert history(MACHINES[name], events, found.until)[-1].at == found.until


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (DEPLOYMENT, ["CREATED", "DEPLOYING", "RUNNING", "SCALED_TO_ZERO"]),
        (SAMPLER, ["BUILDING", "DEPLOYING", "LOADING_MODEL", "ACTIVE", "SCALED_TO_ZERO"]),
        (RUN, ["ACTIVE"]),
        (SERVERLESS_SAMPLER, ["ACTIVE"]),
    ],
)
def test_boot_passes_the_documented_states(machine: StateMachine, expected: list[str]) -> None:
    events = [Event(at=0, kind="created", idle_after_seconds=900)]
    assert [change.state for change in history(machine, events, 10_000_000)] == expected


def test_a_sampler_scales_to_zero_wakes_updates_and_ends() -> None:
    events = [
        Event(at=0, kind="created", idle_after_seconds=60),
        Event(at=200_000, kind="activity"),
        Event(at=210_000, kind="updated"),
        Event(at=220_000, kind="unhealthy"),
        Event(at=225_000, kind="recovered"),
        Event(at=230_000, kind="deactivated"),
        Event(at=231_000, kind="deactivated"),
    ]
    assert [(change.at, change.state) for change in history(SAMPLER, events, 1_000_000)][3:] == [
        (20_000, "ACTIVE"),
        (80_000, "SCALED_TO_ZERO"),
        (200_000, "WAKING_UP"),
        (208_000, "ACTIVE"),
        (210_000, "UPDATING"),
        (214_000, "ACTIVE"),
        (220_000, "UNHEALTHY"),
        (225_000, "ACTIVE"),
        (230_000, "DEACTIVATING"),
        (233_000, "INACTIVE"),
    ]


def test_speed_shortens_what_it_starts_and_leaves_the_past_alone() -> None:
    slow = Event(at=0, kind="created", idle_after_seconds=100)
    assert status(DEPLOYMENT, [slow], 21_000) == "DEPLOYING"
    fast = Event(at=0, kind="created", idle_after_seconds=100, pace=10.0)
    assert status(DEPLOYMENT, [fast], 2_200) == "RUNNING"
    # The step that began slowly ends as it began, whatever the pace of what comes later.
    assert status(DEPLOYMENT, [slow, Event(at=1_000, kind="activity", pace=1000.0)], 21_000) == "DEPLOYING"


@pytest.mark.parametrize(("pace", "seconds"), [(0.5, 120), (1.0, 60), (10.0, 60), (100.0, 6)])
def test_idle_delay_is_as_long_as_asked_for_up_to_the_default_speed(pace: float, seconds: int) -> None:
    events = [Event(at=0, kind="created", idle_after_seconds=60, pace=pace)]
    up, asleep = history(DEPLOYMENT, events, 10**9)[-2:]
    assert (up.state, asleep.state) == ("RUNNING", "SCALED_TO_ZERO")
    assert asleep.at - up.at == seconds * 1000


def test_a_first_run_is_up_in_about_two_seconds_at_the_default_speed() -> None:
    created = Event(at=0, kind="created", pace=DEFAULT_SPEED)
    assert (status(DEPLOYMENT, [created], 2_200), status(SAMPLER, [created], 2_200)) == ("RUNNING", "ACTIVE")


def test_held_waits_until_the_next_event() -> None:
    events = [Event(at=0, kind="created", idle_after_seconds=10), Event(at=5_000, kind="held")]
    assert status(SAMPLER, events, 10**12) == "DEPLOYING"
    woken = [*events, Event(at=10**9, kind="activity")]
    assert [change.state for change in history(SAMPLER, woken, 10**9 + 60_000)][-3:] == [
        "LOADING_MODEL",
        "ACTIVE",
        "SCALED_TO_ZERO",
    ]


def test_a_clock_that_went_back_stands_at_the_last_event() -> None:
    events = [Event(at=100_000, kind="created", idle_after_seconds=10)]
    assert status(DEPLOYMENT, events, 0) == "CREATED"


def test_without_an_event_there_is_no_status() -> None:
    with pytest.raises(ValueError, match="no status"):
        status(RUN, [], 0)
