"""The examples that use the SDK run as they are, and do what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.other_pythons import ROOT
from tests.service import AnyService

EXAMPLES = ROOT / "examples"
LINES = 100


def run(name: str, service: AnyService) -> str:
    """Run an example and return what it printed."""
    environment = {**os.environ, "LOOPS_BASE_URL": service.url, "BASETEN_API_KEY": service.key}
    command = [
        sys.executable,
        "-W",
        "error::DeprecationWarning:__main__",
        "-m",
        "tests.sdk.run_offline",
        str(EXAMPLES / name),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_supervised(connected: AnyService) -> None:
    said = run("supervised.py", connected)
    losses = [float(number) for number in re.findall(r"loss ([0-9.]+)", said)]
    assert losses[-1] < losses[0] / 3, said
    assert said.count("right: ") == 4, said
    assert "wrong: " not in said
    assert "saved as bt://loops:" in said


def test_reinforcement(connected: AnyService) -> None:
    said = run("reinforcement.py", connected)
    rewards = [float(number) for number in re.findall(r"reward ([0-9.]+)", said)]
    assert rewards[0] < 0.2, said
    assert sum(rewards[-3:]) / 3 > 0.6, said
    assert "saved as bt://loops:" in said


@pytest.mark.parametrize("name", ["supervised.py", "reinforcement.py"])
def test_examples_are_short(name: str) -> None:
    assert len((EXAMPLES / name).read_text("utf-8").splitlines()) < LINES
