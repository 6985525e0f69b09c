"""What a panel shows of a run: new checkpoints, what ended and what to do next, in the order that the user chose."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.cells import fleet, one
from tests.browser.conftest import NotebookOpener
from tests.browser.panel import Panel
from tests.browser.service_state import ServiceState
from tests.browser.test_life import wait_until_silent


def test_checkpoints_appear_and_their_uri_is_copied(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("saving")
    notebook = opener.notebook(one(run), environment=connected)
    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=opener.server.url)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    panel.says("No checkpoints yet")
    state.save(run, "step-100")
    expect(panel.row("ck-0")).to_contain_text("step-100")
    uri = state.save(run, "step-200", sync_status="SYNCING")
    expect(panel.row("ck-1")).to_contain_text("Syncing")

    panel.row("ck-1").get_by_role("button", name="Copy the URI").click()
    notebook.page.wait_for_function("async uri => await navigator.clipboard.readText() === uri", arg=uri)
    panel.row("ck-0").locator("[data-control=menu]").click()
    panel.root.get_by_role("menuitem", name="Copy id").click()
    notebook.page.wait_for_function("async id => await navigator.clipboard.readText() === id", arg="ck-0")


def test_an_end_is_announced_once_and_then_nothing_is_asked(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("to be ended")
    state.save(run, "step-100")
    notebook = opener.notebook(one(run), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row("ck-0")).to_be_visible()
    assert panel.root.locator("[data-notice]").count() == 0
    state.end(run)
    notice = panel.root.locator("[data-notice]")
    expect(notice).to_contain_text("has ended")
    # What to do next: go on from the newest checkpoint.
    expect(notice).to_contain_text(f"bt://loops:{run.id}/weights/step-100")
    state.everything_comes_up()
    panel.stands("over")
    wait_until_silent(state, notebook)
    expect(notice).to_have_count(1)
    notice.get_by_role("button", name="Dismiss").click()
    expect(notice).to_have_count(0)


def test_order_and_hiding_are_kept_through_changes(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    runs = {name: state.run(name, up=False) for name in ("bravo", "charlie", "alpha")}
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    table = panel.root.locator('[data-table="runs"]')

    def expect_order(*names: str) -> None:
        expect(table.locator("tr[data-id]")).to_have_count(len(names))
        for position, name in enumerate(names):
            expect(table.locator("tr[data-id]").nth(position)).to_contain_text(name)

    expect_order("alpha", "charlie", "bravo")
    table.get_by_role("columnheader", name="Name").get_by_role("button").click()
    expect_order("alpha", "bravo", "charlie")
    state.everything_comes_up()
    expect(panel.row(runs["charlie"].id)).to_contain_text("Running")
    expect_order("alpha", "bravo", "charlie")
    state.run("also")
    expect_order("alpha", "also", "bravo", "charlie")
    state.end(runs["bravo"])
    state.everything_comes_up()
    expect_order("alpha", "also", "charlie")
    panel.show_finished()
    expect_order("alpha", "also", "bravo", "charlie")
