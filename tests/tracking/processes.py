"""Subprocesses that record and are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running(program: str, argument: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module of this folder; it is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.tracking.{program}", argument], stdout=subprocess.PIPE, text=True
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
