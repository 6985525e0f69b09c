"""Panels outside of JupyterLab: a page of Voila's and an app of marimo's show them and keep them moving."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.browser.cells import fleet
from tests.browser.conftest import KEY, NotebookOpener
from tests.browser.notebook import wait_for, written
from tests.browser.panel import Panel
from tests.browser.ports import free_port
from tests.browser.service_state import ServiceState

MARIMO = """
import marimo

app = marimo.App()


@app.cell
def _():
    import loops_nb

    loops = loops_nb.Loops()
    panel = loops.runs.watch(interval=0.3)
    panel
    return
"""


@contextlib.contextmanager
def serving(folder: Path, environment: dict[str, str], *command: str) -> Iterator[None]:
    """Run a module that serves ``--port`` until the end."""
    log = folder / "said.log"
    homes = {
        name: str(folder / name.lower())
        for name in ("LOOPS_NB_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
    }
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=os.environ | homes | environment | {"MARIMO_SKIP_UPDATE_CHECK": "1"},
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)
            assert KEY not in log.read_text("utf-8", "replace")


def moves(opener: NotebookOpener, state: ServiceState, url: str) -> None:
    run = state.run("seen elsewhere", up=False)
    wait_for(lambda: answers(url), f"{url} answers")
    page = opener.page()
    page.goto(url)
    panel = Panel(page).shown()
    expect(panel.row(run.id)).to_contain_text("Created")
    panel.stands("live")
    state.everything_comes_up()
    expect(panel.row(run.id)).to_contain_text("Running")
    later = state.run("asked for by a click")
    panel.button("Refresh").click()
    expect(panel.row(later.id)).to_be_visible()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_voila(opener: NotebookOpener, state: ServiceState, connected: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "panel.ipynb").write_text(written([fleet()], "python3"), encoding="utf-8")
    with serving(tmp_path, connected, "voila", "panel.ipynb", "--no-browser", f"--port={port}"):
        moves(opener, state, f"http://127.0.0.1:{port}/")


def test_marimo(opener: NotebookOpener, state: ServiceState, connected: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "app.py").write_text(MARIMO, encoding="utf-8")
    options = ["--headless", "--no-token", "--host", "127.0.0.1", "--port", str(port)]
    with serving(tmp_path, connected, "marimo", "run", "app.py", *options):
        moves(opener, state, f"http://127.0.0.1:{port}/")
