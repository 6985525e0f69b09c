"""Pictures of checkpoints in tabs of a panel: drawn by the kernel, also during a cell, not in the notebook's file."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.cells import QUICK, busy
from tests.browser.conftest import NotebookOpener
from tests.browser.panel import Panel
from tests.browser.service_state import ServiceState
from tests.browser.test_look import complaints

_WATCH = "import loops_nb\npanel = loops_nb.Loops().checkpoints.watch(run_id={!r}, interval={})\npanel"


def tab(panel: Panel, name: str) -> Locator:
    return panel.root.get_by_role("tab", name=name)


def picture(panel: Panel) -> Locator:
    return panel.root.get_by_role("tabpanel").locator("svg.loops-nb-picture")


@pytest.mark.parametrize("kernel", ["ipykernel74"])
def test_is_drawn_while_a_cell_runs_and_follows_the_run(
    kernel: str, opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("saves")
    state.save(run, "step-100")
    stop = opener.server.root / f"picture-{kernel}-stop"
    notebook = opener.notebook(
        _WATCH.format(run.id, QUICK), busy("computing", stop.name), kernel=kernel, environment=connected
    )
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row("ck-0")).to_be_visible()
    cell = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    tab(panel, "Timeline").click()
    expect(picture(panel)).to_be_visible()
    expect(panel.row("ck-0")).to_be_hidden()
    expect(picture(panel)).not_to_contain_text("step-200")
    state.clock.advance(60)
    state.save(run, "step-200")
    expect(picture(panel)).to_contain_text("step-200")
    tab(panel, "Sizes").click()
    expect(picture(panel)).to_contain_text("Sizes of checkpoints")
    assert not cell.over
    stop.touch()
    cell.wait()
    notebook.save()
    assert "loops-nb-picture" not in notebook.path.read_text("utf-8"), "what is drawn on request is not kept"


def test_waits_for_a_kernel_that_cannot_hear(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("saves")
    state.save(run, "step-100")
    stop = opener.server.root / "picture-6-stop"
    notebook = opener.notebook(
        _WATCH.format(run.id, QUICK), busy("sleeping", stop.name), kernel="ipykernel6", environment=connected
    )
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row("ck-0")).to_be_visible()
    cell = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    tab(panel, "Timeline").click()
    panel.says("Waiting for the kernel")
    expect(picture(panel)).to_have_count(0)
    stop.touch()
    cell.wait()
    expect(picture(panel)).to_be_visible()
    panel.says_no_more("Waiting for the kernel")


def test_axe_finds_nothing_in_pictures(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run = state.run("saves")
    for number in range(1, 6):
        state.clock.advance(60)
        state.save(run, f"step-{100 * number}")
    notebook = opener.notebook(_WATCH.format(run.id, QUICK), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row("ck-4")).to_be_visible()
    panel.root.get_by_role("tab", name="Table").focus()
    for name in ("Timeline", "Sizes"):
        notebook.page.keyboard.press("ArrowRight")
        expect(tab(panel, name)).to_have_attribute("aria-selected", "true")
        expect(picture(panel)).to_be_visible()
        assert complaints(notebook) == []
    notebook.page.keyboard.press("ArrowRight")
    panel.says("Measuring reads the weights of 5 checkpoints over the network, at most 2.6 GB")
    assert complaints(notebook) == []
    panel.button("Measure drift").click()
    # The service's checkpoints have no files: that is said, and can be tried again.
    expect(panel.root.locator("[data-picture=failed]")).to_be_visible()
    expect(panel.button("Measure again")).to_be_enabled()
    assert complaints(notebook) == []
