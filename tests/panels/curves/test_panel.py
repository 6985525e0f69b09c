"""The widget, its report and its picture, and the line of code that opens it."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import ipywidgets
import numpy as np
import pytest

import loops_nb
from loops_nb import Loops
from loops_nb.charts.number_format import nothing_recorded, value_ticks
from loops_nb.charts.style import LINE_COLORS, LINE_MARKERS, SMALL
from loops_nb.charts.text_metrics import text_width
from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.panels import CurvesPanel
from loops_nb.panels.curves.messages import BestRuns
from loops_nb.panels.curves.model import CurveModel
from loops_nb.panels.protocol import as_dict
from loops_nb.render.formatting import number
from tests.charts.svg_reader import SVG, hovers, read
from tests.panels.curves.fake_page import size
from tests.panels.curves.memory_store import MemoryStore
from tests.panels.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore:.*Passing unrecognized arguments.*:DeprecationWarning")
ROOT = Path(__file__).resolve().parents[3]
HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(autouse=True)
def _page_code(monkeypatch: pytest.MonkeyPatch) -> None:
    # A checkout whose page code was not built tests everything else all the same.
    monkeypatch.setattr("loops_nb.panels.curves.panel.page_code", lambda _: "export default { render() {} }")


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    for name, rate in (("slow", 1), ("fast", 3)):
        run = made.begin(name, params={"lr": rate / 1e4, "rank": 8}, run_id=f"run-{name}")
        made.log(run, "loss", [3 / (1 + rate * step / 20) for step in range(100)])
        made.save(run, 50, f"step-50-{name}")
    return made


@pytest.fixture
def opened() -> Iterator[list[CurvesPanel]]:
    panels: list[CurvesPanel] = []
    yield panels
    for panel in panels:
        panel.close()


def test_what_it_opens_it_closes(store: MemoryStore) -> None:
    threads = threading.active_count()
    panel = CurvesPanel(store=store)
    name = panel.model_id
    assert name in ipywidgets.widgets.widget._instances
    assert threading.active_count() == threads + 1
    panel.close()
    panel.close()
    panel.freeze()
    assert name not in ipywidgets.widgets.widget._instances
    assert threading.active_count() == threads
    assert "over" in json.dumps(panel._controller.snapshot().health.state)


def test_a_page_that_opens_gets_everything(store: MemoryStore, opened: list[CurvesPanel]) -> None:
    panel = CurvesPanel("run-fast", store=store, smoothing=0.5)
    opened.append(panel)
    snapshot = panel.get_state("snapshot")["snapshot"]
    assert [run["name"] for run in snapshot["metadata"]["runs"]] == ["fast"]
    assert snapshot["chart"]["spec"]["key"] == "loss"
    assert snapshot["chart"]["lines"][0]["sx"]
    assert snapshot["metadata"]["marks"][0]["uri"] == "bt://loops:run-fast/weights/step-50-fast"
    assert size(snapshot) < 5000
    assert "1 experiment" in repr(panel)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"runs": [3]}, "by their ids or names"),
        ({"runs": [" "]}, "by their ids or names"),
        ({"axis": "sideways"}, "step, tokens, elapsed, clock"),
        ({"smoothing": 2}, "from 0 to 0.999"),
        ({"smoothing": "a lot"}, "from 0 to 0.999"),
        ({"key": 3}, "key is a text"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(how: dict[str, Any], said: str, store: MemoryStore) -> None:
    threads = threading.active_count()
    with pytest.raises(InvalidArgumentError, match=said):
        CurvesPanel(**how, store=store)
    assert threading.active_count() == threads


def test_the_picture_tells_what_the_panel_shows(store: MemoryStore, opened: list[CurvesPanel], tmp_path: Path) -> None:
    bad = store.begin(HOSTILE, params={"lr": HOSTILE})
    store.log(bad, "loss", [1.0, math.nan, 2.0, math.inf, 5.0])
    panel = CurvesPanel(store=store)
    opened.append(panel)
    plot = panel.picture
    assert plot.table["experiment"].tolist() == ["slow", "fast", HOSTILE]
    assert plot.table.set_index("experiment").loc["fast", "lowest"] == pytest.approx(3 / (1 + 3 * 99 / 20))
    assert plot.table["not_finite"].tolist() == [0, 0, 2]
    assert "2 values are no number" in " ".join(plot.notes)
    for look in range(3):
        assert LINE_COLORS[look] in plot.svg
    markers = {one.attrib["d"] for one in read(plot.svg).iter(f"{SVG}path") if "id" in one.attrib}
    assert len(markers) >= 3, "lines differ without color, too"
    assert "bt://loops:run-fast/weights/step-50-fast" in plot.svg
    assert "<script" not in plot.svg
    ET.fromstring(plot.svg)  # noqa: S314 - our own
    saved = plot.save(tmp_path / "curves.svg").read_text("utf-8")
    assert "alert" in saved
    assert "<script" not in saved


def test_the_report_stays_small_whatever_was_recorded(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    for seed in range(8):
        store.fill(store.begin(f"run {seed}"), "loss", np.random.default_rng(seed).normal(size=100_000))
    panel = CurvesPanel(store=store)
    opened.append(panel)
    report = panel._report(live=True)
    assert len(report["text/html"]) < 150_000
    assert "run 7" in report["text/plain"]


@pytest.mark.parametrize("axis", ["step", "tokens", "elapsed", "clock"])
def test_pictures_along_every_axis(axis: Any, opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    run = store.begin("a")
    store.log(run, "loss", [3.0, 2.0, 1.0], tokens=1000)
    store.save(run, 1, "step-1")
    panel = CurvesPanel(axis=axis, store=store)
    opened.append(panel)
    assert panel.picture.svg.count("<path") >= 3


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[1.0, 1e308, 2.0], [-1.7e308, 1.7e308], [1.7e308], [5e-324, 1e-323]], ids=str)
def test_the_largest_and_the_smallest_of_floats_are_drawn(values: list[float], opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    store.log(store.begin("a"), "loss", values)
    panel = CurvesPanel(store=store)
    opened.append(panel)
    svg = panel.picture.svg
    assert "<path" in svg
    assert not re.search(r"[ \"L](?:nan|inf)", svg)


_HARD = {
    "denormals": [0.5 ** (step * 1.5) for step in range(720)],
    "range of all floats": [-1.7e308, 1.7e308, 5e-324, 0.0] * 50,
    "constant": [1.7e308] * 80,
    "not finite": [math.nan, math.inf, -math.inf, 1e-310, -1e-310] * 60,
    "only NaN": [math.nan] * 5,
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", _HARD.values(), ids=_HARD)
@pytest.mark.parametrize("axis", ["step", "tokens", "elapsed", "clock"])
def test_curves_are_drawn_under_strict_numpy_settings(
    values: list[float], axis: Any, opened: list[CurvesPanel]
) -> None:
    store = MemoryStore()
    run = store.begin("a")
    store.log(run, "loss", values, tokens=1e-308)
    with np.errstate(all="raise"):
        before = np.geterr()
        panel = CurvesPanel(store=store, axis=axis, smoothing=0.9)
        opened.append(panel)
        assert panel.told()
        assert panel.picture.table["points"].tolist() == [len(values)]
        assert panel.snapshot_now().health.state == "live"
        store.log(run, "loss", values, first=len(values), tokens=1e-308)
        assert panel.picture.table["points"].tolist() == [2 * len(values)]
        assert np.geterr() == before


def test_where_nothing_was_recorded_it_says_so(opened: list[CurvesPanel]) -> None:
    panel = CurvesPanel("to-come", store=MemoryStore())
    opened.append(panel)
    assert panel.picture.svg == ""
    assert "Nothing was recorded yet." in panel.told()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"runs": "fst"}, "Nothing was recorded yet of fst. Recorded are fast, run-fast, slow, run-slow."),
        (
            {"runs": ["slow", "run-slwo"]},
            "1 experiment, 100 points. Nothing was recorded yet of run-slwo. Recorded are run-slow, ",
        ),
        ({"runs": "fast", "key": "los"}, "Nothing was recorded yet of los. Recorded is loss."),
        ({"runs": HOSTILE}, f"Nothing was recorded yet of {HOSTILE}. Recorded are fast, "),
    ],
    ids=["no such run", "one of two", "no such key", "hostile"],
)
def test_what_is_asked_for_in_vain_is_said_with_what_there_is(
    asked: dict[str, Any], said: str, store: MemoryStore, opened: list[CurvesPanel]
) -> None:
    panel = CurvesPanel(**asked, store=store)
    opened.append(panel)
    assert said in " ".join(panel.told().split())
    assert "<script" not in panel._report(live=True)["text/html"]


def test_what_is_deleted_while_it_is_shown_is_named_as_deleted(store: MemoryStore) -> None:
    slow, fast = (row.id for row in store.experiments())
    model = CurveModel(store, [slow, "run-fast", "swoo"])
    model.read()
    store.delete(slow)
    model.read()
    assert model.metadata.waiting.startswith("Deleted, so no longer drawn: slow. Nothing was recorded yet of swoo. ")
    store.delete(fast)
    model.read()
    assert model.metadata.waiting == "Deleted, so no longer drawn: slow, fast."


def test_of_many_names_a_few_are_said() -> None:
    names = [f"sweep-{number}" for number in range(2000)]
    assert nothing_recorded(["swep-7"], names) == (
        "Nothing was recorded yet of swep-7. Recorded are sweep-7, sweep-97, sweep-87, sweep-79, sweep-78 and 1,995 "
        "more."
    )
    assert "…" in nothing_recorded(["x" * 500, "a\nb"], ["y"])
    assert "\n" not in nothing_recorded(["x" * 500, "a\nb"], ["y"])


def labels(low: float, high: float) -> list[str]:
    return [tick.label for tick in value_ticks(low, high, 6)]


def test_an_axis_is_written_in_one_way_as_on_the_page() -> None:
    assert labels(0, 3) == ["0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]
    assert labels(0, 6e8) == ["0", "100M", "200M", "300M", "400M", "500M", "600M"]
    assert labels(0, 1e12) == ["0", "0.2T", "0.4T", "0.6T", "0.8T", "1.0T"]
    assert labels(0, 1e-5) == ["0", "2e-6", "4e-6", "6e-6", "8e-6", "1e-5"]
    assert labels(1e9, 1e9 + 3) == [f"1,000,000,00{end}" for end in ("0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0")]
    assert labels(-1e308, 1e308) == ["-1e308", "-5e307", "0", "5e307", "1e308"]


def test_numbers_in_the_table_are_those_numbers() -> None:
    assert [number(value) for value in (912_010_839_355.87, 123_456.7, 10_000.001, 9999.51, 5.0)] == [
        "912,010,839,355.87",
        "123,456.7",
        "10,000",
        "9999.5",
        "5",
    ]


@pytest.mark.parametrize(
    "values", [[1e9 + step for step in range(4)], [-1e12, 1e12], [2.0, 3.0], [-1e300, 1e300]], ids=str
)
def test_what_stands_beside_the_axis_has_room_in_a_narrow_column(
    values: list[float], opened: list[CurvesPanel]
) -> None:
    store = MemoryStore()
    store.log(store.begin("a"), "loss", values)
    panel = CurvesPanel(store=store)
    opened.append(panel)
    beside = [one for one in read(panel.picture.svg).iter(f"{SVG}text") if one.attrib.get("text-anchor") == "end"]
    assert len(beside) > 2
    for label in beside:
        assert float(label.attrib["x"]) >= text_width(label.text or "", SMALL) + 12


def test_what_cannot_be_read_is_not_said_to_be_missing(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    store.broken = LoopsError("The file of experiments is no file of experiments.")
    panel = CurvesPanel("a", store=store)
    opened.append(panel)
    assert "is no file of experiments" in panel.told()
    for words in (panel.told(), panel._report(live=True)["text/html"]):
        assert "Nothing was recorded" not in words


def test_how_to_record_tokens_is_said_where_there_are_none(store: MemoryStore, opened: list[CurvesPanel]) -> None:
    panel = CurvesPanel(store=store, axis="tokens")
    opened.append(panel)
    assert "Of 2 experiments no tokens were recorded: exp.log(step=1, loss=0.5, tokens_seen=4096)." in " ".join(
        panel.told().split()
    )


def words_of(panel: CurvesPanel) -> str:
    return " ".join(panel.told().split())


def test_every_named_experiment_is_drawn_and_the_best_is_that_of_all(opened: list[CurvesPanel]) -> None:
    count, store = 200, MemoryStore()
    names = [f"seed {seed}" for seed in range(count)]
    for seed, name in enumerate(names):
        store.log(
            store.begin(name, run_id="r", params={"lr": seed, "data": "x" * 300}),
            "loss",
            list(np.linspace(3, 1 + seed / 100, 2000)),
        )
    for asked in (names, "r"):
        panel = CurvesPanel(asked, store=store, smoothing=0.5)
        opened.append(panel)
        snapshot = panel.snapshot_now()
        assert [run.name for run in snapshot.metadata.runs] == names
        assert snapshot.chart is not None
        assert [line.run for line in snapshot.chart.lines] == list(range(count))
        assert min(len(line.x) // 4 for line in snapshot.chart.lines) >= 20
        assert snapshot.chart.best[0] == BestRuns(runs=[0], words="★ best"), "the oldest of all"
        assert size(as_dict(snapshot)) < 80_000 + 1400 * count
        assert "Best (lowest): seed 0, 1 at step 1,999." in words_of(panel)
        assert len(snapshot.title) < 120
        report = panel._report(live=True)["text/html"]
        assert all(f">{name}<" in report for name in names)
        assert len(report) < 150_000 + 2200 * count


def test_without_names_the_best_is_one_of_those_that_are_shown_and_so_it_is_called(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    for seed in range(30):
        store.log(store.begin(f"seed {seed}"), "loss", [float(seed)])
    panel = CurvesPanel(store=store)
    opened.append(panel)
    assert panel.snapshot_now().chart.best[0].words == "★ best of these 8"  # type: ignore[union-attr]
    assert "8 newest of 30 experiments shown" in words_of(panel)
    assert "Best of these 8 (lowest): seed 22, 22 at step 0." in words_of(panel)


NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("series", "key", "best", "told"),
    [
        ([[3, 1], [3, 2]], "loss", BestRuns(runs=[0], words="★ best"), "Best (lowest): e0, 1 at step 1."),
        (
            [[3, 1], [3, 1], [3, 2]],
            "loss",
            BestRuns(runs=[0, 1], words="tied for best"),
            "2 experiments tie for the lowest value: 1.",
        ),
        (
            [[0.1, NAN], [3, 2]],
            "loss",
            BestRuns(runs=[1], words="★ best", left_out=[0]),
            "Not compared: 1 experiment whose newest",
        ),
        (
            [[0.1, -INF], [3, 2]],
            "loss",
            BestRuns(runs=[1], words="★ best", left_out=[0]),
            "Best (lowest): e1, 2 at step 1.",
        ),
        ([[NAN], [NAN]], "loss", BestRuns(left_out=[0, 1]), "Not compared: 2 experiments"),
        ([[3, 1]], "loss", BestRuns(), "1 experiment, 2 points."),
        (
            [[3, 1], [3, 2], []],
            "loss",
            BestRuns(runs=[0], words="★ best of the 2 with values"),
            "Best of the 2 with values (lowest): e0",
        ),
        ([[3, 1], [3, 2]], "grad_norm", BestRuns(runs=[0], words="★ best"), "2 experiments, 4 points."),
    ],
    ids=[
        "one",
        "tie",
        "ends in NaN",
        "ends in infinity",
        "only NaN",
        "alone",
        "one without values",
        "direction not known",
    ],
)
def test_the_winner_is_named_only_where_there_is_one(
    series: list[list[float]], key: str, best: BestRuns, told: str, opened: list[CurvesPanel]
) -> None:
    store = MemoryStore()
    for place, values in enumerate(series):
        run = store.begin(f"e{place}", run_id="r")
        if values:
            store.log(run, key, values)
    panel = CurvesPanel("r", store=store, key=key)
    opened.append(panel)
    curve = panel.snapshot_now().chart
    assert curve is not None
    assert curve.best[0] == best
    assert curve.mode == (None if key == "grad_norm" else "min")
    assert told in words_of(panel)
    assert ("BestRuns" in words_of(panel)) == told.startswith("BestRuns") or best.runs


def test_an_experiment_that_is_named_and_not_there_yet_is_no_part_of_a_comparison(
    store: MemoryStore, opened: list[CurvesPanel]
) -> None:
    panel = CurvesPanel(["slow", "fast", "to-come"], store=store)
    opened.append(panel)
    assert "Best of the 2 with values (lowest): fast" in words_of(panel)


def test_parameters_are_compared_whole_and_told_with_all_their_digits(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    long = "x" * 500
    for seed, lr, end in ((2**63 - 1, 1e-4, "a"), (2**63 - 2, 1.0000001e-4, "b")):
        params = {
            "seed": seed,
            "optimizer": {"lr": lr, "betas": [0.9, 0.95]},
            "path": long + end,
            "kind": 1 if end == "a" else "1",
        }
        store.log(store.begin(end, params=params), "loss", [1.0])
    panel = CurvesPanel(store=store)
    opened.append(panel)
    head = panel.snapshot_now().metadata
    assert {row.name: row.values for row in head.params} == {
        "seed": ["9223372036854775807", "9223372036854775806"],
        "optimizer.lr": ["0.0001", "0.00010000001"],
        "path": ["…" + "x" * 20 + "a", "…" + "x" * 20 + "b"],
        "kind": ["1", '"1"'],
    }
    assert head.same_params == 1


def test_parameters_that_are_not_told_are_counted(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    for seed in range(2):
        store.log(store.begin(f"{seed}", params={f"p{place}": seed for place in range(3000)}), "loss", [1.0])
    panel = CurvesPanel(store=store)
    opened.append(panel)
    head = panel.snapshot_now().metadata
    assert 500 < len(head.params) < 3000
    assert len(head.params) + head.more_params == 3000
    assert "2,980 more parameters that differ: %loops params" in words_of(panel)


def test_every_key_is_offered_what_matters_first(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    run = store.begin("many")
    layers = [f"layers.{layer}/grad_norm" for layer in range(300)]
    for key in [*layers, "step_seconds", "window", "reward/mean", "eval/accuracy", "val_loss", "train/loss", "loss"]:
        store.log(run, key, [1.0])
    panel = CurvesPanel("many", store=store)
    opened.append(panel)
    head = panel.snapshot_now().metadata
    first = ["loss", "train/loss", "val_loss", "eval/accuracy", "reward/mean", "window", "step_seconds"]
    assert head.keys == [*first, *layers]
    assert head.more_keys == 0


def test_thousands_of_keys_are_counted_and_found_by_search(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    run = store.begin("many")
    for key in [*(f"layers.{layer}/mlp/experts/grad_norm" for layer in range(3000)), "loss"]:
        store.log(run, key, [1.0])
    panel = CurvesPanel("many", store=store)
    opened.append(panel)
    snapshot = panel.snapshot_now()
    assert size(as_dict(snapshot)) < 50_000
    assert snapshot.metadata.keys[0] == "loss"
    assert len(snapshot.metadata.keys) + snapshot.metadata.more_keys == 3001
    sent: list[dict[str, Any]] = []
    panel._controller._send_message = sent.append
    panel._controller.receive({"type": "search_keys", "view": "v", "text": "LAYERS.2999 norm"})
    until(lambda: any(message["type"] == "found_keys" for message in sent))
    found = next(message for message in sent if message["type"] == "found_keys")
    assert (found["keys"], found["total"]) == (["layers.2999/mlp/experts/grad_norm"], 1)
    near = CurvesPanel("many", store=store, key="layers.2999/mlp/expert/grad_norm")
    opened.append(near)
    assert "layers.2999/mlp/experts/grad_norm" in words_of(near)


def test_the_report_says_which_marks_are_not_drawn(opened: list[CurvesPanel]) -> None:
    store = MemoryStore()
    run = store.begin("a")
    store.log(run, "loss", [1.0] * 100)
    for step in range(100):
        store.save(run, step, f"step-{step}")
    panel = CurvesPanel(store=store)
    opened.append(panel)
    assert "40 older marks not drawn." in words_of(panel)
    assert sum("step-" in text for text in hovers(read(panel.picture.svg))) == 60


def test_line_styles_of_the_page_are_those_of_static_plots() -> None:
    page = (ROOT / "js" / "src" / "curves" / "line-styles.tsx").read_text("utf-8")
    assert all(f'"{color}"' in page for color in LINE_COLORS)
    assert len(LINE_MARKERS) == page.count('\n  "M'), "as many shapes of markers"
    places = [page.index(color) for color in LINE_COLORS]
    assert places == sorted(places)


def test_from_python_with_the_real_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[CurvesPanel]
) -> None:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    with loops_nb.experiment("sweep", params={"lr": 1e-4}) as experiment:
        for step in range(5):
            experiment.log(step=step, loss=1 / (step + 1))
    with Loops("key", "http://127.0.0.1:1") as loops:
        panel = loops.runs.curves("sweep")
    opened.append(panel)
    assert "sweep" in panel.told()
    assert "0.2 @ 4" in panel.told()
