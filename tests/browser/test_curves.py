"""The panel of curves in a real JupyterLab: it moves while a cell trains, and answers while one is busy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Locator, Page, expect

from tests.browser.cells import busy
from tests.browser.conftest import NotebookOpener
from tests.browser.notebook import Notebook, wait_for
from tests.browser.panel import LIVE, REPORT
from tests.browser.test_look import complaints

ROOT = Path(__file__).resolve().parents[2]
_BEGIN = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import math, pathlib, time
import loops_nb
from loops_nb.panels import CurvesPanel
from tests.panels.curves.memory_store import MemoryStore
store = MemoryStore()
slow, fast = (store.begin(name, params={{"lr": lr, "rank": 8}}) for name, lr in (("slow", 1e-4), ("fast", 3e-4)))
for run, rate in ((slow, 1), (fast, 3)):
    store.log(run, "loss", [3 / (1 + rate * step / 50) for step in range(300)], tokens=4096)
    store.log(run, "accuracy", [rate * step / 900 for step in range(300)], tokens=4096)
store.log(fast, "loss", [math.nan, 8.0], first=300, tokens=4096)
uri = store.save(fast, 200, "step-200")
"""
SHOW = f"{_BEGIN}panel = CurvesPanel(store=store, key='loss')\npanel"


class Curves:
    """A panel of curves on a page, as a user finds things in it.

    Parameters
    ----------
    page
        Where it is.
    root
        Its live view; None for the first one of the page.
    """

    def __init__(self, page: Page, root: Locator | None = None) -> None:
        self.page = page
        self.root = page.locator(LIVE).first if root is None else root
        self.chart = self.root.locator(".chart")
        self.hand = self.root.get_by_role("slider", name="Cross-hair")

    def shown(self) -> Curves:
        """Wait until curves are drawn."""
        expect(self.chart).to_have_attribute("data-lines", re.compile(r"\d"))
        return self

    def shows(self, *runs: int) -> None:
        """Wait until the curves of these runs are drawn, and no others."""
        expect(self.chart).to_have_attribute("data-lines", " ".join(map(str, runs)))

    def picture(self) -> str:
        """Return the canvas as it is."""
        found: str = self.chart.locator("canvas").evaluate("canvas => canvas.toDataURL()")
        return found

    def moves(self, before: str) -> None:
        """Wait until the picture is another one."""
        wait_for(lambda: self.picture() != before, "another picture is drawn", self.page)

    def is_again(self, before: str) -> None:
        """Wait until the picture is that one."""
        wait_for(lambda: self.picture() == before, "the former picture is drawn", self.page)

    def row(self, name: str) -> Locator:
        """Return the line of the legend of a run."""
        return self.root.locator('[data-table="numbers"] tbody tr').filter(has_text=name)

    def button(self, name: str) -> Locator:
        """Return a button."""
        return self.root.get_by_role("button", name=name, exact=True)

    def draws(self, what: str) -> None:
        """Wait until that is what is drawn: key, axis and smoothing."""
        expect(self.chart).to_have_attribute("data-drawn", what)

    def look_at(self, share: float) -> None:
        """Rest the mouse at a share of the picture's width."""
        box = self.hand.bounding_box()
        assert box is not None
        self.hand.hover(position={"x": box["width"] * share, "y": box["height"] / 2})

    def leave(self) -> None:
        """Move the mouse away from the picture and from the legend."""
        self.root.locator("h3").first.hover()

    def drag(self, start: float, end: float) -> None:
        """Draw a box over a part of the picture."""
        self.look_at(start)
        self.page.mouse.down()
        self.look_at(end)
        self.page.mouse.up()

    def value_now(self) -> str:
        """Return what the cross-hair tells those who listen."""
        return self.hand.get_attribute("aria-valuetext") or ""


def test_all_metrics_side_by_side_in_both_themes(opener: NotebookOpener) -> None:
    keys = ["train/loss", "train/lr", "eval/loss", *(f"layers.{number}/norm" for number in range(30))]
    log = f"for key in {keys!r}: store.log(slow, key, [3 / (1 + step) for step in range(50)])\nuri ="
    train = "[store.log(slow, key, [9.0], first=50) for key in ('eval/loss', 'layers.29/norm')]"
    notebook = opener.notebook(f"{_BEGIN.replace('uri =', log)}panel = CurvesPanel(store=store)\npanel", train)
    notebook.run(0)
    page = notebook.page
    root = page.locator(LIVE).first
    cell = root.locator('[data-key="eval/loss"]')
    chart = cell.locator(".chart")
    cell.scroll_into_view_if_needed()
    expect(chart).to_have_attribute("data-range", "0 49")
    # Only what is near is drawn.
    assert root.locator(".chart").count() < len(keys)
    assert complaints(notebook) == []
    notebook.run(1)
    # The cell that was run is in sight now.
    cell.scroll_into_view_if_needed()
    expect(chart).to_have_attribute("data-range", "0 50")
    last = root.locator('[data-key="layers.29/norm"]')
    last.scroll_into_view_if_needed()
    expect(last.locator(".chart")).to_have_attribute("data-range", "0 50")
    find = root.get_by_label("Find")
    find.scroll_into_view_if_needed()
    find.fill("eval")
    expect(root.locator(".cell")).to_have_count(1)
    cell.get_by_role("slider").focus()
    page.keyboard.press("End")
    expect(cell.locator(".tip")).to_contain_text("step 50")
    page.keyboard.press("Enter")
    curves = Curves(page)
    curves.draws("eval/loss step 0")
    expect(curves.row("slow")).to_contain_text("9 @ 50")
    curves.button(f"All {len(keys) + 2} metrics").click()
    expect(root.locator(".cell")).to_have_count(1)


@pytest.mark.parametrize(("kind", "kernel"), [("sleeping", "ipykernel6"), ("computing", "ipykernel74")])
def test_moves_while_a_cell_trains(kind: str, kernel: str, opener: NotebookOpener) -> None:
    stop = opener.server.root / f"curves-{kind}-stop"
    work = {"sleeping": "time.sleep(0.05)", "computing": "sum(n * n for n in range(20_000))"}[kind]
    train = f"""
step = 302
while not pathlib.Path({stop.name!r}).exists():
    store.log(slow, "loss", [1.0], first=step)
    step += 1
    {work}
"""
    notebook = opener.notebook(SHOW, train, kernel=kernel)
    notebook.run(0)
    curves = Curves(notebook.page).shown()
    expect(curves.row("slow")).to_contain_text("300")
    cell = notebook.start(1)
    expect(curves.row("slow")).to_contain_text(re.compile(r"1 @ (3[1-9]\d|[4-9]\d\d|\d+,\d{3})"))
    assert not cell.over
    stop.touch()
    cell.wait()


def test_answers_while_a_cell_is_busy(opener: NotebookOpener) -> None:
    stop = opener.server.root / "curves-answers-stop"
    notebook = opener.notebook(SHOW, busy("sleeping", stop.name), kernel="ipykernel74")
    notebook.run(0)
    curves = Curves(notebook.page).shown()
    cell = notebook.start(1)
    curves.button("Tokens").click()
    curves.draws("loss tokens 0")
    curves.root.get_by_label("Smooth").fill("0.9")
    curves.draws("loss tokens 0.9")
    expect(curves.row("slow")).to_be_visible()
    curves.look_at(0.5)
    # The smoothed value, and in brackets the recorded one.
    expect(curves.root.locator(".tip")).to_contain_text(re.compile(r"slow[\d.]+\([\d.]+\)"))
    curves.root.get_by_label("Value").select_option("accuracy")
    curves.draws("accuracy tokens 0.9")
    expect(curves.row("fast")).to_contain_text("★ best")
    assert not cell.over
    stop.touch()
    cell.wait()


def test_by_mouse(opener: NotebookOpener) -> None:
    notebook = opener.notebook(SHOW)
    notebook.run(0)
    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    curves = Curves(notebook.page).shown()
    curves.look_at(0.5)
    expect(curves.root.locator(".tip")).to_contain_text("slow")
    expect(curves.root.locator(".tip")).to_contain_text("fast")

    # NaN and the spike beside it are seen.
    expect(curves.chart).to_have_attribute("data-odd", "0")
    expect(curves.row("fast")).to_contain_text("8 @ 301")

    curves.leave()
    before = curves.picture()
    curves.drag(0.25, 0.5)
    expect(curves.button("Reset zoom")).to_be_enabled()
    curves.moves(before)
    curves.button("Reset zoom").click()
    curves.is_again(before)

    curves.button("slow").click()
    curves.shows(1)
    expect(curves.button("slow")).to_have_attribute("aria-pressed", "false")
    curves.button("slow").click()
    curves.leave()
    curves.root.get_by_label("Log scale").check()
    curves.moves(before)
    curves.root.get_by_label("Log scale").uncheck()
    expect(curves.chart).to_have_attribute("data-cut", "0")
    curves.root.get_by_label("Cut spikes").check()
    expect(curves.chart).to_have_attribute("data-cut", "1")

    curves.root.locator("[data-mark]").click()
    uri = "bt://loops:r/weights/step-200"
    expect(curves.root.locator(".said")).to_contain_text(uri)
    assert notebook.page.evaluate("() => navigator.clipboard.readText()") == uri

    params = curves.root.locator('[data-table="params"]')
    expect(params).to_contain_text("lr")
    expect(params).not_to_contain_text("rank")
    curves.root.get_by_text("Show as table").click()
    expect(curves.root.locator('[data-table="twin"] tbody tr')).to_have_count(21)


def test_by_keyboard(opener: NotebookOpener) -> None:
    notebook = opener.notebook(SHOW)
    notebook.run(0)
    curves = Curves(notebook.page).shown()
    cells = notebook.page.evaluate("() => driver.panel().content.model.cells.length")
    curves.hand.focus()
    notebook.page.keyboard.press("Home")
    wait_for(lambda: "slow 3" in curves.value_now(), "the value of the first step is told", notebook.page)
    notebook.page.keyboard.press("]")
    wait_for(lambda: "at 200" in curves.value_now(), "the checkpoint is found", notebook.page)
    notebook.page.keyboard.press("+")
    expect(curves.button("Reset zoom")).to_be_enabled()
    notebook.page.keyboard.press("0")
    expect(curves.button("Reset zoom")).to_be_disabled()
    notebook.page.keyboard.type("aabbddx")
    assert notebook.page.evaluate("() => driver.panel().content.model.cells.length") == cells


def test_axe_finds_nothing(opener: NotebookOpener) -> None:
    notebook = opener.notebook(SHOW)
    notebook.run(0)
    curves = Curves(notebook.page).shown()
    curves.button("slow").click()
    curves.root.get_by_text("Show as table").click()
    curves.look_at(0.4)
    assert complaints(notebook) == []


def test_readable_at_any_width(opener: NotebookOpener) -> None:
    notebook = opener.notebook(SHOW)
    notebook.run(0)
    curves = Curves(notebook.page).shown()
    for width in (360, 1600):
        curves.root.evaluate("(e, width) => { e.style.width = `${width}px` }", width)
        expect(curves.chart.locator("canvas")).to_have_js_property("clientWidth", width - 8)
        assert curves.root.evaluate("e => e.scrollWidth <= e.clientWidth")


def _report(notebook: Notebook) -> Locator:
    return notebook.page.locator(REPORT)


def test_names_beside_the_curves_are_whole(opener: NotebookOpener) -> None:
    names = ["sweep-0.0001", "sweep-0.0003", "QwenModel-1e-05"]
    begin = _BEGIN.replace("uri =", f"[store.log(store.begin(name), 'loss', [1.0, 2.0]) for name in {names!r}]\nuri =")
    notebook = opener.notebook(f"{begin}panel = CurvesPanel(store=store, key='loss')\npanel")
    notebook.run(0)
    curves = Curves(notebook.page).shown()
    expect(curves.chart).to_have_attribute("data-names", re.compile(r"(.+\n){4}.+"))
    shown = (curves.chart.get_attribute("data-names") or "").split("\n")
    assert set(shown) >= set(names)
    ends = curves.chart.evaluate(
        """(chart, names) => {
            const context = chart.querySelector("canvas").getContext("2d");
            const slider = chart.querySelector(".hand");
            const ratio = devicePixelRatio;
            context.font = `600 ${11 * ratio}px system-ui, sans-serif`;
            const begin = slider.offsetLeft + slider.offsetWidth + 19;
            return names.map((name) => begin + context.measureText(name).width / ratio);
        }""",
        shown,
    )
    assert max(ends) <= curves.chart.locator("canvas").evaluate("canvas => canvas.clientWidth")


def test_a_saved_notebook_keeps_the_picture(opener: NotebookOpener) -> None:
    notebook = opener.notebook(SHOW)
    notebook.run(0)
    Curves(notebook.page).shown()
    expect(_report(notebook)).to_be_hidden()
    saved = json.dumps(notebook.save())
    assert len(saved) < 80_000
    notebook.page.close()
    opener.server.end_kernels()

    reopened = opener.open(notebook.path)
    expect(_report(reopened)).to_be_visible()
    expect(_report(reopened)).to_contain_text("loss by step")
    expect(_report(reopened).locator("svg path").first).to_be_attached()
    expect(reopened.page.locator(LIVE)).to_have_count(0)
    expect(reopened.page.get_by_text("Error displaying widget")).to_be_hidden()

    page = opener.page()
    exported = notebook.path.with_suffix(".html")
    exported.write_text(HTMLExporter().from_filename(str(notebook.path))[0], encoding="utf-8")
    page.goto(exported.as_uri())
    expect(page.locator(REPORT)).to_contain_text("slow")
    expect(page.locator(f"{REPORT} svg").first).to_be_visible()


def test_the_magic_with_the_real_store(opener: NotebookOpener, tmp_path: Path) -> None:
    stop = opener.server.root / "curves-magic-stop"
    cell = f"""
%loops curves sweep --wait
import pathlib, time
import loops_nb
with loops_nb.experiment("sweep", params={{"lr": 1e-4}}) as experiment:
    step = 0
    while not pathlib.Path({stop.name!r}).exists():
        experiment.log(step=step, loss=3 / (1 + step / 20))
        step += 1
        time.sleep(0.02)
"""
    notebook = opener.notebook(
        "%load_ext loops_nb", cell, kernel="ipykernel74", environment={"LOOPS_NB_HOME": str(tmp_path / "home")}
    )
    notebook.run(0)
    run = notebook.start(1)
    curves = Curves(notebook.page).shown()
    curves.moves(curves.picture())
    assert not run.over
    stop.touch()
    run.wait()
