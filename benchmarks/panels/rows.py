"""Ten thousand rows in the browser: opening, scrolling, and an update of a hundred of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benchmarks.panels.figures import percentile
from benchmarks.panels.jupyterlab import KEY, MEASURED, asked, service
from benchmarks.panels.trace import traced
from benchmarks.rounds import figures_table, judge

if TYPE_CHECKING:
    from benchmarks.panels.jupyterlab import JupyterLab, Service
    from benchmarks.panels.trace import Work
    from tests.browser.notebook import Notebook

RUNS = 10_000
CHANGED = 100
OPENINGS = 5
UPDATES = 20
INTERVAL = 1.0
_STEPS = 120
_PEERS_UPDATES = 1
_OPEN_MS, _TASK_MS, _UPDATE_MS = 1000, 50, 16
#: Where the changed rows are: anywhere, or those on top, with all in sight among them.
_WHERE = {"anywhere": "scattered", "top": "with all in sight"}

NOTE = f"""{RUNS:,} runs in a panel in JupyterLab. Opening: from the command that runs a cell with a panel until the
rows are painted; the first time with everything that a fresh kernel has to import, connect to and decode. Scrolling:
{_STEPS} even steps, then {_STEPS} jumps, one a frame. Tasks are those of the page's main thread, in CPU time, as
Chromium's own trace has them; its list of long tasks goes by the clock. Update: the main thread's work for {CHANGED}
changed rows, Jupyter's part included: all tasks during so many looks with updates, less those during as many in which
nothing changed; it includes collecting garbage and taking the colour of fresh rows away again. Peer: an anywidget that
sends all rows as a trait and rebuilds the table."""


class Opening(NamedTuple):
    """Milliseconds until the first rows and until all rows were painted."""

    first: float
    whole: float


def run(lab: JupyterLab, openings: int, updates: int) -> str:
    """Measure and return the table."""
    cold, warm, scrolling, worked = [], [], (0.0, 0), {}
    show = f"import loops_nb\npanel = loops_nb.Loops().runs.watch(interval={INTERVAL})\npanel"
    for turn in range(openings):
        with service() as served:
            served.pretend(runs=RUNS)
            with lab.notebook(served, MEASURED, show) as (notebook, _):
                notebook.run(0)
                cold.append(_opened(notebook))
                warm.append(_opened(notebook))
                if turn == openings - 1:
                    scrolling = _scrolled(lab, notebook)
                    worked = {where: _update(lab, served, notebook, updates, where) for where in _WHERE}
    opening, naive = _naive(lab, min(updates, _PEERS_UPDATES))
    rows = [
        _time("first panel of a kernel, first rows", [each.first for each in cold], _OPEN_MS, opening.first),
        _time("first panel of a kernel, all rows", [each.whole for each in cold], None, opening.whole),
        _time("the cell run again, first rows", [each.first for each in warm], _OPEN_MS, None),
        _time("the cell run again, all rows", [each.whole for each in warm], None, None),
    ]
    longest, listed = scrolling
    rows.append(("scrolling: longest task", f"{longest:.0f} ms", f"< {_TASK_MS} ms", judge(longest, _TASK_MS), ""))
    rows.append(("scrolling: tasks of more than 50 ms by the clock", str(listed), "none", judge(listed, 0.5), ""))
    for where, what in _WHERE.items():
        mean, drawing, longest = worked[where]
        told = f"{naive:.0f} ms, **{naive / mean:.0f}** times"
        rows.append((f"update, {what}", f"{mean:.1f} ms", f"< {_UPDATE_MS} ms", judge(mean, _UPDATE_MS), told))
        rows.append(
            (f"update, {what}: the task that draws it; longest task", f"{drawing:.1f} ms; {longest:.1f} ms", "", "", "")
        )
    note = NOTE.replace("\n", " ") + f" Openings: median and greatest of {openings}; updates: mean of {updates}."
    return figures_table("Ten thousand rows", note, ("what", "ours", "goal", "", "peer's"), rows)


def _time(what: str, values: list[float], goal: float | None, peers: float | None) -> tuple[str, ...]:
    middle = percentile(values, 0.5)
    return (
        what,
        f"{middle / 1e3:.2f} s, {max(values) / 1e3:.2f} s",
        f"< {goal / 1e3:g} s" if goal else "",
        judge(middle, goal),
        f"{peers / 1e3:.2f} s, **{peers / middle:.1f}** times" if peers else "",
    )


def _opened(notebook: Notebook) -> Opening:
    found = notebook.page.evaluate("([cell, total]) => bench.open(cell, total)", [1, f"{RUNS:,}"])
    return Opening(found["first"], found["whole"])


def _scrolled(lab: JupyterLab, notebook: Notebook) -> tuple[float, int]:
    with traced(lab.browser, notebook.page) as work:
        listed: int = notebook.page.evaluate("steps => bench.scroll(steps)", _STEPS)
    return work.longest, listed


def _update(
    lab: JupyterLab, served: Service, notebook: Notebook, updates: int, where: str
) -> tuple[float, float, float]:
    still, _ = _worked(lab, served, notebook, updates, 0, where)
    mean, work = _worked(lab, served, notebook, updates, CHANGED, where)
    # The work is in one task for each update, and many small ones around it.
    return mean - still, percentile(sorted(work.tasks)[-updates:], 0.5), work.longest


def _worked(
    lab: JupyterLab, served: Service, notebook: Notebook, looks: int, changed: int, where: str
) -> tuple[float, Work]:
    served.pretend(each_look=changed, where=where)
    asked(notebook, "kernel_probe.cost(1, idle=0)")
    with traced(lab.browser, notebook.page) as work:
        counted: float = asked(notebook, f"kernel_probe.cost({looks}, idle=0)")["looks"]
    return work.all / counted, work


def _naive(lab: JupyterLab, updates: int) -> tuple[Opening, float]:
    with service() as served:
        served.pretend(runs=RUNS)
        show = f"panel = kernel_probe.NaivePanel({served.url!r}, {KEY!r}, None, {10 * INTERVAL})\npanel"
        with lab.notebook(served, MEASURED, show) as (notebook, _):
            notebook.run(0)
            opening = _opened(notebook)
            return opening, _update(lab, served, notebook, updates, "anywhere")[0]
