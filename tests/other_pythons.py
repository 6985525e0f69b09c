"""Runs the tests on the other supported Pythons, where this machine has them; ``make test`` calls it before its own run.

A Python counts as there if it starts: version managers put names on the path that lead nowhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What meets the interpreter, the system and the notebook; the rest reads and computes the same on each.  On the one in between, 3.12,
#: the official SDK's suite installs this project, trains and samples.
OTHERS: dict[str, tuple[str, ...]] = {
    "3.13": ("tests/test_package.py", "tests/client", "tests/local", "tests/magics", "tests/tracking"),
}
ASK = "import sys, venv, ensurepip; print(sys.version.split()[0], sys.executable)"


def find(version: str) -> str | None:
    """Return the interpreter of a version, or None."""
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in [f"python{version}", *map(str, sorted(managed.glob(f"{version}.*/bin/python")))]:
        try:
            said = subprocess.run([candidate, "-c", ASK], capture_output=True, text=True, check=True).stdout.split()
        except (OSError, subprocess.CalledProcessError):
            continue
        if said[0].startswith(f"{version}."):
            return said[1]
    return None


def prepare(version: str, interpreter: str) -> Path:
    """Make the environment of a version, unless it is there and younger than ``pyproject.toml``."""
    venv = ROOT / f".venv-{version}"
    python, stamp, wanted = venv / "bin" / "python", venv / ".test", ROOT / "pyproject.toml"
    if not stamp.exists() or stamp.stat().st_mtime < wanted.stat().st_mtime:
        if not python.exists():
            subprocess.run([interpreter, "-m", "venv", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, "pip>=25.1"], check=True, cwd=ROOT)
        subprocess.run([*pip, "--editable", ".", "--group", "test"], check=True, cwd=ROOT)
        stamp.touch()
    return python


def main() -> int:
    """Run what depends on the interpreter; the tests marked ``once`` do not."""
    for version, rooms in OTHERS.items():
        interpreter = find(version)
        if interpreter is None:
            print(f"Python {version}: not on this machine, not tested.", flush=True)
            continue
        python = prepare(version, interpreter)
        print(f"Python {version}:", flush=True)
        # The tests in a browser drive kernels of their own, and their packages are not in this environment.
        chosen = ["-m", "not once", "--ignore", "tests/browser", "-p", "no:cacheprovider"]
        done = subprocess.run([str(python), "-m", "pytest", "-q", "-n", "auto", *chosen, *rooms], check=False, cwd=ROOT)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
