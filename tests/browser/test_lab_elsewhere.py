"""JupyterLab in an environment of its own, without this package: what its users see, and what they have to install."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.cells import fleet
from tests.browser.conftest import NotebookOpener, SharedPage
from tests.browser.jupyter import JupyterServer
from tests.browser.other_environment import OtherEnvironment
from tests.browser.panel import LIVE, REPORT, Panel
from tests.browser.service_state import ServiceState


def test_report_says_what_to_install_where_jupyterlab_runs_and_then_the_panel_is_live(
    context: BrowserContext,
    shared_page: SharedPage,
    state: ServiceState,
    connected: dict[str, str],
    tmp_path: Path,
) -> None:
    environment = OtherEnvironment(tmp_path / "lab")
    environment.install("jupyterlab")
    assert not environment.has("loops_nb")
    assert not environment.has("ipywidgets")
    server = JupyterServer(tmp_path, "lab", python=environment.python).start()
    opener = NotebookOpener(server, context, "elsewhere", shared_page)
    try:
        state.run("seen from elsewhere")
        notebook = opener.notebook(
            fleet(), "%load_ext loops_nb\n%loops doctor", kernel="ipykernel74", environment=connected
        )
        notebook.run(0)
        report = notebook.page.locator(REPORT)
        expect(report).to_contain_text("seen from elsewhere")
        command = f"{environment.python} -m pip install anywidget"
        expect(notebook.cell(0)).to_contain_text(
            f"This page cannot show the live panel: in {environment.folder}, where Jupyter runs, anywidget is missing. "
            f"In a terminal there: {command}, then reload the page."
        )
        expect(notebook.page.locator(LIVE)).to_have_count(0)
        notebook.run(1)
        assert "Live panels: 1 open, 0 drawn by a page" in notebook.printed(1)
        assert notebook.printed(1).endswith(f"To fix: {command}, then reload the page\n")

        # What that command does. The kernel goes on, and with it a training would.
        notebook.save()
        environment.install("anywidget")
        assert not environment.has("loops_nb")
        notebook.reload()
        panel = Panel(notebook.page).shown()
        panel.stands("live")
        expect(report).to_be_hidden()
        # A page without a widget manager has closed the comm: the kernel hears the next page nevertheless.
        later = state.run("asked for by a click")
        panel.button("Refresh").click()
        expect(panel.row(later.id)).to_be_visible()
        notebook.run(1)
        assert "Live panels: 1 open, 1 drawn by a page" in notebook.printed(1)
        assert f"{environment.folder} (with anywidget, which panels need)" in notebook.printed(1)
    finally:
        opener.close()
        server.stop()
