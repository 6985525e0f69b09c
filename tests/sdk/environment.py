"""Virtual environments for the official SDK and the recipes, which need Python 3.12 and pin other versions."""

# ruff: noqa: T201 - what takes minutes says so

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

from tests.other_pythons import ROOT, find

#: Pythons that the SDK installs on, the one it was made for first.
PYTHONS = ("3.12", "3.13", "3.14")
SDK = ("baseten-loops==0.32.0", "baseten-loops-tinker==0.17.0")
TOOLS = ("pytest>=8.3", "pytest-timeout>=2.3", "pytest-xdist>=3.6")
#: Nothing here may ask a hub, log to a service or wait for one.
SILENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_MODE": "disabled",
    "WANDB_SILENT": "true",
    "DO_NOT_TRACK": "1",
}
#: Variables that a user may have set must not influence a test.
_PERSONAL = ("BASETEN_", "LOOPS_", "BT_LOOPS_", "INTERNAL_LOOPS_", "OTEL_")


def interpreter() -> tuple[str, str] | None:
    """Return version and path of a Python that the SDK installs on, or None."""
    for version in PYTHONS:
        found = find(version)
        if found is not None:
            return version, found
    return None


def prepare(
    version: str, base: str, *, name: str = "sdk", packages: tuple[str, ...] = SDK, last: tuple[str, ...] = ()
) -> Path:
    """Make the environment, unless it is there and made of the same packages; return its interpreter.

    Parameters
    ----------
    version, base : str
        Of the Python to make it of, see `interpreter`.
    name : str, default "sdk"
        Part of the folder's name.
    packages : tuple of str, optional
        What is installed beside this package and pytest.
    last : tuple of str, default ()
        Those of them whose files must win over the files of others.
    """
    venv = ROOT / f".venv-{name}-{version}"
    python, stamp = venv / "bin" / "python", venv / "made-of.txt"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = "\n".join([*project["dependencies"], *project["optional-dependencies"]["local"], *packages, *TOOLS, *last])
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        print(f"making {venv.name} ({', '.join(packages)}): once, some minutes", flush=True)
        subprocess.run([base, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, "pip>=25.1"], check=True, cwd=ROOT)
        subprocess.run([*pip, "--editable", ".[local]", *packages, *TOOLS], check=True, cwd=ROOT)
        if last:
            subprocess.run([*pip, "--force-reinstall", "--no-deps", *last], check=True, cwd=ROOT)
        stamp.write_text(wanted, "utf-8")
    return python


def variables(home: Path | None = None) -> dict[str, str]:
    """Return the environment of a process that uses the SDK: no settings of the user, no hub, no logging service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PERSONAL)}
    own = {"HF_HOME": str(home / "hub"), "WANDB_DIR": str(home), "LOOPS_NB_HOME": str(home)} if home else {}
    return {**kept, **SILENT, **own}
