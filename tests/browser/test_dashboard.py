"""The dashboard while a cell of its own notebook trains: one panel, narrowed by the run that is selected."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.cells import dashboard
from tests.browser.conftest import NotebookOpener
from tests.browser.panel import LIVE, Panel
from tests.browser.service_state import ServiceState
from tests.browser.test_curves import Curves
from tests.browser.test_look import complaints

_TRAIN = """
import pathlib, time
import loops_nb
experiments = [loops_nb.experiment(name, run=run) for name, run in {runs!r}]
step = 0
while not pathlib.Path({stop!r}).exists():
    for experiment in experiments:
        experiment.log(step=step, loss=3 / (1 + step / 20))
    step += 1
    time.sleep(0.02)
"""
_THREADS = "import threading; print(sum(t.name == 'loops-nb-curves' for t in threading.enumerate()))"


def test_narrows_to_a_run_while_the_cell_trains(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    runs = [state.run("first"), state.run("second")]
    stop = opener.server.root / "dashboard-stop"
    named = [("recorded first", runs[0].id), ("recorded second", runs[1].id)]
    notebook = opener.notebook(dashboard(), _TRAIN.format(runs=named, stop=stop.name), environment=recording)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    for run in runs:
        expect(panel.row(run.id)).to_be_visible()
    cell = notebook.start(1)
    curves = Curves(panel.page, panel.root.locator(LIVE)).shown()
    for name, _ in named:
        expect(curves.row(name)).to_be_visible()
    curves.moves(curves.picture())
    chosen = panel.root.get_by_role("checkbox", name=f"Curves and checkpoints of run {runs[0].id}")
    chosen.check()
    panel.says(f"Curves and checkpoints of run {runs[0].id}.")
    expect(curves.row("recorded first")).to_be_visible()
    expect(curves.row("recorded second")).to_have_count(0)
    assert complaints(notebook) == []
    panel.root.get_by_role("tab", name="Overview").focus()
    for _ in range(2):
        panel.page.keyboard.press("ArrowRight")
    expect(panel.root.get_by_role("tab", name="Curves")).to_have_attribute("aria-selected", "true")
    expect(panel.row(runs[0].id)).to_be_hidden()
    expect(curves.row("recorded first")).to_be_visible()
    panel.button("Show all runs").click()
    expect(curves.row("recorded second")).to_be_visible()
    assert not cell.over
    stop.touch()
    cell.wait()
    assert notebook.execute("panel.close(); " + _THREADS).split()[-1] == "0"
    expect(notebook.page.locator(LIVE)).to_have_count(0)
