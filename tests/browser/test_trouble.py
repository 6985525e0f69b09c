"""Failures of the service: the last good data stays, the panel says why it is stale, and recovers by itself."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from loops_nb import Loops
from tests.browser.cells import fleet
from tests.browser.conftest import KEY, NotebookOpener
from tests.browser.panel import Panel
from tests.browser.ports import free_port
from tests.browser.service_state import MODEL, ServiceState
from tests.service import ProcessService, running_service


def test_the_service_dies_and_comes_back(opener: NotebookOpener, tmp_path: Path) -> None:
    with (
        running_service(speed=1.0, data_dir=tmp_path / "process", port=free_port()) as service,
        Loops("another", service.url) as loops,
    ):
        assert isinstance(service, ProcessService)
        run = loops.runs.create(session_id=loops.sessions.create().id, base_model=MODEL, name="survivor")
        notebook = opener.notebook(fleet(), environment={"LOOPS_BASE_URL": service.url, "BASETEN_API_KEY": KEY})
        notebook.run(0)
        panel = Panel(notebook.page).shown()
        expect(panel.row(run.id)).to_contain_text("survivor")

        service.kill()
        panel.stands("failing")
        expect(panel.row(run.id)).to_contain_text("survivor")
        service.start()
        panel.stands("live")
        loops.runs.deactivate(run.id)
        panel.show_finished()
        expect(panel.row(run.id)).to_contain_text("Stopped")
    assert notebook.printed(0) == ""


def test_the_key_is_revoked_half_way(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run = state.run("still shown", up=False)
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("still shown")

    # A service that says the key in its answer: that must not come through to the page.
    state.proxy.refuse(401, f"The key {KEY} was revoked.", key=KEY)
    panel.stands("failing")
    panel.says("revoked")
    expect(panel.row(run.id)).to_contain_text("still shown")
    state.everything_comes_up()
    state.proxy.relent()
    # A key is seldom given back: it is tried again by and by, and at once for who presses the button.
    panel.button("Refresh").click()
    panel.stands("live")
    expect(panel.row(run.id)).to_contain_text("Running")


def test_a_service_that_does_not_answer_holds_nothing_up(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("still shown", up=False)
    notebook = opener.notebook(fleet(), "print(6 * 7)", environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("still shown")
    state.proxy.hold()
    try:
        panel.stands("failing")
        notebook.run(1)
        assert notebook.printed(1) == "42\n"
    finally:
        state.proxy.relent()
    panel.stands("live")


def test_nothing_yet_is_told_from_cannot_reach(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    panel.says("No runs")
    state.run("the first")
    panel.says("the first")
    panel.says_no_more("No runs")
