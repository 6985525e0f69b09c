"""The heart of a panel: versions, differences, and what it does with what it hears."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb import faults
from loops_nb.live import Attention
from loops_nb.panels.content import Content, Memo, table_changes
from loops_nb.panels.core import ROWS_AT_OPENING, Core
from loops_nb.panels.fleet import FleetView
from loops_nb.panels.listings import CheckpointsView, DeploymentsView, SamplersView
from loops_nb.panels.presence import Presence
from loops_nb.panels.run import RunView
from loops_nb.panels.view import View
from loops_nb.panels.wire import Act, Change, Notice, Snapshot, Tick, ToPage
from tests.frames.documents import ANY_MACHINE
from tests.panels.by_hand import ByHand
from tests.panels.workspace import checkpoint, deployment, run, sampler, workspace

FIXTURES = Path(__file__).parent / "fixtures"
VIEWS: dict[str, Callable[[], View]] = {
    "fleet": FleetView,
    "run": lambda: RunView("r_live"),
    "samplers": SamplersView,
    "deployments": DeploymentsView,
    "checkpoints": lambda: CheckpointsView(run_id="r_live"),
}


class Page:
    """What a page does with messages, in the fewest words: the other side of the protocol."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.tables: dict[str, dict[str, tuple[Any, ...]]] = {}
        self.seq: int | None = None
        self.lost = False

    def last(self) -> Any:
        return self.messages[-1]

    def take(self, plain: dict[str, Any]) -> None:
        message = msgspec.convert(json.loads(json.dumps(plain)), ToPage)
        self.messages.append(message)
        match message:
            case Snapshot(seq=seq, tables=tables):
                self.tables = {name: {str(row[0]): row for row in table.rows} for name, table in tables.items()}
                self.seq, self.lost = seq, False
            case Change(base=base) if base != self.seq:
                self.lost = True
            case Change(seq=seq, tables=changes):
                for name, change in changes.items():
                    rows = self.tables.setdefault(name, {})
                    rows.update({str(row[0]): row for row in change.rows})
                    for key in change.gone:
                        rows.pop(key, None)
                    assert len(rows) == change.total
                self.seq = seq
            case Tick(seq=seq):
                self.lost = self.lost or seq != self.seq


def panel(view: View | None = None, **options: Any) -> tuple[Core, ByHand, Page]:
    hand, page = ByHand(), Page()
    presence = Presence(lambda: hand.wall, lambda: float("-inf"))
    core = Core(view or FleetView(), hand, page.take, presence, wall=lambda: hand.wall, clock=lambda: hand.wall, **options)  # type: ignore[arg-type]
    return core, hand, page


def rows_of(core: Core) -> dict[str, dict[str, tuple[Any, ...]]]:
    return {name: {str(row[0]): tuple(row) for row in table.rows} for name, table in core.snapshot().tables.items()}


def notices_of(core: Core) -> tuple[Notice, ...]:
    # Asked anew: a type checker would remember that there were none.
    return core.state.notices


def state_of(core: Core) -> str:
    return core.state.health.state


def acts_of(core: Core) -> tuple[Act, ...]:
    return core.state.acts


def test_the_first_look_is_told_and_then_only_what_changes() -> None:
    core, hand, page = panel()
    core.hear({"type": "hello", "view": "v", "have": None})
    assert isinstance(page.last(), Snapshot)
    assert not page.last().ready
    listings = workspace()
    hand.answer(listings)
    assert page.tables == rows_of(core)
    assert core.snapshot().ready
    before = len(page.messages)
    hand.answer(listings)
    assert [type(m) for m in page.messages[before:]] == [Tick]
    listings["runs"][0] = run("r_live", name="renamed")
    hand.answer(listings)
    change = page.last()
    assert isinstance(change, Change)
    assert [row[0] for row in change.tables["runs"].rows] == ["r_live"]
    assert change.facts is None
    assert page.tables == rows_of(core)


def test_what_a_poll_costs_on_the_wire() -> None:
    core, hand, _ = panel()
    sent: list[bytes] = []
    core._send = lambda message: sent.append(json.dumps(message).encode())
    runs = [run(f"r{n}") for n in range(1000)]
    rest = {"deployments": [deployment(f"r{n}") for n in range(1000)], "samplers": [], "checkpoints": []}
    hand.answer(rest, runs=runs)
    sent.clear()
    hand.answer(rest, runs=runs)
    (tick,) = sent
    assert len(tick) < 120
    runs[500] = run("r500", "INACTIVE")
    sent.clear()
    hand.answer(rest, runs=runs)
    (change,) = sent
    assert len(change) < 2000
    # What was said before is not said again, however much it was.
    for ending in range(100, 130):
        runs[ending] = run(f"r{ending}", "INACTIVE")
        sent.clear()
        hand.turn(1)
        hand.answer(rest, runs=runs)
        (change,) = (message for message in sent if b'"change"' in message)
        assert len(change) < 2000
        told = msgspec.json.decode(change, type=Change).notices or []
        assert [notice.about for notice in told] == [f"r{ending}"]
    assert len(core.state.notices) == 20


def test_a_page_that_lost_a_message_gets_everything_again() -> None:
    core, hand, page = panel()
    hand.answer(workspace())
    core.hear({"type": "hello", "view": "v", "have": None})
    deaf, core._send = core._send, lambda _message: None
    hand.answer(runs=[])
    core._send = deaf
    hand.answer(runs=[])
    assert page.lost
    core.hear({"type": "resync", "have": page.seq})
    assert not vars(page)["lost"]
    assert page.tables == rows_of(core)
    assert page.tables["runs"] == {}


names = st.sampled_from(["a", "b", "c", "d"])
looks = st.lists(
    st.tuples(
        st.dictionaries(names, st.sampled_from(["ACTIVE", "INACTIVE", "NEW"]), max_size=4),
        st.dictionaries(names, st.sampled_from(["RUNNING", "FAILED", "STOPPED", "DEPLOYING"]), max_size=4),
        st.booleans(),
    ),
    max_size=8,
)


@ANY_MACHINE
@given(looks)
def test_whatever_happens_and_whatever_is_lost_the_page_ends_with_the_truth(steps: list[Any]) -> None:
    core, hand, page = panel()
    hand.answer(runs=[], deployments=[], samplers=[], checkpoints=[])
    core.hear({"type": "hello", "view": "v", "have": None})
    for runs, deployments, arrives in steps:
        core._send = page.take if arrives else lambda _message: None
        hand.answer(
            runs=[run(name, status) for name, status in runs.items()],
            deployments=[deployment(name, status) for name, status in deployments.items()],
        )
        hand.turn(1)
    core._send = page.take
    core.hear({"type": "resync", "have": 0}) if page.lost else hand.turn(6)
    if page.lost:
        core.hear({"type": "resync", "have": 0})
    assert page.tables == rows_of(core)
    assert page.seq == core.state.seq


def test_too_many_changes_at_once_become_few_messages() -> None:
    core, hand, page = panel()
    hand.answer(workspace())
    core.hear({"type": "hello", "view": "v", "have": None})
    before = len(page.messages)
    for n in range(200):
        hand.answer(runs=[run("r_live", name=f"name {n}")])
    assert len(page.messages) - before < 20
    hand.turn(3)
    assert page.tables["runs"]["r_live"][1] == "name 199"


def test_a_long_listing_opens_cut_and_is_completed() -> None:
    core, hand, page = panel(CheckpointsView(run_id="r"))
    hand.answer(checkpoints=[checkpoint("r", n) for n in range(1000)])
    opening = core.opening()
    assert len(opening["tables"]["checkpoints"]["rows"]) == ROWS_AT_OPENING
    assert opening["tables"]["checkpoints"]["total"] == 1000
    core.hear({"type": "hello", "view": "v", "have": opening["seq"]})
    assert len(page.tables["checkpoints"]) == 1000


def test_a_kernel_that_cannot_hear_sends_the_rest_unasked() -> None:
    core, hand, page = panel(CheckpointsView(run_id="r"))
    core.shown()
    hand.answer(checkpoints=[checkpoint("r", n) for n in range(1000)])
    page.tables.clear()
    hand.turn(1.5)
    assert len(page.tables["checkpoints"]) == 1000


def test_nothing_is_looked_at_when_nobody_looks() -> None:
    core, hand, _ = panel()
    core.hear({"type": "hello", "view": "v", "have": None})
    assert hand.wanted() is Attention.WATCHED
    core.hear({"type": "seen", "view": "v", "visible": False})
    assert hand.wanted() is Attention.ASLEEP
    core.hear({"type": "seen", "view": "v", "visible": True})
    assert hand.wanted() is Attention.WATCHED
    core.hear({"type": "gone", "view": "v"})
    assert hand.wanted() is Attention.ASLEEP


def test_with_notify_it_is_looked_now_and_then_all_the_same() -> None:
    core, hand, _ = panel(notify=True)
    core.hear({"type": "hello", "view": "v", "have": None})
    core.hear({"type": "gone", "view": "v"})
    assert hand.wanted() is Attention.HEARTBEAT


def test_a_page_that_vanished_without_a_word_is_not_served_for_ever() -> None:
    core, hand, page = panel()
    core.hear({"type": "hello", "view": "v", "have": None})
    for _ in range(10):
        hand.turn(5)
    assert hand.wanted() is Attention.ASLEEP
    before = len(page.messages)
    for _ in range(5):
        hand.turn(5)
    assert len(page.messages) == before
    assert not [timer for timer in hand.timers if timer.is_pending]


def test_pause_and_go_on() -> None:
    core, hand, _ = panel()
    hand.answer(workspace())
    core.hear({"type": "hello", "view": "v", "have": None})
    core.hear({"type": "pause", "on": True})
    assert hand.wanted() is Attention.ASLEEP
    assert core.snapshot().health.state == "paused"
    core.hear({"type": "pause", "on": False})
    assert hand.wanted() is Attention.WATCHED
    assert core.state.health.state == "live"
    assert hand.refreshed == 1


def test_a_failing_service_keeps_the_data_and_says_why() -> None:
    core, hand, page = panel()
    core.hear({"type": "hello", "view": "v", "have": None})
    hand.answer(workspace())
    shown = dict(page.tables["runs"])
    hand.answer(failing="nobody answered")
    assert page.tables["runs"] == shown
    health = core.state.health
    assert (health.state, health.reason, health.hint) == ("failing", "nobody answered", "Check the network.")
    hand.answer(workspace())
    assert core.state.health.state == "live"


def test_an_order_is_carried_out_once_and_its_end_is_told() -> None:
    core, hand, _ = panel()
    hand.answer(workspace())
    order = {"type": "order", "id": "o1", "what": "deactivate", "table": "runs", "target": "r_live"}
    core.hear(order)
    core.hear(order)
    ((call, done),) = hand.acts
    assert (call.method, call.path) == ("POST", "/v1/loops/runs/r_live/deactivate")
    assert [act.state for act in core.state.acts] == ["doing"]
    done(object())
    assert [(act.id, act.state) for act in core.state.acts] == [("o1", "done")]


@pytest.mark.parametrize(
    ("table", "target", "words"), [("checkpoints", "c", "cannot be deactivated"), ("runs", "../x", "must not"), ("runs", "", "empty")]
)
def test_an_order_that_cannot_be_carried_out_is_refused_in_words(table: str, target: str, words: str) -> None:
    core, hand, _ = panel()
    core.hear({"type": "order", "id": "o1", "what": "deactivate", "table": table, "target": target})
    assert hand.acts == []
    (act,) = acts_of(core)
    assert act.state == "failed"
    assert act.text


def test_an_order_that_failed_says_why() -> None:
    core, hand, _ = panel()
    core.hear({"type": "order", "id": "o1", "what": "deactivate", "table": "samplers", "target": "samp_r_live"})
    hand.acts[0][1](RuntimeError("it is paired with run r_live"))
    assert core.state.acts[0].text == "it is paired with run r_live"


@pytest.mark.parametrize("junk", [None, 7, "hello", [], {}, {"type": "nonsense"}, {"type": "hello"}, {"type": "resync", "have": "x"}])
def test_what_is_no_message_is_left_alone(junk: Any) -> None:
    core, _, page = panel()
    core.hear(junk)
    assert page.messages == []


def test_a_closed_panel_says_nothing_more() -> None:
    core, hand, page = panel()
    hand.answer(workspace())
    before = len(page.messages)
    core.close("closed")
    hand.answer(runs=[])
    core.hear({"type": "hello", "view": "v", "have": None})
    hand.turn(60)
    assert len(page.messages) == before
    assert hand.closed
    assert core.snapshot().health.state == "over"


def test_an_end_is_announced_once_with_what_to_do_next() -> None:
    core, hand, _ = panel()
    listings = workspace()
    hand.answer(listings)
    assert core.state.notices == ()
    listings["deployments"][0] = deployment("r_live", "FAILED", active_run_id=None)
    hand.answer(listings)
    listings["runs"][0] = run("r_live", "INACTIVE")
    hand.answer(listings)
    (notice,) = notices_of(core)
    assert notice.text == "Run r_live (the r_live) failed: its trainer is FAILED."
    assert "%loops deployment dep_r_live" in notice.hint
    assert notice.about == "r_live"


def test_listings_that_come_one_after_the_other_are_no_news() -> None:
    core, hand, _ = panel()
    listings = workspace()
    listings["runs"][0] = run("r_live", "INACTIVE")
    listings["deployments"][0] = deployment("r_live", "PREEMPTED", active_run_id=None)
    for kind in ("runs", "deployments", "samplers", "checkpoints"):
        hand.answer({kind: listings[kind]})
    assert core.state.notices == ()


def test_a_run_that_ended_says_how_to_go_on() -> None:
    core, hand, _ = panel()
    listings = workspace()
    listings["checkpoints"] = [checkpoint("r_live", 500)]
    hand.answer(listings)
    listings["runs"][0] = run("r_live", "INACTIVE")
    hand.answer(listings)
    (notice,) = notices_of(core)
    assert notice.tone == "over"
    assert "%loops create run --session sess_1 --base-model Qwen/Qwen3-8B --path bt://loops:r_live/weights/step-500" in notice.hint


def test_a_run_panel_stops_by_itself_when_nothing_can_change_any_more() -> None:
    core, hand, _ = panel(RunView("r_ended"))
    core.hear({"type": "hello", "view": "v", "have": None})
    hand.answer(workspace())
    assert core.state.health.state == "over"
    assert "ended" in core.state.health.reason
    assert hand.wanted() is Attention.ASLEEP
    core.hear({"type": "refresh"})
    assert hand.refreshed == 1


def test_the_summary_counts_what_is_held() -> None:
    core, hand, _ = panel()
    hand.answer(workspace())
    facts = {fact.label: fact.value for fact in core.state.content.facts}
    assert facts["runs alive"] == "5 of 6"
    assert facts["standalone samplers alive"] == "1 of 2"
    # Two live pairs of 8 + 1, and one standalone sampler; what is scaled to zero holds none.
    assert facts["GPUs in use"] == "19"
    assert facts["GPUs idle"] == "0"


def test_gpus_behind_an_ended_run_are_idle() -> None:
    core, hand, _ = panel()
    hand.answer(
        runs=[run("r", "INACTIVE")], deployments=[deployment("r", active_run_id=None)], samplers=[sampler("samp_r")], checkpoints=[]
    )
    facts = {fact.label: fact.value for fact in core.state.content.facts}
    assert (facts["GPUs in use"], facts["GPUs idle"]) == ("0", "9")
    assert facts["runs alive"] == "1 of 1"


def facts_of(core: Core) -> dict[str, str]:
    return {fact.label: fact.value for fact in core.state.content.facts}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(deployment("theirs"), id="it serves a run that is not listed"),
        pytest.param(deployment("theirs", active_run_id=None), id="it served one last"),
        pytest.param(deployment("theirs", active_run_id=None, latest_run_id=None), id="the service does not say whom it serves"),
        pytest.param(deployment("r", active_run_id="theirs", latest_run_id="theirs"), id="it has gone on to serve another run"),
        pytest.param(
            deployment("r", active_run_id=None, latest_run_id=None), id="of an ended run, and the service does not say for whom now"
        ),
    ],
)
@pytest.mark.parametrize("filters", [{}, {"team_id": "t1"}, {"base_model": "Qwen/Qwen3-8B"}, {"scope": "org"}])
def test_gpus_that_no_listed_run_explains_are_not_called_idle(filters: dict[str, str], found: dict[str, Any]) -> None:
    core, hand, _ = panel(FleetView(**filters))
    hand.answer(runs=[run("r", "INACTIVE", sampler=None)], deployments=[found], samplers=[], checkpoints=[])
    facts = facts_of(core)
    assert facts["GPUs idle"] == "0"
    assert facts["GPUs in use"] == "0"
    assert facts["GPUs that no listed run explains"] == "9"
    assert [fact.label for fact in core.state.content.facts if fact.tone == "bad"] == []


def test_deployment_of_an_active_run_is_in_use_whatever_ended_run_names_it_too() -> None:
    core, hand, _ = panel()
    runs = [run("ended", "INACTIVE", deployment_id="dep_r", sampler=None), run("r", sampler=None)]
    hand.answer(runs=runs, deployments=[deployment("r", active_run_id=None, latest_run_id=None, sampler=None)], samplers=[], checkpoints=[])
    facts = facts_of(core)
    assert (facts["GPUs in use"], facts["GPUs idle"]) == ("8", "0")


def test_sampler_of_a_run_of_another_base_model_is_not_called_standalone() -> None:
    core, hand, _ = panel(FleetView(base_model="Qwen/Qwen3-8B"))
    hand.answer(runs=[run("r", base_model=None)], deployments=[], samplers=[sampler("samp_r")], checkpoints=[])
    assert "standalone samplers alive" not in facts_of(core)


def test_sums_over_what_the_service_does_not_tell_say_so() -> None:
    core, hand, _ = panel(SamplersView())
    hand.answer(runs=[], samplers=[sampler("a"), sampler("b", instance_type=None)])
    assert (facts_of(core)["GPUs held"], facts_of(core)["alive on hardware not told"]) == ("1", "1")
    core, hand, _ = panel(CheckpointsView(run_id="r"))
    hand.answer(checkpoints=[checkpoint("r", 0, size_bytes=2_000_000_000), checkpoint("r", 1, size_bytes=None)])
    assert facts_of(core)["in all"].startswith("at least ")


def test_panels_say_of_a_run_that_deploys_that_it_is_not_up_yet() -> None:
    core, hand, _ = panel(RunView("r"))
    coming = deployment("r", "DEPLOYING", sampler=sampler("samp_r", "LOADING_MODEL"))
    hand.answer(runs=[run("r", sampler=sampler("samp_r", "LOADING_MODEL"))], deployments=[coming], checkpoints=[])
    assert facts_of(core)["deploying"] == "the trainer (DEPLOYING) and the sampler (LOADING_MODEL), not up yet; no checkpoint yet"
    hand.answer(runs=[run("r")], deployments=[deployment("r")])
    assert "deploying" not in facts_of(core)

    fleet, hand, _ = panel()
    hand.answer(workspace())
    assert facts_of(fleet)["deploying"] == "1 run"


def test_what_has_been_on_its_way_for_too_long_is_stuck() -> None:
    core, hand, _ = panel()
    hand.answer(workspace())
    assert "stuck" not in {fact.label for fact in core.state.content.facts}
    hand.turn(16 * 60)
    hand.answer(runs=[*workspace()["runs"], run("another")])
    assert {fact.label: fact.value for fact in core.state.content.facts}["stuck"] == "r_coming"


def test_rows_that_did_not_change_are_the_same_objects() -> None:
    memo = Memo(lambda thing: (str(thing),))
    a, b = object(), object()
    first = memo.of({"a": a, "b": b})
    assert memo.of({"a": a, "b": b}) is first
    second = memo.of({"a": a, "b": object()})
    assert second["a"] is first["a"]
    assert second is not first


@ANY_MACHINE
@given(st.dictionaries(names, st.integers(0, 2)), st.dictionaries(names, st.integers(0, 2)))
def test_a_difference_leads_from_one_table_to_the_other(old: dict[str, int], new: dict[str, int]) -> None:
    before = {key: (key, value) for key, value in old.items()}
    after = {key: (key, value) for key, value in new.items()}
    change = table_changes(Content({"runs": before}), Content({"runs": after})).get("runs")
    result = dict(before)
    if change is not None:
        result.update({str(row[0]): row for row in change.rows})  # type: ignore[misc]
        for key in change.gone:
            del result[key]
        assert change.total == len(after)
    assert result == after
    assert (change is None) == (before == after)


@pytest.mark.parametrize("name", VIEWS)
def test_frames_are_those_of_the_listings(name: str) -> None:
    core, hand, _ = panel(VIEWS[name]())
    assert core.frame() is None
    hand.answer(workspace())
    frame = core.frame()
    assert frame is not None
    kind = {"fleet": "runs", "run": "checkpoints"}.get(name, name)
    assert frame.loops.kind == kind
    assert len(frame) == {"runs": 6, "samplers": 6, "deployments": 4, "checkpoints": 6}[kind]


@pytest.mark.parametrize("name", VIEWS)
def test_the_fixtures_of_the_page_are_what_the_kernel_says(name: str, request: pytest.FixtureRequest) -> None:
    core, hand, _ = panel(VIEWS[name]())
    listings = workspace()
    hand.answer(listings)
    hand.turn(30)
    listings["runs"][1] = run("r_coming", "INACTIVE", name="failed on the way")
    listings["deployments"][1] = deployment("r_coming", "FAILED", active_run_id=None)
    listings["checkpoints"].insert(0, checkpoint("r_live", 700, sync_status="SYNCING"))
    hand.answer(listings)
    made = json.dumps(msgspec.to_builtins(core.snapshot()), indent=1, ensure_ascii=False) + "\n"
    path = FIXTURES / f"{name}.json"
    if request.config.getoption("--write-fixtures"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(made, "utf-8")
    assert path.read_text("utf-8") == made, "run: python -m pytest tests/panels --write-fixtures"


def test_fault_of_a_view_makes_the_panel_failing_until_its_rows_are_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    core, hand, page = panel()
    core.hear({"type": "hello", "view": "v", "have": None})
    listings = workspace()
    hand.answer(listings)
    compose = core.view.compose

    def broken(board: Any, now: float) -> Content:
        raise KeyError("sentinel-fault")

    monkeypatch.setattr(core.view, "compose", broken)
    listings["runs"][0] = run("r_live", name="renamed")
    hand.answer(listings)
    health = core.state.health
    assert health.state == "failing"
    assert "loops_nb itself failed while showing the panel 'Runs and samplers' (KeyError, test_core.py:" in health.reason
    assert "%loops doctor" in health.hint
    assert isinstance(page.last(), Change)
    assert page.last().health == health
    assert core.snapshot().health == health
    assert "sentinel-fault" in faults.recorded()[-1].traceback

    # A look without anything new is no way back: the rows on the page are still the old ones.
    hand.answer(listings)
    assert state_of(core) == "failing"
    monkeypatch.setattr(core.view, "compose", compose)
    hand.answer(listings)
    assert state_of(core) == "live"
    assert page.tables == rows_of(core)
    assert page.tables["runs"]["r_live"][1] == "renamed"


def test_fault_of_the_poller_is_shown_within_a_sign_of_life() -> None:
    core, hand, page = panel()
    core.hear({"type": "hello", "view": "v", "have": None})
    hand.answer(workspace())
    hand.trouble = faults.Fault(hand.wall, "keeping what is watched up to date", "RuntimeError: x", "agenda.py:1", "")
    hand.turn(6)
    assert state_of(core) == "failing"
    assert "keeping what is watched up to date" in core.state.health.reason
    assert any(isinstance(message, Change) and message.health == core.state.health for message in page.messages)
    hand.trouble = None
    hand.turn(6)
    assert state_of(core) == "live"
