"""Pictures of checkpoints: drawn for who shows them, when rows change, and measured only for who asks."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd
import pytest

from loops_nb import Loops, charts
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels import CheckpointsPanel
from loops_nb.panels.controller import PanelController
from loops_nb.panels.fleet import FleetView
from loops_nb.panels.listings import CheckpointsView
from loops_nb.panels.messages import PlotStatus
from loops_nb.panels.run import RunView
from loops_nb.panels.visibility import Visibility
from tests.panels.manual_poller import ManualPoller
from tests.panels.workspace import checkpoint, workspace
from tests.service import running_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from loops_nb.panels.view import View

HELLO = {"type": "view_opened", "view": "v", "have": None}


class Shown:
    """A panel whose page shows pictures, and what came."""

    def __init__(self, view: View | None = None, measure: Any = None, inside: Any = ()) -> None:
        self.pictures: list[PlotStatus] = []
        self.hand = ManualPoller()
        self.at = 0.0
        visibility = Visibility(lambda: self.hand.wall, lambda: 0.0)
        self.controller = PanelController(
            view or CheckpointsView(run_id="r"),
            self.hand,  # type: ignore[arg-type]
            self._take,
            visibility,
            measure=measure,
            inside=inside,
            time_zone="UTC",
            wall=lambda: self.hand.wall,
            clock=lambda: self.hand.wall,
        )
        self.controller.receive(HELLO)

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "plot":
            self.pictures.append(msgspec.convert(message, PlotStatus))

    def show(self, plot: str | None, *, measure: bool = False, view: str = "v") -> None:
        self.controller.receive({"type": "select_plot", "view": view, "plot": plot, "measure": measure})

    def save(self, *steps: int) -> None:
        self.hand.answer(checkpoints=[checkpoint("r", step) for step in steps])

    @property
    def last(self) -> PlotStatus:
        return self.pictures[-1]


@pytest.mark.parametrize("plot", ["timeline", "sizes"])
def test_nothing_is_drawn_before_a_page_shows_it(plot: str) -> None:
    page = Shown()
    page.save(100, 200)
    page.hand.turn(5)
    assert page.pictures == []
    page.show(plot)
    (picture,) = page.pictures
    assert (picture.plot, picture.state, picture.can_measure) == (plot, "drawn", False)
    assert picture.svg.startswith("<svg")
    assert "2 checkpoints" in picture.text


def test_other_rows_make_another_picture_at_most_once_a_second() -> None:
    page = Shown()
    page.save(100)
    page.show("timeline")
    for last in range(200, 700, 100):
        page.save(100, last)
    assert len(page.pictures) == 1
    page.hand.turn(1.0)
    assert len(page.pictures) == 2
    assert "step-600" in page.last.svg
    page.hand.turn(5)
    assert len(page.pictures) == 2, "nothing is drawn when nothing is different"


def test_pauses_grow_with_the_time_that_drawing_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Shown()
    page.save(100)
    draw = charts.sizes

    def slowly(frame: pd.DataFrame) -> Any:
        page.hand.at += 2000
        return draw(frame)

    monkeypatch.setattr("loops_nb.charts.sizes", slowly)
    page.show("sizes")
    page.save(100, 200)
    page.hand.turn(9)
    assert len(page.pictures) == 1
    page.hand.turn(1.5)
    assert len(page.pictures) == 2


def test_what_was_drawn_is_not_drawn_again_for_another_view() -> None:
    page = Shown()
    page.save(100)
    page.show("sizes")
    page.show("sizes", view="another")
    first, second = page.pictures
    assert first == second


def test_who_looks_away_is_not_served() -> None:
    page = Shown()
    page.save(100)
    page.show("sizes")
    page.show(None)
    page.hand.turn(2)
    page.save(100, 200)
    page.hand.turn(2)
    assert len(page.pictures) == 1
    page.show("sizes")
    assert len(page.pictures) == 2
    page.controller.receive({"type": "view_closed", "view": "v"})
    page.hand.turn(2)
    page.save(300)
    page.hand.turn(2)
    assert len(page.pictures) == 2


def test_after_the_end_nothing_is_drawn() -> None:
    page = Shown()
    page.save(100)
    page.show("sizes")
    page.save(200)
    page.controller.close()
    page.hand.turn(5)
    assert len(page.pictures) == 1


def test_a_run_has_pictures_of_its_checkpoints_and_a_fleet_has_none() -> None:
    run = Shown(RunView("r_live"))
    run.hand.answer(workspace())
    run.show("timeline")
    assert "6 checkpoints" in run.last.text
    fleet = Shown(FleetView())
    fleet.hand.answer(workspace())
    fleet.show("timeline")
    fleet.show("drift", measure=True)
    assert fleet.pictures == []


def test_curves_are_named_to_who_shows_them_and_not_again_when_rows_change_but_get_the_rows() -> None:
    named = PlotStatus(plot="curves", state="drawn", widget="w", text="Type this.")
    given: list[int] = []

    class Curves:
        plot = "curves"

        def status(self, rows: Any) -> PlotStatus:
            given.append(len(rows))
            return named

        def set_rows(self, rows: Any) -> None:
            given.append(len(rows))

    page = Shown(RunView("r"), inside=[Curves()])
    page.save(100)
    page.hand.turn(5)
    assert page.pictures == []
    page.show("curves")
    page.save(100, 200)
    page.hand.turn(5)
    page.show("curves", view="another")
    assert page.pictures == [named, named]
    assert given == [1, 2, 2]


def test_no_picture_is_in_what_a_notebook_keeps() -> None:
    page = Shown()
    page.save(100)
    page.show("timeline")
    assert "<svg" not in json.dumps(page.controller.initial_state())


def test_nothing_to_draw_is_said_in_words() -> None:
    page = Shown()
    page.save()
    page.show("sizes")
    assert (page.last.state, page.last.svg) == ("drawn", "")
    assert page.last.text


def test_what_cannot_be_drawn_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    page = Shown()
    page.save(100)

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("/secret/place")

    monkeypatch.setattr("loops_nb.charts.sizes", broken)
    page.show("sizes")
    assert page.last.state == "failed"
    assert "ZeroDivisionError" in page.last.text
    assert "secret" not in page.last.text


# Drift


def drifted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return drift of the given checkpoints, without reading any."""
    steps = sorted(int(name.removeprefix("step-")) for name in frame["checkpoint_id"])
    rows = [
        {
            "module": f"layers.{layer}.q_proj",
            "module_type": "q_proj",
            "layer": layer,
            "step": step,
            "checkpoint": f"r/weights/step-{step}",
            "run_id": "r",
            "target": "trainer",
            "quantity": "update",
            "norm": step + layer + 1.0,
            "change": 1.0,
            "relative_change": 0.5,
            "parameters": 10,
        }
        for step in steps
        for layer in range(3)
    ]
    return pd.DataFrame(rows)


def test_drift_is_measured_only_for_who_asks() -> None:
    asked: list[list[str]] = []

    def measure(frame: pd.DataFrame) -> pd.DataFrame:
        asked.append(list(frame["id"]))
        return drifted(frame)

    page = Shown(measure=measure)
    page.save(100)
    page.show("drift")
    assert (page.last.state, page.last.can_measure) == ("unmeasured", False)
    assert "it takes two" in page.last.text
    page.save(100, 200)
    assert (page.last.state, page.last.can_measure) == ("unmeasured", True)
    assert "2 checkpoints over the network, at most 334" in page.last.text
    assert asked == []
    page.show("drift", measure=True)
    assert asked == [["ck_r_100", "ck_r_200"]]
    assert [picture.state for picture in page.pictures[-2:]] == ["running", "drawn"]
    assert page.last.svg.startswith("<svg")
    assert page.last.can_measure
    before = len(page.pictures)
    page.save(100, 200, 300)
    page.hand.turn(5)
    assert len(page.pictures) == before, "weights are read once a request"
    page.show("drift", measure=True)
    assert len(asked[-1]) == 3


def test_what_went_wrong_while_measuring_is_said_and_it_can_be_tried_again() -> None:
    def measure(_: pd.DataFrame) -> pd.DataFrame:
        raise InvalidArgumentError("The files are on a volume.", hint="Deploy it.")

    page = Shown(measure=measure)
    page.save(100, 200)
    page.show("drift", measure=True)
    assert (page.last.state, page.last.can_measure) == ("failed", True)
    assert "The files are on a volume." in page.last.text


def test_nobody_measures_where_nobody_can() -> None:
    page = Shown()
    page.save(100, 200)
    page.show("drift", measure=True)
    assert (page.last.state, page.last.can_measure) == ("unmeasured", False)


def test_it_is_measured_once_at_a_time() -> None:
    page = Shown(measure=drifted)
    page.save(100, 200)
    waiting: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []
    page.hand.run_in_background = lambda job, done: waiting.append((job, done))  # type: ignore[method-assign]
    page.show("drift", measure=True)
    page.show("drift", measure=True)
    ((job, done),) = waiting
    done(job())
    assert [picture.state for picture in page.pictures[-2:]] == ["running", "drawn"]


def test_what_is_read_is_what_is_saved_whole_and_of_a_run_what_its_sampler_takes() -> None:
    seen: list[pd.DataFrame] = []

    def measure(frame: pd.DataFrame) -> pd.DataFrame:
        seen.append(frame)
        return drifted(frame)

    page = Shown(CheckpointsView(base_model="m"), measure)
    page.hand.answer(
        checkpoints=[
            checkpoint("a", 100),
            checkpoint("a", 200, target="sampler"),
            checkpoint("a", 300, target="sampler"),
            checkpoint("a", 400, target="sampler", sync_status="SYNCING"),
            checkpoint("b", 100, size_bytes=None),
        ]
    )
    page.show("drift")
    assert "3 checkpoints over the network, of a size that the service does not tell" in page.last.text
    page.show("drift", measure=True)
    assert list(seen[0]["id"]) == ["ck_a_200", "ck_a_300", "ck_b_100"]


# The real thing


@pytest.fixture
def panel(
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[CheckpointsPanel, list[dict[str, Any]], threading.Condition]]:
    monkeypatch.setattr("loops_nb.panels.panel.page_code", lambda *_: "export default { render() {} }")
    told: list[dict[str, Any]] = []
    news = threading.Condition()
    with running_service(sample=True, in_process=True, speed=1.0) as service, Loops("key", service.url) as loops:
        saved = next(run.id for run in loops.runs.list() if len(loops.checkpoints.list(run_id=run.id)) > 2)
        made = CheckpointsPanel(loops, run_id=saved)

        def send(message: dict[str, Any]) -> None:
            with news:
                told.append(message)
                news.notify_all()

        monkeypatch.setattr(made, "_send_now", send)
        yield made, told, news
        made.close()


@pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")
def test_the_sample_is_drawn_and_its_weights_are_followed(panel: Any) -> None:
    made, told, news = panel

    def picture(plot: str, *states: str) -> dict[str, Any] | None:
        return next(
            (m for m in reversed(told) if m["type"] == "plot" and m["plot"] == plot and m["state"] in states), None
        )

    def ask(plot: str, *, measure: bool, states: tuple[str, ...]) -> dict[str, Any]:
        made._controller.receive({"type": "select_plot", "view": "v", "plot": plot, "measure": measure})
        with news:
            assert news.wait_for(lambda: picture(plot, *states) is not None, timeout=60)
        found = picture(plot, *states)
        assert found is not None
        return found

    made._controller.receive(HELLO)
    for plot in ("timeline", "sizes"):
        assert ask(plot, measure=False, states=("drawn",))["svg"].startswith("<svg")
    assert "over the network" in ask("drift", measure=False, states=("unmeasured",))["text"]
    found = ask("drift", measure=True, states=("drawn", "failed"))
    assert found["state"] == "drawn", found["text"]
    assert found["svg"].startswith("<svg")
