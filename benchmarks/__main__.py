"""Run the benchmarks: ``python -m benchmarks [frames|listing|cluster|training ...] [--python 3.11] [--rounds N]``."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from benchmarks.peers import SUPPORTED
from benchmarks.rounds import machine

ALL = ("frames", "listing", "magics", "shell", "downloads", "cluster", "panels", "training", "tracking")


def main() -> int:
    """Print the tables of the chosen benchmarks, as they finish."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="*", help=f"any of {', '.join(ALL)}; all by default")
    parser.add_argument(
        "--python", action="append", choices=SUPPORTED, help="measure frames on this Python only; may be repeated"
    )
    parser.add_argument("--rounds", type=int, help="rounds of every comparison")
    chosen = parser.parse_args()
    unknown = set(chosen.which) - set(ALL)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    print(
        f"# Benchmarks of loops_nb\n\n{machine()}\n\nA ratio is the median of the rounds' ratios; above 1, ours is "
        f"faster.\n",
        flush=True,
    )
    for name in chosen.which or ALL:
        options: dict[str, Any] = {"rounds": chosen.rounds}
        if name == "frames":
            options["versions"] = tuple(chosen.python or SUPPORTED)
        for finished in importlib.import_module(f"benchmarks.{name}").run(**options):
            print(finished, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
