"""The notebook of experiments runs from top to bottom where the SDK is installed, and trains with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from loops_nb.tracking import ExperimentStore
from tests.other_pythons import ROOT
from tests.sdk.environment import variables

NOTEBOOK = ROOT / "notebooks" / "experiments.ipynb"


def test_experiments_notebook_trains_three_runs(tmp_path: Path) -> None:
    environment = {**variables(tmp_path), "IPYTHONDIR": str(tmp_path / "ipython"), "COLUMNS": "160"}
    command = [
        sys.executable,
        "-m",
        "tests.sdk.run_offline",
        str(ROOT / "tests" / "sdk" / "run_notebook.py"),
        str(NOTEBOOK),
    ]
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110
        )
    finally:
        stop = [sys.executable, "-c", "from loops_nb.local import launcher; launcher.stop()"]
        subprocess.run(stop, env=environment, check=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SDK is not installed" not in done.stdout
    # The best checkpoint is whole, and has learnt its training data.
    assert "all as downloaded" in done.stdout
    assert " fish." in done.stdout
    with ExperimentStore(tmp_path / "experiments.sqlite") as store:
        rows = store.experiments()
        # The rest of a name is the moment: run again, the notebook has names of its own.
        assert [row.name.rpartition("-")[0] for row in rows] == ["lr-0.003", "lr-0.001", "lr-0.0003"]
        for row in rows:
            assert store.series(row.id, "loss").step.tolist() == list(range(1, 61))
            # The SDK hooks log these.
            assert {"forward_backward_seconds", "tokens", "learning_rate"} <= {key.key for key in store.keys(row.id)}
            assert [mark.text for mark in store.marks(row.id) if mark.kind == "save"] == [
                f"step-{step}" for step in (20, 20, 40, 40, 60, 60)
            ]
    # What the next day's Python said.
    assert "the highest rate, and still stable" in done.stdout.split("fish.")[-1]
