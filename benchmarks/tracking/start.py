"""Time to begin an experiment, with and without the capture of its environment."""

from __future__ import annotations

import json
import os
import sys
import time

from benchmarks.rounds import Ratio, compare

STARTS = 20
PAUSE_SECONDS = 0.7
#: A training cell may wait so long for the begin of an experiment.
LIMIT_SECONDS = 0.1
NOTE = f"""loops_nb.experiment(), the median of {STARTS} in one process in a git work tree with NumPy imported,
with and without the capture by turns, {PAUSE_SECONDS} s apart so that the thread that writes is idle.  `until flush()`
is the time until everything is in the file, which nothing waits for but a reader."""
_VARIABLE = "LOOPS_NB_CAPTURE_ENVIRONMENT"


def measure(starts: int = STARTS) -> dict[str, float]:
    """Return the median seconds of a begin, and of a begin and a flush, with the capture and without it."""
    import numpy as np

    from loops_nb import experiment
    from loops_nb.tracking import environment

    seconds: dict[str, list[float]] = {}
    experiment("warm").close()
    for number in range(starts):
        for way in ("with", "without"):
            os.environ[_VARIABLE] = "1" if way == "with" else "0"
            environment._git_found.clear()  # noqa: SLF001 - each start asks git, as one in a process does
            time.sleep(PAUSE_SECONDS)
            began = time.perf_counter()
            exp = experiment(f"{way}-{number}", params={"lr": 1e-4})
            begun = time.perf_counter()
            exp.flush()
            seconds.setdefault(way, []).append(begun - began)
            seconds.setdefault(f"{way}, flushed", []).append(time.perf_counter() - began)
            exp.close()
    return {name: float(np.median(found)) for name, found in seconds.items()}


def lines(figures: list[dict[str, float]]) -> list[Ratio]:
    """Return the rows of the table."""
    ours = [one["with"] for one in figures]
    return [
        compare("experiment() with capture", "100 ms", ours, [LIMIT_SECONDS] * len(figures), goal=">= 1"),
        compare("experiment() with capture", "without", ours, [one["without"] for one in figures]),
        compare(
            "until flush() with capture",
            "without",
            [one["with, flushed"] for one in figures],
            [one["without, flushed"] for one in figures],
        ),
    ]


if __name__ == "__main__":
    print("FIGURES", json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else STARTS)))
