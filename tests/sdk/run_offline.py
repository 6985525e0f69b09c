"""Run a script in a process that can only reach this machine: ``python -m tests.sdk.run_offline SCRIPT``."""

from __future__ import annotations

import runpy
import sys

from tests.sdk import loopback_guard

if __name__ == "__main__":
    loopback_guard.guard()
    runpy.run_path(sys.argv[1], run_name="__main__")
    sys.exit(f"tried to reach {loopback_guard.refused}" if loopback_guard.refused else 0)
