"""The Jupyter server that started this kernel, which may run in another environment.

A widget is drawn by extensions in the server's environment.  Where ``anywidget`` is missing there, the page shows no
live panel, and the kernel is not informed.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

_LOG = logging.getLogger(__name__)
_EXTENSION = "anywidget"
#: Programs and modules that serve pages; ``nbclient`` and editors start kernels too, and show none.
_SERVERS = frozenset(
    {
        "jupyter-lab",
        "jupyterlab",
        "jupyter-labhub",
        "jupyter-notebook",
        "notebook",
        "jupyter-server",
        "jupyter_server",
        "jupyterhub-singleuser",
    }
)


class JupyterServer(NamedTuple):
    """The server that started this kernel.

    Parameters
    ----------
    python
        Its interpreter.
    has_extension
        Whether its environment, or a folder that it shares with others, has the extension that draws panels.
    """

    python: Path
    has_extension: bool

    @property
    def prefix(self) -> Path:
        """The environment that it runs in."""
        return self.python.parent.parent

    @property
    def to_install(self) -> str:
        """What to type in a terminal, and do then, where the extension is missing."""
        return f"{self.python} -m pip install {_EXTENSION}, then restart that server and reload the page"


@cache
def server() -> JupyterServer | None:
    """Return the server that started this kernel; None where that cannot be told, as on another machine."""
    command = _command_line(os.environ.get("JPY_PARENT_PID", ""))
    # After the interpreter stands the program's path, or -m and its module.
    if _SERVERS.isdisjoint(Path(part).name.lower().removesuffix(".exe") for part in command[1:3]):
        return None
    python = Path(command[0])
    if not python.is_absolute() or not python.name.lower().startswith("python"):
        return None
    return JupyterServer(python, any((folder / "labextensions" / _EXTENSION).is_dir() for folder in _folders(python)))


def _folders(python: Path) -> list[Path]:
    """Return the folders that a server with this interpreter reads extensions from, on any system."""
    near = [python.parent.parent / "share" / "jupyter", python.parent / "share" / "jupyter"]
    shared = [Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter")]
    own = [Path.home() / ".local" / "share" / "jupyter", Path.home() / "Library" / "Jupyter"]
    # A kernel has the environment of its server.
    named = [os.environ.get("JUPYTER_DATA_DIR", ""), *os.environ.get("JUPYTER_PATH", "").split(os.pathsep)]
    if os.environ.get("APPDATA"):
        own.append(Path(os.environ["APPDATA"]) / "jupyter")
    return [*near, *shared, *own, *(Path(folder) for folder in named if folder)]


def advice() -> str:
    """Return what to do for live panels where it is known that the page can show none; else nothing."""
    found = server()
    if found is None or found.has_extension:
        return ""
    missing = f"{_EXTENSION} is missing in {found.prefix}, where Jupyter runs"
    return f"This page cannot show the live panel: {missing}. In a terminal there: {found.to_install}."


def _command_line(process: str) -> list[str]:
    if not process.isdigit():
        return []
    try:
        # Comes with ipykernel, and only a kernel asks.
        found: list[str] = import_module("psutil").Process(int(process)).cmdline()
    except Exception:  # noqa: BLE001 - psutil has errors of its own, and what cannot be seen is not known
        _LOG.debug("The server of this kernel cannot be seen.", exc_info=True)
        return []
    return found
