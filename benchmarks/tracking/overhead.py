"""Overhead of recording for a loop of the official SDK: the loop with and without it, and the recording alone."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import ROOT, SDK, SDK_PYTHON, sdk_python
from benchmarks.rounds import compare, table
from tests.sdk.environment import variables
from tests.service import running_service

STEPS, ROUNDS = 40, 5
#: Of the loop's time.
MOST = 0.01
_KEY = "benchmark-key"
_SPEED = 50.0
_MINUTES = 10


def run(rounds: int | None = None) -> Iterator[str]:
    """Yield the table."""
    python = sdk_python()
    if python is None:
        yield (
            f"## tracking: a loop of the SDK\n\n{SDK[0]} wants Python {SDK_PYTHON}, which is not on this machine: "
            f"not measured.\n"
        )
        return
    with tempfile.TemporaryDirectory(prefix="loops-nb-bench-") as home, running_service(speed=_SPEED) as service:
        environment = {
            **variables(Path(home)),
            "LOOPS_BASE_URL": service.url,
            "BASETEN_API_KEY": _KEY,
            "PYTHONPATH": str(ROOT),
        }
        command = [str(python), "-m", "benchmarks.tracking.sdk_worker", str(STEPS), str(rounds or ROUNDS)]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60 * _MINUTES
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
    line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES "))
    yield _told(json.loads(line.removeprefix("FIGURES ")))


def _told(found: dict[str, list[float]]) -> str:
    tracked, plain = found["tracked"], found["plain"]
    limit = [MOST * step for step in tracked]
    both = {
        "CPU": [sum(pair) for pair in zip(found["wrapper, cpu"], found["writer, cpu"], strict=True)],
        "wall": [sum(pair) for pair in zip(found["wrapper, wall"], found["writer, wall"], strict=True)],
    }
    lines = [
        compare(
            f"recording, {what} of wrapper and thread: {_share(spent, tracked)}",
            "1 % of a step",
            spent,
            limit,
            goal=">= 1",
            unit="us",
        )
        for what, spent in both.items()
    ]
    lines += [
        compare(
            f"the wrapper alone, {what}: {_share(found[name], tracked)}", "1 % of a step", found[name], limit, unit="us"
        )
        for what, name in (("CPU", "wrapper, cpu"), ("wall", "wrapper, wall"))
    ]
    lines.append(compare("a step, tracked", "a step, not tracked", tracked, plain))
    note = f"""{SDK[0]} on Python {SDK_PYTHON} against the local service: forward_backward and optim_step of 4 x 128
    tokens at rank 16, each waited for, {STEPS} steps a round, with loops_nb.track and without by turns;
    {found["keys"][0]:.0f} values a step are recorded.  Two loops differ by more than recording takes, so that is
    measured directly: what passes in a tracked call and not in the SDK's own call beneath it, less what the same clocks
    find in a call that is not tracked (wrapper), and in the thread that writes, which the loop does not wait for
    (thread).  track() itself, once a run: {found["once"][0] * 1e3:.0f} ms."""
    return table("tracking: a loop of the SDK", note, lines)


def _share(spent: list[float], steps: list[float]) -> str:
    share = statistics.median(one / step for one, step in zip(spent, steps, strict=True))
    return f"{share:.2%}"
