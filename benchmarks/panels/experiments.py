"""Five thousand experiments in the browser: opening their panel, and an update of one of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from benchmarks.listing import environment
from benchmarks.panels.figures import percentile
from benchmarks.panels.jupyterlab import service
from benchmarks.panels.trace import traced
from benchmarks.peers import ROOT
from benchmarks.rounds import figures_table, judge

if TYPE_CHECKING:
    from benchmarks.panels.jupyterlab import JupyterLab
    from benchmarks.panels.trace import Work
    from tests.browser.notebook import Notebook

EXPERIMENTS, OPENINGS, UPDATES = 5_000, 3, 20
_PAUSE_SECONDS = 1.5
_OPEN_MS, _UPDATE_MS = 1_000, 16
NOTE = f"""{EXPERIMENTS:,} experiments with four parameters and three metrics in a panel in JupyterLab. Opening: from
the command that runs a cell with a panel until the rows are painted.  Update: the main thread's work for a value that
one of them has logged, in CPU time, Jupyter's part included: all tasks during so many updates, less those during as
long a time in which nothing was logged."""
_BEGIN = """
import sys, time
sys.path.insert(0, {root!r})
import loops_nb
from loops_nb.panels import ExperimentsPanel
running = loops_nb.experiment("running", params={{"lr": 0.1}})
running.log(step=0, loss=1.0)
running.flush()
"""
_SHOW = "panel = ExperimentsPanel()\npanel"


def run(lab: JupyterLab, openings: int = OPENINGS, updates: int = UPDATES) -> str:
    """Measure and return the table."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="loops-nb-bench-") as home, service() as served:
        filled = {**environment(), "LOOPS_NB_HOME": home}
        subprocess.run(
            [sys.executable, "-m", "benchmarks.tracking.leaderboard", "--fill"], env=filled, cwd=ROOT, check=True
        )
        begin = f"import os; os.environ['LOOPS_NB_HOME'] = {home!r}\n" + _BEGIN.format(root=str(ROOT))
        for turn in range(openings):
            with lab.notebook(served, begin, _SHOW) as (notebook, _):
                notebook.run(0)
                total = f"{EXPERIMENTS + turn + 1:,} experiments"
                for which in ("the first panel of a kernel", "the cell run again"):
                    opened = notebook.page.evaluate("([cell, total]) => bench.open(cell, total)", [1, total])
                    for part in ("first", "whole"):
                        found.setdefault(f"{which}, {part} rows", []).append(opened[part])
                if turn == openings - 1:
                    still = _worked(lab, notebook, "pass", updates)
                    work = _worked(lab, notebook, "running.log(loss=1 / (2 + step))", updates)
    mean = (work.all - still.all) / updates
    drawing = percentile(sorted(work.tasks)[-updates:], 0.5)
    rows = []
    for what, values in found.items():
        middle, goal = percentile(values, 0.5), _OPEN_MS if "first rows" in what else None
        times = f"{middle / 1e3:.2f} s, {max(values) / 1e3:.2f} s"
        rows.append((what, times, "< 1 s" if goal else "", judge(middle, goal)))
    rows.append(("update", f"{mean:.1f} ms", f"< {_UPDATE_MS} ms", judge(mean, _UPDATE_MS)))
    rows.append(("update: the task that draws it; longest task", f"{drawing:.1f} ms; {work.longest:.1f} ms", "", ""))
    note = NOTE.replace("\n", " ") + f" Openings: median and greatest of {openings}; updates: mean of {updates}."
    return figures_table("Five thousand experiments", note, ("what", "ours", "goal", ""), rows)


def _worked(lab: JupyterLab, notebook: Notebook, work: str, updates: int) -> Work:
    with traced(lab.browser, notebook.page) as found:
        notebook.execute(f"for step in range(1, {updates} + 1):\n    {work}\n    time.sleep({_PAUSE_SECONDS})")
    return found
