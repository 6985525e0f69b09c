"""The curves of a run in its own panel: a widget that is there from the first look until the panel ends."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets
import pytest

import loops_nb
from loops_nb import Loops
from loops_nb.api.step_names import step_of
from loops_nb.errors import LoopsError
from loops_nb.panels import CheckpointsPanel, CurvesPanel, RunPanel, SamplesPanel, SystemPanel, open_panels
from loops_nb.panels.curves.tab import CurvesInside
from loops_nb.panels.panel import Panel
from tests.panels.waiting import until
from tests.service import AnyService

pytestmark = pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")
RUN = "p2syas8"


@pytest.fixture
def loops(service: AnyService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loops]:
    for name in ("panel", "curves.panel", "samples.panel"):
        monkeypatch.setattr(f"loops_nb.panels.{name}.page_code", lambda *_: "export default { render() {} }")
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    with Loops("key", service.url) as made:
        yield made


class Page:
    """A page that shows a panel, and what it was told."""

    def __init__(self, panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.panel = panel
        self.told: list[dict[str, Any]] = []
        monkeypatch.setattr(panel, "_send_now", self.told.append)
        self.says(type="view_opened", view="v", have=None)

    def says(self, **message: Any) -> None:
        self.panel._heard(self.panel, message, [])

    def opens_the_tab(self, plot: str = "curves") -> dict[str, Any]:
        """Return the picture that it is answered with."""
        before = len(self.pictures)
        self.says(type="select_plot", view="v", plot=plot, measure=False)
        until(lambda: len(self.pictures) > before)
        return self.pictures[-1]

    def inside(self) -> CurvesPanel:
        """Open the tab, and return the widget that is shown in it."""
        name = self.opens_the_tab()["widget"]
        return widgets()[name]

    @property
    def pictures(self) -> list[dict[str, Any]]:
        return [message for message in self.told if message["type"] == "plot"]


@pytest.fixture
def page(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    panel = RunPanel(loops, RUN)
    yield Page(panel, monkeypatch)
    panel.close()


def widgets() -> dict[str, CurvesPanel]:
    known = ipywidgets.widgets.widget._instances
    return {name: widget for name, widget in known.items() if isinstance(widget, CurvesPanel)}


def threads() -> int:
    return sum(thread.name == "loops-nb-curves" for thread in threading.enumerate())


def test_samples_of_the_run_are_a_widget_that_is_made_once_and_ends_with_the_panel(page: Page) -> None:
    with loops_nb.experiment("sampled", run=RUN) as exp:
        exp.sample(step=1, prompt="2 + 2 =", completion=" 4", reward=1.0)
    loops_nb.experiment("of another run", run="k4q95w5").sample(step=1, prompt="p", completion="c")
    shown = page.opens_the_tab("samples")
    assert f"%loops watch samples {RUN}" in shown["text"]
    made = ipywidgets.widgets.widget._instances[shown["widget"]]
    assert isinstance(made, SamplesPanel)
    assert [run.name for run in made.snapshot_now().metadata.runs] == [f"sampled ({RUN})"]
    assert page.opens_the_tab("samples")["widget"] == shown["widget"]
    assert widgets() == {}
    page.panel.close()
    assert shown["widget"] not in ipywidgets.widgets.widget._instances


def test_system_metrics_of_the_run_are_a_widget_beside_its_training_that_ends_with_the_panel(page: Page) -> None:
    with loops_nb.experiment("mine", run=RUN) as exp:
        exp.log(step=1, loss=2.0)
    shown = page.opens_the_tab("system")
    assert f"%loops watch system {RUN}" in shown["text"]
    made = widgets()[shown["widget"]]
    assert isinstance(made, SystemPanel)
    snapshot = made.snapshot_now()
    assert (snapshot.title.partition(".")[0], snapshot.line) == (f"System of run {RUN}", "")
    assert snapshot.metadata.keys[0] == "loss"
    nothing = f"measured in the last 1 h. Further back: %loops watch system {RUN} --since 7d"
    # A service that is a minute old has measured something.
    assert nothing in snapshot.metadata.waiting or len(snapshot.metadata.keys) > 1
    assert page.opens_the_tab("system")["widget"] == shown["widget"]
    assert f"System metrics: %loops watch system {RUN}" in page.panel._words(120)
    assert "watch system" not in json.dumps(page.panel.get_state(), default=str), "the page has the tab"
    page.panel.close()
    assert widgets() == {}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loops-nb-system")]


def test_a_serverless_run_says_that_it_has_no_machines(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    run = next(run for run in loops.runs.list() if run.name == "text-to-sql-quick")
    panel = RunPanel(loops, run.id)
    shown = Page(panel, monkeypatch).opens_the_tab("system")
    assert (shown["state"], shown.get("widget", "")) == ("drawn", "")
    assert "no machines of its own" in shown["text"]
    assert "System metrics" not in panel._words(120)
    panel.close()


def test_it_is_made_when_a_page_looks_and_only_once(page: Page) -> None:
    assert widgets() == {}
    first = page.opens_the_tab()
    assert first["state"] == "drawn"
    assert list(widgets()) == [first["widget"]]
    assert f"%loops curves {RUN}" in first["text"]
    page.says(type="select_plot", view="v", plot=None, measure=False)
    page.says(type="view_opened", view="w", have=None)
    again = page.opens_the_tab()
    assert again == first
    assert list(widgets()) == [first["widget"]]
    assert threads() == 1


def test_it_shows_the_run_of_the_panel_from_its_first_step(page: Page) -> None:
    inside = page.inside()
    assert inside.snapshot_now().metadata.missing == [RUN]
    with loops_nb.experiment("another") as other, loops_nb.experiment("mine", run=RUN) as mine:
        other.log(step=0, loss=9.0)
        mine.log(step=0, loss=3.0)
        mine.log(step=1, loss=2.0)
    inside._controller.update()
    head = inside.snapshot_now().metadata
    assert [run.name for run in head.runs] == ["mine"]
    assert head.missing == []
    assert "2 @ 1" in inside.told()


def test_checkpoints_that_are_listed_are_marks_on_the_curves_and_those_that_were_recorded_not_twice(page: Page) -> None:
    with loops_nb.experiment("mine", run=RUN) as mine:
        for step in range(0, 500, 25):
            mine.log(step=step, loss=500.0 - step, tokens_seen=10 * step)
        mine.saved("as recorded", step=175, uri=page.panel.frame["uri"][0])
    inside = page.inside()
    listed = page.panel.frame
    marks = inside.snapshot_now().metadata.marks
    assert sorted(mark.uri for mark in marks) == sorted(listed["uri"])
    for uri, name in zip(listed["uri"][1:], listed["checkpoint_id"][1:], strict=True):
        assert [(mark.step, mark.name) for mark in marks if mark.uri == uri] == [(step_of(name), name)]
    assert [mark.name for mark in marks if mark.uri == page.panel.frame["uri"][0]] == ["as recorded"]
    early = next(mark for mark in marks if mark.step == 200)
    assert early.tokens == 2000


def test_the_report_names_the_curves_of_a_run_that_has_some(page: Page) -> None:
    line = f"Curves: %loops curves {RUN}"
    assert "Curves:" not in page.panel._words(120)
    assert not (Path(os.environ["LOOPS_NB_HOME"]) / "experiments.sqlite").exists(), "looking made a file"
    with loops_nb.experiment("mine", run=RUN) as mine:
        mine.log(step=0, loss=3.0)
    assert line in page.panel._words(120)
    for live in (True, False):
        report = page.panel._report(live=live)
        assert f"<p>Curves: <code>%loops curves {RUN}</code></p>" in report["text/html"]
        assert line in report["text/plain"]


def test_it_has_no_report_and_no_place_of_its_own(page: Page) -> None:
    inside = page.inside()
    assert inside._marks is None
    assert inside not in open_panels()


def test_nothing_of_it_is_in_what_a_notebook_keeps_of_the_panel(page: Page) -> None:
    picture = page.opens_the_tab()
    assert picture["widget"] not in json.dumps(page.panel.get_state(), default=str)


@pytest.mark.parametrize("end", ["close", "freeze"])
def test_it_ends_with_the_panel(end: str, page: Page) -> None:
    inside = page.inside()
    getattr(page.panel, end)()
    assert widgets() == {}
    assert inside.comm is None
    assert inside.snapshot_now().health.state == "over"
    assert threads() == 0


def test_other_panels_have_no_curves(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = CheckpointsPanel(loops, run_id=RUN)
    page = Page(panel, monkeypatch)
    page.says(type="select_plot", view="v", plot="curves", measure=False)
    page.says(type="select_plot", view="v", plot="sizes", measure=False)
    until(lambda: page.pictures)
    assert [picture["plot"] for picture in page.pictures] == ["sizes"]
    assert widgets() == {}
    panel.close()


def test_a_hundred_panels_with_curves_leave_nothing_behind(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(ipywidgets.widgets.widget._instances)
    for _ in range(100):
        panel = RunPanel(loops, RUN)
        Page(panel, monkeypatch).opens_the_tab()
        panel.close()
    assert set(ipywidgets.widgets.widget._instances) == before
    assert threads() == 0


def test_what_is_asked_for_while_the_panel_closes_is_not_made(loops: Loops) -> None:
    inside = CurvesInside(RUN)
    inside.close()
    with pytest.raises(LoopsError, match="closed"):
        inside.status({})
    assert widgets() == {}


def test_what_cannot_be_read_is_said_in_words(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise LoopsError("The file of experiments is newer than this loops_nb.")

    with monkeypatch.context() as patched:
        patched.setattr("loops_nb.panels.curves.panel._store", broken)
        assert page.opens_the_tab() == {
            "type": "plot",
            "plot": "curves",
            "state": "failed",
            "text": "The file of experiments is newer than this loops_nb.",
        }
        assert widgets() == {}
    assert page.opens_the_tab()["state"] == "drawn"
