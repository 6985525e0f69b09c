"""Run single cases: ``python -m benchmarks.downloads [--only some-slow ...] [--rounds N]``."""

from __future__ import annotations

import argparse
import sys

from benchmarks.downloads import headers, run
from benchmarks.downloads.cases import cases, huge
from benchmarks.rounds import machine


def main() -> int:
    """Print the tables of the chosen cases."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.downloads", description=__doc__)
    keys = [*(case.key for case in (*cases(1), huge(1))), headers.KEY]
    parser.add_argument("--only", nargs="+", choices=keys, default=[], help="measure these cases only")
    parser.add_argument("--rounds", type=int, help="rounds of every case")
    chosen = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    for finished in run(rounds=chosen.rounds, only=chosen.only):
        print(finished, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
