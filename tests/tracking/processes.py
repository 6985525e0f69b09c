"""Processes of their own that record, and are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def running(program: str, argument: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module of this folder until the end of the block, at which it is killed if it still runs."""
    process = subprocess.Popen([sys.executable, "-m", f"tests.tracking.{program}", argument], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def told(process: subprocess.Popen[str]) -> int:
    """Wait for the next number that it prints."""
    assert process.stdout is not None
    return int(process.stdout.readline())
