"""Subprocesses that record and are killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running(program: str, *arguments: str, home: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run a module of this folder, by default with the same folder for data; killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.tracking.{program}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=None if home is None else {**os.environ, "LOOPS_NB_HOME": str(home)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def read_number(process: subprocess.Popen[str]) -> int:
    """Wait for the next number that a process prints."""
    assert process.stdout is not None
    return int(process.stdout.readline())
