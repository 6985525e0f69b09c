"""The curve panel: a picture of a million points, a new step, and how soon it is seen while a cell trains."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from benchmarks.panels.figures import percentile
from benchmarks.panels.jupyterlab import service
from benchmarks.panels.recorded import record
from benchmarks.panels.trace import traced
from benchmarks.peers import ROOT
from benchmarks.rounds import figures_table, judge
from loops_nb.panels.curves.messages import ChartSpec
from loops_nb.panels.curves.model import ClientView, CurveModel
from loops_nb.panels.protocol import UPDATES_PER_SECOND
from tests.panels.curves.memory_store import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.panels.jupyterlab import JupyterLab

POINTS, SERIES, STEPS = 1_000_000, 3, 40
_FULL, _STEP = 50_000, 1_000
_REDRAWS = 7
_AFTER = 300
GRID_METRICS, GRID_RUNS, GRID_POINTS = 12, 50, 5_000
_GRID_NOTE = f"""{GRID_METRICS} metrics of {GRID_RUNS} runs, {GRID_POINTS:,} points each, and one metric of {POINTS:,}
each, from the file of experiments, in JupyterLab and Chromium: from running the cell to the second animation frame
after all charts are drawn. Panning: a page of the zoomed charts, all of which move, in every fourth frame; the longest
task of the page's main thread since the frame before, in CPU milliseconds (script, layout, painting without a GPU),
p95."""
_OPENED = """() => {
  const afterPaint = (then) => requestAnimationFrame(() => requestAnimationFrame(() => then(performance.now())));
  const drawn = () => [...document.querySelectorAll(".loops-nb-live:not(.former)")]
    .flatMap((live) => [...live.shadowRoot.querySelectorAll(".chart[data-lines]")]);
  globalThis.opened = (cell, count) => new Promise((resolve) => {
    for (const live of document.querySelectorAll(".loops-nb-live")) live.classList.add("former");
    const start = performance.now();
    driver.start(cell);
    const look = () => {
      document.querySelector(".loops-nb-live:not(.former)")?.scrollIntoView();
      const all = drawn().filter((chart) => chart.dataset.lines.split(" ").length > 40);
      if (all.length >= count) afterPaint((at) => resolve(at - start));
      else requestAnimationFrame(look);
    };
    look();
  });
  globalThis.panned = async () => {
    const hand = drawn().at(-1).querySelector(".hand");
    const press = (key) => hand.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    const frame = () => new Promise(requestAnimationFrame);
    hand.focus();
    for (const key of ["Home", "+", "+", "+"]) { press(key); await frame(); await frame(); }
    for (let i = 0; i < 120; i++) {
      await frame();
      if (i % 4 === 0) press(i % 40 < 20 ? "PageUp" : "PageDown");
    }
  };
}"""
_NOTE = f"""{SERIES} series of {POINTS:,} points each, 900 pixels wide, smoothed, in bytes of JSON and milliseconds of
the kernel; then a new step of every series. Peer: a widget whose trait holds all points as lists, sent whole at each
step."""
_LATENCY_NOTE = f"""JupyterLab in Chromium, all on this machine. From the call of log() in the cell that trains, through
the file of experiments, to the second animation frame after the page has drawn the step; p50 / p95 in ms. Beyond the
interval: the whole way less the {1e3 / UPDATES_PER_SECOND:g} ms between two looks, of which half is waited on average;
a look writes what the process has logged until then, and
reads it. Frame: the largest message of the WebSocket that brought a step, with Jupyter's own headers."""
#: What the cell does between two steps, not in step with the looks, and most milliseconds beyond the interval, for 95
#: of 100 steps.
_TRAIN = {
    "sleeps between steps": ("time.sleep(pause)", 60),
    "computes in Python": (
        "until = time.time() + pause\n    while time.time() < until:\n        sum(n * n for n in range(5_000))",
        100,
    ),
}
_PROBE = """() => {
  const root = document.querySelector(".loops-nb-live").shadowRoot;
  globalThis.steps = new Map();
  new MutationObserver(() => {
    const step = Number(root.querySelector("[data-run] td:nth-child(2) .soft")?.textContent.replace(/[^0-9]/g, ""));
    if (steps.has(step)) return;
    steps.set(step, null);
    requestAnimationFrame(() => requestAnimationFrame(() => steps.set(step, Date.now())));
  }).observe(root, { subtree: true, childList: true, characterData: true });
}"""


def run(lab: JupyterLab, steps: int = STEPS) -> str:
    """Measure, and return the tables."""
    return f"{_sizes()}\n{_grid(lab)}\n{_latency(lab, steps)}"


def _grid(lab: JupyterLab) -> str:
    """Open all metrics of many runs, and one chart of very many points, cold and again, and pan."""
    rows = []
    with tempfile.TemporaryDirectory() as home:
        for points, metrics, cases in (
            (GRID_POINTS, GRID_METRICS, (("all metrics, cold", 2000), ("again", 500), ("in a new panel", 500))),
            (POINTS, 1, (("one metric of a million points, cold", 6000), ("again", 1000), ("in a new panel", 1000))),
        ):
            folder = Path(home) / str(points)
            record(folder / "experiments.sqlite", metrics=metrics, runs=GRID_RUNS, points=points)
            rows += _openings(lab, folder, metrics, cases)
    head = ("what", "ms", "goal", "", "bytes to the page", "goal", "")
    return figures_table("Many metrics of many runs", _GRID_NOTE.replace("\n", " "), head, rows)


def _openings(lab: JupyterLab, folder: Path, metrics: int, cases: Sequence[tuple[str, int]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    begin = f"""
import os
os.environ["LOOPS_NB_HOME"] = {str(folder)!r}
from loops_nb.panels import CurvesPanel
names = [f"run {{number}}" for number in range({GRID_RUNS})]
"""
    show = f"panel = CurvesPanel(names, key={'metric 0' if metrics == 1 else ''!r})\npanel"
    with service() as served, lab.notebook(served, begin, show, "panel", show) as (notebook, frames):
        notebook.page.set_viewport_size({"width": 1600, "height": 1900})
        notebook.run(0)
        notebook.page.evaluate(_OPENED)
        for cell, (what, goal) in enumerate(cases, start=1):
            del frames[:]
            took = notebook.page.evaluate("([cell, count]) => opened(cell, count)", [cell, metrics])
            sent = sum(len(frame) for frame in frames if b'"chart"' in frame)
            found = judge(took, goal)
            rows.append((what, f"{took:.0f}", f"< {goal}", found, f"{sent:,}", "< 1,000,000", judge(sent, 1_000_000)))
        with traced(lab.browser, notebook.page) as work:
            notebook.page.evaluate("() => panned()")
        frame = percentile(work.frames, 0.95)
        rows.append(("a frame while panning", f"{frame:.1f}", "< 16", judge(frame, 16), "", "", ""))
    return rows


def _sizes() -> str:
    store = MemoryStore()
    random = np.random.default_rng(0)
    names = [f"run {number}" for number in range(SERIES)]
    values = {store.begin(name): random.normal(size=POINTS).cumsum() for name in names}
    for name, found in values.items():
        store.fill(name, "loss", found)
    model = CurveModel(store, names)
    model.read()
    shown = ClientView(ChartSpec(columns=900, smoothing=0.9))
    model.draw(shown)
    times, size = [], 0
    for _ in range(_REDRAWS):
        start = time.perf_counter()
        size = len(msgspec.json.encode(model.draw(shown)))
        times.append((time.perf_counter() - start) * 1e3)
    zoomed = ClientView(ChartSpec(columns=900, smoothing=0.9, low=5e5, high=5.02e5))
    start = time.perf_counter()
    model.draw(zoomed)
    zoom = (time.perf_counter() - start) * 1e3
    for more in (1, 2):
        # The first one after a million has the arrays grow.
        for name, found in values.items():
            store.fill(name, "loss", np.append(found, [1.0] * more))
        model.read()
        if more == 1:
            model.append("v", shown, 0.0)
    start = time.perf_counter()
    step = len(msgspec.json.encode(model.append("v", shown, 0.0)))
    took = (time.perf_counter() - start) * 1e3
    start = time.perf_counter()
    peer = len(json.dumps([[list(range(POINTS)), found.tolist()] for found in values.values()]))
    peer_took = (time.perf_counter() - start) * 1e3
    many = _step_of_many()
    rows = [
        (f"new step of {GRID_RUNS} runs, bytes", f"{many:,}", "< 8,000", judge(many, 8_000), "", ""),
        (
            "whole picture, bytes",
            f"{size:,}",
            f"< {_FULL:,}",
            judge(size, _FULL),
            f"{peer:,}",
            f"**{peer / size:,.0f}**",
        ),
        (
            "whole picture, ms",
            f"{percentile(times, 0.5):.0f}",
            "",
            "",
            f"{peer_took:,.0f}",
            f"**{peer_took / percentile(times, 0.5):.1f}**",
        ),
        ("zoomed in, ms", f"{zoom:.0f}", "", "", f"{peer_took:,.0f}", f"**{peer_took / zoom:.1f}**"),
        ("new step, bytes", f"{step:,}", f"< {_STEP:,}", judge(step, _STEP), f"{peer:,}", f"**{peer / step:,.0f}**"),
        ("new step, ms", f"{took:.1f}", "", "", f"{peer_took:,.0f}", f"**{peer_took / took:,.0f}**"),
    ]
    return figures_table(
        "A million points a curve", _NOTE.replace("\n", " "), ("what", "ours", "goal", "", "peer", "ratio"), rows
    )


def _step_of_many() -> int:
    store = MemoryStore()
    names = [store.begin(f"run {number}") for number in range(GRID_RUNS)]
    for name in names:
        store.fill(name, "loss", np.ones(GRID_POINTS))
    model = CurveModel(store, names)
    model.read()
    shown = ClientView(ChartSpec(columns=900, axis="clock", smoothing=0.9))
    model.draw(shown)
    for name in names:
        store.fill(name, "loss", np.ones(GRID_POINTS + 1))
    model.read()
    return len(msgspec.json.encode(model.append("v", shown, 0.0)))


def _latency(lab: JupyterLab, steps: int) -> str:
    rows = []
    with service() as served, tempfile.TemporaryDirectory() as home:
        for what, (work, goal) in _TRAIN.items():
            begin = f"""
import os, random, sys, time, json
sys.path.insert(0, {str(ROOT)!r})
os.environ["LOOPS_NB_HOME"] = {str(Path(home) / what[:3])!r}
import loops_nb
from loops_nb.panels import CurvesPanel
experiment = loops_nb.experiment("measured")
for step in range({_AFTER}):
    experiment.log(step=step, loss=3 / (1 + step))
panel = CurvesPanel()
panel
"""
            train = f"""
logged = {{}}
for step in range({_AFTER}, {_AFTER + steps}):
    logged[step] = time.time() * 1e3
    experiment.log(step=step, loss=3 / (1 + step))
    pause = random.uniform(0.25, 0.45)
    {work}
"""
            with lab.notebook(served, begin, train) as (notebook, frames):
                notebook.run(0)
                notebook.page.wait_for_selector(".loops-nb-live [data-run]", state="attached")
                notebook.page.evaluate(_PROBE)
                del frames[:]
                notebook.run(1)
                notebook.page.wait_for_function("last => globalThis.steps.get(last)", arg=_AFTER + steps - 1)
                painted: dict[str, Any] = notebook.page.evaluate("() => Object.fromEntries(steps)")
                logged = json.loads(notebook.execute("print(json.dumps(logged))"))
                # A step that came together with a later one was seen when that one was.
                seen = {int(step): at for step, at in painted.items() if at}
                took = [
                    min(when for step, when in seen.items() if step >= int(logged_step)) - at
                    for logged_step, at in logged.items()
                ]
                largest = max(len(frame) for frame in frames if b'"append"' in frame)
            beyond = [value - 1e3 / UPDATES_PER_SECOND for value in took]
            found = judge(percentile(beyond, 0.95), goal)
            rows.append((what, _both(beyond), f"p95 < {goal}", found, _both(took), f"{largest:,}"))
    head = ("the cell", "beyond the interval", "goal", "", "log() to pixel", "frame, bytes")
    return figures_table("From a logged step to the pixel", _LATENCY_NOTE.replace("\n", " "), head, rows)


def _both(values: list[float]) -> str:
    return f"{percentile(values, 0.5):.0f} / {percentile(values, 0.95):.0f}"
