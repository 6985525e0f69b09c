"""A rollback journal beside SQLite's WAL: ``python -m benchmarks.tracking.journals [FOLDER ...]``.

Each folder is measured as it is; without one, a folder of this disk with either journal.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.peers import ROOT
from benchmarks.rounds import machine

CALLS, PAUSED_CALLS, PAUSE_SECONDS, FLUSHES, WRITERS = 40_000, 500, 0.005, 40, 4
#: As on a network, in a folder of this disk.
ROLLBACK = "rollback"
_WORKER = """
import sys
from benchmarks.tracking.journals import measure
measure(*sys.argv[1:])
"""


def measure(what: str, kind: str) -> None:
    """Print the figures of this process: ``alone``, or one of several ``together``."""
    from loops_nb import experiment
    from loops_nb.config.paths import home_dir

    if kind == ROLLBACK:
        from tests.mounts import show_as

        show_as(home_dir(), "nfs4")
    exp = experiment("bench")
    values = {"loss": 0.5, "grad_norm": 1.5, "lr": 1e-4, "tokens": 2048.0, "seconds": 0.125}
    calls = CALLS if what == "alone" else CALLS // WRITERS
    began = time.perf_counter()
    for step in range(calls):
        exp.log(values, step=step)
    exp.flush()
    figures = {"values/s": calls * len(values) / (time.perf_counter() - began)}
    if what == "alone":
        slowest = []
        for step in range(PAUSED_CALLS):
            time.sleep(PAUSE_SECONDS)
            called = time.perf_counter()
            exp.log(values, step=calls + step)
            slowest.append(time.perf_counter() - called)
        figures["p99 of log(), us"] = 1e6 * statistics.quantiles(slowest, n=100)[98]
        waits = []
        for step in range(FLUSHES):
            called = time.perf_counter()
            exp.log(values, step=calls + PAUSED_CALLS + step)
            exp.flush()
            waits.append(time.perf_counter() - called)
        figures["until in the file, ms"] = 1e3 * statistics.median(waits)
        figures["p99 of it, ms"] = 1e3 * statistics.quantiles(waits, n=100)[98]
    exp.close()
    print("FIGURES", json.dumps(figures))


def _run(home: Path, kind: str, what: str, processes: int) -> list[dict[str, float]]:
    environment = {**os.environ, "LOOPS_NB_HOME": str(home)}
    command = [sys.executable, "-c", _WORKER, what, kind]
    started = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for _ in range(processes)
    ]
    lines = [process.communicate()[0].splitlines()[-1] for process in started]
    return [json.loads(line.removeprefix("FIGURES ")) for line in lines]


def report(folder: Path, kind: str) -> str:
    """Return the figures of a folder, as a line."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="loops-nb-bench-", ignore_cleanup_errors=True) as made:
        home = Path(made) / "home"
        home.mkdir()
        (alone,) = _run(home, kind, "alone", 1)
        together = sum(one["values/s"] for one in _run(home, kind, "together", WRITERS))
    texts = [f"{name} {value:,.0f}" if value >= 100 else f"{name} {value:.1f}" for name, value in alone.items()]
    return f"{', '.join(texts)}, values/s of {WRITERS} processes {together:,.0f}"


if __name__ == "__main__":
    print(f"{machine()}\n", flush=True)
    places = [(Path(folder), "") for folder in sys.argv[1:]] or [
        (Path(tempfile.gettempdir()), ""),
        (Path(tempfile.gettempdir()), ROLLBACK),
    ]
    for place, journal in places:
        print(f"{place} {journal}: {report(place, journal)}", flush=True)
