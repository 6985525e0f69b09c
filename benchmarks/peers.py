"""Environments with the peers we measure ourselves against.

Each is a plain venv in the project folder, git-ignored, made once and kept: ``.venv-peers-models-3.11`` and so on hold
the ``baseten`` client (its pydantic models) for every Python of the machine that we support, ``.venv-peers-sdk-3.12``
the Loops SDK, and ``.venv-peers-cli-3.12`` the truss CLI.  They pin different versions of the same client, so they
cannot share one.  What we ourselves need is in the first two, and alone with a kernel in ``.venv-peers-user-3.11``.
``.venv-peers-torch-3.11`` has PyTorch beside what our own model needs, so that both train in one process;
``.venv-peers-trackers-3.11`` other trackers of experiments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.11", "3.12", "3.13")
#: The Loops SDK wants 3.12.
SDK_PYTHON = "3.12"
MODELS = ("baseten==0.13.1", "orjson==3.13.0", "pydantic==2.14.3")
SDK = ("baseten-loops==0.32.0",)
#: The newest that this machine's package index can complete.
CLI = ("truss>=0.18,<=0.18.36",)
#: A wheel for the CPU, where the package index has one.
TORCH = ("torch==2.13.0",)
#: Trackers of experiments; each keeps what is logged on this machine.
TRACKERS = ("mlflow>=3,<4", "trackio>=0.5", "wandb>=0.20")
#: Ours needs no more than this to log.
TRACKING_NEEDS = ("msgspec", "platformdirs")
#: The model's own needs.
MODEL_NEEDS = ("msgspec", "numpy", "safetensors")
#: The frames' own needs; the whole client adds its HTTP side.
FRAME_NEEDS = ("msgspec", "numpy", "pandas")


def models_python(version: str) -> Path | None:
    """Return the interpreter of the environment with the pydantic models; None where that Python is not installed."""
    return _environment(f"models-{version}", version, (*_pinned_here(FRAME_NEEDS), *MODELS))


def sdk_python() -> Path | None:
    """Return the interpreter of the environment with the Loops SDK; None where that Python is not installed."""
    return _environment(f"sdk-{SDK_PYTHON}", SDK_PYTHON, (*_project_needs(), *SDK))


def user_python() -> Path | None:
    """Return the interpreter of an environment as users have it: our dependencies and a kernel, no test tools."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _environment(f"user-{version}", version, (*_project_needs(), *_pinned_here(("ipykernel",))))


def cli_python() -> Path | None:
    """Return the interpreter of the environment with the truss CLI; None where that Python is not installed."""
    return _environment(f"cli-{SDK_PYTHON}", SDK_PYTHON, CLI)


def torch_python() -> Path | None:
    """Return the interpreter of the environment with PyTorch and what our own model needs, made if need be."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _environment(f"torch-{version}", version, (*_pinned_here(MODEL_NEEDS), *TORCH))


def trackers_python() -> Path | None:
    """Return the interpreter of an environment with other trackers of experiments, made if need be."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _environment(f"trackers-{version}", version, (*_pinned_here(TRACKING_NEEDS), *TRACKERS))


def find_python(version: str) -> str | None:
    """Return an interpreter of this version: the running one, one on the path, or one that pyenv installed."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    for pyenv in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        for found in sorted(Path(pyenv or "").glob(f"versions/{version}.*/bin/python"), reverse=True) if pyenv else ():
            return str(found)
    return shutil.which(f"python{version}")


def _environment(name: str, version: str, packages: tuple[str, ...]) -> Path | None:
    folder = ROOT / f".venv-peers-{name}"
    python = folder / "bin" / "python"
    done = folder / "made-of.txt"
    wanted = "\n".join(packages)
    if done.exists() and done.read_text() == wanted:
        return python
    base = find_python(version)
    if base is None:
        return None
    print(f"making {folder.name} ({', '.join(packages[-3:])}, ...): once, some minutes", file=sys.stderr)
    subprocess.run([base, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True
    )
    done.write_text(wanted)
    return python


def _project_needs() -> tuple[str, ...]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return tuple(project["dependencies"])


def _pinned_here(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return our own needs in the versions of the running environment, so that all Pythons measure the same."""
    from importlib.metadata import version

    return tuple(f"{name}=={version(name)}" for name in names)


if __name__ == "__main__":
    for supported in SUPPORTED:
        print(supported, models_python(supported) or "not on this machine")
    print("sdk", sdk_python() or f"no Python {SDK_PYTHON} on this machine")
    print("user", user_python())
    print("torch", torch_python())
    print("trackers", trackers_python())
    print("cli", cli_python() or f"no Python {SDK_PYTHON} on this machine")
