"""``%loops watch``: what is refused, what is offered, what a terminal and a kernel get."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from loops_nb.errors import InvalidArgumentError, NotFoundError
from loops_nb.panels import open_panels
from loops_nb.panels.bundle import page_code
from tests.client.scripted_server import Answer, ScriptedServer
from tests.magics.conftest import Notebook
from tests.magics.test_kernel import executed, kernel_environment  # noqa: F401 - a fixture

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chekpoints", "There is nothing called 'chekpoints' to watch. Did you mean checkpoints?"),
        ("sampler", "Did you mean samplers?"),
        ("runs", "All runs are watched by %loops watch alone."),
        ("k4q95w5 k4q95w6", "One thing is watched at a time, so 'k4q95w6' is one too many."),
        (
            "checkpoints",
            "exactly one of --run RUN and --base-model MODEL; none was given. For example: %loops watch checkpoints --run k4q95w5.",
        ),
        ("checkpoints --run k4q95w5 -m M", "both were given"),
        ("checkpoints k4q95w5 --run k4q95w5", "The run is given twice."),
        ("checkpoints k4q95w5 --notify", "%loops watch checkpoints takes no --notify. It takes --run, --base-model."),
        ("--run k4q95w5", "%loops watch takes no --run. The checkpoints of a run: %loops watch checkpoints --run k4q95w5."),
        ("k4q95w5 --base-model M", "%loops watch k4q95w5 takes no --base-model. It takes --scope, --team, --notify."),
        ("samplers --base-model M", "%loops watch samplers takes no --base-model."),
        ("deployments --team t1", "%loops watch deployments takes no --team. It takes --scope, --notify."),
        ("--scope mine", "--scope must be org, not 'mine'"),
        ("--notfy", "Did you mean --notify?"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_before_any_request(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    asked: list[Any] = []

    def script(request: object) -> Answer:
        asked.append(request)
        return Answer({"code": "BROKEN", "message": "broken"}, status=500)

    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        ran = notebook.run(f"%loops watch {line}", fails=True)
    assert isinstance(ran.error, InvalidArgumentError)
    assert said in ran.out
    assert len(ran.out.splitlines()) == 1
    assert asked == []


def test_a_run_that_is_not_there_is_told_at_once(live: Notebook) -> None:
    ran = live.run("%loops watch p2syas9", fails=True)
    assert isinstance(ran.error, NotFoundError)
    assert "Did you mean p2syas8?" in ran.out
    sampler = live.run("%loops samplers").value["id"].iloc[0]
    assert f"That is the id of a sampler: %loops sampler {sampler}" in live.run(f"%loops watch {sampler}", fails=True).out
    assert "Did you mean p2syas8?" in live.run("%loops watch checkpoints --run p2syas9", fails=True).out
    assert open_panels() == []


@pytest.mark.parametrize("what", ["", "checkpoints "])
def test_a_base_model_that_nobody_knows_is_told(live: Notebook, what: str) -> None:
    out = live.run(f"%loops watch {what}--base-model Qwen/Qwen3-8").out
    assert out.startswith("No run has the base model 'Qwen/Qwen3-8', and it is not offered here. Did you mean Qwen/Qwen3-8B")
    assert "%loops capabilities lists the models." in live.run(f"%loops watch {what}--base-model zzz").out
    live.desk.knowledge.forget()
    assert "No run has the base model" not in live.run(f"%loops watch {what}--base-model Qwen/Qwen3-8B").out


def test_the_doctor_looks_at_what_panels_need(live: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = live.run("%loops doctor").out
    assert re.search(r"^Live panels: 0 open; their page code is there \(\d+\.\d kB\)$", out, re.MULTILINE)
    assert out.splitlines()[-1] == "Nothing to fix."
    page_code.cache_clear()
    monkeypatch.setattr("loops_nb.panels.bundle.files", lambda _: tmp_path)
    try:
        out = live.run("%loops doctor").out
        assert "npm ci" in out.splitlines()[-1]
        assert "npm ci" in live.run("%loops watch", fails=True).out
    finally:
        page_code.cache_clear()


def test_tab_offers_the_words_and_the_runs(notebook: Notebook) -> None:
    notebook.desk.knowledge.add("run", ["k4q95w5", "zz9"])
    notebook.desk.knowledge.add("base_model", ["Qwen/Qwen3-8B"])
    head = "p = %loops watch "
    assert [line.removeprefix(head) for line in notebook.completions(head)][:5] == [
        "samplers",
        "deployments",
        "checkpoints",
        "k4q95w5",
        "zz9",
    ]
    assert notebook.completions("%loops watch k") == ["%loops watch k4q95w5"]
    assert notebook.completions("%loops watch ch") == ["%loops watch checkpoints"]
    assert notebook.completions("%loops watch checkpoints z") == ["%loops watch checkpoints zz9"]
    assert notebook.completions("%loops watch checkpoints --base-model Q") == ["%loops watch checkpoints --base-model Qwen/Qwen3-8B"]
    assert "%loops watch --notify" in notebook.completions("%loops watch --")


def test_its_help_has_lines_to_type(notebook: Notebook) -> None:
    out = notebook.run("%loops watch -h").out
    for expected in (
        "%loops watch [WHAT] [--run RUN]",
        "samplers, deployments, or checkpoints RUN",
        "--notify",
        "%loops watch k4q95w5 --notify",
        "p.freeze()",
        "In a terminal",
    ):
        assert expected in out
    assert "watch [WHAT]" in notebook.run("%loops --help").out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ["Runs and samplers", "runs alive: ", "p2syas8", "standalone sampler"]),
        ("p2syas8", ["Run p2syas8", "Trainer", "bt://loops:p2syas8/weights/step-"]),
        ("samplers", ["Samplers", "● ACTIVE"]),
        ("deployments", ["Deployments", "● RUNNING"]),
        ("checkpoints p2syas8", ["Checkpoints of run p2syas8", "bt://loops:p2syas8/"]),
        ("checkpoints -m Qwen/Qwen3-8B", ["Checkpoints of Qwen/Qwen3-8B", "And "]),
    ],
)
def test_a_terminal_gets_the_report_once(live: Notebook, monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    live.run("%config LoopsMagics.time_zone = 'Asia/Tokyo'")
    ran = live.run(f"kept = %loops watch {line}")
    for text in (*expected, "As of 20", "UTC+09:00 (Asia/Tokyo).", "To see it live, type in a notebook: %loops watch"):
        assert text in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100
    assert ran.out.count("As of ") == 1
    assert live.shell.user_ns["kept"] is None
    assert open_panels() == []


def test_a_terminal_without_a_service_gets_the_reason_and_the_way_out(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_BASE_URL", "http://127.0.0.1:1")
    ran = notebook.run("%loops watch", fails=True)
    assert "nobody listens there" in ran.out
    assert "%loops local start" in ran.out
    assert len(ran.out.splitlines()) == 1
    assert open_panels() == []


def test_a_kernel_gets_a_panel_and_its_report_at_once_and_once(kernel_environment: Path) -> None:  # noqa: F811
    book = executed(
        kernel_environment,
        "%load_ext loops_nb\n%config LoopsMagics.time_zone = 'Asia/Tokyo'\n%config LoopsMagics.poll_interval = 3",
        "%loops watch\nprint('trains')",
        "panel = %loops watch p2syas8 --notify\n"
        "print(type(panel).__name__, len(panel.frame), panel.snapshot_now().notify, panel._poller.interval)\n"
        "%config LoopsMagics.poll_interval = 4\nprint(panel._poller.interval)",
        "%loops watch samplers",
        "%loops watch deployments;",
        "panel.freeze()",
    )
    training, kept, last, silent, _ = (cell.outputs for cell in book.cells[1:])
    for outputs in (training, kept, last, silent):
        report, view, *rest = outputs
        assert report.output_type == view.output_type == "display_data"
        assert "loops-nb-report" in report.data["text/html"]
        assert "UTC+09:00 (Asia/Tokyo)" in report.data["text/html"]
        assert "UTC+09:00 (Asia/Tokyo)" in report.data["text/plain"]
        assert [VIEW in output.get("data", {}) for output in rest] == [False] * len(rest)
    assert [len(outputs) for outputs in (training, kept, last, silent)] == [3, 3, 2, 2]
    assert training[2].text == "trains\n"
    assert re.fullmatch(r"RunPanel \d+ True 3\.0\n4\.0\n", kept[2].text)
    assert VIEW in training[1].data
    assert VIEW not in kept[1].data, "frozen: only the report is left"
    assert "display:none" in training[0].data["text/html"]
    assert "display:none" not in kept[0].data["text/html"]
    assert "Frozen" in kept[0].data["text/plain"]
