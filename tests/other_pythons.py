"""Runs the tests on the other supported Pythons that are installed; ``make test`` calls it before its own run.

A Python counts as there if it starts: version managers put names on the path that lead nowhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: What depends on the interpreter, the system or the notebook: imports, processes and forks, signals, threads, TLS,
#: kernels, and the types that NumPy and pandas make.  The rest reads and computes the same on each Python.  The suite
#: of the official SDK runs on the one in between, 3.12.
_ROOMS = (
    "tests/charts/test_plot.py",
    "tests/checkpoints/transfer/test_processes.py",
    "tests/client/test_local_service.py",
    "tests/client/test_network.py",
    "tests/client/test_tls.py",
    "tests/config",
    "tests/frames/test_seeds.py",
    "tests/frames/test_values.py",
    "tests/live/test_poller.py",
    "tests/local/nn",
    "tests/local/test_cli.py",
    "tests/local/test_launcher.py",
    "tests/magics/test_completion.py",
    "tests/magics/test_connection.py",
    "tests/magics/test_kernel.py",
    "tests/magics/test_load.py",
    "tests/panels/test_panel.py",
    "tests/tracking/test_crashes.py",
    "tests/tracking/test_ctrl_c.py",
    "tests/tracking/test_processes.py",
    "tests/tracking/test_sdk_hooks.py",
)
#: Those that differ most; few machines have 3.14 yet.
OTHERS = ("3.13", "3.14")
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
        subprocess.run(
            [*pip, "--editable", ".[local]", "--group", "test", "--constraint", ".ci/constraints.txt"],
            check=True,
            cwd=ROOT,
        )
        stamp.touch()
    return python


def main(words: list[str]) -> int:
    """Run what depends on the interpreter; the tests marked ``once`` do not. ``--prepare`` makes environments only."""
    for version in OTHERS:
        interpreter = find(version)
        if interpreter is None:
            print(f"Python {version}: not on this machine, not tested.", flush=True)
            continue
        python = prepare(version, interpreter)
        if words == ["--prepare"]:
            continue
        print(f"Python {version}:", flush=True)
        # The tests in a browser drive kernels of their own, and their packages are not in this environment.
        chosen = ["-m", "not once", "--ignore", "tests/browser", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-n", "auto", *chosen, *_ROOMS], check=False, cwd=ROOT
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
