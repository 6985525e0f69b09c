"""Time of 5,000 experiments as a frame, whole, filtered and sorted, and as a live panel."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from typing import Any

from benchmarks.rounds import Ratio, compare

EXPERIMENTS = 5_000
LIMIT_SECONDS = 1.0
_VALUES, _PAUSE_SECONDS = 5, 1.5
NOTE = f"""{EXPERIMENTS:,} experiments with four parameters and three metrics of 20 points, from the file, in a process
that has read it once; `filtered` with `where` and `sort`.  `panel` makes the live panel with all that its page is
sent when it opens; `panel, a value` is from `log()` of one experiment to the message with its row."""


def fill(count: int = EXPERIMENTS) -> None:
    """Record experiments in the file of LOOPS_NB_HOME."""
    from loops_nb import experiment

    for number in range(count):
        params = {"lr": 10.0 ** -(1 + number % 5), "lora": {"rank": 8 << number % 3}, "seed": number, "model": "qwen"}
        exp = experiment(f"sweep-{number}", params=params, tags=["sweep"])
        for step in range(20):
            exp.log(step=step, loss=2.0 / (step + 1), accuracy=step / 20, grad_norm=0.1)
    exp.close()


def measure() -> dict[str, float]:
    """Return the seconds of the whole and of a filtered listing."""
    from loops_nb.tracking.metrics import Metrics

    metrics = Metrics()
    ways = {"whole": {}, "filtered": {"where": "lr < 1e-2 and lora.rank == 16", "sort": "best.loss"}}
    metrics.experiments(limit=1)
    figures = {}
    for name, given in ways.items():
        began = time.perf_counter()
        metrics.experiments(**given)  # type: ignore[arg-type]
        figures[name] = time.perf_counter() - began
    return figures | _panel()


def _panel() -> dict[str, float]:
    """Return the seconds until the panel is open, and from a logged value to its message."""
    from loops_nb import experiment
    from loops_nb.panels import ExperimentsPanel
    from loops_nb.panels.protocol import as_dict

    began = time.perf_counter()
    panel = ExperimentsPanel()
    json.dumps(as_dict(panel.snapshot_now()))
    figures = {"panel": time.perf_counter() - began}
    arrived = threading.Event()
    running = experiment("running", params={"lr": 0.1})

    def take(message: dict[str, Any]) -> None:
        if any(row[0] == running.id for row in message.get("rows", ())):
            arrived.set()

    # Where the messages go to the page: there is none here.
    panel._send_now = take  # type: ignore[method-assign]  # noqa: SLF001
    waits = []
    for step in range(_VALUES):
        # As a training does: the panel has read the file since the last value.
        time.sleep(_PAUSE_SECONDS)
        panel._controller.receive({"type": "view_visibility", "view": "v", "visible": True})  # noqa: SLF001 - as a page
        arrived.clear()
        began = time.perf_counter()
        running.log(step=step, loss=1.0)
        arrived.wait(60.0)
        waits.append(time.perf_counter() - began)
    panel.close()
    return figures | {"panel, a value": statistics.median(waits)}


def lines(figures: list[dict[str, float]]) -> list[Ratio]:
    """Return the rows of the table."""
    limit = [LIMIT_SECONDS] * len(figures)
    names = ("whole", "filtered", "panel", "panel, a value")
    return [compare(name, "1 s", [one[name] for one in figures], limit, goal=">= 1") for name in names]


if __name__ == "__main__":
    fill()
    if "--fill" not in sys.argv:
        print("FIGURES", json.dumps(measure()))
