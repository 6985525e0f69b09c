"""What a panel works out from what is different is what it would work out of everything."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from loops_nb.live import Priority
from loops_nb.panels.fleet import FleetView
from loops_nb.panels.view_model import Memo
from tests.frames.strategies import ANY_MACHINE
from tests.panels.manual_poller import NOW, ManualPoller
from tests.panels.workspace import checkpoint, deployment, run, sampler

_names = st.sampled_from(["a", "b", "c", "d"])
_run = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["ACTIVE", "INACTIVE"]),
        "deployment": st.sampled_from([None, "dep_a", "dep_b", "dep_c"]),
        "sampler": st.sampled_from([None, "ACTIVE", "INACTIVE", "LOADING_MODEL"]),
    }
)
_deployment = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["RUNNING", "STOPPED", "DEPLOYING"]),
        "active": st.one_of(st.none(), _names),
        "latest": st.one_of(st.none(), _names),
        "sampler": st.sampled_from([None, "samp_a", "samp_b"]),
    }
)
_look = st.fixed_dictionaries(
    {
        "runs": st.dictionaries(_names, _run, max_size=4),
        "deployments": st.dictionaries(_names, _deployment, max_size=3),
        "samplers": st.sets(st.sampled_from(["samp_a", "alone"]), max_size=2),
        "checkpoints": st.sets(_names, max_size=2),
    }
)


def listings(look: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {
        "runs": [
            run(
                key,
                how["status"],
                deployment_id=how["deployment"],
                sampler=how["sampler"] and sampler(f"samp_{key}", how["sampler"]),
            )
            for key, how in look["runs"].items()
        ],
        "deployments": [
            deployment(
                key,
                how["status"],
                active_run_id=how["active"],
                latest_run_id=how["latest"],
                sampler=how["sampler"] and sampler(how["sampler"]),
            )
            for key, how in look["deployments"].items()
        ],
        "samplers": [sampler(key) for key in sorted(look["samplers"])],
        "checkpoints": [checkpoint(key, 100) for key in sorted(look["checkpoints"])],
    }


@ANY_MACHINE
@given(st.lists(_look, min_size=1, max_size=6))
def test_a_fleet_that_was_watched_is_as_one_that_is_seen_for_the_first_time(looks: list[dict[str, Any]]) -> None:
    watched, hand = FleetView(), ManualPoller()
    boards: list[Any] = []
    seen: set[str] = set()
    hand.subscribe(watched.queries, lambda board, _changed: boards.append(board), priority=Priority.VISIBLE)
    for look in looks:
        hand.answer(listings(look))
        content, new = watched.compose(boards[-1], NOW), FleetView()
        assert content == new.compose(boards[-1], NOW)
        assert [list(rows) for rows in content.tables.values()] == [
            [r["id"] for r in listings(look)["runs"]],
            list(content.tables["samplers"]),
        ]
        # Only who saw a run before can tell that it was deleted.
        told, first = watched.announcements(boards[-1]), new.announcements(boards[-1])
        assert {key: told[key] for key in first} == first
        seen |= {run["id"] for run in listings(look)["runs"]}
        assert told.keys() - first.keys() <= seen
        assert all(told[key].text.endswith(" was deleted.") for key in told.keys() - first.keys())


@ANY_MACHINE
@given(st.lists(st.tuples(st.dictionaries(_names, st.integers()), st.dictionaries(_names, st.integers())), max_size=6))
def test_values_are_made_of_the_newest_parts(turns: list[tuple[dict[str, int], dict[str, int]]]) -> None:
    memo: Memo[tuple[int, int | None]] = Memo(lambda a, b: (a, b))
    for one, other in turns:
        values = memo.of(one, other)
        assert list(values.items()) == [(key, (value, other.get(key))) for key, value in one.items()]


def test_a_part_that_failed_to_be_made_is_made_again() -> None:
    broken = True

    def make(value: int) -> int:
        if broken:
            raise RuntimeError
        return value

    memo = Memo(make)
    try:
        memo.of({"a": 1})
    except RuntimeError:
        broken = False
    assert memo.of({"a": 1}) == {"a": 1}
