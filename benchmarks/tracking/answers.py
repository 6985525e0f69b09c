"""From thirty logged runs to the answer "which is best, and why": ours beside the UIs of Trackio and MLflow.

``python -m benchmarks.tracking.answers`` prints the table; each tool is started, asked and stopped in each round.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.peers import ROOT, trackers_python
from benchmarks.rounds import figures_table
from benchmarks.tracking.thirty_runs import BEST, NAME, WHY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROUNDS = 3
_PATIENCE_SECONDS = 60.0
_LINES = (
    "%load_ext loops_nb",
    f"%loops experiments --tag {NAME} --sort best.loss --limit 1",
    f"%loops sweep --tag {NAME} --metric loss",
)
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONPATH": str(ROOT),
    # None of them opens a browser of the user's.
    "BROWSER": "true",
}
NOTE = f"""Thirty runs (five learning rates, three ranks, two seeds; the learning rate matters) that are logged
already, in each tool's file on this machine; from the start of the tool until the best run and what made it best are on
the screen.  Ours: a kernel is started and runs {len(_LINES)} lines; the answer is a sentence.  The peers: the command
that starts the UI, and a script that presses as a user would who knows where to press and what to look for, without a
pause; the page is open at once.  MLflow: sort by loss, ascending; tick all, *Compare*: parallel coordinates.  Trackio:
*Group by* the parameter, point at the end of the lowest line; which parameter to group by is known here, without it
each has to be tried.  Both show it, and leave it to the eye to say what matters.  Seconds: median and greatest of the
rounds; `of it start`: until the kernel or the server answers."""


class Answer(NamedTuple):
    """Seconds until the tool answered at all, and until the answer was there; commands, and presses in the page."""

    start: float
    whole: float
    commands: int
    presses: int


def run(rounds: int | None = None) -> Iterator[str]:
    """Yield the table."""
    from playwright.sync_api import sync_playwright

    from benchmarks.panels.jupyterlab import _FLAGS
    from tests.browser.prepare import chromium, install_chromium

    python = trackers_python()
    if python is None:
        yield "## tracking: answers\n\nNo environment with other trackers can be made here.\n"
        return
    if chromium() is None:
        install_chromium()
    found: dict[str, list[Answer]] = {}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        home = Path(name)
        browser = playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
        for tracker, interpreter in (("ours", Path(sys.executable)), ("mlflow", python), ("trackio", python)):
            _checked([str(interpreter), "-m", "benchmarks.tracking.thirty_runs", tracker], home)
        ways: dict[str, Callable[[], Answer]] = {
            "ours": lambda: _ours(home),
            "Trackio's UI": lambda: _trackio(python, home, browser),
            "MLflow's UI": lambda: _mlflow(python, home, browser),
        }
        for turn in range(rounds or ROUNDS):
            order = [*ways][turn % len(ways) :] + [*ways][: turn % len(ways)]
            for way in order:
                found.setdefault(way, []).append(ways[way]())
        browser.close()
    rows = []
    ours = statistics.median(each.whole for each in found["ours"])
    for way in ways:
        answers = found[way]
        middle = statistics.median(each.whole for each in answers)
        rows.append(
            (
                way,
                f"{middle:.1f} s, {max(each.whole for each in answers):.1f} s",
                f"{statistics.median(each.start for each in answers):.1f} s",
                str(answers[0].commands),
                str(answers[0].presses),
                "a sentence" if way == "ours" else "a picture",
                "" if way == "ours" else f"**{middle / ours:.1f}**",
            )
        )
    head = ("tool", "which and why", "of it start", "commands", "presses in the page", "why is", "times ours")
    yield figures_table("tracking: from thirty runs to the answer", NOTE.replace("\n", " "), head, rows)


def _ours(home: Path) -> Answer:
    from jupyter_client.manager import KernelManager

    began = time.perf_counter()
    manager = KernelManager()
    manager.start_kernel(env={**_environment(home), "IPYTHONDIR": str(home / "ipython")}, cwd=str(home))
    client = manager.client()
    client.start_channels()
    texts: list[str] = []

    def keep(message: dict[str, object]) -> None:
        texts.append(str(message["content"]))

    try:
        client.wait_for_ready(timeout=_PATIENCE_SECONDS)
        start = time.perf_counter() - began
        for line in _LINES:
            reply = client.execute_interactive(line, timeout=_PATIENCE_SECONDS, output_hook=keep)
            assert reply["content"]["status"] == "ok", reply
        whole = time.perf_counter() - began
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    shown = "\n".join(texts)
    assert BEST in shown, shown
    assert f"{WHY} matters most for loss" in shown, shown
    return Answer(start, whole, len(_LINES), 0)


def _mlflow(python: Path, home: Path, browser: Browser) -> Answer:
    port = _free_port()
    store = f"sqlite:///{home / 'mlflow.db'}"
    command = [str(python.with_name("mlflow")), "ui", "--backend-store-uri", store, "--port", str(port)]
    with _served(command, home, port) as (began, start), _opened(browser) as page:
        page.goto(f"http://127.0.0.1:{port}/#/experiments/1/runs")
        page.get_by_text(BEST).wait_for()
        # Rows move without a change of their order in the page.
        first = "() => document.querySelector('[row-index=\"0\"] a')?.textContent"
        former = page.evaluate(first)
        page.get_by_text("Sort: Created").click()
        page.get_by_text("loss", exact=True).last.click()
        page.wait_for_function(f"name => ({first})() !== name", arg=former)
        page.get_by_text("Sort: loss").click()
        # Beside the search of the menu: descending, ascending.
        page.locator("[data-radix-popper-content-wrapper] button").last.click()
        page.wait_for_function(f"name => ({first})() === name", arg=BEST)
        page.get_by_role("checkbox").first.click()
        page.get_by_role("button", name="Compare").click()
        page.locator(".parcoords .y-axis").nth(2).wait_for(state="attached")
        return Answer(start, time.perf_counter() - began, 1, 6)


def _trackio(python: Path, home: Path, browser: Browser) -> Answer:
    port = _free_port()
    show = f"import trackio; trackio.show({NAME!r}, open_browser=False, server_port={port})"
    with _served([str(python), "-c", show], home, port) as (began, start), _opened(browser) as page:
        page.goto(f"http://127.0.0.1:{port}/?project={NAME}")
        page.get_by_text("Show run comparer").wait_for()
        page.get_by_placeholder("Select...").first.click()
        page.get_by_role("option").filter(has_text=WHY).first.click()
        page.get_by_text("(6)").first.wait_for()
        box = page.locator("canvas").first.bounding_box()
        assert box is not None
        until = time.monotonic() + _PATIENCE_SECONDS
        while not page.get_by_text("series_key").count():
            assert time.monotonic() < until
            # The charts are drawn again as values come in: a mouse that is still sees nothing.
            for share in (0.9, 0.93):
                page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.83)
        return Answer(start, time.perf_counter() - began, 1, 3)


@contextlib.contextmanager
def _opened(browser: Browser) -> Iterator[Page]:
    # A cache of its own: a tool that is looked at for the first time.
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.set_default_timeout(_PATIENCE_SECONDS * 1e3)
    try:
        yield context.new_page()
    finally:
        context.close()


@contextlib.contextmanager
def _served(command: list[str], home: Path, port: int) -> Iterator[tuple[float, float]]:
    """Run a server until the block ends; give when it was started, and after how many seconds it answered."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=home,
        env=_environment(home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while True:
            assert process.poll() is None, command
            assert time.perf_counter() - began < _PATIENCE_SECONDS, command
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        yield began, time.perf_counter() - began
    finally:
        # With the workers that it has started.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _environment(home: Path) -> dict[str, str]:
    folders = {"HOME": str(home), "LOOPS_NB_HOME": str(home / "loops"), "TRACKIO_DIR": str(home / "trackio")}
    return {**os.environ, **_QUIET, **folders}


def _checked(command: list[str], home: Path) -> None:
    done = subprocess.run(command, env=_environment(home), cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    for text in run(int(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(text)
