"""Deactivating, deleting and deploying from a panel: asked twice, queued while the kernel is busy, done once."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from starlette.responses import JSONResponse, Response

from tests.browser.cells import busy, fleet, one
from tests.browser.conftest import NotebookOpener
from tests.browser.fault_proxy import Seen
from tests.browser.panel import Panel
from tests.browser.service_state import ServiceState


def deactivations(state: ServiceState) -> int:
    return sum(1 for seen in list(state.proxy.seen) if seen.method == "POST" and seen.path.endswith("/deactivate"))


@pytest.mark.parametrize("kernel", ["ipykernel6", "ipykernel74"])
def test_deactivated_from_the_panel_while_a_cell_runs(
    kernel: str, opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run, other = state.run("ended by a click"), state.run("left alone")
    stop = opener.server.root / f"order-{kernel}-stop"
    notebook = opener.notebook(fleet(), busy("sleeping", stop.name), kernel=kernel, environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("Running")
    cell = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")

    panel.ask_to_deactivate(run.id)
    assert deactivations(state) == 0, "it did not ask twice"
    panel.confirm()
    if kernel == "ipykernel6":
        panel.says("Queued")
        assert deactivations(state) == 0
        stop.touch()
        cell.wait()
        panel.says("Deactivation accepted")
    else:
        panel.says("Deactivation accepted")
        assert not cell.over
        stop.touch()
        cell.wait()
    expect(panel.row(run.id)).to_contain_text("Stopped")
    assert deactivations(state) == 1
    expect(panel.row(other.id)).to_contain_text("Running")


class _NewModel:
    """Has a checkpoint deployed that only a listing of the test knows."""

    def __init__(self) -> None:
        self.status = "DEPLOYING"
        self.deployed: list[str] = []

    def answer(self, seen: Seen) -> Response | None:
        match seen.method, seen.path:
            case "POST", "/v1/loops/checkpoints/validate":
                return JSONResponse({})
            case "POST", "/v1/loops/checkpoints/deploy":
                self.deployed.append(seen.path)
                return JSONResponse({"model_id": "m1", "deployment_id": "d1"})
            case "GET", "/v1/models/m1/deployments/d1":
                return JSONResponse({"id": "d1", "status": self.status})
        return None


def test_deleted_and_deployed_from_the_panel_after_a_plan_was_shown(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run, other = state.run("deleted by a click"), state.run("left alone")
    stop = opener.server.root / "deletion-stop"
    notebook = opener.notebook(
        fleet(), one(run), busy("sleeping", stop.name), one(other), kernel="ipykernel6", environment=connected
    )
    notebook.run(0)
    notebook.run(1)
    panel, of_run = Panel(notebook.page, 0).shown(), Panel(notebook.page, 1).shown()
    cell = notebook.start(2)
    expect(notebook.cell(2)).to_contain_text("[*]")
    panel.ask_to_delete(run.id)
    panel.says("Queued: the kernel is busy")
    question = panel.root.get_by_role("alertdialog")
    expect(question.get_by_role("button", name="Delete", exact=True)).to_be_disabled()
    stop.touch()
    cell.wait()
    expect(question).to_contain_text(f"Delete run {run.id} (deleted by a click) with 0 checkpoints (0 bytes) for good?")
    expect(question).to_contain_text("it is active: its deployment")
    assert state.loops.runs.get(run.id).id == run.id
    panel.confirm("Delete")
    panel.says(f"run {run.id}: Deleted 1 run.")
    panel.says(f"Run {run.id} (deleted by a click) was deleted.")
    expect(panel.row(run.id)).to_have_count(0)
    expect(panel.row(other.id)).to_contain_text("Running")
    of_run.stands("over")
    expect(of_run.root.locator("[data-part=run]")).to_contain_text("Deleted")
    assert [seen.path for seen in list(state.proxy.seen) if seen.method == "DELETE"] == [f"/v1/loops/runs/{run.id}"]

    state.save(other, "step-8", target="sampler")
    model = _NewModel()
    state.proxy.answer = model.answer
    notebook.run(3)
    deploying = Panel(notebook.page, 2).shown()
    deploying.ask_to_deploy("ck-0")
    question = deploying.root.get_by_role("alertdialog")
    expect(question.get_by_role("button", name="Deploy")).to_be_disabled()
    hardware = question.get_by_label("Instance type")
    expect(hardware).to_be_focused()
    hardware.select_option("local-h100-1")
    expect(question).to_contain_text("A node of it is $6.67 an hour. Made-up prices")
    # The keys are the field's, not the notebook's.
    question.get_by_label("Name of the new model").fill("")
    question.get_by_label("Name of the new model").press_sequentially("add b")
    assert model.deployed == []
    deploying.confirm("Deploy")
    deploying.says("Deployed as model 'add b' (m1), deployment d1. It is DEPLOYING.")
    model.status = "ACTIVE"
    deploying.says("It is ACTIVE. %loops deploy status m1 shows its state")
    expect(deploying.root.locator("[data-ending] pre")).to_contain_text("/models/m1/deployment/d1/")
    assert len(model.deployed) == 1


def test_thinking_better_of_it_changes_nothing(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("kept")
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    panel.ask_to_deactivate(run.id)
    panel.think_better()
    later = state.run("later")
    expect(panel.row(later.id)).to_be_visible()
    assert deactivations(state) == 0


def test_what_the_service_refuses_is_said(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("not yours")
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    panel.ask_to_deactivate(run.id)
    state.proxy.refuse(403, "You may not end this run.", method="POST")
    panel.confirm()
    panel.says("You may not end this run")
    expect(panel.row(run.id)).to_contain_text("Running")


def test_pause_refresh_resume(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run = state.run("first")
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_be_visible()
    panel.button("Pause").click()
    panel.stands("paused")
    second = state.run("second")
    panel.button("Refresh").click()
    expect(panel.row(second.id)).to_be_visible()
    panel.stands("paused")
    panel.button("Resume").click()
    panel.stands("live")
    third = state.run("third")
    expect(panel.row(third.id)).to_be_visible()
