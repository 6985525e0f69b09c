"""``%loops watch``: argument errors, completion, terminal output."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import loops_nb
from loops_nb.errors import InvalidArgumentError, NotFoundError
from loops_nb.panels import open_panels
from loops_nb.panels.bundle import page_code
from tests.client.scripted_server import Answer, ScriptedServer
from tests.magics.conftest import Notebook


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("chekpoints", "There is no run 'chekpoints'. Did you mean checkpoints?"),
        ("sampler", "Did you mean samplers or samples?"),
        ("runs", "Use %loops watch alone for all runs."),
        ("k4q95w5 k4q95w6", "A panel watches one run or listing, so 'k4q95w6' is one too many."),
        (
            "checkpoints",
            (
                "exactly one of --run RUN and --base-model MODEL; none was given. For example: %loops watch "
                "checkpoints --run p2syas8."
            ),
        ),
        ("checkpoints --run k4q95w5 -m M", "both were given"),
        ("checkpoints k4q95w5 --run k4q95w5", "The run is given twice."),
        ("checkpoints k4q95w5 --notify", "%loops watch checkpoints takes no --notify. It takes --run, --base-model."),
        (
            "--run k4q95w5",
            "%loops watch takes no --run. For the checkpoints of a run: %loops watch checkpoints --run k4q95w5.",
        ),
        ("k4q95w5 --base-model M", "%loops watch k4q95w5 takes no --base-model. It takes --scope, --team, --notify."),
        ("samplers --base-model M", "%loops watch samplers takes no --base-model."),
        ("deployments --team t1", "%loops watch deployments takes no --team. It takes --scope, --notify."),
        ("--scope mine", "--scope must be org, not 'mine'"),
        ("--notfy", "Did you mean --notify?"),
        ("experiments --scope org", "%loops watch experiments takes no --scope. It takes --tag, --where, --project,"),
        ("samplers --tag sweep", "%loops watch samplers takes no --tag."),
    ],
)
def test_watch_rejects_wrong_lines_before_any_request(
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


def test_watch_rejects_an_unknown_run(live: Notebook) -> None:
    ran = live.run("%loops watch p2syas9", fails=True)
    assert isinstance(ran.error, NotFoundError)
    assert "Did you mean p2syas8?" in ran.out
    sampler = live.run("%loops samplers").value["id"].iloc[0]
    assert (
        f"That is the id of a sampler: %loops sampler {sampler}" in live.run(f"%loops watch {sampler}", fails=True).out
    )
    assert "Did you mean p2syas8?" in live.run("%loops watch checkpoints --run p2syas9", fails=True).out
    assert open_panels() == []


@pytest.mark.parametrize("what", ["", "checkpoints "])
def test_watch_warns_about_an_unknown_base_model(live: Notebook, what: str) -> None:
    out = live.run(f"%loops watch {what}--base-model Qwen/Qwen3-8").out
    assert out.startswith(
        "No run has the base model 'Qwen/Qwen3-8', and the service does not offer it. Did you mean Qwen/Qwen3-8B"
    )
    assert "%loops capabilities lists the models." in live.run(f"%loops watch {what}--base-model zzz").out
    live.context.cache.clear()
    assert "No run has the base model" not in live.run(f"%loops watch {what}--base-model Qwen/Qwen3-8B").out


def test_doctor_checks_what_panels_need(live: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = live.run("%loops doctor").out
    assert re.search(r"^Live panels: 0 open; page code \d+\.\d kB$", out, re.MULTILINE)
    assert out.splitlines()[-1] == "Nothing to fix."
    page_code.cache_clear()
    monkeypatch.setattr("loops_nb.panels.bundle.files", lambda _: tmp_path)
    try:
        out = live.run("%loops doctor").out
        assert "npm ci" in out.splitlines()[-1]
        assert "npm ci" in live.run("%loops watch", fails=True).out
    finally:
        page_code.cache_clear()


def test_completion_of_watch(notebook: Notebook) -> None:
    notebook.context.cache.add("run", ["k4q95w5", "zz9"])
    notebook.context.cache.add("base_model", ["Qwen/Qwen3-8B"])
    head = "p = %loops watch "
    assert [line.removeprefix(head) for line in notebook.completions(head)][:7] == [
        "samplers",
        "deployments",
        "checkpoints",
        "system",
        "experiments",
        "samples",
        "logs",
    ]
    assert notebook.completions("%loops watch k") == ["%loops watch k4q95w5"]
    assert notebook.completions("%loops watch ch") == ["%loops watch checkpoints"]
    assert notebook.completions("%loops watch logs k") == ["%loops watch logs k4q95w5"]
    assert notebook.completions("%loops watch checkpoints z") == ["%loops watch checkpoints zz9"]
    assert notebook.completions("%loops watch checkpoints --base-model Q") == [
        "%loops watch checkpoints --base-model Qwen/Qwen3-8B"
    ]
    assert "%loops watch --notify" in notebook.completions("%loops watch --")


def test_watch_help_has_examples(notebook: Notebook) -> None:
    out = " ".join(notebook.run("%loops watch -h").out.split())
    for expected in (
        "%loops watch [WHAT] [--run RUN]",
        "samplers, deployments, checkpoints RUN, system RUN, experiments [PATTERN ...], samples EXPERIMENT ... or logs",
        "--notify",
        "%loops watch p2syas8 --notify",
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
def test_watch_in_a_terminal_prints_the_report(
    live: Notebook, monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    live.run("%config LoopsMagics.time_zone = 'Asia/Tokyo'")
    ran = live.run(f"kept = %loops watch {line}")
    for text in (*expected, "As of 20", "UTC+09:00 (Asia/Tokyo).", "To see it live, in a notebook: %loops watch"):
        assert text in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100
    assert ran.out.count("As of ") == 1
    assert live.shell.user_ns["kept"] is None
    assert open_panels() == []


def test_watch_in_a_terminal_without_service_fails_with_a_hint(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPS_BASE_URL", "http://127.0.0.1:1")
    ran = notebook.run("%loops watch", fails=True)
    assert "nothing listens there" in ran.out
    assert "%loops local start" in ran.out
    assert len(ran.out.splitlines()) == 1
    assert open_panels() == []


def test_watch_experiments_needs_no_connection_and_prints_the_report_in_a_terminal(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loops_nb.panels.experiments.panel.page_code", lambda _: "export default { render() {} }")
    monkeypatch.setenv("LOOPS_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("COLUMNS", "100")
    assert "No experiments yet." in notebook.run("%loops watch experiments").out
    for number in range(3):
        with loops_nb.experiment(f"try-{number}", params={"lr": 10.0**-number}, tags=["sweep"]) as experiment:
            experiment.log(step=1, loss=number)
    line = "%loops watch experiments 'try-[12]' --where \"lr < 0.5\" --tag sweep --sort -loss --limit 5"
    ran = notebook.run(f"kept = {line}")
    rows = [row for row in ran.out.splitlines() if "finished" in row]
    assert [row.split()[0] for row in rows] == ["try-2", "try-1"]
    seen = "experiments 'try-[12]' --tag sweep --where 'lr < 0.5' --sort -loss --limit 5"
    assert f"To see it live, in a notebook: %loops watch {seen}\nor in a shell: loops-nb watch {seen}\n" in ran.out
    assert notebook.shell.user_ns["kept"] is None
    assert open_panels() == []
    assert "Did you mean lr?" in notebook.run("%loops watch experiments --sort lrr", fails=True).out


def test_watch_system_needs_one_target_and_prints_the_curves_in_a_terminal(live: Notebook) -> None:
    out = live.run("%loops watch system support-tone-dpo --since 20m").out
    assert out.startswith("System of run p2syas8\n")
    assert "Measured by the local service on this machine." in out
    for line, words in (
        ("%loops watch system", "takes one run, deployment or sampler; none was given"),
        ("%loops watch system a b", "takes one run, deployment or sampler; 2 were given"),
        ("%loops watch system support-tone-dpoo", "Did you mean"),
        ("%loops watch system p2syas8 --notify", "takes no --notify"),
    ):
        assert words in live.run(line, fails=True).text, line
