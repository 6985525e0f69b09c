"""The widget itself, over the real service: what it opens it closes, and nothing secret is in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ipywidgets
import pytest

from loops_nb import Loops
from loops_nb.api.models import DeployedModel, ModelDeployment
from loops_nb.errors import ConfigError, InvalidArgumentError, NotFoundError, ServiceUnreachableError
from loops_nb.live import poller_for
from loops_nb.panels import (
    CheckpointsPanel,
    DashboardPanel,
    DeploymentsPanel,
    FleetPanel,
    Panel,
    RunPanel,
    SamplersPanel,
    bundle,
)
from loops_nb.panels.deployment import FollowedDeployment
from loops_nb.panels.messages import CommandStatus
from tests.panels.waiting import until
from tests.service import AnyService, running_service

pytestmark = pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")
KEY = "sentinel-key-0123456789"
RUN = "p2syas8"


@pytest.fixture
def loops(service: AnyService, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loops]:
    # A checkout whose page code was not built tests everything else all the same.
    for name in ("panel", "curves.panel"):
        monkeypatch.setattr(f"loops_nb.panels.{name}.page_code", lambda *_: "export default { render() {} }")
    with Loops(KEY, service.url) as made:
        yield made


@pytest.fixture
def swift(loops: Loops) -> Iterator[Loops]:
    """A service of its own, in which what takes minutes is over at once."""
    assert loops is not None
    with running_service(in_process=True, sample=True) as own, Loops(KEY, own.url) as made:
        yield made


@pytest.fixture
def opened() -> Iterator[list[Panel]]:
    panels: list[Panel] = []
    yield panels
    for panel in panels:
        panel.close()


def every_panel(loops: Loops) -> list[Panel]:
    return [
        FleetPanel(loops),
        RunPanel(loops, RUN),
        SamplersPanel(loops),
        DeploymentsPanel(loops),
        CheckpointsPanel(loops, run_id=RUN),
        DashboardPanel(loops),
    ]


def test_a_panel_has_its_first_data_when_it_opens(loops: Loops, opened: list[Panel]) -> None:
    opened += every_panel(loops)
    for panel in opened:
        snapshot = panel.get_state()["snapshot"]
        assert snapshot["ready"], panel
        assert any(table["rows"] for table in snapshot["tables"].values()), panel


def test_a_change_on_the_service_reaches_the_panel(loops: Loops, opened: list[Panel]) -> None:
    session = loops.sessions.create()
    run = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", name="watched")
    panel = loops.runs.watch(run.id, interval=0.05)
    opened.append(panel)
    until(lambda: panel.snapshot_now().run is not None)
    loops.runs.deactivate(run.id)
    until(lambda: panel.snapshot_now().notices)
    assert "has ended" in panel.snapshot_now().notices[0].text
    until(lambda: panel.snapshot_now().health.state == "over")
    # Nothing is polled any more: this process tells the panel what it deletes.
    loops.runs.delete(run.id)
    until(lambda: "was deleted" in panel.snapshot_now().notices[0].text)


def test_an_order_of_the_page_is_carried_out(loops: Loops, opened: list[Panel]) -> None:
    session = loops.sessions.create()
    run = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B")
    panel = FleetPanel(loops, interval=0.05)
    opened.append(panel)
    panel._heard(panel, {"type": "command", "id": "1", "what": "deactivate", "table": "runs", "target": run.id}, [])
    until(lambda: [command.state for command in panel.snapshot_now().commands] == ["done"])
    # True at once and still true when it has ended: the text stays until it is closed.
    assert panel.snapshot_now().commands[0].text == "Deactivation accepted; checkpoints stay."
    status = loops.runs.get(run.id).status
    assert status is not None
    assert status.name == "INACTIVE"


def test_an_order_that_the_service_refuses_says_why(loops: Loops, opened: list[Panel]) -> None:
    run = loops.runs.get(RUN)
    assert run.sampler is not None
    panel = SamplersPanel(loops)
    opened.append(panel)
    panel._heard(
        panel, {"type": "command", "id": "1", "what": "deactivate", "table": "samplers", "target": run.sampler.id}, []
    )
    until(lambda: [command.state for command in panel.snapshot_now().commands] == ["failed"])
    assert RUN in panel.snapshot_now().commands[0].text


def test_a_deletion_is_planned_first_and_nothing_else_is_deleted(loops: Loops, opened: list[Panel]) -> None:
    run = loops.runs.create(session_id=loops.sessions.create().id, base_model="Qwen/Qwen3-8B", name="over")
    listed = loops.checkpoints.list(run_id=RUN)
    saved = [one for one in listed if one.target == "sampler" and one.sync_status == "COMPLETE"]
    used, free = saved[0], saved[-1]
    loops.checkpoints.deploy(
        checkpoint_ids=[used.id],
        model_name="support",
        instance_type_id="local-h100-1",
        hf_secret_name="hf_access_token",
    )
    fleet, checkpoints = FleetPanel(loops, interval=0.05), CheckpointsPanel(loops, run_id=RUN)
    opened += [fleet, checkpoints]

    def told(panel: Panel, key: str, what: str, target: str) -> CommandStatus:
        table = "runs" if panel is fleet else "checkpoints"
        panel._heard(panel, {"type": "command", "id": key, "what": what, "table": table, "target": target}, [])
        until(lambda: any(one.what == what and one.state != "running" for one in statuses(panel, key)))
        return statuses(panel, key)[0]

    def statuses(panel: Panel, key: str) -> list[CommandStatus]:
        return [one for one in panel.snapshot_now().commands if one.id == key]

    unplanned = told(fleet, "1", "delete", run.id)
    assert (unplanned.state, "There is no plan of this deletion" in unplanned.text) == ("failed", True)
    plan = told(fleet, "2", "plan_deletion", run.id)
    assert plan.text == f"Delete run {run.id} (over) with 0 checkpoints (0 bytes) for good?"
    assert "it is active: its deployment" in plan.hint
    assert "plan_deletion" not in fleet._words(200)
    assert loops.runs.get(run.id).id == run.id, "a plan deletes nothing"
    assert (told(fleet, "2", "delete", run.id).text, statuses(fleet, "2")[0].state) == ("Deleted 1 run.", "done")
    until(lambda: [notice.about for notice in fleet.snapshot_now().notices] == [run.id])
    assert "Asked for here: delete" in fleet._words(200)
    gone = told(fleet, "3", "plan_deletion", run.id)
    assert (gone.state, gone.hint) == ("failed", "Nothing was deleted.")

    assert "was made from it" in told(checkpoints, "4", "plan_deletion", used.id).hint
    kept = told(checkpoints, "4", "delete", used.id)
    assert (kept.state, kept.text) == ("failed", "Nothing was deleted.")
    assert "is in use: model deployment" in kept.hint
    assert "for good?" in told(checkpoints, "5", "plan_deletion", free.id).text
    assert told(checkpoints, "5", "delete", free.id).text.startswith("Deleted 1 checkpoint (")
    until(lambda: free.id not in {row[0] for row in checkpoints.snapshot_now().tables["checkpoints"].rows})
    assert "is not listed any more" in told(checkpoints, "6", "plan_deletion", free.id).text


def test_a_checkpoint_is_deployed_as_it_was_planned_and_followed_until_it_answers(
    swift: Loops, opened: list[Panel]
) -> None:
    listed = swift.checkpoints.list(run_id=RUN)
    one = next(each for each in listed if each.target == "sampler" and each.sync_status == "COMPLETE")
    trainer = next(each for each in listed if each.target == "trainer")
    panel = CheckpointsPanel(swift, run_id=RUN)
    opened.append(panel)

    def told(key: str, what: str, target: str = one.id, table: str = "checkpoints", **chosen: str) -> CommandStatus:
        panel._heard(
            panel, {"type": "command", "id": key, "what": what, "table": table, "target": target, **chosen}, []
        )
        until(lambda: any(one.what == what and one.state != "running" for one in statuses(key)))
        return statuses(key)[0]

    def statuses(key: str) -> list[CommandStatus]:
        return [one for one in panel.snapshot_now().commands if one.id == key]

    def ask(key: str) -> CommandStatus:
        return told(key, "plan_deployment")

    before = len(swift.models.list())
    assert "is a trainer checkpoint" in told("1", "plan_deployment", trainer.id).text
    assert statuses("1")[0].hint == "Nothing was deployed."
    assert "Only checkpoints can be deployed" in told("2", "plan_deployment", RUN, table="runs").text
    chosen = {"hardware": "local-h100-1", "name": "by-mouse"}
    assert "There is no plan of this deployment. Nothing was deployed." in told("3", "deploy", **chosen).text
    ask("4")
    assert "There is no instance type 'x'. Nothing was deployed." in told("4", "deploy", hardware="x", name="y").text
    ask("5")
    assert "Nothing was deployed." in told("5", "deploy", hardware="local-h100-1", name="  ").text
    found = ask("6")
    assert found.text == f"Deploy {RUN}/sampler_weights/{one.checkpoint_id} as a new model?"
    assert "Made-up prices" in found.hint
    assert "billed" not in found.hint
    assert found.plan is not None
    assert found.plan.name == one.checkpoint_id
    shape = next(each for each in found.plan.hardware if each.id == "local-h100-1")
    assert (shape.name, shape.price) == ("H100 x 1 (local-h100-1), 1 GPU", "$6.67 an hour")
    assert len(swift.models.list()) == before, "a plan deploys nothing"
    assert "plan_deployment" not in panel._words(200)

    done = told("6", "deploy", **chosen)
    (model,) = swift.models.list(name="by-mouse")
    assert (done.state, done.plan) == ("done", None)
    assert f"Deployed as model 'by-mouse' ({model.id})" in done.text
    assert done.text.endswith("It is ACTIVE.")
    assert f"%loops deploy status {model.id}" in done.hint
    assert f"/models/{model.id}/deployment/" in done.code
    assert f"model={one.checkpoint_id!r}" in done.code
    assert len(done.code.splitlines()) == 3
    assert KEY not in done.code
    again = ask("7").plan
    assert again is not None
    assert "by-mouse" in again.taken


def test_a_new_model_is_not_followed_for_ever_and_its_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def followed() -> FollowedDeployment:
        return FollowedDeployment(DeployedModel(model_id="m1", deployment_id="d1"), "Deployed.", "code")

    def answer(status: str) -> ModelDeployment:
        return ModelDeployment(id="d1", status=status)

    one = followed()
    assert one.look(answer("BUILDING")) is not None
    assert tuple(one.outcome) == ("running", "Deployed. It is BUILDING.", "", "", None)
    # A service that is away for a moment ends nothing.
    assert one.look(ServiceUnreachableError("gone")) is not None
    assert one.outcome.text == "Deployed. It is BUILDING."
    assert one.look(answer("DEPLOY_FAILED")) is None
    assert one.outcome.state == "failed"
    assert "is DEPLOY_FAILED and does not become ACTIVE by itself" in one.outcome.text
    assert 'loops.model_deployments.logs("m1", "d1")' in one.outcome.hint
    gone = followed()
    assert gone.look(NotFoundError("No such model.", status=404)) is None
    assert gone.outcome.text == "Deployed. Its state cannot be read: No such model."
    monkeypatch.setattr("loops_nb.panels.deployment.FOLLOW_SECONDS", 1e-9)
    slow = followed()
    assert slow.look(answer("BUILDING")) is None
    assert (slow.outcome.state, "It goes on" in slow.outcome.text) == ("failed", True)
    assert "%loops deploy status m1" in slow.outcome.hint


def test_a_hundred_panels_leave_nothing_behind(loops: Loops) -> None:
    poller = poller_for(loops.config)
    poller.linger = 0.05
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("loops-nb-live-poller")])
    for _ in range(20):
        for panel in every_panel(loops):
            panel.close()
    assert [w for w in ipywidgets.widgets.widget._instances.values() if isinstance(w, Panel)] == []
    assert not poller._subscriptions
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("loops-nb-live")])


def test_frames_are_there_after_the_panel_is_closed(loops: Loops) -> None:
    panel = FleetPanel(loops)
    panel.close()
    panel.close()
    frame = panel.frame
    assert frame.loops.kind == "runs"
    assert "over" in repr(panel)


def test_the_first_snapshot_of_all_runs_has_their_price_an_hour_and_says_that_it_is_made_up(
    loops: Loops, opened: list[Panel]
) -> None:
    panel = FleetPanel(loops)
    opened.append(panel)
    facts = {fact.label: fact.value for fact in panel.snapshot_now().facts}
    assert facts["an hour"].startswith("$")
    assert "Made-up prices" in facts["prices"]


def test_a_script_is_shown_the_report_as_text(
    loops: Loops, opened: list[Panel], capsys: pytest.CaptureFixture[str]
) -> None:
    panel = loops.runs.watch(RUN)
    opened.append(panel)
    panel.show()
    told = capsys.readouterr().out
    assert told.startswith(f"Run {RUN}\nAs of ")
    assert told.count("bt://loops:") == 20
    assert "text/html" not in told
    panel.close()
    panel.show()
    assert f"Run {RUN}" in capsys.readouterr().out


def test_a_panel_without_data_says_so(opened: list[Panel], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.panels.panel.page_code", lambda *_: "export default { render() {} }")
    panel = FleetPanel(Loops(KEY, "http://127.0.0.1:9"))
    opened.append(panel)
    assert panel.snapshot_now().health.state == "failing"
    assert "nothing listens" in panel.snapshot_now().health.reason
    with pytest.raises(InvalidArgumentError, match="Nothing came"):
        _ = panel.frame


def test_no_key_is_in_anything_that_a_notebook_may_keep(loops: Loops, opened: list[Panel]) -> None:
    opened += every_panel(loops)
    for panel in opened:
        kept = (
            json.dumps(panel.get_state(), default=str)
            + repr(panel)
            + str(panel._report(live=True))
            + str(vars(panel._poller))
        )
        assert KEY not in kept
        assert not any(KEY in str(value) for value in vars(panel).values())


def test_bad_input_is_refused_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = Loops(KEY, "http://127.0.0.1:9")
    before = threading.active_count()
    with pytest.raises(InvalidArgumentError):
        RunPanel(nowhere, "../x")
    with pytest.raises(InvalidArgumentError):
        RunPanel(nowhere, "")
    with pytest.raises(InvalidArgumentError, match="exactly one"):
        CheckpointsPanel(nowhere)
    with pytest.raises(InvalidArgumentError, match="exactly one"):
        CheckpointsPanel(nowhere, run_id="a", base_model="b")
    with pytest.raises(InvalidArgumentError):
        FleetPanel(nowhere, interval=0)
    with pytest.raises(ConfigError):
        FleetPanel(nowhere, time_zone="Mars/Phobos")
    with pytest.raises(InvalidArgumentError, match="by its id alone"):
        nowhere.runs.watch("a", base_model="b")
    # Threads of earlier tests may end meanwhile.
    assert threading.active_count() <= before


def test_a_package_without_its_page_code_says_how_to_build_it(
    loops: Loops, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bundle, "files", lambda _package: tmp_path)
    monkeypatch.setattr("loops_nb.panels.panel.page_code", bundle.page_code.__wrapped__)
    poller = poller_for(loops.config)
    with pytest.raises(Exception, match="npm run build"):
        FleetPanel(loops)
    assert not poller._subscriptions


def test_in_colab_news_waits_for_a_word_of_the_page(
    loops: Loops, opened: list[Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    colab = types.ModuleType("google.colab")
    colab.output = types.SimpleNamespace(enable_custom_widget_manager=lambda: None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    panel = FleetPanel(loops, interval=0.05)
    opened.append(panel)
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(panel, "send", lambda message: sent.append((threading.current_thread().name, message)))
    panel._heard(panel, {"type": "view_opened", "view": "v", "have": None}, [])
    sent.clear()
    until(lambda: panel._waiting)
    assert sent == []
    panel._heard(panel, {"type": "view_visibility", "view": "v", "visible": True}, [])
    assert {name for name, _ in sent} == {threading.current_thread().name}
    assert sent[0][1]["type"] in {"snapshot", "change", "heartbeat"}


def test_watch_of_the_resources_is_the_panel_of_that_name(loops: Loops, opened: list[Panel]) -> None:
    opened += [
        loops.runs.watch(),
        loops.runs.watch(RUN),
        loops.samplers.watch(),
        loops.deployments.watch(),
        loops.checkpoints.watch(run_id=RUN),
    ]
    kinds = (FleetPanel, RunPanel, SamplersPanel, DeploymentsPanel, CheckpointsPanel)
    assert all(isinstance(panel, kind) for panel, kind in zip(opened, kinds, strict=True))


def test_panels_of_one_connection_ask_once(service: AnyService) -> None:
    with Loops(KEY, service.url) as one, Loops(KEY, service.url) as other:
        assert poller_for(one.config) is poller_for(other.config)
    assert httpx.get(f"{service.url}/v1/loops/runs", headers=service.headers).status_code == 200


def test_panel_of_runs_shows_rows_without_pandas(service: AnyService) -> None:
    program = (
        "import sys, loops_nb; panel = loops_nb.Loops().runs.watch()\n"
        "assert panel.snapshot_now().tables['runs'].rows and panel._report(live=True)\n"
        "sys.exit('pandas' in sys.modules)"
    )
    environment = {**os.environ, "LOOPS_BASE_URL": service.url, "BASETEN_API_KEY": KEY}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
