"""The heart of a panel: versions, differences, and what it does with what it hears."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb import faults
from loops_nb.api.costs import PriceList
from loops_nb.client.deletion_notices import DELETION_NOTICES
from loops_nb.live import Priority
from loops_nb.panels.columns import COLUMNS
from loops_nb.panels.controller import INITIAL_ROWS, PanelController
from loops_nb.panels.dashboard.content import DashboardView
from loops_nb.panels.fleet import FleetView
from loops_nb.panels.listings import CheckpointsView, DeploymentsView, SamplersView
from loops_nb.panels.messages import CommandStatus, Notice, PanelChange, PanelSnapshot, PlotStatus, ToPage
from loops_nb.panels.protocol import ALL_VIEWS, Heartbeat
from loops_nb.panels.recorded_runs import CheckpointLifetimes
from loops_nb.panels.run import RunView
from loops_nb.panels.view import View
from loops_nb.panels.view_model import Memo, ViewModel, table_changes
from loops_nb.panels.visibility import Visibility
from tests.frames.strategies import ANY_MACHINE
from tests.panels.manual_poller import NOW, ManualPoller
from tests.panels.workspace import checkpoint, deployment, run, sampler, workspace

FIXTURES = Path(__file__).parent / "fixtures"
VIEWS: dict[str, Callable[[], View]] = {
    "fleet": FleetView,
    "run": lambda: RunView("r_live"),
    "samplers": SamplersView,
    "deployments": DeploymentsView,
    "checkpoints": lambda: CheckpointsView(run_id="r_live"),
    "dashboard": lambda: dashboard_view(lambda *_: None),
}


def dashboard_view(on_change: Callable[..., None]) -> DashboardView:
    curves = PlotStatus(plot="curves", state="drawn", widget="a-model", text="type in a cell: %loops curves")
    return DashboardView(curves, selected=(), lifetimes=CheckpointLifetimes(), on_change=on_change)


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
            case PanelSnapshot(seq=seq, tables=tables):
                self.tables = {name: {str(row[0]): row for row in table.rows} for name, table in tables.items()}
                self.seq, self.lost = seq, False
            case PanelChange(base=base) if base != self.seq:
                self.lost = True
            case PanelChange(seq=seq, tables=changes):
                for name, change in changes.items():
                    rows = self.tables.setdefault(name, {})
                    rows.update({str(row[0]): row for row in change.rows})
                    for key in change.removed:
                        rows.pop(key, None)
                    assert len(rows) == change.total
                self.seq = seq
            case Heartbeat(seqs=seqs):
                self.lost = self.lost or seqs != {ALL_VIEWS: self.seq}


def panel(view: View | None = None, **options: Any) -> tuple[PanelController, ManualPoller, Page]:
    hand, page = ManualPoller(), Page()
    visibility = Visibility(lambda: hand.wall, lambda: float("-inf"))
    poller: Any = hand
    controller = PanelController(
        view or FleetView(), poller, page.take, visibility, wall=lambda: hand.wall, clock=lambda: hand.wall, **options
    )
    return controller, hand, page


def rows_of(controller: PanelController) -> dict[str, dict[str, tuple[Any, ...]]]:
    return {
        name: {str(row[0]): tuple(row) for row in table.rows} for name, table in controller.snapshot().tables.items()
    }


def notices_of(controller: PanelController) -> tuple[Notice, ...]:
    # Read again: a type checker would remember that there were none.
    return controller.state.notices


def state_of(controller: PanelController) -> str:
    return controller.state.health.state


def commands_of(controller: PanelController) -> tuple[CommandStatus, ...]:
    return controller.state.commands


def test_the_first_look_is_told_and_then_only_what_changes() -> None:
    controller, hand, page = panel()
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    assert isinstance(page.last(), PanelSnapshot)
    assert not page.last().ready
    listings = workspace()
    hand.answer(listings)
    assert page.tables == rows_of(controller)
    assert controller.snapshot().ready
    before = len(page.messages)
    hand.answer(listings)
    assert [type(m) for m in page.messages[before:]] == [Heartbeat]
    listings["runs"][0] = run("r_live", name="renamed")
    hand.answer(listings)
    change = page.last()
    assert isinstance(change, PanelChange)
    assert [row[0] for row in change.tables["runs"].rows] == ["r_live"]
    assert change.facts is None
    assert page.tables == rows_of(controller)


def test_what_a_poll_costs_on_the_wire() -> None:
    controller, hand, _ = panel()
    sent: list[bytes] = []
    controller._send_message = lambda message: sent.append(json.dumps(message).encode())
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
        told = msgspec.json.decode(change, type=PanelChange).notices or []
        assert [notice.about for notice in told] == [f"r{ending}"]
    assert len(controller.state.notices) == 20


def test_a_page_that_lost_a_message_gets_everything_again() -> None:
    controller, hand, page = panel()
    hand.answer(workspace())
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    deaf, controller._send_message = controller._send_message, lambda _message: None
    hand.answer(runs=[])
    controller._send_message = deaf
    hand.answer(runs=[])
    assert page.lost
    controller.receive({"type": "resync", "stream": "*", "have": page.seq})
    assert not vars(page)["lost"]
    assert page.tables == rows_of(controller)
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
    controller, hand, page = panel()
    hand.answer(runs=[], deployments=[], samplers=[], checkpoints=[])
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    for runs, deployments, arrives in steps:
        controller._send_message = page.take if arrives else lambda _message: None
        hand.answer(
            runs=[run(name, status) for name, status in runs.items()],
            deployments=[deployment(name, status) for name, status in deployments.items()],
        )
        hand.turn(1)
    controller._send_message = page.take
    controller.receive({"type": "resync", "stream": "*", "have": 0}) if page.lost else hand.turn(6)
    if page.lost:
        controller.receive({"type": "resync", "stream": "*", "have": 0})
    assert page.tables == rows_of(controller)
    assert page.seq == controller.state.seq


def test_too_many_changes_at_once_become_few_messages() -> None:
    controller, hand, page = panel()
    hand.answer(workspace())
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    before = len(page.messages)
    for n in range(200):
        hand.answer(runs=[run("r_live", name=f"name {n}")])
    assert len(page.messages) - before < 20
    hand.turn(3)
    assert page.tables["runs"]["r_live"][1] == "name 199"


def test_a_long_listing_opens_cut_and_is_completed() -> None:
    controller, hand, page = panel(CheckpointsView(run_id="r"))
    hand.answer(checkpoints=[checkpoint("r", n) for n in range(1000)])
    opening = controller.initial_state()
    assert len(opening["tables"]["checkpoints"]["rows"]) == INITIAL_ROWS
    assert opening["tables"]["checkpoints"]["total"] == 1000
    controller.receive({"type": "view_opened", "view": "v", "have": opening["seq"]})
    assert len(page.tables["checkpoints"]) == 1000


def test_a_kernel_that_cannot_hear_sends_the_rest_unasked() -> None:
    controller, hand, page = panel(CheckpointsView(run_id="r"))
    controller.displayed()
    hand.answer(checkpoints=[checkpoint("r", n) for n in range(1000)])
    page.tables.clear()
    hand.turn(1.5)
    assert len(page.tables["checkpoints"]) == 1000


def test_nothing_is_looked_at_when_nobody_looks() -> None:
    controller, hand, _ = panel()
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    assert hand.wanted() is Priority.VISIBLE
    controller.receive({"type": "view_visibility", "view": "v", "visible": False})
    assert hand.wanted() is Priority.NONE
    controller.receive({"type": "view_visibility", "view": "v", "visible": True})
    assert hand.wanted() is Priority.VISIBLE
    controller.receive({"type": "view_closed", "view": "v"})
    assert hand.wanted() is Priority.NONE


def test_with_notify_it_is_looked_now_and_then_all_the_same() -> None:
    controller, hand, _ = panel(notify=True)
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    controller.receive({"type": "view_closed", "view": "v"})
    assert hand.wanted() is Priority.BACKGROUND


def test_a_page_that_vanished_without_a_word_is_not_served_for_ever() -> None:
    controller, hand, page = panel()
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    for _ in range(10):
        hand.turn(5)
    assert hand.wanted() is Priority.NONE
    before = len(page.messages)
    for _ in range(5):
        hand.turn(5)
    assert len(page.messages) == before
    assert not [timer for timer in hand.timers if timer.is_pending]


def test_pause_and_go_on() -> None:
    controller, hand, _ = panel()
    hand.answer(workspace())
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    controller.receive({"type": "set_polling", "paused": True})
    assert hand.wanted() is Priority.NONE
    assert controller.snapshot().health.state == "paused"
    controller.receive({"type": "set_polling", "paused": False})
    assert hand.wanted() is Priority.VISIBLE
    assert controller.state.health.state == "live"
    assert hand.refreshed == 1


def test_a_failing_service_keeps_the_data_and_says_why() -> None:
    controller, hand, page = panel()
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    hand.answer(workspace())
    shown = dict(page.tables["runs"])
    hand.answer(failing="no answer came")
    assert page.tables["runs"] == shown
    health = controller.state.health
    assert (health.state, health.reason, health.hint) == ("failing", "no answer came", "Check the network.")
    hand.answer(workspace())
    assert controller.state.health.state == "live"


def test_an_order_is_carried_out_once_and_its_end_is_told() -> None:
    controller, hand, _ = panel()
    hand.answer(workspace())
    order = {"type": "command", "id": "o1", "what": "deactivate", "table": "runs", "target": "r_live"}
    controller.receive(order)
    controller.receive(order)
    ((call, done),) = hand.acts
    assert (call.method, call.path) == ("POST", "/v1/loops/runs/r_live/deactivate")
    assert [act.state for act in controller.state.commands] == ["running"]
    done(object())
    assert [(act.id, act.state) for act in controller.state.commands] == [("o1", "done")]


@pytest.mark.parametrize(
    ("table", "target", "words"),
    [("checkpoints", "c", "cannot be deactivated"), ("runs", "../x", "is not an id"), ("runs", "", "empty")],
)
@pytest.mark.parametrize("what", ["deactivate", "plan_deletion"])
def test_an_order_that_cannot_be_carried_out_is_refused_in_words(
    what: str, table: str, target: str, words: str
) -> None:
    controller, hand, _ = panel()
    controller.receive({"type": "command", "id": "o1", "what": what, "table": table, "target": target})
    assert hand.acts == []
    (act,) = commands_of(controller)
    assert act.state == "failed"
    assert (words if what == "deactivate" or table == "runs" else "is not listed any more") in act.text


def test_an_order_that_failed_says_why() -> None:
    controller, hand, _ = panel()
    controller.receive(
        {"type": "command", "id": "o1", "what": "deactivate", "table": "samplers", "target": "samp_r_live"}
    )
    hand.acts[0][1](RuntimeError("it is paired with run r_live"))
    assert controller.state.commands[0].text == "it is paired with run r_live"


@pytest.mark.parametrize(
    "junk",
    [
        None,
        7,
        "hello",
        [],
        {},
        {"type": "nonsense"},
        {"type": "view_opened"},
        {"type": "resync", "stream": "*", "have": "x"},
    ],
)
def test_what_is_no_message_is_left_alone(junk: Any) -> None:
    controller, _, page = panel()
    controller.receive(junk)
    assert page.messages == []


def test_a_closed_panel_says_nothing_more() -> None:
    controller, hand, page = panel()
    hand.answer(workspace())
    before = len(page.messages)
    controller.close("closed")
    hand.answer(runs=[])
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    hand.turn(60)
    assert len(page.messages) == before
    assert hand.closed
    assert controller.snapshot().health.state == "over"


def test_an_end_is_announced_once_with_what_to_do_next() -> None:
    controller, hand, _ = panel()
    listings = workspace()
    hand.answer(listings)
    assert controller.state.notices == ()
    listings["deployments"][0] = deployment("r_live", "FAILED", active_run_id=None)
    hand.answer(listings)
    listings["runs"][0] = run("r_live", "INACTIVE")
    hand.answer(listings)
    (notice,) = notices_of(controller)
    assert notice.text == "Run r_live (the r_live) failed: its trainer is FAILED."
    assert "%loops doctor r_live says why" in notice.hint
    assert notice.about == "r_live"


def test_listings_that_come_one_after_the_other_are_no_news() -> None:
    controller, hand, _ = panel()
    listings = workspace()
    listings["runs"][0] = run("r_live", "INACTIVE")
    listings["deployments"][0] = deployment("r_live", "PREEMPTED", active_run_id=None)
    for kind in ("runs", "deployments", "samplers", "checkpoints"):
        hand.answer({kind: listings[kind]})
    assert controller.state.notices == ()


def test_a_run_that_ended_says_how_to_go_on() -> None:
    controller, hand, _ = panel()
    listings = workspace()
    listings["checkpoints"] = [checkpoint("r_live", 500)]
    hand.answer(listings)
    listings["runs"][0] = run("r_live", "INACTIVE")
    hand.answer(listings)
    (notice,) = notices_of(controller)
    assert notice.tone == "over"
    assert (
        "%loops create run --session sess_1 --base-model Qwen/Qwen3-8B --path bt://loops:r_live/weights/step-500"
        in notice.hint
    )


def test_a_run_panel_stops_by_itself_when_nothing_can_change_any_more() -> None:
    controller, hand, _ = panel(RunView("r_ended"))
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    hand.answer(workspace())
    assert controller.state.health.state == "over"
    assert "ended" in controller.state.health.reason
    assert hand.wanted() is Priority.NONE
    controller.receive({"type": "refresh"})
    assert hand.refreshed == 1


def test_a_run_panel_shows_a_deletion_as_the_end() -> None:
    controller, hand, page = panel(RunView("r_live", page="https://app.baseten.co/training/loop/r_live"))
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    listings = workspace()
    hand.answer(listings)
    assert notices_of(controller) == ()
    run = controller.state.content.run
    assert run is not None
    links = {fact.label: fact.code for fact in run.facts}
    assert links["dashboard"] == "https://app.baseten.co/training/loop/r_live"
    listings["runs"] = listings["runs"][1:]
    hand.answer(listings)
    assert controller.state.health.state == "over"
    assert "deleted" in controller.state.health.reason
    assert next(fact.label for fact in controller.state.content.facts) == "deleted"
    # Its states are not shown any longer, and a page that is there learns it as well as one that opens.
    summary = controller.state.content.run
    assert summary is not None
    assert [(part.what, part.status) for part in summary.parts] == [("run", "DELETED")]
    assert page.last().run == summary
    (notice,) = notices_of(controller)
    assert (notice.tone, notice.about) == ("over", "r_live")
    assert "was deleted." in notice.text
    assert hand.wanted() is Priority.NONE


def test_a_run_panel_that_has_ended_learns_of_its_deletion() -> None:
    controller, hand, _ = panel(RunView("r_ended"))
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    listings = workspace()
    hand.answer(listings)
    assert state_of(controller) == "over"
    # By this process: many deletions are looked at together, and those of another service are none of its own.
    url = hand.config.address.url
    for service in (url, url, "http://127.0.0.1:2"):
        DELETION_NOTICES.deleted(service)
    assert hand.refreshed == 0
    hand.turn(1)
    assert hand.refreshed == 1
    # By another one: whenever it becomes visible again. While the service does not answer it stays as it is.
    for visible in (False, True, True):
        controller.receive({"type": "view_visibility", "view": "v", "visible": visible})
    assert hand.refreshed == 2
    # While it stays visible, once a minute.
    for seconds, refreshed in ((30, 2), (31, 3), (10, 3)):
        hand.turn(seconds)
        controller.receive({"type": "view_visibility", "view": "v", "visible": True})
        assert hand.refreshed == refreshed
    hand.answer(failing="gone")
    assert state_of(controller) == "over"
    listings["runs"] = [one for one in listings["runs"] if "r_ended" not in one.values()]
    hand.answer(listings)
    assert state_of(controller) == "over"
    assert "was deleted" in controller.state.health.reason
    assert [notice.about for notice in notices_of(controller)] == ["r_ended"]
    controller.receive({"type": "set_polling", "paused": True})
    DELETION_NOTICES.deleted(url)
    hand.turn(1)
    assert hand.refreshed == 3


@pytest.mark.parametrize(
    "view", [lambda of: RunView("r_live", lifetimes=of), lambda of: CheckpointsView(run_id="r_live", lifetimes=of)]
)
def test_checkpoints_that_are_gone_are_noticed_together_and_lifetimes_are_shown(view: Callable[[Any], View]) -> None:
    ends: dict[str, float] = {}
    lifetimes = SimpleNamespace(of=lambda listed: {key: end for key, end in ends.items() if key in listed})
    controller, hand, _ = panel(view(lifetimes))
    listings = workspace()
    steps = [checkpoint("r_live", step) for step in (1, 2, 3, 4)]
    ids = [str(one["id"]) for one in steps]
    ends[ids[3]] = NOW + 60_000.0
    hand.answer({**listings, "checkpoints": steps})
    at = next(i for i, column in enumerate(COLUMNS["checkpoints"]) if column.name == "expires_at")
    assert [row[at] for row in rows_of(controller)["checkpoints"].values()] == [None, None, None, NOW + 60_000.0]
    assert notices_of(controller) == ()
    hand.answer({"checkpoints": steps[2:]})
    (notice,) = notices_of(controller)
    assert notice.tone == "over"
    assert notice.text.startswith(
        "2 checkpoints were deleted, or reached the end of their lifetimes: r_live/step-1 (trainer), "
    )
    hand.turn(61)
    hand.answer({"checkpoints": steps[2:3]})
    newest, _ = notices_of(controller)
    assert newest.text == "Checkpoint r_live/step-4 (trainer) was deleted at the end of its lifetime."
    hand.answer({"checkpoints": []}, runs=[])
    assert len(notices_of(controller)) == 3, "the deletion of a run is one notice"


def test_the_panel_of_all_runs_notices_a_deletion() -> None:
    controller, hand, _ = panel(FleetView())
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    listings = workspace()
    hand.answer(listings)
    gone = listings["runs"].pop(0)
    hand.answer(listings)
    (notice,) = notices_of(controller)
    assert (notice.tone, notice.about) == ("over", "r_live")
    assert "was deleted." in notice.text
    assert "r_live" not in controller.state.content.tables["runs"]
    hand.answer(listings)
    listings["runs"].append(gone)
    hand.answer(listings)
    assert notices_of(controller) == (notice,), "once"


def test_a_run_that_was_never_listed_is_not_called_deleted() -> None:
    controller, hand, _ = panel(RunView("elsewhere"))
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    hand.answer(workspace())
    assert controller.state.health.state != "over"
    assert [fact.label for fact in controller.state.content.facts] == ["not in the listing"]


def test_the_summary_counts_what_is_held() -> None:
    controller, hand, _ = panel()
    hand.answer(workspace())
    facts = {fact.label: fact.value for fact in controller.state.content.facts}
    assert facts["runs alive"] == "5 of 6"
    assert facts["standalone samplers alive"] == "1 of 2"
    # Two live pairs of 8 + 1, and one standalone sampler; what is scaled to zero holds none.
    assert facts["GPUs in use"] == "19"
    assert facts["GPUs idle"] == "0"
    assert "an hour" not in facts, "no prices are known"


@pytest.mark.parametrize(
    ("prices", "amount"),
    [({"H100:8": 0.5, "L4:1": 0.01}, "$61.80"), ({"H100:8": 0.5}, "at least $60.00"), ({"x": 1}, "price not listed")],
    ids=["all are listed", "one is not", "none is"],
)
def test_the_summary_has_the_price_an_hour_of_what_is_held(prices: dict[str, float], amount: str) -> None:
    controller, hand, _ = panel(FleetView(prices=lambda: PriceList(prices, "a remark")))
    hand.answer(workspace())
    assert (facts_of(controller)["an hour"], facts_of(controller)["prices"]) == (amount, "a remark")


def test_gpus_behind_an_ended_run_are_idle() -> None:
    controller, hand, _ = panel()
    hand.answer(
        runs=[run("r", "INACTIVE")],
        deployments=[deployment("r", active_run_id=None)],
        samplers=[sampler("samp_r")],
        checkpoints=[],
    )
    facts = {fact.label: fact.value for fact in controller.state.content.facts}
    assert (facts["GPUs in use"], facts["GPUs idle"]) == ("0", "9")
    assert facts["runs alive"] == "1 of 1"


def facts_of(controller: PanelController) -> dict[str, str]:
    return {fact.label: fact.value for fact in controller.state.content.facts}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(deployment("theirs"), id="it serves a run that is not listed"),
        pytest.param(deployment("theirs", active_run_id=None), id="it served one last"),
        pytest.param(
            deployment("theirs", active_run_id=None, latest_run_id=None), id="the service does not say whom it serves"
        ),
        pytest.param(
            deployment("r", active_run_id="theirs", latest_run_id="theirs"), id="it has gone on to serve another run"
        ),
        pytest.param(
            deployment("r", active_run_id=None, latest_run_id=None),
            id="of an ended run, and the service does not say for whom now",
        ),
    ],
)
@pytest.mark.parametrize("filters", [{}, {"team_id": "t1"}, {"base_model": "Qwen/Qwen3-8B"}, {"scope": "org"}])
def test_gpus_that_no_listed_run_explains_are_not_called_idle(filters: dict[str, str], found: dict[str, Any]) -> None:
    controller, hand, _ = panel(FleetView(**filters))  # type: ignore[arg-type]
    hand.answer(runs=[run("r", "INACTIVE", sampler=None)], deployments=[found], samplers=[], checkpoints=[])
    facts = facts_of(controller)
    assert facts["GPUs idle"] == "0"
    assert facts["GPUs in use"] == "0"
    assert facts["GPUs that no listed run explains"] == "9"
    assert [fact.label for fact in controller.state.content.facts if fact.tone == "bad"] == []


def test_deployment_of_an_active_run_is_in_use_whatever_ended_run_names_it_too() -> None:
    controller, hand, _ = panel()
    runs = [run("ended", "INACTIVE", deployment_id="dep_r", sampler=None), run("r", sampler=None)]
    hand.answer(
        runs=runs,
        deployments=[deployment("r", active_run_id=None, latest_run_id=None, sampler=None)],
        samplers=[],
        checkpoints=[],
    )
    facts = facts_of(controller)
    assert (facts["GPUs in use"], facts["GPUs idle"]) == ("8", "0")


def test_sampler_of_a_run_of_another_base_model_is_not_called_standalone() -> None:
    controller, hand, _ = panel(FleetView(base_model="Qwen/Qwen3-8B"))
    hand.answer(runs=[run("r", base_model=None)], deployments=[], samplers=[sampler("samp_r")], checkpoints=[])
    assert "standalone samplers alive" not in facts_of(controller)


def test_sums_over_what_the_service_does_not_tell_say_so() -> None:
    controller, hand, _ = panel(SamplersView())
    hand.answer(runs=[], samplers=[sampler("a"), sampler("b", instance_type=None)])
    assert (facts_of(controller)["GPUs held"], facts_of(controller)["alive on hardware not told"]) == ("1", "1")
    controller, hand, _ = panel(CheckpointsView(run_id="r"))
    hand.answer(checkpoints=[checkpoint("r", 0, size_bytes=2_000_000_000), checkpoint("r", 1, size_bytes=None)])
    assert facts_of(controller)["in all"].startswith("at least ")


def test_panels_say_of_a_run_that_deploys_that_it_is_not_up_yet() -> None:
    controller, hand, _ = panel(RunView("r"))
    coming = deployment("r", "DEPLOYING", sampler=sampler("samp_r", "LOADING_MODEL"))
    hand.answer(runs=[run("r", sampler=sampler("samp_r", "LOADING_MODEL"))], deployments=[coming], checkpoints=[])
    assert (
        facts_of(controller)["deploying"]
        == "the trainer (DEPLOYING) and the sampler (LOADING_MODEL), not up yet; no checkpoint yet"
    )
    hand.answer(runs=[run("r")], deployments=[deployment("r")])
    assert "deploying" not in facts_of(controller)

    fleet, hand, _ = panel()
    hand.answer(workspace())
    assert facts_of(fleet)["deploying"] == "1 run"


def test_what_has_been_on_its_way_for_too_long_is_stuck() -> None:
    controller, hand, _ = panel()
    hand.answer(workspace())
    assert "stuck" not in {fact.label for fact in controller.state.content.facts}
    hand.turn(16 * 60)
    hand.answer(runs=[*workspace()["runs"], run("another")])
    assert {fact.label: fact.value for fact in controller.state.content.facts}["stuck"] == "r_coming"


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
    change = table_changes(ViewModel({"runs": before}), ViewModel({"runs": after})).get("runs")
    result = dict(before)
    if change is not None:
        result.update({str(row[0]): row for row in change.rows})  # type: ignore[misc]
        for key in change.removed:
            del result[key]
        assert change.total == len(after)
    assert result == after
    assert (change is None) == (before == after)


@pytest.mark.parametrize("name", VIEWS)
def test_frames_are_those_of_the_listings(name: str) -> None:
    controller, hand, _ = panel(VIEWS[name]())
    assert controller.frame() is None
    hand.answer(workspace())
    frame = controller.frame()
    assert frame is not None
    kind = {"fleet": "runs", "dashboard": "runs", "run": "checkpoints"}.get(name, name)
    assert frame.loops.kind == kind
    assert len(frame) == {"runs": 6, "samplers": 6, "deployments": 4, "checkpoints": 6}[kind]


@pytest.mark.parametrize("name", VIEWS)
def test_the_fixtures_of_the_page_are_what_the_kernel_says(name: str, request: pytest.FixtureRequest) -> None:
    controller, hand, _ = panel(VIEWS[name]())
    listings = workspace()
    hand.answer(listings)
    hand.turn(30)
    listings["runs"][1] = run("r_coming", "INACTIVE", name="failed on the way")
    listings["deployments"][1] = deployment("r_coming", "FAILED", active_run_id=None)
    listings["checkpoints"].insert(0, checkpoint("r_live", 700, sync_status="SYNCING"))
    hand.answer(listings)
    made = json.dumps(msgspec.to_builtins(controller.snapshot()), indent=1, ensure_ascii=False) + "\n"
    path = FIXTURES / f"{name}.json"
    if request.config.getoption("--write-fixtures"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(made, "utf-8")
    assert path.read_text("utf-8") == made, "run: python -m pytest tests/panels --write-fixtures"


def test_selected_runs_narrow_the_checkpoints_until_they_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[tuple[str, ...], int]] = []
    view = dashboard_view(lambda ids, rows: told.append((ids, len(rows))))
    controller, hand, _ = panel(view)
    listings = workspace()
    hand.answer(listings)
    runs_of = {str(row[8]) for row in rows_of(controller)["checkpoints"].values()}
    assert "r_live" in runs_of
    assert len(runs_of) > 1
    controller.receive({"type": "select_runs", "ids": ["r_live", "r_live", "no such run"]})
    snapshot = controller.snapshot()
    assert (snapshot.selected_runs, snapshot.line) == (["r_live"], "%loops dashboard r_live")
    assert {row[8] for row in rows_of(controller)["checkpoints"].values()} == {"r_live"}
    frame = controller.checkpoints_frame()
    assert frame is not None
    assert set(frame["run_id"]) == {"r_live"}
    assert told[-1] == (("r_live",), len(frame))

    def broken(*_: object) -> None:
        raise RuntimeError("made by a test")

    # What is wrong with one part is said, and the others go on.
    monkeypatch.setattr(view._checkpoint_rows, "of", broken)
    listings["runs"][1] = run("r_coming", "INACTIVE")
    hand.answer(listings)
    snapshot = controller.snapshot()
    assert "RuntimeError" in next(fact.value for fact in snapshot.facts if fact.label == "checkpoints not updated")
    assert snapshot.health.state == "live"
    assert rows_of(controller)["runs"]["r_coming"][3] == "INACTIVE"
    monkeypatch.undo()
    del listings["runs"][list(rows_of(controller)["runs"]).index("r_live")]
    hand.answer(listings)
    assert controller.snapshot().selected_runs == []
    assert not told[-1][0]


def test_fault_of_a_view_makes_the_panel_failing_until_its_rows_are_shown_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    controller, hand, page = panel()
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    listings = workspace()
    hand.answer(listings)
    compose = controller.view.compose

    def broken(board: Any, now: float) -> ViewModel:
        raise KeyError("sentinel-fault")

    monkeypatch.setattr(controller.view, "compose", broken)
    listings["runs"][0] = run("r_live", name="renamed")
    hand.answer(listings)
    health = controller.state.health
    assert health.state == "failing"
    assert (
        "loops_nb itself failed while showing the panel 'Runs and samplers' (KeyError, test_controller.py:"
        in health.reason
    )
    assert "%loops doctor" in health.hint
    assert isinstance(page.last(), PanelChange)
    assert page.last().health == health
    assert controller.snapshot().health == health
    assert "sentinel-fault" in faults.recorded()[-1].traceback

    # A look without anything new is no way back: the rows on the page are still the old ones.
    hand.answer(listings)
    assert state_of(controller) == "failing"
    monkeypatch.setattr(controller.view, "compose", compose)
    hand.answer(listings)
    assert state_of(controller) == "live"
    assert page.tables == rows_of(controller)
    assert page.tables["runs"]["r_live"][1] == "renamed"


def test_fault_of_the_poller_is_shown_within_a_sign_of_life() -> None:
    controller, hand, page = panel()
    controller.receive({"type": "view_opened", "view": "v", "have": None})
    hand.answer(workspace())
    hand.current_fault = faults.Fault(
        hand.wall, "keeping what is watched up to date", "RuntimeError: x", "agenda.py:1", ""
    )
    hand.turn(6)
    assert state_of(controller) == "failing"
    assert "keeping what is watched up to date" in controller.state.health.reason
    assert any(
        isinstance(message, PanelChange) and message.health == controller.state.health for message in page.messages
    )
    hand.current_fault = None
    hand.turn(6)
    assert state_of(controller) == "live"
