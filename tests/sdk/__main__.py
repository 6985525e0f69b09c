"""Run the official SDK against the local service: ``python -m tests.sdk [pytest options]``.

``--figure`` times it, ``--prepare`` makes the environment only.
Needs nothing but a Python; the one that the SDK wants (3.12 or newer) is looked for, and where there is none, nothing
is tested.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import subprocess
import sys

from tests.other_pythons import ROOT
from tests.sdk.environment import PYTHONS, SDK, interpreter, prepare, variables

#: The SDK leaves sockets to the garbage collector, which is no fault of the service.
UNCLOSED = ("-W", "ignore:unclosed:ResourceWarning")
#: These tests mostly wait for trainers, so there may be more of them than processors; each worker has a service of its
#: own.
WORKERS = ("-n", "4", "--dist", "worksteal")


def main(words: list[str]) -> int:
    """Make the environment if need be and run in it; 0 in words where the machine has no Python for it."""
    found = interpreter()
    if found is None:
        print(f"{SDK[0]} wants one of Python {', '.join(PYTHONS)}: not on this machine, not tested.", flush=True)
        return 0
    python = prepare(*found)
    if words == ["--prepare"]:
        return 0
    print(f"{' and '.join(SDK)} on Python {found[0]}:", flush=True)
    if words[:1] == ["--figure"]:
        command = [str(python), "-m", "tests.sdk.hundred_steps", *words[1:]]
    else:
        command = [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *UNCLOSED,
            *(words or [*WORKERS, "tests/sdk"]),
        ]
    return subprocess.run(command, check=False, cwd=ROOT, env=variables()).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
