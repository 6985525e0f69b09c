"""Runs a script as ``python script`` would, in a process that cannot leave this machine: ``python -m tests.sdk.guarded SCRIPT``."""

from __future__ import annotations

import runpy
import sys

from tests.sdk import only_loopback

if __name__ == "__main__":
    only_loopback.guard()
    runpy.run_path(sys.argv[1], run_name="__main__")
    sys.exit(f"tried to reach {only_loopback.refused}" if only_loopback.refused else 0)
