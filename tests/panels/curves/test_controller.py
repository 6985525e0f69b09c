"""Messages to pages of curves: the whole chart once, then appended points, and nothing while no view is visible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops_nb.errors import LoopsError
from loops_nb.panels.curves.model import MOST_MARKS, MOST_NEWEST, ListedCheckpoint
from loops_nb.panels.protocol import ALL_VIEWS, as_dict
from tests.frames.strategies import ANY_MACHINE
from tests.panels.curves.fake_page import Page, floats, size
from tests.panels.curves.memory_store import MemoryStore

FULL, STEP = 50_000, 1_000


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def pages() -> Iterator[list[Page]]:
    opened: list[Page] = []
    yield opened
    for page in opened:
        page.close()


@pytest.mark.parametrize("runs", [1, 3, 24])
@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_a_whole_picture_of_any_number_of_points_is_small(
    runs: int, smoothing: float, store: MemoryStore, pages: list[Page]
) -> None:
    random = np.random.default_rng(0)
    names = [f"a rather long name of an experiment {number}" for number in range(runs)]
    for name in names:
        run = store.begin(name, params={f"parameter {i}": f"{name} {i}" for i in range(40)})
        values = random.normal(size=60_000)
        values[random.integers(0, 60_000, 500)] = math.nan
        store.fill(run, "loss", values)
        for step in range(0, 1000, 50):
            store.save(run, step, f"step-{step}")
    page = Page(store, names)
    pages.append(page)
    page.plot(columns=1200, smoothing=smoothing)
    (message,) = page.of("chart")
    assert size(message) <= FULL
    assert len(message["chart"]["lines"]) == runs
    shown = [len(floats(line["x"])) for line in message["chart"]["lines"]]
    assert min(shown) > 1500 / runs, "as much as fits is shown"


def test_what_travels_with_the_widget_is_small_too(store: MemoryStore, pages: list[Page]) -> None:
    for number in range(8):
        run = store.begin(f"run {number}", params={f"p{i}": number for i in range(40)})
        store.fill(run, "loss", np.random.default_rng(number).normal(size=20_000))
        for step in range(100):
            store.save(run, step, f"checkpoint-number-{step}")
    page = Page(store)
    pages.append(page)
    snapshot = page.controller.snapshot()
    assert size(as_dict(snapshot)) <= FULL
    assert len(snapshot.metadata.marks) == MOST_MARKS
    assert snapshot.metadata.more_marks == 800 - MOST_MARKS
    assert snapshot.chart is not None


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_a_new_step_is_a_few_bytes(smoothing: float, store: MemoryStore, pages: list[Page]) -> None:
    runs = [store.begin(f"run {number}") for number in range(3)]
    for run in runs:
        store.fill(run, "loss", np.linspace(3, 1, 500))
    page = Page(store)
    pages.append(page)
    page.plot(smoothing=smoothing)
    for run in runs:
        store._points[run, "loss"].value = list(store._points[run, "loss"].value)
        for name in ("step", "at", "tokens", "attempt"):
            setattr(store._points[run, "loss"], name, list(getattr(store._points[run, "loss"], name)))
        store.log(run, "loss", [1.2345678], first=500)
    page.wait(lambda: all(line["x"][-1] == 500 for line in page.lines.values()))
    tails = page.of("append")
    assert tails
    assert max(map(size, tails)) <= STEP
    assert len(page.of("chart")) == 1


PIECES = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(st.floats(-1e6, 1e6, width=32) | st.sampled_from([math.nan, math.inf]), min_size=1, max_size=6),
        st.sampled_from([None, 0, 3]),
    ),
    min_size=1,
    max_size=8,
)


@settings(ANY_MACHINE, max_examples=40)
@given(PIECES)
def test_whatever_comes_in_whatever_pieces_the_page_has_all_of_it(
    pieces: list[tuple[int, list[float], int | None]],
) -> None:
    store = MemoryStore()
    runs = [store.begin("one"), store.begin("other")]
    counts = [1, 1]
    logged: list[list[float]] = [[0.5], [0.5]]
    for run in runs:
        store.log(run, "loss", [0.5])
    page = Page(store)
    try:
        page.plot()
        for which, values, back in pieces:
            if back is not None:
                counts[which] = back
            store.log(runs[which], "loss", values, first=counts[which])
            counts[which] += len(values)
            logged[which] += values
            page.controller.update()
        for which in (0, 1):
            wanted = [value for value in logged[which] if math.isfinite(value)]
            assert [value for value in page.lines[which]["y"] if not math.isnan(value)] == wanted
        assert page.lost == 0
        # A page that opens now sees the same gaps.
        one = [list(map(str, line["y"])) for line in page.lines.values()]
        page.plot()
        assert [list(map(str, line["y"])) for line in page.lines.values()] == one
    finally:
        page.close()


def test_where_one_zoomed_in_more_is_seen(store: MemoryStore, pages: list[Page]) -> None:
    run = store.begin("long")
    store.fill(run, "loss", np.random.default_rng(0).normal(size=200_000))
    page = Page(store)
    pages.append(page)
    page.plot(columns=800)
    inside = sum(1000 <= x <= 1400 for x in page.lines[0]["x"])
    page.plot(columns=800, low=1000.0, high=1400.0)
    assert inside < 20
    assert sum(1000 <= x <= 1400 for x in page.lines[0]["x"]) == 401


def test_a_page_that_says_nothing_is_sent_what_is_new_unasked(store: MemoryStore, pages: list[Page]) -> None:
    run = store.begin("deaf kernel")
    store.log(run, "loss", [3.0, 2.0])
    page = Page(store)
    pages.append(page)
    seq = page.controller.snapshot().seq
    store.log(run, "loss", [1.0], first=2)
    page.wait(lambda: page.of("append"))
    (tail,) = page.of("append")
    assert tail["stream"] == ALL_VIEWS
    assert tail["base"] == seq


def test_nobody_looks_so_nothing_is_asked_for(store: MemoryStore, pages: list[Page]) -> None:
    run = store.begin("unseen")
    store.log(run, "loss", [3.0])
    page = Page(store, seen=False)
    pages.append(page)
    page.controller.receive({"type": "view_visibility", "view": "v", "visible": False})
    asked = len(store.asked)
    store.log(run, "loss", [2.0], first=1)
    page.controller.receive({"type": "view_closed", "view": "v"})
    page.plot()
    assert page.lines[0]["y"] == [3.0, 2.0], "who looks sees the newest at once"
    assert len(store.asked) - asked < 20


def test_runs_that_come_later_are_drawn_and_those_before_keep_their_looks(
    store: MemoryStore, pages: list[Page]
) -> None:
    first = store.begin("first", run_id="r1")
    store.log(first, "loss", [1.0, 2.0])
    page = Page(store, ["r1", "to-come"])
    pages.append(page)
    page.plot()
    assert page.controller.metadata.missing == ["to-come"]
    later = store.begin("to-come", created_at=1)
    store.log(later, "loss", [5.0])
    page.wait(lambda: len(page.lines) == 2)
    assert page.controller.metadata.missing == []
    assert [(run.name, run.style) for run in page.controller.metadata.runs] == [("to-come", 1), ("first", 0)]


def test_without_names_the_newest_are_drawn(store: MemoryStore, pages: list[Page]) -> None:
    for number in range(MOST_NEWEST + 3):
        store.log(store.begin(f"run {number}"), "loss", [1.0])
    page = Page(store)
    pages.append(page)
    assert [run.name for run in page.controller.metadata.runs] == [
        f"run {number}" for number in range(3, MOST_NEWEST + 3)
    ]
    assert page.controller.metadata.more_runs == 3


def test_what_is_shown_without_names_stays_and_newer_experiments_are_offered(
    store: MemoryStore, pages: list[Page]
) -> None:
    for number in range(MOST_NEWEST + 2):
        store.log(store.begin(f"run {number}"), "loss", [1.0])
    page = Page(store)
    pages.append(page)
    page.plot()
    before = [run.name for run in page.controller.metadata.runs]
    for number in range(2):
        store.log(store.begin(f"newer {number}"), "loss", [0.5])
    page.wait(lambda: page.controller.metadata.newer_runs == 2)
    assert [run.name for run in page.controller.metadata.runs] == before
    assert page.controller.metadata.more_runs == 2
    store.archive("ex-5")
    page.controller.update()
    assert [run.name for run in page.controller.metadata.runs] == before, "also what is archived meanwhile"
    page.controller.receive({"type": "show_newest"})
    page.wait(lambda: page.controller.metadata.newer_runs == 0)
    assert [run.name for run in page.controller.metadata.runs][-2:] == ["newer 0", "newer 1"]
    page.wait(lambda: len(page.lines) == MOST_NEWEST)


def test_few_experiments_stay_alone_too(store: MemoryStore, pages: list[Page]) -> None:
    store.log(store.begin("one"), "loss", [1.0])
    store.log(store.begin("two"), "loss", [2.0])
    page = Page(store)
    pages.append(page)
    store.log(store.begin("three"), "loss", [0.1])
    page.controller.update()
    assert [run.name for run in page.controller.metadata.runs] == ["one", "two"]
    assert page.controller.metadata.newer_runs == 1


def test_a_panel_that_was_opened_empty_takes_in_what_comes_while_there_is_room(
    store: MemoryStore, pages: list[Page]
) -> None:
    page = Page(store)
    pages.append(page)
    for number in range(MOST_NEWEST + 2):
        store.log(store.begin(f"run {number}"), "loss", [1.0])
        page.controller.update()
    assert [run.name for run in page.controller.metadata.runs] == [f"run {number}" for number in range(MOST_NEWEST)]
    assert page.controller.metadata.newer_runs == 2


def test_a_store_that_cannot_be_read_is_a_state_that_passes(
    store: MemoryStore, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loops_nb.panels.store_controller.RETRY_SECONDS", 0.01)
    run = store.begin("a")
    store.log(run, "loss", [1.0])
    page = Page(store)
    pages.append(page)
    page.plot()
    store.broken = LoopsError("The disk is gone.")
    page.wait(lambda: any(head["health"]["state"] == "failing" for head in page.of("metadata")))
    assert page.of("metadata")[-1]["health"]["reason"] == "The disk is gone."
    store.broken = None
    store.log(run, "loss", [2.0], first=1)
    page.wait(lambda: page.of("metadata")[-1]["health"]["state"] == "live")
    page.wait(lambda: page.lines[0]["y"] == [1.0, 2.0])


@pytest.mark.parametrize(
    "message",
    [
        None,
        "look",
        {"type": "set_chart"},
        {"type": "set_chart", "view": "v", "spec": {"axis": "sideways"}},
        {"type": "command", "what": "deactivate"},
        {"type": "set_chart", "view": "v", "spec": {"columns": "many"}},
    ],
)
def test_what_is_no_message_is_left_alone(message: Any, store: MemoryStore, pages: list[Page]) -> None:
    store.log(store.begin("a"), "loss", [1.0])
    page = Page(store)
    pages.append(page)
    page.controller.receive(message)
    page.plot()
    assert len(page.of("chart")) == 1


@pytest.mark.parametrize(
    "how", [{"columns": -5}, {"columns": 10**9}, {"low": 5.0, "high": 1.0}, {"smoothing": 7.0}, {"key": "no such key"}]
)
def test_what_makes_no_sense_is_made_the_best_of(how: dict[str, Any], store: MemoryStore, pages: list[Page]) -> None:
    store.fill(store.begin("a"), "loss", np.arange(100_000.0))
    page = Page(store)
    pages.append(page)
    page.plot(**how)
    assert size(page.of("chart")[-1]) <= FULL


def test_values_and_steps_of_any_size_travel(store: MemoryStore, pages: list[Page]) -> None:
    run = store.begin("large")
    store.log(run, "loss", [1e300, -1e300, 1e-30, 5.0], first=3_000_000_000)
    page = Page(store)
    pages.append(page)
    page.plot()
    assert page.lines[0]["x"] == [3_000_000_000, 3_000_000_001, 3_000_000_002, 3_000_000_003]
    assert page.chart is not None
    stats = page.chart["lines"][0]["stats"]
    assert (stats["low"], stats["high"]) == (-1e300, 1e300)
    assert all(math.isfinite(y) for y in page.lines[0]["y"])


def test_a_closed_panel_is_still(store: MemoryStore) -> None:
    run = store.begin("a")
    store.log(run, "loss", [1.0])
    page = Page(store)
    page.plot()
    page.close()
    sent = len(page.sent)
    store.log(run, "loss", [2.0], first=1)
    page.controller.receive({"type": "set_chart", "view": "w", "spec": {}})
    page.controller.update()
    assert len(page.sent) == sent
    assert page.controller.snapshot().health.state == "over"
    page.close()


@pytest.mark.parametrize(
    "values",
    [[-1e300, 1e300, 5.0], [1e-300, 2e-300], [1e9 + 0.25, 1e9 + 0.5, 1e9], [1.0, 1.7e308]],
    ids=["large", "small", "much alike", "the largest"],
)
def test_values_that_32_bits_cannot_tell_come_as_they_are(
    values: list[float], store: MemoryStore, pages: list[Page]
) -> None:
    run = store.begin("a")
    store.log(run, "loss", values)
    page = Page(store)
    pages.append(page)
    page.plot()
    assert page.lines[0]["y"] == values
    store.log(run, "loss", values, first=len(values))
    page.wait(lambda: page.of("append"))
    assert page.lines[0]["y"] == values * 2


def test_experiments_of_one_name_are_told_apart_and_those_put_out_of_sight_are_said_to_be(
    store: MemoryStore, pages: list[Page]
) -> None:
    ids = [store.begin("twin"), store.begin("twin"), store.begin("other")]
    for run in ids:
        store.log(run, "loss", [1.0])
    store.archive(ids[0])
    page = Page(store, [*ids[:2], "other"])
    pages.append(page)
    runs = page.controller.metadata.runs
    assert [run.name for run in runs] == [f"twin ({ids[0]})", f"twin ({ids[1]})", "other"]
    assert [run.label for run in runs] == ["twin", "twin", "other"]
    assert [run.tags for run in runs] == [["archived"], [], []]
    named = Page(store, ["twin"])
    pages.append(named)
    assert [(run.id, run.name) for run in named.controller.metadata.runs] == [(ids[1], "twin")]
    store.archive(ids[1])
    named.controller.update()
    assert [run.id for run in named.controller.metadata.runs] == ids[:2], (
        "what is out of sight is found where nothing else is called so"
    )


def test_checkpoints_are_where_their_tokens_were_from_the_first_picture_on(
    store: MemoryStore, pages: list[Page]
) -> None:
    run = store.begin("a")
    store.log(run, "loss", [3.0, 2.0, 1.0], tokens=1000)
    store.save(run, 1, "step-1")
    page = Page(store)
    pages.append(page)
    page.plot(axis="tokens")
    assert [mark.tokens for mark in page.controller.metadata.marks] == [1000.0]


def test_listed_checkpoints_lie_on_the_experiment_that_went_on_then(store: MemoryStore, pages: list[Page]) -> None:
    first = store.begin("first", run_id="r", created_at=1000)
    second = store.begin("second", run_id="r", created_at=5000)
    other = store.begin("other", run_id="q", created_at=100)
    for run in (first, second, other):
        store.log(run, "loss", [3.0, 2.0])
    page = Page(store, ["r", "q"])
    pages.append(page)
    page.controller.set_listed_checkpoints(
        [ListedCheckpoint("r", 1, at, f"step-{at}", f"bt://{at}", "trainer") for at in (500, 2000, 6000)]
    )
    assert [(mark.run, mark.name) for mark in page.controller.metadata.marks] == [
        (first, "step-500"),
        (first, "step-2000"),
        (second, "step-6000"),
    ]
    assert [len(message["metadata"]["marks"]) for message in page.of("metadata")] == [3]
    page.controller.set_listed_checkpoints([])
    assert page.controller.metadata.marks == []


def test_charts_of_one_view_are_streams_of_their_own_and_end_when_they_are_dropped(
    store: MemoryStore, pages: list[Page]
) -> None:
    run = store.begin("a")
    keys = ["loss", "reward", "kl"]
    for key in keys:
        store.log(run, key, [3.0, 2.0])
    page = Page(store)
    pages.append(page)
    for key in keys:
        message = {"type": "set_chart", "view": "v", "stream": f"v/{key}", "charts": 3, "spec": {"key": key}}
        page.controller.receive(message)
    page.wait(lambda: len(page.of("chart")) == 3)
    assert {message["stream"]: message["chart"]["spec"]["key"] for message in page.of("chart")} == {
        f"v/{key}": key for key in keys
    }
    page.controller.receive({"type": "drop_charts", "view": "v", "streams": ["v/kl", "other/loss"]})
    for key in keys:
        store.log(run, key, [1.0], first=2)
    page.wait(lambda: len(page.of("append")) == 2)
    assert {message["stream"] for message in page.of("append")} == {"v/loss", "v/reward"}
    page.controller.receive({"type": "view_closed", "view": "v"})
    page.controller.receive({"type": "set_chart", "view": "w", "spec": {"key": "loss"}})
    page.wait(lambda: len(page.of("chart")) == 4)
    assert set(page.controller._views) == {"w"}


def test_many_charts_of_many_runs_share_a_megabyte(store: MemoryStore, pages: list[Page]) -> None:
    random = np.random.default_rng(0)
    names = [f"run {number}" for number in range(50)]
    for name in names:
        run = store.begin(name)
        for key in range(12):
            store.fill(run, f"metric {key}", random.normal(size=3000))
    page = Page(store, names)
    pages.append(page)
    for key in range(12):
        spec = {"key": f"metric {key}", "columns": 260, "smoothing": 0.5}
        message = {"type": "set_chart", "view": "v", "stream": f"v/{key}", "charts": 12, "spec": spec}
        page.controller.receive(message)
    page.wait(lambda: len(page.of("chart")) == 12)
    assert sum(map(size, page.of("chart"))) < 1_000_000
    assert all(len(message["chart"]["lines"]) == 50 for message in page.of("chart"))


def test_points_of_a_chart_that_comes_into_sight_again_are_not_read_again(
    store: MemoryStore, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.begin("a")
    for key in ("loss", "reward"):
        store.log(run, key, [3.0, 2.0])
    page = Page(store)
    pages.append(page)
    page.plot(key="loss")
    page.plot(key="reward")
    page.controller.update()
    asked = store.asked.count("series")
    page.plot(key="loss")
    assert store.asked.count("series") == asked
    monkeypatch.setattr("loops_nb.panels.curves.model.MOST_UNPLOTTED", 0)
    store.log(run, "loss", [1.0], first=2)
    page.controller.update()
    page.plot(key="reward")
    assert store.asked.count("series") > asked + 1


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_a_new_step_of_fifty_runs_is_at_most_eight_kilobytes(
    smoothing: float, store: MemoryStore, pages: list[Page]
) -> None:
    runs = [store.begin(f"run {number}") for number in range(50)]
    for run in runs:
        store.log(run, "loss", [3.0] * 20)
    page = Page(store, [f"run {number}" for number in range(50)])
    pages.append(page)
    page.plot(smoothing=smoothing)
    for run in runs:
        store.log(run, "loss", [1.2345678], first=20)
    page.wait(lambda: all(line["x"][-1] == 20 for line in page.lines.values()))
    assert max(map(size, page.of("append"))) <= 8_000
    # What is not all that is new, or no number, is told with its statistics.
    store.log(runs[0], "loss", [math.nan, 1e6], first=21)
    page.wait(lambda: page.lines[0]["x"][-1] == 22)
    (line,) = page.of("append")[-1]["lines"]
    assert line["stats"]["odd"] == 1


class _Polled(MemoryStore):
    """A source that goes on with old values while its service does not answer."""

    failure = notice = how = ""


def test_a_source_with_old_values_is_not_said_to_be_live() -> None:
    store = _Polled()
    store.log(store.begin("a"), "loss", [1.0])
    page = Page(store)
    page.plot()
    sent = len(page.sent)
    store.failure = store.notice = "No answer."
    store.log(store.begin("b"), "loss", [1.0])
    page.controller.update()
    health = page.controller.snapshot().health
    assert (health.state, health.reason) == ("failing", "No answer.")
    assert len(page.sent) > sent, "the page is told, and of the new values too"
    sent = len(page.sent)
    page.controller.update()
    assert len(page.sent) == sent, "once"
    store.failure = store.notice = ""
    page.controller.update()
    assert page.controller.snapshot().health.state == "live"
    page.close()
