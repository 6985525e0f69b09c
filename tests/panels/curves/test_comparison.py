"""Charts of groups, and against a baseline."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from loops_nb.errors import InvalidArgumentError
from loops_nb.panels import CurvesPanel
from loops_nb.panels.curves.messages import ChartSpec
from loops_nb.panels.curves.model import ClientView, CurveModel
from tests.panels.curves.fake_page import Page, floats
from tests.panels.curves.memory_store import MemoryStore


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    for rate in (1, 2):
        for seed in range(2):
            run = made.begin(f"lr{rate}-s{seed}", params={"lr": rate, "seed": seed})
            made.log(run, "loss", [float(rate * 10 + seed * 2 + step) for step in range(5)])
    return made


@pytest.fixture
def page(store: MemoryStore) -> Iterator[Page]:
    made = Page(store)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("band", "half"), [("std", np.sqrt(2)), ("minmax", 1.0), ("quartiles", 0.5)], ids=["std", "minmax", "quartiles"]
)
@pytest.mark.parametrize("by", ["lr", "seedless"])
def test_groups_are_means_with_a_band(by: str, band: str, half: float, page: Page) -> None:
    page.plot(key="loss", group_by=by, band=band)
    assert page.chart is not None
    assert [len(each["members"]) for each in page.chart["compared"]] == [2, 2]
    assert [each["style"] for each in page.chart["compared"]] == [0, 1]
    assert page.lines[0]["y"] == [11.0, 12, 13, 14, 15]
    (low, high) = (floats(page.chart["lines"][0][edge]) for edge in ("lo", "hi"))
    assert low == pytest.approx([11 - half + step for step in range(5)])
    assert high == pytest.approx([11 + half + step for step in range(5)])
    assert page.chart["lines"][1]["stats"]["last"] == 25.0
    assert page.chart["notes"]


@pytest.mark.parametrize(("against", "values"), [("difference", [10.0] * 5), ("ratio", [2.0, 22 / 12])])
def test_lines_are_compared_with_a_baseline(against: str, values: list[float], page: Page) -> None:
    page.plot(key="loss", baseline="ex-0", against=against)
    assert page.chart is not None
    assert [each["id"] for each in page.chart["compared"]] == ["ex-0", "ex-1", "ex-2", "ex-3"]
    expected = [(20 + step) / (10 + step) for step in range(5)] if against == "ratio" else values
    assert page.lines[2]["y"] == pytest.approx(expected)
    assert page.lines[0]["y"] == [1.0 if against == "ratio" else 0.0] * 5
    assert page.chart["compared"][0]["label"].endswith("(baseline)")


def test_groups_are_compared_with_the_group_of_the_baseline(page: Page) -> None:
    page.plot(key="loss", group_by="lr", baseline="ex-1")
    assert page.lines[1]["y"] == pytest.approx([10.0] * 5)


def test_a_new_point_of_a_member_sends_the_end_of_its_group(store: MemoryStore, page: Page) -> None:
    page.plot(key="loss", group_by="lr")
    other = list(page.lines[1]["y"])
    for value in (16.0, 17.0):
        # Where the number of members is another one at the end, the group is called otherwise, and the whole is sent.
        for run in ("ex-0", "ex-1"):
            store.log(run, "loss", [value], first=int(value) - 11)
        page.wait(lambda value=value: page.lines[0]["y"][-1] == value)
    assert page.lines[0]["y"] == [11, 12, 13, 14, 15, 16, 17]
    assert page.lines[1]["y"] == other
    # A new member changes what the group is called: the whole is sent.
    store.log(store.begin("lr1-s9", params={"lr": 1, "seed": 9}), "loss", [1.0])
    page.controller.show_newest()
    page.wait(lambda: page.chart is not None and "3" in page.chart["compared"][0]["label"])


@pytest.mark.parametrize(
    "how", [{"group_by": "lr"}, {"baseline": "ex-0"}, {"group_by": "lr", "axis": "clock"}], ids=str
)
def test_pages_of_long_groups_are_those_of_a_new_view(how: dict[str, str], store: MemoryStore) -> None:
    values = np.random.default_rng(0).normal(size=(4, 9_000))
    model = CurveModel(store, None)
    shown = ClientView(ChartSpec(key="long", columns=60, **how))  # type: ignore[arg-type]
    page: dict[int, bytes] = {}
    sent = wholes = 0
    for count in (3_000, 3_001, 3_007, 3_500, 3_501, 8_999):
        for place, of in enumerate(values):
            store.fill(f"ex-{place}", "long", of[:count])
        model.read()
        added = None if not page else model.append("v", shown, 0.0)
        if added is None:
            chart = model.draw(shown)
            assert chart is not None
            page, wholes = {line.run: line.y for line in chart.lines}, wholes + 1
        for line in [] if added is None else added.lines:
            assert line.keep is not None
            page[line.run] = page[line.run][: 4 * line.keep] + line.y
            sent += len(line.y)
        fresh = model.draw(ClientView(shown.spec))
        assert fresh is not None
        assert page == {line.run: line.y for line in fresh.lines}
    assert wholes <= 2, "at the beginning, and where places are further apart"
    assert sent < 4 * len(page) * 4 * 20


def test_a_parameter_that_nothing_has_is_said(page: Page) -> None:
    page.plot(key="loss", group_by="no such parameter")
    assert page.chart is not None
    assert page.chart["lines"] == []
    assert "no such parameter" in page.chart["notes"][0]


def test_long_groups_are_as_small_as_their_room(store: MemoryStore) -> None:
    for number in range(8):
        store.fill(f"ex-{number % 4}", f"long {number // 4}", np.random.default_rng(number).normal(size=50_000))
    model = CurveModel(store, None)
    model.read()
    chart = model.draw(ClientView(ChartSpec(key="long 0", group_by="lr", columns=300), charts=12))
    assert chart is not None
    assert [len(line.x) // 4 <= 300 for line in chart.lines] == [True, True]


def test_a_panel_has_its_values_as_a_frame_and_a_figure(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.panels.curves.panel.page_code", lambda _: "export default { render() {} }")
    store.log("ex-0", "reward", [1.0])
    panel = CurvesPanel(store=store)
    try:
        frame = panel.frame()
        assert len(frame) == 21
        assert list(frame.columns) == ["id", "experiment", "key", "step", "at", "tokens", "value", "attempt"]
        assert panel.frame("reward")["value"].tolist() == [1.0]
        assert panel.figure("reward").axes
        assert panel.figure().axes[0].get_lines()
        assert [ax.get_ylabel() for ax in panel.figure(["loss", "rew*"]).axes] == ["loss", "reward"]
        with pytest.raises(InvalidArgumentError, match="rewards"):
            panel.frame(["rewards"])
        with pytest.raises(InvalidArgumentError, match="no picture"):
            panel.figure("rewards")
    finally:
        panel.close()


def test_a_panel_opens_grouped_compared_and_colored(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.panels.curves.panel.page_code", lambda _: "export default { render() {} }")
    for seed in range(2, 8):
        store.log(store.begin(f"lr2-s{seed}", params={"lr": 2, "seed": seed}), "loss", [20.0])
    panel = CurvesPanel(store=store, group_by="lr", band="minmax", baseline="lr=1", against="ratio", color_by="lr")
    try:
        shown = panel.snapshot_now()
        assert len(shown.metadata.runs) == 10, "groups are of all experiments"
        spec = shown.spec
        assert (spec.group_by, spec.band, spec.baseline, spec.against) == ("lr", "minmax", "ex-0", "ratio")
        assert shown.chart is not None
        assert shown.chart.compared is not None
        assert [one.color for one in shown.chart.compared] == [color for color, _ in shown.metadata.colors]
        assert [label for _, label in shown.metadata.colors] == ["1", "2"]
        line = "%loops curves --group-by lr --band minmax --baseline lr=1 --against ratio --color-by lr"
        assert shown.line == line
        assert "Baseline: lr=1" in str(panel.picture.notes) or "lr=1" in panel.picture.table["group"].tolist()
    finally:
        panel.close()
    named = CurvesPanel(["ex-0", "lr1-s1"], store=store, baseline="lr2-s0", color_by="no such parameter")
    try:
        shown = named.snapshot_now()
        assert [run.label for run in shown.metadata.runs] == ["lr1-s0", "lr1-s1", "lr2-s0"], "the baseline is shown"
        assert shown.title == "Curves of lr1-s0, lr1-s1"
        assert (shown.metadata.color_by, shown.metadata.colors) == ("", [])
    finally:
        named.close()
    with pytest.raises(InvalidArgumentError, match="neither a group here nor an experiment"):
        CurvesPanel(store=store, baseline="lr3")
    with pytest.raises(InvalidArgumentError, match="band is one of"):
        CurvesPanel(store=store, group_by="lr", band="iqr")  # type: ignore[arg-type]
