"""What a saved notebook shows to who opens it later: the report, and never an error in the panel's place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from loops_nb.api.models import Run
from tests.browser.cells import fleet, one
from tests.browser.conftest import KEY, NotebookOpener
from tests.browser.notebook import Notebook
from tests.browser.panel import LIVE, REPORT, Panel
from tests.browser.service_state import ServiceState

_WIDGETS = "@jupyter-widgets/jupyterlab-manager:plugin"


@pytest.fixture(params=["state not saved", "state saved"])
def keeps_state(request: pytest.FixtureRequest, opener: NotebookOpener) -> Iterator[bool]:
    """Whether the person's settings save the widgets' state with a notebook."""
    keeps: bool = request.param == "state saved"
    opener.server.write_settings(_WIDGETS, {"saveState": keeps})
    yield keeps
    opener.server.remove_settings(_WIDGETS)


def untrusted(path: Path) -> Path:
    """Return a copy of a notebook that is not trusted: its text is another."""
    document = json.loads(path.read_bytes())
    document["metadata"]["from"] = "another author"
    copy = path.with_name(f"{path.stem}-untrusted.ipynb")
    copy.write_text(json.dumps(document), encoding="utf-8")
    return copy


def shows_the_report(notebook: Notebook, text: str) -> None:
    report = notebook.page.locator(REPORT)
    expect(report).to_be_visible()
    expect(report).to_contain_text(text)
    for error in ("Error displaying widget", "model not found"):
        for found in notebook.page.get_by_text(error).all():
            expect(found).to_be_hidden()


def test_reopened(*, keeps_state: bool, opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run = state.run("kept in the file")
    left_live = saved_and_opened_again(opener, run, connected, keeps_state=keeps_state)
    saved_and_opened_again(opener, run, connected, keeps_state=keeps_state, frozen=True, after=left_live)


def saved_and_opened_again(
    opener: NotebookOpener,
    run: Run,
    connected: dict[str, str],
    *,
    keeps_state: bool,
    frozen: bool = False,
    after: Notebook | None = None,
) -> Notebook:
    notebook = opener.notebook(fleet(), "panel.freeze()", environment=connected, after=after)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    expect(panel.row(run.id)).to_contain_text("kept in the file")
    expect(notebook.page.locator(REPORT)).to_be_hidden()
    if frozen:
        notebook.run(1)
        expect(notebook.page.locator(LIVE)).to_have_count(0)
        shows_the_report(notebook, run.id)
    saved = json.dumps(notebook.save())
    assert ("application/vnd.jupyter.widget-state+json" in saved) is keeps_state
    assert KEY not in saved

    trusted = opener.open(notebook.path, after=notebook)
    if keeps_state and not frozen:
        trusted.reload_until_visible(Panel(trusted.page).root)
        Panel(trusted.page).stands("saved")
        expect(Panel(trusted.page).row(run.id)).to_contain_text("kept in the file")
        expect(trusted.page.locator(REPORT)).to_be_hidden()
    else:
        shows_the_report(trusted, run.id)
        expect(trusted.page.locator(LIVE)).to_have_count(0)

    distrusted = opener.open(untrusted(notebook.path), after=trusted)
    assert distrusted.page.evaluate("() => driver.cell(0).trusted") is False
    shows_the_report(distrusted, run.id)

    page = opener.page()
    page.route("**", lambda route: route.abort() if not route.request.url.startswith("file:") else route.continue_())
    exported = notebook.path.with_suffix(".html")
    exported.write_text(HTMLExporter().from_filename(str(notebook.path))[0], encoding="utf-8")
    page.goto(exported.as_uri())
    expect(page.locator(REPORT)).to_be_visible()
    expect(page.locator(REPORT)).to_contain_text(run.id)
    page.close()
    return distrusted


@pytest.mark.parametrize("keeps_state", ["state saved"], indirect=True)
def test_a_notebook_with_five_panels_stays_small(
    *,
    keeps_state: bool,
    opener: NotebookOpener,
    state: ServiceState,
    connected: dict[str, str],
) -> None:
    assert keeps_state
    for number in range(12):
        state.run(f"run number {number}")
    run = state.run("the last", up=True)
    shown = [
        "loops.runs.watch()",
        f"loops.runs.watch({run.id!r})",
        "loops.samplers.watch()",
        "loops.deployments.watch()",
        f"loops.checkpoints.watch(run_id={run.id!r})",
    ]
    cells = [f"panels.append({each})\npanels[-1]" for each in shown]
    start = "import loops_nb\nloops = loops_nb.Loops()\npanels = []"
    notebook = opener.notebook(start, *cells, "for panel in panels:\n    panel.freeze()", environment=connected)
    for index in range(6):
        notebook.run(index)
    for number in range(5):
        Panel(notebook.page, number).shown()
    saved = notebook.save()
    assert len(saved["cells"][1]["outputs"]) == 2
    # Five times the page code, of at most 75 kB, and the reports.
    assert notebook.path.stat().st_size < 435_000
    notebook.run(6)
    expect(notebook.page.locator(LIVE)).to_have_count(0)
    saved = notebook.save()
    assert len(saved["cells"][1]["outputs"]) == 2
    assert notebook.path.stat().st_size < 40_000


@pytest.mark.parametrize("opener", ["notebook"], indirect=True)
def test_reopened_in_notebook_7(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run = state.run("kept in the file")
    notebook = opener.notebook(one(run), environment=connected)
    notebook.run(0)
    Panel(notebook.page).shown().says("kept in the file")
    expect(notebook.page.locator(REPORT)).to_be_hidden()
    notebook.save()
    notebook.page.close()
    opener.server.end_kernels()
    shows_the_report(opener.open(notebook.path), run.id)
    shows_the_report(opener.open(untrusted(notebook.path)), run.id)
