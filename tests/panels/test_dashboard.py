"""The dashboard over the real service: its curves follow the selection, and end with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import ipywidgets
import pytest

import loops_nb
from loops_nb import Loops
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels import CurvesPanel, DashboardPanel
from tests.panels.waiting import until
from tests.service import AnyService

pytestmark = pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")
RUN, OTHER = "p2syas8", "u8rkdjp"


@pytest.fixture
def loops(service: AnyService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Loops]:
    for name in ("panel", "curves.panel"):
        monkeypatch.setattr(f"loops_nb.panels.{name}.page_code", lambda *_: "export default { render() {} }")
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    with Loops("key", service.url) as made:
        yield made


def shown_in(panel: DashboardPanel) -> list[str | None]:
    """Return the runs whose curves are shown."""
    panel.curves.told()
    return [run.run_id for run in panel.curves.snapshot_now().metadata.runs]


def test_curves_follow_new_experiments_and_the_selection_and_end_with_the_dashboard(loops: Loops) -> None:
    loops_nb.experiment("before", run=RUN).log(step=1, loss=2.0)
    panel = loops.dashboard(interval=0.05)
    assert isinstance(panel, DashboardPanel)
    assert shown_in(panel) == [RUN]
    loops_nb.experiment("begun later", run=OTHER).log(step=1, loss=1.5)
    until(lambda: shown_in(panel) == [RUN, OTHER])
    everything = panel.checkpoints_frame
    panel.select(RUN, "not-listed")
    until(lambda: panel.selected_runs == [RUN])
    until(lambda: shown_in(panel) == [RUN])
    frame = panel.checkpoints_frame
    assert frame is not None
    assert everything is not None
    assert set(frame["run_id"]) == {RUN} != set(everything["run_id"])
    # The checkpoints that the service lists are on the curves.
    until(lambda: {mark.name for mark in panel.curves.snapshot_now().metadata.marks} <= set(frame["checkpoint_id"]))
    assert panel.curves.snapshot_now().metadata.marks
    report = panel._report(live=True)
    assert report["text/html"].index("checkpoints") < report["text/html"].index("<svg")
    assert f"%loops dashboard {RUN}" in report["text/plain"]
    assert "before" in panel.told()
    assert panel.snapshot_now().curves is not None
    widget = panel.curves
    panel.close()
    with pytest.raises(InvalidArgumentError, match="was closed"):
        panel.curves.told()
    assert widget not in ipywidgets.widgets.widget._instances.values()
    until(lambda: not [one for one in threading.enumerate() if one.name == "loops-nb-curves"])


def test_a_dashboard_without_curves_has_its_tables(loops: Loops, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("made by a test")

    monkeypatch.setattr(CurvesPanel, "__init__", broken)
    panel = loops.dashboard()
    snapshot = panel.snapshot_now()
    assert snapshot.curves is not None
    assert snapshot.curves.state == "failed"
    assert "RuntimeError" in snapshot.curves.text
    assert snapshot.tables["runs"].rows
    assert RUN in panel._report(live=True)["text/plain"]
    with pytest.raises(InvalidArgumentError, match="RuntimeError"):
        panel.curves.told()
    panel.close()


def test_bad_runs_are_refused_before_anything_is_made(loops: Loops) -> None:
    before = threading.active_count()
    for wrong in ("", "a/b", 7):
        with pytest.raises(InvalidArgumentError):
            loops.dashboard(wrong)  # type: ignore[arg-type]
    assert threading.active_count() == before
