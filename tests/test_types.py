"""The types of the public interface are complete, as pyright reads them from the installed package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYRIGHT = ROOT / "js" / "node_modules" / "pyright" / "index.js"
COMPLETE = 0.99


@pytest.mark.once
def test_types_of_the_public_interface_are_complete() -> None:
    assert PYRIGHT.exists(), "pyright is not installed; run 'npm ci' in js/, or 'make test'"
    # pyright asks the first Python on the path where packages are.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["node", str(PYRIGHT), "--verifytypes", "loops_nb", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)["typeCompleteness"]
    unknown = [one["name"] for one in report["symbols"] if one["isExported"] and not one["isTypeKnown"]]
    assert report["completenessScore"] >= COMPLETE, unknown
