"""Run the tests with the real trackers: ``python -m tests.trackers [pytest options]``."""

from __future__ import annotations

import subprocess
import sys

from tests.other_pythons import ROOT
from tests.trackers.environment import prepare, variables


def main(words: list[str]) -> int:
    """Make the environment if need be and run in it."""
    command = [str(prepare()), "-m", "pytest", "-q", "-p", "no:cacheprovider", *(words or ["tests/trackers"])]
    return subprocess.run(command, check=False, cwd=ROOT, env=variables()).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
