"""Scripts that record in a process of their own and end in one of the ways in which processes end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_script(folder: Path, code: str, *arguments: str, flags: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, from a file, so that started processes can import it; the experiments are those of the test."""
    path = folder / "script.py"
    path.write_text(code, encoding="utf-8")
    command = [sys.executable, *flags, str(path), *arguments]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False)
