"""Folders of a test's own, and programs that run a tracker."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from loops_nb.tracking.metrics import Metrics
from tests.other_pythons import ROOT
from tests.trackers.environment import variables

#: Left out of an ordinary run, whose environment lacks the trackers; ``python -m tests.trackers`` makes one with them.
collect_ignore_glob = [] if importlib.util.find_spec("tensorboardX") else ["test_*.py"]

Write = Callable[..., str]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = variables(tmp_path)
    for name in set(os.environ) - set(wanted):
        monkeypatch.delenv(name)
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Run a function of `tests.trackers.writers` in a process of its own, in the test's folder; return its output."""

    def run(function: str, *arguments: str) -> str:
        program = f"import sys; from tests.trackers import writers; writers.{function}(*sys.argv[1:])"
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()
