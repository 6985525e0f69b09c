"""`loops_nb.api.states`: the sets of states cover the documented ones."""

from __future__ import annotations

from loops_nb.api import states
from loops_nb.api.models import Run, Status

ALL = {*states.RUN_STATUSES, *states.DEPLOYMENT_STATUSES, *states.SAMPLER_STATUSES, *states.SYNC_STATUSES}


def test_each_documented_state_means_exactly_one_thing() -> None:
    meanings = [states.IN_TRANSITION, states.WORKING, states.FAILED, states.ENDED, states.SLEEPING]
    assert set().union(*meanings) == ALL
    assert sum(map(len, meanings)) == len(ALL)


def test_no_terminal_state_is_alive_or_in_transition() -> None:
    terminal = states.RUN_TERMINAL | states.DEPLOYMENT_TERMINAL | states.SAMPLER_TERMINAL
    assert terminal.isdisjoint(states.IN_TRANSITION)
    assert states.DEPLOYMENT_ALIVE.isdisjoint(states.DEPLOYMENT_TERMINAL)
    assert states.SAMPLER_ALIVE.isdisjoint(states.SAMPLER_TERMINAL)
    assert terminal <= states.ENDED | states.FAILED


def test_startup_ends_in_a_working_state() -> None:
    for startup in (states.DEPLOYMENT_STARTUP, states.SAMPLER_STARTUP):
        assert set(startup[:-1]) <= states.IN_TRANSITION
        assert startup[-1] in states.WORKING


def test_an_unknown_state_is_a_name_that_means_nothing_in_particular() -> None:
    assert states.status_name(Run(id="r", status=Status(name="HIBERNATING"))) == "HIBERNATING"
    assert states.status_name(Run(id="r")) is None
    assert not states.is_in_transition("HIBERNATING")
    assert not states.is_in_transition(None)
