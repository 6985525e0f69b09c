"""Scripts that record in a subprocess and end in various ways."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run_script(
    folder: Path, code: str, *arguments: str, flags: tuple[str, ...] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script from a file, which its child processes can import, in the data folder of the test."""
    path = folder / "script.py"
    path.write_text(code, encoding="utf-8")
    command = [sys.executable, *flags, str(path), *arguments]
    return subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
