"""Panels come and go with their cells, and nothing is asked of the service for a hidden panel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.cells import QUICK, busy, fleet, one
from tests.browser.conftest import NotebookOpener
from tests.browser.notebook import Notebook, wait_for
from tests.browser.panel import LIVE, REPORT, Panel
from tests.browser.service_state import ServiceState

#: Even when all is still a panel looks this often; a longer silence means that it does not look.
SILENCE_SECONDS = 5 * QUICK * 2
_NOTEBOOKS = "@jupyterlab/notebook-extension:tracker"
THREADS = "import threading; print(*sorted(t.name for t in threading.enumerate() if t.name.startswith('loops-nb')))"
#: A page that Playwright drives never thinks itself hidden: its own emulation of the focus sees to that.
PRETEND = """state => {
    Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => state });
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => state === 'hidden' });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def wait_until_silent(state: ServiceState, notebook: Notebook) -> None:
    wait_for(lambda: state.proxy.quiet_for() > SILENCE_SECONDS, "the service is asked no more", notebook.page)


def wait_until_looking(state: ServiceState, notebook: Notebook) -> None:
    before = state.looks()
    wait_for(lambda: state.looks() > before, "the service is asked again", notebook.page)


def opened(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str], *more: str, kernel: str = "python3"
) -> Notebook:
    run = state.run("watched")
    notebook = opener.notebook(fleet(), *more, kernel=kernel, environment=connected)
    notebook.run(0)
    expect(Panel(notebook.page).shown().row(run.id)).to_contain_text("watched")
    return notebook


@pytest.mark.parametrize("kernel", ["ipykernel74"])
def test_a_hidden_page_asks_nothing(
    kernel: str, opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    notebook = opened(opener, state, connected, kernel=kernel)
    wait_until_looking(state, notebook)
    notebook.page.evaluate(PRETEND, "hidden")
    wait_until_silent(state, notebook)
    run = state.run("made in the dark")
    notebook.page.evaluate(PRETEND, "visible")
    expect(Panel(notebook.page).row(run.id)).to_contain_text("made in the dark")


# The kernels of version 6 hear the page only when the cell has ended.
@pytest.mark.parametrize("kernel", ["ipykernel74"])
def test_a_page_hidden_while_a_cell_runs_asks_nothing(
    kernel: str, opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    stop = opener.server.root / f"hidden-{kernel}-stop"
    notebook = opened(opener, state, connected, busy("sleeping", stop.name), kernel=kernel)
    cell = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    notebook.page.evaluate(PRETEND, "hidden")
    wait_until_silent(state, notebook)
    run = state.run("made in the dark")
    notebook.page.evaluate(PRETEND, "visible")
    expect(Panel(notebook.page).row(run.id)).to_contain_text("made in the dark")
    assert not cell.over
    stop.touch()
    cell.wait()


@pytest.fixture(params=["by default", "as few cells as possible"])
def windowing(request: pytest.FixtureRequest, opener: NotebookOpener) -> Iterator[None]:
    """The user's setting for rendering cells out of sight."""
    if request.param != "by default":
        opener.server.write_settings(_NOTEBOOKS, {"windowingMode": "full"})
    yield
    opener.server.remove_settings(_NOTEBOOKS)


@pytest.mark.usefixtures("windowing")
@pytest.mark.parametrize("opener", ["lab", "notebook"], indirect=True)
def test_scrolled_away_asks_nothing(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    tall = "from IPython.display import HTML, display\ndisplay(HTML('<div style=\"height: 4000px\">tall</div>'))"
    notebook = opened(opener, state, connected, tall, "'the last one'")
    # Notebook 7 folds what is too tall: little of the rest shall fit beside it.
    notebook.page.set_viewport_size({"width": 1280, "height": 500})
    notebook.run(1)
    notebook.run(2)
    notebook.scroll("end")
    wait_until_silent(state, notebook)
    run = state.run("made out of sight")
    notebook.scroll("start")
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("made out of sight")


def test_a_cleared_output_asks_nothing(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    notebook = opened(opener, state, connected)
    notebook.select(0)
    notebook.command("notebook:clear-cell-output")
    expect(notebook.page.locator(LIVE)).to_have_count(0)
    wait_until_silent(state, notebook)


def test_a_deleted_cell_asks_nothing_and_its_panel_is_closed(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    notebook = opened(opener, state, connected, "'another'")
    notebook.select(0)
    notebook.command("notebook:delete-cell")
    wait_until_silent(state, notebook)


def test_run_again_the_old_panel_gives_way(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    notebook = opened(opener, state, connected)
    for _ in range(2):
        notebook.run(0)
    expect(notebook.page.locator(LIVE)).to_have_count(1)
    Panel(notebook.page).shown().says("watched")
    assert notebook.execute(THREADS).count("poller") == 1
    assert notebook.execute("from loops_nb.panels import panel_registry as r; print(len(r.open_panels()))") == "1\n"


def test_a_restarted_kernel_is_told(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    notebook = opened(opener, state, connected)
    notebook.restart_kernel()
    wait_until_silent(state, notebook)
    panel = Panel(notebook.page)
    panel.stands("gone")
    panel.says("watched")
    notebook.insist(f"import os; os.environ.update({connected!r})")
    notebook.run(0)
    expect(notebook.page.locator(LIVE)).to_have_count(1)
    panel.stands("live")


def test_a_reloaded_page_has_the_panel_again(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    notebook = opened(opener, state, connected)
    notebook.save()
    run = state.run("made before the reload", up=False)
    notebook.reload()
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("made before the reload")
    panel.stands("live")
    state.everything_comes_up()
    expect(panel.row(run.id)).to_contain_text("Running")


def test_two_panels_of_the_same_run_share_their_requests(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    run = state.run("seen twice")
    notebook = opener.notebook(one(run), one(run).replace("panel", "other"), environment=connected)
    notebook.run(0)
    notebook.run(1)
    first, second = Panel(notebook.page, 0).shown(), Panel(notebook.page, 1).shown()
    first.says("seen twice")
    second.says("seen twice")
    state.end(run)
    first.says("Stopped")
    second.says("Stopped")
    notebook.execute("panel.close()")
    expect(notebook.page.locator(LIVE)).to_have_count(1)
    expect(notebook.page.locator(REPORT).first).to_be_visible()
    expect(notebook.page.locator(REPORT).last).to_be_hidden()
    first.says("Stopped")


def test_closing_ends_the_last_thread(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    notebook = opened(opener, state, connected)
    assert "loops-nb-live-poller" in notebook.execute(THREADS)
    notebook.execute("panel.close()")
    wait_for(lambda: not notebook.execute(THREADS).strip(), "the poller's threads end", notebook.page)


@pytest.mark.own_page
def test_a_closed_page_asks_nothing(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    notebook = opened(opener, state, connected)
    notebook.save()
    notebook.page.goto("about:blank")
    wait_until_silent(state, notebook)
    assert len(opener.server.kernels()) == 1, "the kernel goes on"


def test_reloaded_while_a_cell_runs_the_report_stands_in(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    stop = opener.server.root / "reload-stop"
    notebook = opened(opener, state, connected, busy("sleeping", stop.name))
    notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    notebook.save()
    notebook.reload(kernel=False)
    # JupyterLab finds the widgets of a kernel only when that has time to answer.
    report = notebook.page.locator(REPORT)
    expect(report).to_be_visible()
    expect(report).to_contain_text("watched")
    stop.touch()
    panel = Panel(notebook.page).shown()
    panel.stands("live")
    expect(report).to_be_hidden()


def test_a_second_view_of_the_output_lives_too(
    opener: NotebookOpener, state: ServiceState, connected: dict[str, str]
) -> None:
    notebook = opened(opener, state, connected)
    notebook.select(0)
    notebook.command("notebook:create-output-view")
    expect(notebook.page.locator(LIVE)).to_have_count(2)
    run = state.run("in both views")
    for number in range(2):
        expect(Panel(notebook.page, number).row(run.id)).to_contain_text("in both views")
