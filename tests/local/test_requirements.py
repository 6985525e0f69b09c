"""What the commands say where the packages of ``loops_nb[local]`` are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loops_nb.errors import LocalServiceError
from loops_nb.local import launcher
from loops_nb.local.requirements import SERVER_MODULES, check_server_installed


def run_without(modules: tuple[str, ...], home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a Python command that cannot import some modules."""
    program = (
        "import sys, runpy\n"
        f"sys.modules.update(dict.fromkeys({modules!r}))\n"
        f"sys.argv = {['program', *command[1:]]!r}\n"
        f"runpy.run_module({command[0]!r}, run_name='__main__')\n"
    )
    environment = {**os.environ, "LOOPS_NB_HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment, check=False
    )


def test_serve_without_the_extra_names_it_in_one_line(tmp_path: Path) -> None:
    done = run_without(SERVER_MODULES, tmp_path, "loops_nb", "serve", "--port", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == (
        "loops-nb: The local service needs starlette and uvicorn, which are not installed. "
        'pip install "loops_nb[local]"'
    )


def test_local_start_without_the_extra_names_it_in_one_line(tmp_path: Path) -> None:
    lines = "%load_ext loops_nb\n%loops local\n%loops local start"
    done = run_without(("uvicorn",), tmp_path, "IPython", "--no-banner", "--colors=nocolor", "-c", lines)
    said = (done.stdout + done.stderr).strip().splitlines()
    assert "No local service is running." in said[0]
    assert said[1:] == [
        'LocalServiceError: The local service needs uvicorn, which is not installed. %pip install "loops_nb[local]"'
    ]


def test_launcher_without_the_extra_starts_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "starlette", None)
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(LocalServiceError, match=r"needs starlette, which is not installed.*loops_nb\[local\]"):
        launcher.start()


def test_check_passes_where_the_extra_is_installed() -> None:
    check_server_installed()
