"""A process that logs without end: ``python -m tests.tracking.logging_process EXPERIMENT [KIND]``.

It prints how many steps are certainly in the file.
"""

from __future__ import annotations

import sys

from loops_nb import experiment
from loops_nb.config.paths import home_dir
from tests.mounts import show_as


def main() -> None:
    if len(sys.argv) > 2:
        # The folder for data, as on such a file system.
        show_as(home_dir(), sys.argv[2])
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
