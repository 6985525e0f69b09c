"""From a change at the service to the pixel, while the kernel is idle and while a cell keeps it busy."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.panels.figures import percentile
from benchmarks.panels.jupyterlab import KEY, MEASURED, asked, service
from benchmarks.rounds import figures_table, judge

if TYPE_CHECKING:
    from benchmarks.panels.jupyterlab import JupyterLab, Service
    from tests.browser.notebook import Notebook

#: Seconds between two looks.
INTERVAL = 0.5
CHANGES = 60
#: Changes after which the busy cell is run again: JupyterLab is slow with long outputs, whatever a panel does.
_BATCH = 10
#: Runs that are watched and never change.
_REST = 4
_PATIENCE_MS = 60_000
_UNTIL = "while not pathlib.Path({stop!r}).exists():\n"
_CALLS = """
def call():
    start = time.perf_counter()
    sum(range(size))
    return time.perf_counter() - start
size = 1_000_000
while call() < 0.1:
    size *= 2
"""


class Case(NamedTuple):
    """One thing that a kernel may be busy with.

    Parameters
    ----------
    what
        In words.
    code
        The cell; None leaves the kernel idle.
    goal
        Most milliseconds beyond the poll interval, for 95 of 100 changes; None for none.
    """

    what: str
    code: str | None
    goal: float | None


CASES = (
    Case("idle", None, 60),
    Case("sleeps", f"{_UNTIL}    time.sleep(0.05)", 60),
    Case("computes in Python", f"{_UNTIL}    total = 0\n    for n in range(20_000):\n        total += n * n", 100),
    Case("prints 1,000 lines a second", f"{_UNTIL}    print('step', time.time())\n    time.sleep(0.001)", 150),
    Case(
        "prints 200 kB a second, twice what the server passes on",
        f"{_UNTIL}    print('x' * 200)\n    time.sleep(0.001)",
        150,
    ),
    Case("calls C that holds the interpreter for 0.1 to 0.2 s", f"{_CALLS}{_UNTIL}    call()", None),
)

NOTE = f"""JupyterLab in Chromium, all on this machine; {{runs}} runs watched every {INTERVAL} s; a run is deactivated
at a random moment, and its row is awaited. The clock starts when the service answers the deactivation, and stops in the
second animation frame after the row changed on the page. "Beyond the interval": the whole way less the
{INTERVAL * 1e3:g} ms between two looks. As only half of them is waited on average, this hides much; so "from the look":
from the moment at which the kernel begins the look that first finds the change. Peer: an anywidget with one GET a run
in each look, a trait with all rows as dicts, and a table rebuilt; {{peer}} changes each. Lost: not seen within a
minute. The Jupyter server passes on 100 kB a second of what cells print, a tenth of its default, and then drops
messages of panels too: at the default, JupyterLab itself is too slow with the output for anything to be measured. All
figures: p50 / p95 in ms; the ratio is that of the p50."""
_HEAD = (
    "the kernel",
    "beyond the interval",
    "goal",
    "",
    "from the look",
    "whole way",
    "lost",
    "peer: beyond",
    "peer: from the look",
    "ratio of looks",
)


class Latencies(NamedTuple):
    """Milliseconds of each change that was seen, and how many were not.

    Parameters
    ----------
    whole
        From the change to the pixel.
    look
        From the start of the look that found it to the pixel.
    lost
        Changes that were never painted.
    """

    whole: list[float]
    look: list[float]
    lost: int


def run(lab: JupyterLab, changes: int) -> str:
    """Measure every case, ours and the peer's, and return the table."""
    few = max(4, changes // 3)
    rows = []
    for case in CASES:
        ours, theirs = _measured(lab, case, changes, naive=False), _measured(lab, case, few, naive=True)
        beyond = [value - INTERVAL * 1e3 for value in ours.whole]
        also = [value - INTERVAL * 1e3 for value in theirs.whole]
        rows.append(
            (
                case.what,
                _both(beyond),
                f"p95 < {case.goal:g}" if case.goal else "",
                judge(percentile(beyond, 0.95), case.goal),
                _both(ours.look),
                _both(ours.whole),
                str(ours.lost),
                _both(also),
                _both(theirs.look),
                f"**{percentile(theirs.look, 0.5) / percentile(ours.look, 0.5):.1f}**",
            )
        )
    note = NOTE.format(runs=changes + _REST, peer=few).replace("\n", " ")
    return figures_table("From the service's change to the pixel", note, _HEAD, rows)


def _both(values: list[float]) -> str:
    return f"{percentile(values, 0.5):.0f} / {percentile(values, 0.95):.0f}"


def _measured(lab: JupyterLab, case: Case, changes: int, *, naive: bool) -> Latencies:
    with service() as served:
        ids = served.runs(changes + _REST)
        show = (
            f"panel = kernel_probe.NaivePanel({served.url!r}, {KEY!r}, {ids!r}, {INTERVAL})\npanel"
            if naive
            else f"import loops_nb\npanel = loops_nb.Loops().runs.watch(interval={INTERVAL})\npanel"
        )
        stop = lab.server.root / "stop"
        busy = "import pathlib, time\n" + (case.code or "").format(stop=stop.name)
        with lab.notebook(served, MEASURED + show, busy) as (notebook, _):
            notebook.run(0)
            notebook.page.wait_for_selector(f'tr[data-id="{ids[-1]}"]', state="attached")
            # What the first look of all costs is over by then.
            asked(notebook, f"kernel_probe.idle({2 * INTERVAL})")
            notebook.page.evaluate("() => bench.watch()")
            # The newest stand on top.
            changing = ids[: _REST - 1 : -1]
            painted: dict[str, float | None] = {}
            for first in range(0, changes, _BATCH):
                stop.unlink(missing_ok=True)
                cell = notebook.start(1) if case.code else None
                notebook.page.locator(".naive-live" if naive else ".loops-nb-live").scroll_into_view_if_needed()
                painted |= {run_id: _changed(served, notebook, run_id) for run_id in changing[first : first + _BATCH]}
                stop.touch()
                if cell is not None:
                    cell.wait()
            notebook.execute("kernel_probe.save('noted.json')")
        kernel = json.loads((lab.server.root / "noted.json").read_text())
        return _latencies(painted, served.noted(), kernel, naive=naive)


def _changed(served: Service, notebook: Notebook, run_id: str) -> float | None:
    time.sleep(random.uniform(0, INTERVAL))  # noqa: S311 - what came before was in step with the looks; this is not
    served.end(run_id)
    found: float | None = notebook.page.evaluate("([id, patience]) => bench.when(id, patience)", [run_id, _PATIENCE_MS])
    return found


def _latencies(
    painted: dict[str, float | None], noted: dict[str, Any], kernel: dict[str, Any], *, naive: bool
) -> Latencies:
    whole, look, lost = [], [], 0
    for number, (at, run_id) in enumerate(noted["changes"], start=1):
        seen = painted[run_id]
        if seen is None:
            lost += 1
            continue
        whole.append(seen - at)
        if naive:
            look.append(seen - kernel["first_seen"][run_id])
        else:
            # The service's looks are the kernel's, one by one.
            which = next(i for i, (_, changes) in enumerate(noted["looks"]) if changes >= number)
            look.append(seen - kernel["looks"][which])
    return Latencies(whole, look, lost)
