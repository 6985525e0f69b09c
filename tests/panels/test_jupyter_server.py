"""A server in an environment of its own, seen from the kernel that it started."""

from __future__ import annotations

import os
import subprocess
import sys
import types
import venv
from pathlib import Path

import anywidget
import pytest

from loops_nb.panels import jupyter_server
from loops_nb.panels.widget import LiveWidget

_ASK = (
    "from loops_nb.panels.jupyter_server import advice, server\nfound = server()\nprint(found and "
    "found.lacks)\nprint(advice())\n"
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
    assert found == "anywidget is missing"
    assert f"in {other}, where Jupyter runs, anywidget is missing. In a terminal there: " in advice
    assert advice.endswith("-m pip install anywidget, then reload the page.")
    extension = other / "share/jupyter/labextensions/anywidget"
    extension.mkdir(parents=True)
    found, advice = _asked(other, tmp_path)
    assert found == "the widget manager (jupyterlab_widgets) is missing"
    assert advice.endswith("-m pip install jupyterlab_widgets, then reload the page.")
    (other / "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager").mkdir(parents=True)
    assert _asked(other, tmp_path) == ["", ""]
    (extension / "package.json").write_text('{"version": "0.9.18"}', encoding="utf-8")
    found, advice = _asked(other, tmp_path)
    assert found == f"anywidget is 0.9.18, and the kernel has {anywidget.__version__}"
    assert advice.endswith(f"-m pip install anywidget=={anywidget.__version__}, then reload the page.")
    with (other / "pyvenv.cfg").open("a", encoding="utf-8") as file:
        file.write("uv = 0.9.5\n")
    installed_by_uv = f": uv pip install --python {other}/bin/python anywidget=={anywidget.__version__}, then reload"
    assert installed_by_uv in _asked(other, tmp_path)[1]


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
    monkeypatch.setattr("loops_nb.panels.widget.advice", lambda **_: "anywidget is missing in <there>.")
    panel = types.SimpleNamespace(_marks=("report", "view"), _is_closed=False, is_refused=False)
    LiveWidget._publish(panel, 0, {"text/html": "<p>rows</p>", "text/plain": "rows"}, update=False)  # type: ignore[arg-type]
    LiveWidget._publish(panel, 1, {"text/plain": "view"}, update=False)  # type: ignore[arg-type]
    assert published[0]["text/html"] == "<p>anywidget is missing in &lt;there&gt;.</p><p>rows</p>"
    assert published[0]["text/plain"] == "anywidget is missing in <there>.\nrows"
    assert published[1] == {"text/plain": "view"}


def test_page_that_refuses_a_panel_is_told_of_also_where_the_server_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jupyter_server, "_python_of_server", lambda: None)
    assert jupyter_server.advice() == ""
    told = jupyter_server.advice(is_refused=True)
    assert told.startswith("This page cannot show the live panel: the environment where Jupyter runs lacks anywidget.")
    assert told.endswith("pip install anywidget, then reload the page.")
