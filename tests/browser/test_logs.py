"""The panel of log lines beside a cell that runs: it tails, searches and pauses meanwhile."""

from __future__ import annotations

from playwright.sync_api import expect

from loops_nb.local.store.process_logs import ProcessLine
from tests.browser.cells import busy
from tests.browser.conftest import NotebookOpener
from tests.browser.panel import Panel
from tests.browser.service_state import ServiceState
from tests.service import ThreadService


def test_lines_come_while_the_cell_runs_and_are_searched_and_paused(
    opener: NotebookOpener, service: ThreadService, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("training")

    def write(*lines: tuple[str, str]) -> None:
        state.clock.advance(1)
        written = [ProcessLine(state.clock(), text, level) for level, text in lines]
        service.app.state.service.store.logs.add(f"deployments/{run.deployment_id}", written)

    write(("INFO", "step 1, 2048 tokens, gradient norm 0.81"), ("WARNING", "the loss is 812.5"))
    stop = opener.server.root / "logs-stop"
    cell_text = f"%loops watch logs training\n{busy('sleeping', stop.name)}"
    notebook = opener.notebook("%load_ext loops_nb", cell_text, kernel="ipykernel74", environment=connected)
    notebook.run(0)
    cell = notebook.start(1)
    panel = Panel(notebook.page).shown()
    panel.says("the loss is 812.5")
    write(("ERROR", "forward_backward failed\nMemoryError: CUDA out of memory"))
    panel.says("CUDA out of memory")
    expect(panel.root.get_by_role("status")).to_contain_text("1 new error: forward_backward failed")
    expect(panel.root.locator(".line.ERROR .level")).to_have_text("ERROR")

    panel.filter("norm")
    expect(panel.root.locator(".line")).to_have_count(1)
    expect(panel.root.locator("mark")).to_have_text("norm")
    panel.filter("")
    panel.root.get_by_role("combobox", name="Lowest level").select_option(label="Errors")
    expect(panel.root.locator(".line")).to_have_count(1)
    panel.root.get_by_role("combobox", name="Lowest level").select_option(label="All levels")
    panel.button("Pause").click()
    panel.stands("paused")
    write(("INFO", "step 2 while it is paused"))
    panel.button("Resume").click()
    panel.says("step 2 while it is paused")
    assert not cell.over
    stop.touch()
    cell.wait()
    # What is left in the notebook without a kernel.
    assert "MemoryError: CUDA out of memory" in "".join(map(str, notebook.outputs(1)))
