"""The panel of samples: rows of prompts, what a page is sent, its report."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels import SamplesPanel
from loops_nb.panels.samples.controller import SamplesController
from loops_nb.panels.samples.messages import SampleSpec
from loops_nb.panels.samples.model import PAGE_ROWS, spread
from loops_nb.panels.samples.word_diff import shortened, word_diff
from loops_nb.panels.visibility import Visibility
from loops_nb.tracking import Experiment, ExperimentStore
from loops_nb.tracking.metrics import Metrics

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class SamplesPage:
    """One view of a panel of samples, as ``js/src/samples/store.ts`` puts together what it is sent."""

    def __init__(self, wanted: list[str] | None = None, spec: SampleSpec | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.grid: dict[str, Any] | None = None
        self.cells: dict[int, dict[str, Any]] = {}
        self.seq = -1
        self.lost = 0
        self._came = threading.Condition()
        self.store = ExperimentStore()
        visibility = Visibility(lambda: 0.0, lambda: None)
        self.controller = SamplesController(
            self.store, wanted, self._take, visibility, title="Samples", line="%loops", spec=spec or SampleSpec()
        )
        self.controller.start()

    def show(self, **spec: Any) -> dict[str, Any]:
        """Ask for something and return the answer."""
        seq = self.seq
        self.controller.receive({"type": "set_samples", "view": "v", "spec": spec})
        self.wait(lambda: self.seq > seq)
        assert self.grid is not None
        return self.grid

    def completions(self) -> list[list[str | None]]:
        """Return the completions of the rows that are shown."""
        assert self.grid is not None
        return [
            [None if one is None else self.cells[one]["completion"] for one in row["cells"]]
            for row in self.grid["rows"]
        ]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition is met."""
        with self._came:
            assert self._came.wait_for(condition, timeout=PATIENCE), "waited in vain"

    def close(self) -> None:
        """Close the panel and the store."""
        self.controller.close("closed")
        self.store.close()

    def _take(self, message: dict[str, Any]) -> None:
        with self._came:
            self.sent.append(message)
            if message["type"] == "grid" and message["stream"] == "v":
                if message["base"] not in (-1, self.seq):
                    self.lost += 1
                if message["base"] == -1:
                    self.cells = {}
                self.seq, self.grid = message["seq"], message["grid"]
                self.cells |= {cell["id"]: cell for cell in (self.grid or {"cells": []})["cells"]}
            self._came.notify_all()


@pytest.fixture
def page() -> Iterator[SamplesPage]:
    opened = SamplesPage()
    yield opened
    opened.close()


def record(exp: Experiment, step: int, prompts: int = 3) -> None:
    for number in range(prompts):
        exp.sample(
            step=step, prompt=f"{number} + 1 =", completion=f"at {step}: {number + 1}", reward=step / 100 + number
        )


def test_prompts_are_rows_and_steps_are_columns() -> None:
    exp = experiment("grpo")
    for step in range(0, 101, 10):
        record(exp, step)
    exp.flush()
    page = SamplesPage()
    grid = page.show(columns=3)
    assert [step["step"] for step in grid["steps"]] == [0, 50, 100]
    assert [step["reward"] for step in grid["steps"]] == ["1", "1.5", "2"]
    assert page.completions()[0] == ["at 0: 1", "at 50: 1", "at 100: 1"]
    assert [(row["reward"], row["change"], row["is_better"]) for row in grid["rows"]] == [
        ("1", "+1", True),
        ("2", "+1", True),
        ("3", "+1", True),
    ]
    assert [step["step"] for step in page.show(mode="newest", columns=2)["steps"]] == [90, 100]
    assert [step["step"] for step in page.show(mode="chosen", steps=[70, 10, 11])["steps"]] == [10, 70]
    assert [row["prompt"] for row in page.show(order="highest")["rows"]] == ["2 + 1 =", "1 + 1 =", "0 + 1 ="]
    assert [row["prompt"] for row in page.show(search="2 + ")["rows"]] == ["2 + 1 ="]
    assert page.show(search="nothing like it")["rows"] == []
    page.close()


def test_a_new_step_arrives_while_the_panel_is_open_with_new_texts_only(page: SamplesPage) -> None:
    exp = experiment("live")
    record(exp, 0)
    exp.flush()
    page.wait(lambda: any(message["type"] == "metadata" for message in page.sent))
    page.show()
    seq = page.seq
    record(exp, 10)
    exp.flush()
    page.wait(lambda: page.seq > seq)
    assert page.grid is not None
    assert [step["step"] for step in page.grid["steps"]] == [0, 10]
    assert page.completions()[0] == ["at 0: 1", "at 10: 1"]
    assert {cell["completion"] for cell in page.grid["cells"]} == {"at 10: 1", "at 10: 2", "at 10: 3"}
    assert page.lost == 0


def test_several_samples_of_a_prompt_are_rows_of_their_own(page: SamplesPage) -> None:
    exp = experiment("groups")
    for step in (0, 1):
        for number in range(4):
            exp.sample(step=step, prompt="same", completion=f"{step}/{number}", reward=number)
        exp.sample(step=step, prompt=f"only at {step}", completion="x")
    exp.flush()
    page.controller.update()
    grid = page.show()
    assert [(row["prompt"], row["number"], row["total"]) for row in grid["rows"]][:4] == [
        ("same", number, 4) for number in range(1, 5)
    ]
    assert page.completions()[3] == ["0/3", "1/3"]
    assert page.completions()[4:] == [["x", None], [None, "x"]]


def test_only_the_last_attempt_of_a_step_is_shown(page: SamplesPage) -> None:
    first = experiment("resumed")
    first.sample(step=0, prompt="p", completion="old")
    first.close()
    second = experiment("resumed", resume=True)
    second.sample(step=0, prompt="p", completion="new")
    second.close()
    page.controller.update()
    page.show()
    assert page.completions() == [["new"]]


def test_many_rows_come_in_pages_and_long_texts_on_request(page: SamplesPage) -> None:
    exp = experiment("many")
    for number in range(3 * PAGE_ROWS - 5):
        exp.sample(step=0, prompt=f"{number:03} " + "p" * 5_000, completion="c" * 9_000)
    exp.flush()
    page.controller.update()
    grid = page.show(first=2 * PAGE_ROWS)
    assert grid["total"] == 3 * PAGE_ROWS - 5
    assert [row["prompt"][:3] for row in grid["rows"]] == [f"{number:03}" for number in range(40, 55)]
    # Beyond the end: the last rows.
    assert page.show(first=10_000)["spec"]["first"] == 2 * PAGE_ROWS
    cell = page.cells[grid["rows"][0]["cells"][0]]
    assert len(cell["completion"]) + cell["more"] == 9_000
    assert cell["more"] > 0
    page.controller.receive({"type": "read_sample", "view": "v", "id": cell["id"]})
    page.wait(lambda: any(message["type"] == "sample_text" for message in page.sent))
    (text,) = [message for message in page.sent if message["type"] == "sample_text"]
    assert text["completion"] == "c" * 9_000
    assert text["prompt"].startswith("040 ")


def test_the_shown_experiment_stays_when_a_newer_one_begins(page: SamplesPage) -> None:
    record(experiment("first"), 0)
    page.controller.update()
    shown = page.show()["spec"]["experiment"]
    record(experiment("second"), 0)
    page.controller.update()
    assert page.controller.snapshot().metadata.runs[0].name == "second"
    assert page.grid is not None
    assert page.grid["spec"]["experiment"] == shown


def test_a_deleted_experiment_gives_way_to_another(page: SamplesPage) -> None:
    for name in ("stays", "gone"):
        exp = experiment(name)
        record(exp, 0)
        exp.close()
    page.controller.update()
    page.show()
    seq = page.seq
    Metrics().delete("gone")
    page.wait(lambda: page.seq > seq)
    assert page.grid is not None
    assert [run.name for run in page.controller.snapshot().metadata.runs] == ["stays"]
    assert page.grid["spec"]["experiment"] == page.controller.snapshot().metadata.runs[0].id
    Metrics().delete("stays")
    page.wait(lambda: page.grid is None)


def test_a_panel_waits_for_what_is_not_recorded_yet() -> None:
    with _open("later") as panel:
        assert panel.snapshot_now().metadata.waiting == "No samples of later yet."
        assert "No samples of later yet." in panel.text_report()
        record(experiment("later"), 4)
        assert [run.name for run in panel.snapshot_now().metadata.runs] == ["later"]
        assert "step 4, reward 0.04: at 4: 1" in panel.text_report()


def test_patterns_and_steps_choose_what_is_shown() -> None:
    for name in ("lr-1", "lr-2", "other"):
        exp = experiment(name)
        record(exp, 0)
        record(exp, 5)
        exp.close()
    with _open("lr-*", steps=5) as panel:
        snapshot = panel.snapshot_now()
        assert [run.name for run in snapshot.metadata.runs] == ["lr-2", "lr-1"]
        assert snapshot.grid is not None
        assert [step.step for step in snapshot.grid.steps] == [5]
        assert snapshot.line == "%loops watch samples 'lr-*' --step=5"
    with pytest.raises(InvalidArgumentError, match="step"):
        SamplesPanel("lr-1", steps="last")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="Experiments are given"):
        SamplesPanel([3])  # type: ignore[list-item]


def test_texts_of_samples_are_data_in_the_report() -> None:
    exp = experiment("<script>alert(1)</script>")
    for step in (0, 1):
        exp.sample(step=step, prompt="<img src=x onerror=1>\x1b[31m", completion=f"<b>{step}</b> $x^2$", reward=step)
    exp.flush()
    with _open(None) as panel:
        html = panel._report(live=True)["text/html"]
        text = panel._report(live=False)["text/plain"]
    assert "<script>" not in html
    assert "<img" not in html
    assert "\x1b" not in html + text
    assert "&lt;b&gt;<del>0</del><ins>1</ins>&lt;/b&gt;" in html
    assert "Step 1, mean reward 1" in html


class _Opened:
    """A panel that is closed at the end of a block."""

    def __init__(self, panel: SamplesPanel) -> None:
        self.panel = panel

    def __enter__(self) -> SamplesPanel:
        return self.panel

    def __exit__(self, *_: object) -> None:
        self.panel.close()


def _open(what: Any, **options: Any) -> _Opened:
    return _Opened(SamplesPanel(what, **options))


def test_word_differences_mark_words() -> None:
    assert word_diff("the answer is 9", "the answer is not 9") == (
        ("same", "the answer is "),
        ("added", "not "),
        ("same", "9"),
    )
    assert word_diff("one two three", "four five three") == (
        ("removed", "one two"),
        ("added", "four five"),
        ("same", " three"),
    )
    assert word_diff("", "") == ()


def test_a_change_far_into_a_long_text_is_in_the_report() -> None:
    exp = experiment("long")
    text = "word " * 300
    for step, end in ((0, "seven"), (1, "eight")):
        exp.sample(step=step, prompt="p", completion=f"{text}{end} {text}")
    exp.flush()
    with _open(None) as panel:
        html = panel._report(live=True)["text/html"]
    assert "<del>seven</del><ins>eight</ins> word word" in html
    assert len(html) < 5_000
    assert [part.kind for part in shortened(word_diff("a " * 50, "a " * 50), 5)] == ["same"]


_TEXT = st.text(alphabet="ab ,\n", max_size=60)


@given(_TEXT, _TEXT)
def test_word_differences_hold_both_texts(old: str, new: str) -> None:
    parts = word_diff(old, new)
    assert "".join(part.text for part in parts if part.kind != "removed") == new
    assert "".join(part.text for part in parts if part.kind != "added") == old


def test_steps_are_spread_with_both_ends() -> None:
    assert spread(list(range(100)), 3) == [0, 50, 99]
    assert spread([1, 2], 5) == [1, 2]
    assert spread([1, 2, 3], 1) == [3]
