"""A server in an environment of its own, seen from the kernel that it started."""

from __future__ import annotations

import os
import subprocess
import sys
import types
import venv
from pathlib import Path

import pytest

from loops_nb.panels.widget import LiveWidget

_ASK = (
    "from loops_nb.panels.jupyter_server import advice, server\nfound = server()\nprint(found and "
    "found.has_extension)\nprint(advice())\n"
)
#: Stands for a server: a process whose command line is one, that starts a kernel's interpreter.
_SERVER = (
    "import os, subprocess, sys\n"
    "environment = {**os.environ, 'JPY_PARENT_PID': str(os.getpid())}\n"
    "sys.exit(subprocess.call([sys.argv[1], '-c', sys.argv[2]], env=environment))\n"
)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment without any package."""
    folder = tmp_path_factory.mktemp("other") / "env"
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    (folder / "jupyter-lab").write_text(_SERVER, encoding="utf-8")
    return folder


def _asked(other: Path, home: Path) -> list[str]:
    python = other / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
    environment = {**kept, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [str(python), str(other / "jupyter-lab"), sys.executable, _ASK]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()


def test_kernel_says_where_anywidget_is_missing_in_the_environment_of_the_server(other: Path, tmp_path: Path) -> None:
    found, advice = _asked(other, tmp_path)
    assert found == "False"
    assert f"anywidget is missing in {other}, where Jupyter runs" in advice
    assert "-m pip install anywidget, then restart that server and reload the page." in advice
    (other / "share/jupyter/labextensions/anywidget").mkdir(parents=True)
    assert _asked(other, tmp_path) == ["True", ""]


def test_kernel_of_an_unknown_program_is_said_to_be_unknown(tmp_path: Path) -> None:
    environment = {**os.environ, "JPY_PARENT_PID": str(os.getpid()), "PYTHONPATH": str(Path(__file__).parents[2])}
    code = _ASK.replace(
        "found = server()", "import loops_nb.panels.jupyter_server as f; f._SERVERS = frozenset(); found = server()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == ["None", ""]


def test_report_says_what_the_page_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[dict[str, str]] = []

    class Display:
        def publish(self, *, data: dict[str, str], **_: object) -> None:
            published.append(data)

    monkeypatch.setattr("loops_nb.panels.widget.shell", lambda: types.SimpleNamespace(display_pub=Display()))
    monkeypatch.setattr("loops_nb.panels.widget.advice", lambda: "anywidget is missing in <there>.")
    panel = types.SimpleNamespace(_marks=("report", "view"), _is_closed=False)
    LiveWidget._publish(panel, 0, {"text/html": "<p>rows</p>", "text/plain": "rows"}, update=False)  # type: ignore[arg-type]
    LiveWidget._publish(panel, 1, {"text/plain": "view"}, update=False)  # type: ignore[arg-type]
    assert published[0]["text/html"] == "<p>rows</p><p>anywidget is missing in &lt;there&gt;.</p>"
    assert published[0]["text/plain"] == "rows\nanywidget is missing in <there>."
    assert published[1] == {"text/plain": "view"}
