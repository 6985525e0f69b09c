"""Run the official recipes against the local service: ``python -m tests.recipes [pytest options]``.

Needs nothing but a Python that the SDK installs on; where there is none, nothing is tested.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import subprocess
import sys

from tests.other_pythons import ROOT
from tests.sdk.__main__ import UNCLOSED
from tests.sdk.environment import PYTHONS, SDK, interpreter, prepare, variables

#: Newer recipes need a package that is not published for every platform.
COOKBOOK = "tinker-cookbook==0.4.1"


def main(words: list[str]) -> int:
    """Make the environment if need be and run in it; 0 in words where the machine has no Python for it."""
    found = interpreter()
    if found is None:
        print(f"{COOKBOOK} with {SDK[0]} wants one of Python {', '.join(PYTHONS)}: not on this machine, not tested.")
        return 0
    # The recipes require the package whose place, and name of the module, the SDK's adapter takes.
    python = prepare(*found, name="recipes", packages=(*SDK, COOKBOOK, "torch>=2.9"), last=(SDK[1],))
    print(f"{COOKBOOK} on Python {found[0]}:", flush=True)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNCLOSED, *(words or ["tests/recipes"])]
    return subprocess.run(command, check=False, cwd=ROOT, env=variables()).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
