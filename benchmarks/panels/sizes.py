"""What is carried around: the page's code, and a saved notebook with five panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.panels.jupyterlab import service
from benchmarks.rounds import figures_table, judge
from loops_nb.panels.bundle import page_code

if TYPE_CHECKING:
    from benchmarks.panels.jupyterlab import JupyterLab, Service

#: Five times a bundle of at most 75 kB, and what the panels show.
_SAVED, _FROZEN = 475, 40
#: Most kB of each bundle.
_BUNDLES = {"panels.js": 75, "curves.js": 130, "dashboard.js": 80, "experiments.js": 70, "samples.js": 40}
RUNS = 1000
MANAGER = "@jupyter-widgets/jupyterlab-manager:plugin"
CONNECT = "import loops_nb\nloops = loops_nb.Loops()\nrun = loops.runs.list()[0]"
PANELS = (
    "loops.runs.watch()",
    "loops.runs.watch(run.id)",
    "loops.samplers.watch()",
    "loops.deployments.watch()",
    "loops.checkpoints.watch(base_model=run.base_model)",
)
NOTE = """The file that JupyterLab writes for a notebook with five panels: of all runs, of one run, of samplers, of
deployments, of checkpoints; with the state of widgets, which JupyterLab saves for those who set that, and without, as
it does by itself. 1 kB is 1,000 bytes."""


def run(lab: JupyterLab) -> str:
    """Measure and return the table."""
    rows: list[tuple[str, ...]] = [
        (f"{name}, minified", *_told(len(page_code(name).encode()), most)) for name, most in _BUNDLES.items()
    ]
    lab.server.write_settings(MANAGER, {"saveState": True})
    try:
        with service(sample=True) as served:
            rows += _saved(lab, served, "sample workspace")
        with service() as served:
            served.pretend(runs=RUNS)
            rows += _saved(lab, served, f"{RUNS:,} runs")
        lab.server.remove_settings(MANAGER)
        with service(sample=True) as served:
            rows += _saved(lab, served, "sample workspace, no widget state")[:1]
    finally:
        lab.server.remove_settings(MANAGER)
    return figures_table("What a notebook carries", NOTE.replace("\n", " "), ("what", "size", "goal", ""), rows)


def _saved(lab: JupyterLab, served: Service, what: str) -> list[tuple[str, ...]]:
    cells = [CONNECT, *(f"panel{i} = {code}\npanel{i}" for i, code in enumerate(PANELS))]
    with lab.notebook(served, *cells) as (notebook, _):
        for index in range(len(cells)):
            notebook.run(index)
        panels = notebook.page.locator(".loops-nb-live [data-status=live]")
        notebook.page.wait_for_function(
            "count => document.querySelectorAll('.loops-nb-live').length === count", arg=len(PANELS)
        )
        panels.first.wait_for(state="attached")
        notebook.save()
        saved = notebook.path.stat().st_size
        notebook.execute(f"for panel in ({', '.join(f'panel{i}' for i in range(len(PANELS)))}): panel.freeze()")
        notebook.page.wait_for_function("() => document.querySelectorAll('.loops-nb-live').length === 0")
        notebook.save()
        frozen = notebook.path.stat().st_size
    return [(f"five panels, {what}", *_told(saved, _SAVED)), (f"the same, frozen, {what}", *_told(frozen, _FROZEN))]


def _told(size: int, goal: int) -> tuple[str, str, str]:
    return f"{size / 1e3:.1f} kB", f"< {goal} kB", judge(size / 1e3, goal)
