"""Tab completion through IPython's completer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loops_nb.magics.completion import LineCompleter
from tests.client.scripted_server import Answer, ScriptedServer
from tests.live.live_service import until
from tests.magics.conftest import Notebook

URI = "bt://loops:k4q95w5/sampler_weights/step-100"


@pytest.fixture
def knowing(notebook: Notebook) -> Notebook:
    """Give this test a shell that has seen a few things."""
    cache = notebook.context.cache
    cache.add("run", ["k4q95w5", "k4q95w6", "zz9"])
    cache.add("base_model", ["Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct"])
    cache.add("sampler", ["samp_1"])
    cache.add("deployment", ["dep_1"])
    cache.add("session", ["sess_1"])
    cache.add("checkpoint", ["chkpt_abc123"])
    cache.add("uri", [URI])
    cache.add("name", ["step-100"])
    return notebook


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%loops ru", ["%loops runs", "%loops run"]),
        ("df = %loops ru", ["df = %loops runs", "df = %loops run"]),
        ("df=%loops sam", ["df=%loops samplers", "df=%loops samples", "df=%loops sampler"]),
        ("a, b = %loops capa", ["a, b = %loops capabilities"]),
        ("    %loops dep", ["    %loops deployments", "    %loops deploy", "    %loops deployment"]),
        (
            "%loops create ",
            ["%loops create session", "%loops create run", "%loops create sampler", "%loops create --help"],
        ),
        ("%loops local st", ["%loops local start", "%loops local stop", "%loops local status"]),
        ("%loops runs --ba", ["%loops runs --base-model"]),
        (
            "df = %loops runs --base-model ",
            [
                "df = %loops runs --base-model Qwen/Qwen3-8B",
                "df = %loops runs --base-model meta-llama/Llama-3.1-8B-Instruct",
            ],
        ),
        ("%loops runs --base-model=Q", ["%loops runs --base-model=Qwen/Qwen3-8B"]),
        ("%loops runs -m llama", ["%loops runs -m meta-llama/Llama-3.1-8B-Instruct"]),
        ("%loops runs --scope ", ["%loops runs --scope org"]),
        ("%loops run k4", ["%loops run k4q95w5", "%loops run k4q95w6"]),
        ("%loops deactivate run z", ["%loops deactivate run zz9"]),
        ("%loops sampler ", ["%loops sampler samp_1", "%loops sampler --help"]),
        ("%loops deployment d", ["%loops deployment dep_1"]),
        ("%loops sessions s", ["%loops sessions sess_1"]),
        ("%loops files ch", ["%loops files chkpt_abc123"]),
        ("%loops files bt://loops:k4", [f"%loops files {URI}"]),
        ("%loops files step", ["%loops files step-100"]),
        ("%loops checkpoints --path bt", [f"%loops checkpoints --path {URI}"]),
        ("%loops checkpoints k4q95w5 --h", ["%loops checkpoints k4q95w5 --help"]),
        ("%loops deployment x --level W", ["%loops deployment x --level WARNING"]),
    ],
)
def test_completion_of_each_place_of_a_line(knowing: Notebook, line: str, offered: list[str]) -> None:
    assert knowing.completions(line) == offered


def test_completion_offers_an_option_once(knowing: Notebook) -> None:
    assert "%loops runs --scope org --scope" not in knowing.completions("%loops runs --scope org --")
    assert "%loops runs --scope org --team" in knowing.completions("%loops runs --scope org --")


def test_completion_only_on_lines_of_loops(knowing: Notebook) -> None:
    Path("runs.txt").touch()
    knowing.shell.user_ns["runs_of_mine"] = 1
    assert knowing.completions("%loops runs") == ["%loops runs"]
    assert "runs_of_mine" in knowing.completions("runs_")
    assert "print(runs_of_mine" in knowing.completions("print(runs_")
    assert all("%loops runs" not in line for line in knowing.completions("x = 'loops' + ru"))


def test_completion_on_the_second_line_of_a_cell(knowing: Notebook) -> None:
    assert knowing.completions("x = 1\ndf = %loops run zz") == ["x = 1\ndf = %loops run zz9"]


def test_completion_is_fast_with_a_full_cache(notebook: Notebook) -> None:
    cache = notebook.context.cache
    cache.add("run", [f"k{number:06}" for number in range(5000)])
    cache.add("uri", [f"bt://loops:k{number:06}/weights/step-{number}" for number in range(5000)])
    notebook.completions("%loops ")
    for line in ("%loops run ", "df = %loops files bt://", "%loops checkpoints k00", "%loops "):
        started = time.perf_counter()
        assert notebook.completions(line)
        assert time.perf_counter() - started < 0.2


def test_listings_fill_the_completion_cache(live: Notebook) -> None:
    frame = live.run("%loops runs").value
    offered = live.completions("%loops run ")
    assert {f"%loops run {identity}" for identity in frame["id"]} <= set(offered)
    assert f"%loops runs --base-model {frame['base_model'].iloc[0]}" in live.completions("%loops runs --base-model ")
    checkpoints = live.run("%loops checkpoints -m Qwen/Qwen3-8B").value
    assert f"%loops files {checkpoints['uri'].iloc[0]}" in live.completions("%loops files bt://")
    live.context.cache.wait(10)


def test_background_refresh_is_silent_and_runs_once(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    # The look of another test may not have ended.
    before = set(threading.enumerate())
    gate = threading.Event()
    asked: list[str] = []

    def script(request: object) -> Answer:
        target = str(getattr(request, "target", ""))
        asked.append(target)
        if target.startswith("/v1/loops/capabilities") and len(asked) == 1:
            return Answer({"supported_models": []})
        gate.wait(20)
        return Answer({"code": "BROKEN", "message": "broken"}, status=500)

    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        assert notebook.completions("%loops ru")
        assert asked == [], "Tab alone never sends anything before a line has connected"
        notebook.run("%loops connect")
        for _ in range(5):
            started = time.perf_counter()
            assert notebook.completions("%loops ru") == ["%loops runs", "%loops run"]
            assert time.perf_counter() - started < 0.2
        started_here = set(threading.enumerate()) - before
        looking = [thread for thread in started_here if thread.name == "loops-nb-completion"]
        assert len(looking) == 1
        assert looking[0].daemon
        notebook.run("%unload_ext loops_nb")
        gate.set()
        looking[0].join(20)
        assert not looking[0].is_alive()
        notebook.run("%load_ext loops_nb")


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_completion_of_any_text_does_not_raise(knowing: Notebook, typed: str) -> None:
    fragment, offered = LineCompleter(knowing.magics).complete(typed)
    assert typed.endswith(fragment)
    assert all(text for text, _ in offered)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%loops run {mine", ["%loops run {mine", "%loops run {mine_too"]),
        ("df = %loops checkpoints $mine_", ["df = %loops checkpoints $mine_too"]),
        ("%loops runs --base-model={mine_", ["%loops runs --base-model={mine_too"]),
        ('%loops find --name "a { mine_', ['%loops find --name "a { mine_too']),
    ],
)
def test_completion_of_notebook_variables(knowing: Notebook, line: str, offered: list[str]) -> None:
    knowing.shell.user_ns.update(mine="k4q95w5", mine_too="k4q95w6", _mine=1, mine_to_call=print, os_module=os)
    assert knowing.completions(line) == offered


@pytest.mark.parametrize(
    "line",
    ["%loops run {{mine", "%loops run $$mine", "%loops run '{mine", "%loops run {mine}", "%loops run {os_module"],
)
def test_no_completion_of_variables_in_single_quotes(knowing: Notebook, line: str) -> None:
    knowing.shell.user_ns.update(mine="k4q95w5", os_module=os)
    found = LineCompleter(knowing.magics).match(line)
    assert found is not None
    assert found[1] == []


def test_completion_offers_listings_of_panels_without_requests(live: Notebook) -> None:
    from loops_nb.live import Query, poller_for
    from loops_nb.live.queries import Kind

    live.run("%loops connect " + os.environ["LOOPS_BASE_URL"])
    client = live.context.loops
    session = client.sessions.create()
    run = client.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B")
    assert run.sampler is not None
    assert run.deployment_id is not None
    saved = next(c for r in client.runs.list() for c in client.checkpoints.list(run_id=r.id))
    poller = poller_for(client.config)
    wanted: dict[Kind, str] = {
        "runs": run.id,
        "samplers": run.sampler.id,
        "deployments": run.deployment_id,
        "checkpoints": saved.id,
    }
    panel = poller.subscribe([Query(kind) for kind in wanted], lambda *_: None)
    # A poller that another test left may still know an older listing.
    for kind, key in wanted.items():
        until(lambda: any(key in listing for listing in poller.known_items(kind)), f"{kind} are listed")  # noqa: B023
    # No look in the background can have told it.
    live.context.cache.clear()
    live.context.cache._refreshed_at = float("inf")
    assert f"%loops run {run.id}" in live.completions(f"%loops run {run.id[:3]}")
    assert f"%loops sampler {run.sampler.id}" in live.completions(f"%loops sampler {run.sampler.id[:3]}")
    assert f"%loops deployment {run.deployment_id}" in live.completions(f"%loops deployment {run.deployment_id[:3]}")
    assert f"%loops sessions {session.id}" in live.completions(f"%loops sessions {session.id[:3]}")
    assert f"%loops files {saved.id}" in live.completions(f"%loops files {saved.id[:3]}")
    assert live.context.cache.checkpoint_id(saved.uri) == saved.id
    heard = live.context.cache._panel_listings["runs"]
    live.context.cache.add_from_panels(client)
    assert live.context.cache._panel_listings["runs"] is heard, "what is unchanged is not learned again"
    panel.close()


def test_completion_cache_does_not_import_live() -> None:
    program = """
import sys
from loops_nb import Loops
from loops_nb.magics.completion_cache import CompletionCache
CompletionCache().add_from_panels(Loops("k", "http://127.0.0.1:1"))
assert "loops_nb.live" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
