"""Run the benchmarks: ``python -m benchmarks [frames|listing|training ...] [--thorough] [--keep]``.

All of them end within half an hour, once the environments of the peers are made.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from typing import Any

from benchmarks.peers import SUPPORTED
from benchmarks.rounds import machine
from benchmarks.speed import PAGE, page, summary

#: By benchmark: its rounds, so that all together end within half an hour; more with ``--thorough``.
ALL = {
    "magics": 5,
    "shell": 5,
    "frames": 2,
    "listing": 5,
    "downloads": 2,
    "panels": 10,
    "training": 5,
    "tracking": 2,
}
#: Two Dask workers and more, each of which reads gigabytes: some minutes a round, only by name or with ``--thorough``.
LONG = ("cluster",)


def main() -> int:
    """Print the tables of the chosen benchmarks, as they finish, and what is judged by a goal in one table."""
    names = (*ALL, *LONG)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("which", nargs="*", help=f"any of {', '.join(names)}; all but {', '.join(LONG)} by default")
    parser.add_argument(
        "--python",
        action="append",
        choices=SUPPORTED,
        help="measure frames on this Python too; may be repeated; the running one by default",
    )
    parser.add_argument("--rounds", type=int, help="rounds of every comparison")
    parser.add_argument("--thorough", action="store_true", help="all rounds and every Python: more than an hour")
    parser.add_argument("--keep", action="store_true", help=f"write {PAGE.parent.name}/{PAGE.name} too")
    chosen = parser.parse_args()
    unknown = set(chosen.which) - set(names)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    on = machine()
    print(f"# Benchmarks of loops_nb\n\n{on}\n", flush=True)
    tables: list[str] = []
    began = time.monotonic()
    for name in chosen.which or (names if chosen.thorough else ALL):
        start = time.monotonic()
        rounds = chosen.rounds or (None if chosen.thorough else ALL.get(name))
        for finished in importlib.import_module(f"benchmarks.{name}").run(**_options(name, rounds, chosen)):
            print(finished, flush=True)
            tables.append(str(finished))
        print(f"({name}: {time.monotonic() - start:.0f} s)\n", flush=True)
    print(f"## Beside the goals\n\n{summary(tables)}\n(all: {(time.monotonic() - began) / 60:.1f} min)", flush=True)
    if chosen.keep:
        PAGE.write_text(page(tables, on), encoding="utf-8")
    return 0


def _options(name: str, rounds: int | None, chosen: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {"rounds": rounds}
    if name == "frames":
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        options["versions"] = tuple(chosen.python or (SUPPORTED if chosen.thorough else (running,)))
    return options


if __name__ == "__main__":
    sys.exit(main())
