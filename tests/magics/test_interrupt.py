"""Ctrl-C during a line."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from tests.client.scripted_server import Answer, Received, ScriptedServer
from tests.magics.conftest import Notebook


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "%loops was interrupted. Nothing was changed."),
        ("runs", "%loops runs was interrupted. Nothing was changed."),
        (
            "create run --session s -m M",
            (
                "%loops create run was interrupted. The request to create a run may have been carried out. "
                "See whether it exists before you try again: %loops find --session s"
            ),
        ),
        (
            "deactivate sampler s1 -y",
            "The request to deactivate sampler s1 may have been carried out. See its state: %loops sampler s1",
        ),
    ],
)
def test_interrupted_line_reports_its_outcome(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, line: str, says: str
) -> None:
    never, first = threading.Event(), threading.Lock()

    def script(request: Received) -> Answer:
        if "s1" in request.target and request.method == "GET":
            return Answer({"sampler": {"id": "s1"}})
        if first.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)
        return Answer(hang_until=never)

    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        ran = notebook.run(f"%loops {line}", fails=True)
        never.set()
    assert isinstance(ran.error, KeyboardInterrupt)
    assert ran.out.strip().startswith("KeyboardInterrupt: ")
    assert says in ran.out
    assert len(ran.out.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("df.loops.compare()", "df.loops.compare was interrupted. Nothing was changed."),
        (
            "df.loops.download()",
            "df.loops.download was interrupted. What was downloaded is kept; the same line again fetches only",
        ),
    ],
)
def test_interrupted_accessor_reports_its_outcome(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str, says: str
) -> None:
    never, first = threading.Event(), threading.Lock()

    # Several requests run at the same time, and one Ctrl-C stops them.
    def script(_: Received) -> Answer:
        if first.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)
        return Answer(hang_until=never)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    with ScriptedServer(script) as server:
        notebook.run(f"from loops_nb import Loops\nloops = Loops(base_url='{server.url}')")
        notebook.run("import loops_nb.accessor, pandas as pd")
        notebook.run("df = pd.DataFrame({'id': ['c1', 'c2'], 'checkpoint_id': ['a', 'b'], 'uri': ['', '']})")
        ran = notebook.run(call.replace("()", "(loops=loops)"), fails=True)
        never.set()
    assert isinstance(ran.error, KeyboardInterrupt)
    assert ran.out.strip().startswith("KeyboardInterrupt: ")
    assert says in ran.out
    assert len(ran.out.strip().splitlines()) == 1


def test_line_after_an_interrupt_works(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    waiting = [True]

    def script(_: Received) -> Answer:
        if waiting:
            waiting.clear()
            os.kill(os.getpid(), signal.SIGINT)
            return Answer(hang_until=never)
        return Answer({"runs": [], "deployments": []})

    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        notebook.run("%loops runs", fails=True)
        never.set()
        assert len(notebook.run("%loops runs").value) == 0
