"""A process that logs without end: ``python -m tests.tracking.logging_process EXPERIMENT``.

It prints how many steps are certainly in the file.
"""

from __future__ import annotations

import sys

from loops_nb import experiment


def main() -> None:
    exp = experiment(sys.argv[1], resume=True)
    step = 0
    while True:
        for _ in range(50):
            exp.log(step=step, loss=float(step), other=-float(step))
            step += 1
        if exp.flush():
            print(step, flush=True)  # noqa: T201 - the test that started it counts


if __name__ == "__main__":
    main()
