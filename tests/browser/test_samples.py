"""The panel of samples in a real JupyterLab: it moves while a cell trains, by keyboard, in both themes."""

from __future__ import annotations

import json

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from tests.browser.conftest import NotebookOpener
from tests.browser.panel import LIVE, REPORT
from tests.browser.test_look import complaints

_BEGIN = """
import os, tempfile
os.environ["LOOPS_NB_HOME"] = tempfile.mkdtemp()
%load_ext loops_nb
import loops_nb, time, pathlib
exp = loops_nb.experiment("grpo-1")
def record(step):
    for number in range(3):
        exp.sample(step=step, prompt=f"{number} + 1 =", completion=f"step {step} says {number + 1}", reward=step / 100)
for step in (0, 10, 20):
    record(step)
%loops watch samples grpo-1
"""


def test_a_step_appears_while_its_cell_trains(opener: NotebookOpener) -> None:
    stop = opener.server.root / "samples-stop"
    train = f"record(30)\nwhile not pathlib.Path({stop.name!r}).exists():\n    time.sleep(0.05)"
    notebook = opener.notebook(_BEGIN, train, kernel="ipykernel74")
    notebook.run(0)
    panel = notebook.page.locator(LIVE).first
    expect(panel.locator("tbody tr")).to_have_count(3)
    cell = notebook.start(1)
    expect(panel.locator("thead")).to_contain_text("mean reward 0.3")
    expect(panel.locator("tbody tr").first.locator("ins").last).to_have_text("30")
    panel.get_by_label("Side by side").select_option("1")
    expect(panel.locator("thead th")).to_have_count(3)
    assert not cell.over
    stop.touch()
    cell.wait()


def test_by_keyboard_and_without_findings_of_axe(opener: NotebookOpener) -> None:
    notebook = opener.notebook(_BEGIN)
    notebook.run(0)
    panel = notebook.page.locator(LIVE).first
    expect(panel.locator("tbody tr")).to_have_count(3)
    panel.locator("td[data-column='0']").first.focus()
    notebook.page.keyboard.press("ArrowDown")
    notebook.page.keyboard.press("ArrowRight")
    expect(panel.locator("tbody tr").nth(1).locator("td[data-column='1']")).to_be_focused()
    panel.get_by_role("searchbox").fill("says 2")
    expect(panel.locator("tbody tr")).to_have_count(1)
    expect(panel.get_by_role("status")).to_contain_text("Rows 1 to 1 of 1")
    assert complaints(notebook) == []


@pytest.mark.own_page
def test_the_saved_notebook_has_a_table_of_the_samples(opener: NotebookOpener) -> None:
    notebook = opener.notebook(_BEGIN)
    notebook.run(0)
    expect(notebook.page.locator(LIVE).first.locator("tbody tr")).to_have_count(3)
    outputs = json.dumps(notebook.save()["cells"][0]["outputs"])
    assert "<ins>10</ins>" in outputs
    page = opener.page()
    exported = notebook.path.with_suffix(".html")
    exported.write_text(HTMLExporter().from_filename(str(notebook.path))[0], encoding="utf-8")
    page.goto(exported.as_uri())
    expect(page.locator(REPORT)).to_contain_text("step 0 says 1")
    expect(page.locator(f"{REPORT} ins").first).to_be_visible()
