"""The curves of a run in a tab of its panel: shown on demand, also while the cell trains, and gone with the panel."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.cells import busy, one
from tests.browser.conftest import NotebookOpener
from tests.browser.notebook import Notebook, wait_for, written
from tests.browser.panel import LIVE, REPORT, Panel
from tests.browser.ports import free_port
from tests.browser.service_state import ServiceState
from tests.browser.test_curves import Curves
from tests.browser.test_elsewhere import MARIMO, answers, serving
from tests.browser.test_look import complaints

_WIDGETS = "@jupyter-widgets/jupyterlab-manager:plugin"
_THREADS = "import threading; print(sum(t.name == 'loops-nb-curves' for t in threading.enumerate()))"
_TRAIN = """
import pathlib, time
import loops_nb
with loops_nb.experiment("sweep", run={run!r}) as experiment:
    step = 0
    while not pathlib.Path({stop!r}).exists():
        experiment.log(step=step, loss=3 / (1 + step / 20))
        step += 1
        time.sleep(0.02)
"""
_RECORD = """
with loops_nb.experiment("sweep", run={run!r}) as experiment:
    for step in range(300):
        experiment.log(step=step, loss=3 / (1 + step / 20))
    experiment.sample(step=step, prompt="2 + 2 =", completion=" 4", reward=1.0)
"""


def _with_gpus(answer: Any) -> Any:
    """Return the metrics of a deployment with two nodes of two GPUs, of the last five minutes."""
    now = datetime.now(UTC)
    times = [(now - timedelta(seconds=ago)).isoformat() for ago in range(300, 0, -10)]

    def points(value: float) -> list[dict[str, Any]]:
        return [{"value": value, "timestamp": time} for time in times]

    nodes = [
        {"node_id": node, "gpu_utilization": {str(gpu): points(low + gpu / 4) for gpu in (0, 1)}}
        for node, low in (("a", 0.1), ("b", 0.6))
    ]
    return answer | {"metrics": {"per_node_metrics": nodes}}


def tab(panel: Panel, name: str = "Curves") -> Locator:
    return panel.root.get_by_role("tab", name=name)


def curves_in(panel: Panel) -> Curves:
    """Open the tab, and return the curves in it."""
    tab(panel.shown()).click()
    return inside(panel)


def inside(panel: Panel) -> Curves:
    """Return the curves in the tab that is open."""
    return Curves(panel.page, panel.root.get_by_role("tabpanel").locator(LIVE))


def views(notebook: Notebook) -> Locator:
    """Return all live views on the page, those inside of another included."""
    return notebook.page.locator(LIVE)


@pytest.mark.parametrize("kernel", ["ipykernel74"])
def test_grow_while_the_cell_trains(
    kernel: str, opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("trains")
    stop = opener.server.root / f"tab-{kernel}-stop"
    notebook = opener.notebook(
        one(run), _TRAIN.format(run=run.id, stop=stop.name), kernel=kernel, environment=recording
    )
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    cell = notebook.start(1)
    expect(notebook.cell(1)).to_contain_text("[*]")
    for _ in range(2):
        curves = curves_in(Panel(notebook.page)).shown()
        curves.moves(curves.picture())
        expect(curves.row("sweep")).to_be_visible()
        tab(panel, "Table").click()
        expect(views(notebook)).to_have_count(1)
    assert not cell.over
    stop.touch()
    cell.wait()


@pytest.mark.parametrize("opener", ["lab", "notebook"], indirect=True)
def test_words_become_a_curve(opener: NotebookOpener, state: ServiceState, recording: dict[str, str]) -> None:
    # So that the charts of the system begin before the training does.
    state.clock.advance(-600)
    run = state.run("not yet")
    state.proxy.edits[f"POST /v1/loops/deployments/{run.deployment_id}/metrics"] = _with_gpus
    notebook = opener.notebook(one(run), _RECORD.format(run=run.id), environment=recording)
    notebook.run(0)
    curves = curves_in(Panel(notebook.page))
    expect(curves.root).to_contain_text(f"Nothing was recorded yet of {run.id}.")
    expect(curves.root).to_contain_text("training_client = loops_nb.track(training_client)")
    notebook.run(1)
    curves.shown()
    expect(curves.row("sweep")).to_contain_text("300")
    expect(curves.root).not_to_contain_text("Nothing was recorded")
    panel = Panel(notebook.page)
    tab(panel, "Samples").click()
    expect(panel.root.get_by_role("tabpanel").locator(LIVE)).to_contain_text("2 + 2 =")
    tab(panel, "System").click()
    system = Curves(panel.page, panel.root.get_by_role("tabpanel").locator(LIVE))
    expect(system.root).to_contain_text(f"System of run {run.id}")
    utilization, loss = (system.root.locator(f'[data-key="{key}"]') for key in ("gpu/utilization", "loss"))
    for node in "ab":
        for gpu in "01":
            expect(system.root).to_contain_text(f"trainer {node} GPU {gpu}")
    utilization.scroll_into_view_if_needed()
    expect(utilization.locator(".chart")).to_have_attribute("data-lines", re.compile(r"^\d \d \d \d$"))
    expect(utilization.locator("canvas")).to_be_visible()
    expect(loss.locator("canvas")).to_be_visible()
    described = utilization.get_by_role("img").get_attribute("aria-label") or ""
    assert re.search(r"from (\d+ \w+, )?\d\d:\d\d:\d\d to ", described), described
    # One time axis, and one cross-hair on it.
    seen = [chart.locator(".chart").get_attribute("data-range") for chart in (utilization, loss)]
    assert seen[0] == seen[1]
    utilization.get_by_role("slider").focus()
    panel.page.keyboard.press("Home")
    expect(utilization.locator(".tip")).to_contain_text("trainer b GPU 1")
    # The page of Notebook 7 begins with a heading of another level.
    assert [one for one in complaints(notebook) if one[1] != "heading-order"] == []


def test_wait_for_a_kernel_that_cannot_hear(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("waits")
    stop = opener.server.root / "tab-6-stop"
    notebook = opener.notebook(
        one(run), _RECORD.format(run=run.id), busy("sleeping", stop.name), kernel="ipykernel6", environment=recording
    )
    notebook.run(0)
    notebook.run(1)
    cell = notebook.start(2)
    expect(notebook.cell(2)).to_contain_text("[*]")
    curves = curves_in(Panel(notebook.page))
    Panel(notebook.page).says("Waiting for the kernel: it is busy.")
    expect(views(notebook)).to_have_count(1)
    stop.touch()
    cell.wait()
    curves.shown()
    Panel(notebook.page).says_no_more("Waiting for the kernel")


@pytest.mark.parametrize("end", ["close", "freeze"])
def test_end_with_the_panel_and_touch_no_other(
    end: str, opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("ends")
    notebook = opener.notebook(
        one(run),
        "other = loops.runs.watch()\nother",
        _RECORD.format(run=run.id),
        f"panel.{end}()",
        environment=recording,
    )
    notebook.run(0)
    notebook.run(1)
    notebook.run(2)
    expect(Panel(notebook.page, 1).shown().row(run.id)).to_be_visible()
    reports = notebook.page.locator(REPORT)
    expect(reports).to_have_count(2)
    curves_in(Panel(notebook.page)).shown()
    expect(views(notebook)).to_have_count(3)
    expect(reports).to_have_count(2)
    for number in range(2):
        expect(reports.nth(number)).to_be_hidden()
    assert notebook.execute(_THREADS).strip() == "1"
    notebook.run(3)
    expect(views(notebook)).to_have_count(1)
    expect(reports.nth(0)).to_be_visible()
    expect(reports.nth(1)).to_be_hidden()
    assert notebook.execute(_THREADS).strip() == "0"


def test_checkpoints_that_appear_are_marks_and_the_view_is_as_it_was_left(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("has checkpoints")
    state.save(run, "step-100")
    notebook = opener.notebook(one(run), _RECORD.format(run=run.id), "panel.freeze()", environment=recording)
    notebook.run(0)
    notebook.run(1)
    panel = Panel(notebook.page)
    curves = curves_in(panel).shown()
    marks = curves.root.locator("[data-mark]")
    expect(marks).to_have_count(1)
    expect(marks).to_have_attribute("aria-label", re.compile("at step 100, 0.5: step-100"))
    state.save(run, "step-200")
    expect(marks).to_have_count(2)
    curves.button("Clock time").click()
    curves.root.get_by_role("checkbox", name="Log scale").check()
    curves.draws("loss clock 0")
    tab(panel, "Table").click()
    expect(views(notebook)).to_have_count(1)
    curves = curves_in(panel).shown()
    curves.draws("loss clock 0")
    expect(curves.root.get_by_role("checkbox", name="Log scale")).to_be_checked()
    notebook.run(2)
    expect(notebook.page.locator(REPORT)).to_contain_text(f"Curves: %loops curves {run.id}")


def test_a_kernel_that_was_started_anew_is_told_of_once(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("its kernel goes")
    notebook = opener.notebook(one(run), _RECORD.format(run=run.id), environment=recording)
    notebook.run(0)
    notebook.run(1)
    panel = Panel(notebook.page)
    curves = curves_in(panel).shown()
    notebook.restart_kernel()
    expect(panel.root.locator("[data-health]").first).to_contain_text(f"%loops watch {run.id}")
    expect(curves.root.locator(".panel")).to_have_attribute("data-status", re.compile("gone|silent"))
    for words in ("drawn by the kernel", "%loops curves", "No kernel"):
        expect(panel.root.get_by_role("tabpanel")).not_to_contain_text(words)
    curves.shown()


def test_a_cell_run_again_leaves_nothing_of_the_former_panel(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("again")
    notebook = opener.notebook(f"{one(run)}\n{_RECORD.format(run=run.id)}\npanel", environment=recording)
    for _ in range(3):
        notebook.run(0)
        curves_in(Panel(notebook.page)).shown()
        expect(views(notebook)).to_have_count(2)
        assert notebook.execute(_THREADS).strip() == "1"


def test_a_page_that_is_loaded_again_shows_them_again(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("reloaded")
    notebook = opener.notebook(one(run), _RECORD.format(run=run.id), environment=recording)
    notebook.run(0)
    notebook.run(1)
    curves_in(Panel(notebook.page)).shown()
    notebook.save()
    notebook.reload()
    curves_in(Panel(notebook.page)).shown()
    assert notebook.execute(_THREADS).strip() == "1"


@pytest.mark.own_page
def test_a_notebook_whose_kernel_is_gone_says_so(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("kept in the file")
    opener.server.write_settings(_WIDGETS, {"saveState": True})
    try:
        notebook = opener.notebook(one(run), _RECORD.format(run=run.id), environment=recording)
        notebook.run(0)
        notebook.run(1)
        curves_in(Panel(notebook.page)).shown()
        notebook.save()
        notebook.page.close()
        opener.server.end_kernels()
        reopened = opener.open(notebook.path)
        panel = Panel(reopened.page)
        reopened.reload_until_visible(panel.root)
        panel.stands("saved")
        tab(panel).click()
        panel.says("drawn by the kernel, which is not there")
        expect(views(reopened)).to_have_count(1)
    finally:
        opener.server.remove_settings(_WIDGETS)


def test_by_keyboard_and_for_those_who_listen(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str]
) -> None:
    run = state.run("in both themes")
    state.save(run, "step-100")
    notebook = opener.notebook(one(run), _RECORD.format(run=run.id), environment=recording)
    notebook.run(0)
    notebook.run(1)
    panel = Panel(notebook.page).shown()
    expect(panel.row("ck-0")).to_be_visible()
    cells = notebook.page.evaluate("() => driver.panel().content.model.cells.length")
    tab(panel, "Table").focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(tab(panel)).to_have_attribute("aria-selected", "true")
    curves = inside(panel).shown()
    assert complaints(notebook) == []
    curves.hand.focus()
    notebook.page.keyboard.press("Home")
    wait_for(lambda: "sweep 3" in curves.value_now(), "the value of the first step is told", notebook.page)
    notebook.page.keyboard.type("aabbddx")
    assert notebook.page.evaluate("() => driver.panel().content.model.cells.length") == cells


def test_voila(opener: NotebookOpener, state: ServiceState, recording: dict[str, str], tmp_path: Path) -> None:
    run = state.run("in Voila")
    port = free_port()
    (tmp_path / "panel.ipynb").write_text(written([one(run), _RECORD.format(run=run.id)], "python3"), encoding="utf-8")
    with serving(tmp_path, recording, "voila", "panel.ipynb", "--no-browser", f"--port={port}"):
        url = f"http://127.0.0.1:{port}/"
        wait_for(lambda: answers(url), f"{url} answers")
        page = opener.page()
        page.goto(url)
        curves_in(Panel(page)).shown()


def test_marimo_is_told_what_to_type(
    opener: NotebookOpener, state: ServiceState, recording: dict[str, str], tmp_path: Path
) -> None:
    run = state.run("in marimo")
    port = free_port()
    (tmp_path / "app.py").write_text(
        MARIMO.replace("runs.watch(interval", f"runs.watch({run.id!r}, interval"), encoding="utf-8"
    )
    options = ["--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port)]
    with serving(tmp_path, recording, "marimo", "run", "app.py", *options):
        url = f"http://127.0.0.1:{port}/"
        wait_for(lambda: answers(url), f"{url} answers")
        page = opener.page()
        page.goto(url)
        panel = Panel(page).shown()
        tab(panel).click()
        panel.says(f"%loops curves {run.id}")
