"""At home in JupyterLab: in both themes, by keyboard, for those who listen to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.cells import fleet, one
from tests.browser.conftest import NotebookOpener
from tests.browser.notebook import Notebook
from tests.browser.panel import LIVE, Panel
from tests.browser.service_state import ServiceState

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"


def complaints(notebook: Notebook) -> list[Any]:
    """Return what axe finds in the panels, in the light theme and in the dark one."""
    notebook.page.add_script_tag(path=AXE)
    findings = []
    for theme in notebook.themes():
        found = notebook.page.evaluate("s => axe.run({ include: [[s]] })", LIVE)
        findings += [(theme, v["id"], v["help"], [n["html"] for n in v["nodes"]]) for v in found["violations"]]
    return findings


def test_axe_finds_nothing(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run, gone = state.run("alive"), state.run("gone")
    state.save(run, "step-100")
    notebook = opener.notebook(fleet(), one(run), environment=connected)
    notebook.run(0)
    notebook.run(1)
    first, second = Panel(notebook.page, 0).shown(), Panel(notebook.page, 1).shown()
    expect(first.row(run.id)).to_be_visible()
    expect(second.row("ck-0")).to_be_visible()
    assert complaints(notebook) == []

    # With everything open, and with bad news.
    state.end(gone)
    state.everything_comes_up()
    first.says("has ended")
    first.show_finished()
    expect(first.row(gone.id)).to_contain_text("Stopped")
    first.row(run.id).get_by_role("button", name="Details").click()
    second.row("ck-0").get_by_role("button", name="Details").click()
    first.ask_to_deactivate(run.id)
    state.proxy.refuse(500, "The service is ill.")
    first.stands("failing")
    second.stands("failing")
    second.row("ck-0").locator("[data-control=menu]").click()
    expect(second.root.get_by_role("menu")).to_be_visible()
    assert complaints(notebook) == []


def test_a_change_of_the_theme_is_followed(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("in both")
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    cell = Panel(notebook.page).shown().row(run.id).get_by_role("cell").first
    read = "e => { const c = getComputedStyle(e).color.match(/[0-9.]+/g).map(Number); return c[0] + c[1] + c[2] }"
    light, dark = [cell.evaluate(read) for _ in notebook.themes()]
    assert light < 300 < dark


@pytest.mark.parametrize("opener", ["lab", "notebook"], indirect=True)
def test_by_keyboard_alone(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run, other = state.run("aabb"), state.run("other")
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(other.id)).to_be_visible()
    cells = notebook.page.evaluate("() => driver.panel().content.model.cells.length")

    # What is typed on any of its elements does nothing to the notebook: a, b, d and x are commands there.
    panel.button("Pause").focus()
    for _ in range(12):
        notebook.page.keyboard.type("aabbddx")
        notebook.page.keyboard.press("Tab")
    assert notebook.page.evaluate("() => driver.panel().content.model.cells.length") == cells

    panel.root.get_by_role("searchbox").focus()
    notebook.page.keyboard.press("Control+a")
    notebook.page.keyboard.type("aabb")
    expect(panel.row(other.id)).to_have_count(0)
    expect(panel.row(run.id)).to_have_count(1)
    assert notebook.page.evaluate("() => driver.panel().content.model.cells.length") == cells


def test_focus_filter_and_scroll_survive_changes(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    runs = [state.run(f"number {number}", up=False) for number in range(5)]
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    box = panel.root.get_by_role("searchbox")
    box.fill("number")
    box.press("Home")
    box.press("Shift+ArrowRight")
    state.everything_comes_up()
    expect(panel.row(runs[2].id)).to_contain_text("Running")
    assert box.evaluate("e => [e === e.getRootNode().activeElement, e.value, e.selectionStart, e.selectionEnd]") == [
        True,
        "number",
        0,
        1,
    ]


@pytest.mark.parametrize("width", [400, 1600])
def test_readable_at_any_width(
    width: int, opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("narrow or wide")
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    panel.root.evaluate("(e, width) => { e.style.width = `${width}px` }", width)
    expect(panel.row(run.id)).to_contain_text("Running")
    assert panel.root.evaluate("e => e.scrollWidth <= e.clientWidth")
