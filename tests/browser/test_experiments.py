"""The panel of experiments in a real JupyterLab: live while a cell trains, sorted, filtered, compared, by keyboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import NotebookOpener
from tests.browser.notebook import Notebook
from tests.browser.panel import LIVE, REPORT
from tests.browser.test_look import complaints

_SWEEP = """
import pathlib, time
import loops_nb
%load_ext loops_nb
for number, lr in enumerate((1e-4, 3e-4, 1e-3, 3e-3)):
    with loops_nb.experiment(f"lr{lr:g}", params={"lr": lr, "rank": 8, "data": "v1"}, tags=["sweep"]) as exp:
        for step in range(20):
            exp.log(step=step, loss=(number + 1) / (step + 1), accuracy=step / 20)
"""
_WATCH = "panel = %loops watch experiments --sort best.loss"

Sweep = Callable[..., Notebook]


@pytest.fixture
def sweep(opener: NotebookOpener, tmp_path: Path) -> Sweep:
    """Open a notebook in which four experiments were recorded."""

    def make(*cells: str, kernel: str = "ipykernel74") -> Notebook:
        home = {"LOOPS_NB_HOME": str(tmp_path / "home")}
        notebook = opener.notebook(_SWEEP, *cells, kernel=kernel, environment=home)
        notebook.run(0)
        return notebook

    return make


class Leaderboard:
    """A panel of experiments on a page, as a user finds things in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.root = page.locator(f"{LIVE}:has([data-view=experiments])").first
        expect(self.root).to_be_visible()

    def row(self, name: str) -> Locator:
        """Return the row of an experiment."""
        return self.root.locator("tr[data-id]").filter(has=self.page.get_by_role("button", name=name, exact=True))

    def names(self, *names: str) -> None:
        """Wait until these experiments are shown, in this order."""
        expect(self.root.locator("tr[data-id] [data-control=open]")).to_have_text(list(names))

    def sort(self, column: str) -> None:
        """Press a heading."""
        self.root.locator(f'[data-sort="{column}"]').click()

    def filter(self, text: str) -> None:
        """Type into the filter."""
        self.root.get_by_role("searchbox").fill(text)

    @property
    def curves(self) -> Locator:
        """What is open below the table."""
        return self.root.locator("[data-opened]")

    def curves_shown(self, *names: str) -> None:
        """Wait until the curves of these experiments are drawn below the table."""
        inside = self.curves.locator(LIVE)
        expect(inside).to_be_visible()
        rows = inside.locator('[data-table="numbers"] tbody tr')
        expect(rows).to_have_count(len(names))
        for name in names:
            expect(rows.filter(has_text=name)).to_have_count(1)


@pytest.mark.parametrize(("kind", "kernel"), [("sleeping", "ipykernel6"), ("computing", "ipykernel74")])
def test_the_leaderboard_is_live_while_its_own_cell_trains(
    kind: str, kernel: str, opener: NotebookOpener, sweep: Sweep
) -> None:
    stop = opener.server.root / f"experiments-{kind}-stop"
    work = {"sleeping": "time.sleep(0.05)", "computing": "sum(n * n for n in range(20_000))"}[kind]
    train = f"""
{_WATCH}
new = loops_nb.experiment("new", params={{"lr": 1e-2, "rank": 8, "data": "v1"}}, tags=["sweep"])
step = 0
while not pathlib.Path({stop.name!r}).exists():
    new.log(step=step, loss=0.001 + 1 / (step + 1), accuracy=0.5)
    step += 1
    {work}
new.close()
"""
    notebook = sweep(train, kernel=kernel)
    cell = notebook.start(1)
    board = Leaderboard(notebook.page)
    row = board.row("new")
    expect(row.locator("[data-column=state]")).to_have_text("Running")
    expect(row.locator("svg.spark")).to_have_count(1)
    before = row.locator("[data-column=last_step]").inner_text()
    expect(row.locator("[data-column=last_step]")).not_to_have_text(before)
    # Sorting is the page's own, whatever the kernel does; it becomes the best while it trains.
    board.names("new", "lr0.0001", "lr0.0003", "lr0.001", "lr0.003")
    board.sort("params.lr")
    board.names("lr0.0001", "lr0.0003", "lr0.001", "lr0.003", "new")
    assert not cell.over
    stop.touch()
    cell.wait()
    expect(row.locator("[data-column=state]")).to_have_text("Finished")


def test_rows_are_sorted_filtered_opened_and_compared(sweep: Sweep) -> None:
    notebook = sweep(_WATCH)
    notebook.run(1)
    board = Leaderboard(notebook.page)
    board.names("lr0.0001", "lr0.0003", "lr0.001", "lr0.003")
    expect(board.root).to_contain_text("The same in all: rank 8 · data v1 · Tags sweep")
    board.filter("lr > 2e-4 and best.loss < 0.18")
    board.names("lr0.0003", "lr0.001")
    board.filter("lrr > 1")
    expect(board.root).to_contain_text("Did you mean lr?")
    board.filter("0.003")
    board.names("lr0.003")
    board.filter("")

    board.row("lr0.001").locator("[data-control=open]").click()
    board.curves_shown("lr0.001")
    expect(board.curves.locator("dl.details")).to_contain_text("v1")
    for name in ("lr0.0001", "lr0.003"):
        board.row(name).get_by_role("checkbox").check()
    board.root.get_by_role("button", name="Compare 2").click()
    board.curves_shown("lr0.0001", "lr0.003")
    board.row("lr0.0003").get_by_role("checkbox").check()
    board.curves_shown("lr0.0001", "lr0.0003", "lr0.003")
    board.root.get_by_role("button", name="Close the curves").click()
    expect(board.curves).to_have_count(0)


def test_columns_that_were_chosen_are_there_in_the_next_panel(sweep: Sweep) -> None:
    notebook = sweep(_WATCH)
    notebook.run(1)
    board = Leaderboard(notebook.page)
    board.root.get_by_role("button", name="Columns").click()
    board.root.get_by_label("Points", exact=True).check()
    board.root.get_by_label("Duration", exact=True).uncheck()
    heading = board.root.get_by_role("columnheader")
    expect(heading.filter(has_text="Points")).to_have_count(1)
    expect(board.row("lr0.001").locator("[data-column=points]")).to_have_text("40")
    notebook.page.keyboard.press("Escape")
    notebook.run(1)
    expect(heading.filter(has_text="Points")).to_have_count(1)
    expect(heading.filter(has_text="Duration")).to_have_count(0)


def test_by_keyboard_alone(sweep: Sweep) -> None:
    notebook = sweep(_WATCH)
    notebook.run(1)
    board = Leaderboard(notebook.page)
    board.names("lr0.0001", "lr0.0003", "lr0.001", "lr0.003")
    cells = notebook.page.evaluate("() => driver.panel().content.model.cells.length")
    keyboard = notebook.page.keyboard
    board.row("lr0.0001").locator("[data-control=open]").focus()
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    board.curves_shown("lr0.0003")
    keyboard.press("Space")
    keyboard.press("ArrowDown")
    keyboard.press("Space")
    expect(board.row("lr0.001").get_by_role("checkbox")).to_be_checked()
    keyboard.type("abdx")
    board.root.locator("[data-control=compare]").focus()
    keyboard.press("Enter")
    board.curves_shown("lr0.0003", "lr0.001")
    assert notebook.page.evaluate("() => driver.panel().content.model.cells.length") == cells


def test_axe_finds_nothing_in_either_theme(sweep: Sweep) -> None:
    notebook = sweep(_WATCH)
    notebook.run(1)
    board = Leaderboard(notebook.page)
    board.row("lr0.001").locator("[data-control=open]").click()
    board.curves_shown("lr0.001")
    board.row("lr0.003").get_by_role("checkbox").check()
    assert complaints(notebook) == []
    board.root.get_by_role("button", name="Columns").click()
    expect(board.root.get_by_role("dialog", name="Columns")).to_be_visible()
    assert complaints(notebook) == []


def test_the_notebook_keeps_a_table_and_an_empty_panel_fills(opener: NotebookOpener, tmp_path: Path) -> None:
    home = {"LOOPS_NB_HOME": str(tmp_path / "home")}
    notebook = opener.notebook("%load_ext loops_nb\n%loops watch experiments", _SWEEP, environment=home)
    notebook.run(0)
    page = notebook.page
    expect(page.locator(LIVE)).to_contain_text("No experiments yet.")
    expect(page.locator(REPORT)).to_be_hidden()
    notebook.run(1)
    Leaderboard(page).names("lr0.003", "lr0.001", "lr0.0003", "lr0.0001")
    notebook.save()
    html, _ = HTMLExporter().from_filename(str(notebook.path))
    assert "4 experiments" in html
    assert "The same in all" in html
    outputs = json.loads(notebook.path.read_text("utf-8"))["cells"][0]["outputs"]
    assert "lr0.0003" in "".join(outputs[0]["data"]["text/plain"])
