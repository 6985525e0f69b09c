"""A virtual environment of its own for other trackers, which pin versions of what the tests use."""

# ruff: noqa: T201 - what takes minutes says so

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.other_pythons import ROOT

#: Trackers that write to this machine; none needs an account.
TRACKERS = (
    "alembic>=1.13",
    "mlflow-skinny>=3,<4",
    "sqlalchemy>=2",
    "tensorboard>=2.16,<3",
    "tensorboardX>=2.6,<3",
    "trackio>=0.40,<1",
    "transformers>=5,<6",
    "wandb>=0.20,<1",
)
#: What the parts of ``loops_nb`` that are tested here import.
NEEDS = ("anycrc>=2.1", "msgspec>=0.20", "numpy>=1.26", "pandas>=2.2", "platformdirs>=4", "pyyaml>=6")
TOOLS = ("pytest>=8.3", "pytest-timeout>=2.3")
#: Nothing here may log in, report, or ask a hub.
SILENT = {
    "DO_NOT_TRACK": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TRANSFORMERS_VERBOSITY": "error",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}
#: Variables that a user may have set must not influence a test.
_PERSONAL = ("BASETEN_", "HF_", "LOOPS_", "MLFLOW_", "TRACKIO_", "WANDB_")


def prepare() -> Path:
    """Make the environment, unless it is there and made of the same packages; return its interpreter."""
    venv = ROOT / f".venv-trackers-{sys.version_info.major}.{sys.version_info.minor}"
    python, stamp = venv / "bin" / "python", venv / "made-of.txt"
    wanted = "\n".join([*TRACKERS, *NEEDS, *TOOLS])
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        print(f"making {venv.name} ({', '.join(TRACKERS)}): once, some minutes", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, "pip>=25.1"], check=True, cwd=ROOT)
        subprocess.run([*pip, *TRACKERS, *NEEDS, *TOOLS], check=True, cwd=ROOT)
        stamp.write_text(wanted, "utf-8")
    return python


def variables(home: Path | None = None) -> dict[str, str]:
    """Return the environment of a process that uses a tracker: no settings of the user, nothing sent anywhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_PERSONAL)}
    folders = ("LOOPS_NB_HOME", "TRACKIO_DIR", "WANDB_DIR", "WANDB_CACHE_DIR", "HF_HOME")
    own = {name: str(home / name.lower()) for name in folders} if home else {}
    return {**kept, **SILENT, **own, "PYTHONPATH": str(ROOT)}
