"""Cost of ``log`` against other local trackers, of a million points, of 5,000 experiments, of a begin, of an answer.

The overhead for a loop of the official SDK is measured too, alone with ``python -m benchmarks.tracking``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import ROOT, trackers_python
from benchmarks.rounds import Ratio, compare, table

LIMIT_SECONDS = 20e-6
MILLION_SECONDS = 1.0
#: By how many times ours is to be cheaper.
GOALS = {"mlflow.log_metrics": 20, "trackio.log": 5, "wandb.log, offline": 5}
CALLS = {"ours": 5000, "mlflow.log_metrics": 60, "trackio.log": 300, "wandb.log, offline": 300}
NOTE = """One call with five values, the mean of many in a row, each tracker in a process of its own that is started
again each round.  On the disk when the call returns: with mlflow (SQLite store) the values, in a transaction of their
own; with ours, trackio and offline wandb nothing yet: a thread or process writes them soon after, ours within about
half a second in one transaction.  `with flush` is ours if each call waits until its values are in the file, as mlflow
does."""
_LOG = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
from benchmarks.tracking.worker import WAYS
print("\\nFIGURES", json.dumps(WAYS[sys.argv[1]](int(sys.argv[2]))), file=sys.__stdout__, flush=True)
"""
_READ = """
import json, time
from loops_nb import experiment
exp = experiment("million")
for step in range(200_000):
    exp.log(step=step, a=1.0 * step, b=2.0, c=3.0, d=4.0, e=5.0)
exp.close()
exp.frame(keys=["a"])
figures = {}
for name, wide in (("long", False), ("wide", True)):
    began = time.perf_counter()
    rows = len(exp.frame(wide=wide))
    figures[name] = time.perf_counter() - began
    assert rows == (200_000 if wide else 1_000_000)
print("FIGURES", json.dumps(figures))
"""


def run(rounds: int | None = None) -> Iterator[str]:
    """Yield the tables."""
    # The workers load this package too, without what a service needs.
    from benchmarks.tracking import answers, leaderboard, overhead, start

    yield from _logs_and_reads(rounds or 5)
    command = [sys.executable, "-m", "benchmarks.tracking.leaderboard"]
    figures = [_answer(command) for _ in range(min(rounds or 5, 3))]
    yield table("tracking: experiments to a frame", leaderboard.NOTE, leaderboard.lines(figures))
    # In this work tree, whose state git is asked for.
    command = [sys.executable, "-m", "benchmarks.tracking.start"]
    figures = [_answer(command, folder=ROOT) for _ in range(min(rounds or 5, 3))]
    yield table("tracking: begin of an experiment", start.NOTE, start.lines(figures))
    yield from overhead.run(rounds)
    yield from answers.run(min(rounds or answers.ROUNDS, answers.ROUNDS))


def _logs_and_reads(count: int) -> Iterator[str]:
    python = trackers_python()
    if python is None:
        yield "## tracking\n\nNo environment with other trackers can be made here.\n"
        return
    figures: dict[str, list[float]] = {}
    for turn in range(count):
        names = [*CALLS, "ours, with flush"]
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            figures.setdefault(name, []).append(_one(python, name))
    ours = figures["ours"]
    lines: list[Ratio] = [
        compare(
            "log() of five values",
            f"{LIMIT_SECONDS * 1e6:.0f} us",
            ours,
            [LIMIT_SECONDS] * count,
            goal=">= 1",
            unit="us",
        )
    ]
    lines += [
        compare("log() of five values", peer, ours, figures[peer], goal=f">= {goal}", unit="us")
        for peer, goal in GOALS.items()
    ]
    lines.append(
        compare(
            "the same, with flush",
            "mlflow.log_metrics",
            figures["ours, with flush"],
            figures["mlflow.log_metrics"],
            unit="us",
        )
    )
    yield table("tracking: log", NOTE, lines)
    reads = [_answer([sys.executable, "-c", _READ]) for _ in range(min(count, 3))]
    limit = [MILLION_SECONDS] * len(reads)
    yield table(
        "tracking: a million points to a frame",
        "Five keys with 200,000 points each, from the file, in the process that logged them.",
        [
            compare(f"{name} frame", "1 s", [read[name] for read in reads], limit, goal=">= 1")
            for name in ("long", "wide")
        ],
    )


def _one(python: Path, name: str) -> float:
    calls = CALLS.get(name, 100)
    return float(_answer([str(python), "-c", _LOG, name, str(calls)])["seconds"])


def _answer(command: list[str], *, folder: Path | None = None) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        apart = {
            "LOOPS_NB_HOME": home,
            "HOME": home,
            "WANDB_MODE": "offline",
            "WANDB_DIR": home,
            "WANDB_SILENT": "true",
        }
        quiet = {
            "TRACKIO_DIR": home,
            "HF_HUB_OFFLINE": "1",
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONPATH": str(ROOT),
        }
        environment = {**os.environ, **apart, **quiet}
        done = subprocess.run(command, env=environment, cwd=folder or home, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        # Others print too, also when they end.
        line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES "))
        found: dict[str, float] = json.loads(line.removeprefix("FIGURES "))
        return found
