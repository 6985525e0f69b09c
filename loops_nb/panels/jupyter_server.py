"""The Jupyter server that started this kernel, which may run in another environment.

A widget is drawn by extensions in the server's environment: those of ``anywidget`` and of the widget manager, which
``pip install anywidget`` brings.  Where one is missing, the page shows no live panel, and the kernel is not informed.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import anywidget

_LOG = logging.getLogger(__name__)
_EXTENSION = "anywidget"
#: The widget manager's folder below ``labextensions``, and the package that has only that.
_MANAGER = "@jupyter-widgets/jupyterlab-manager"
_MANAGER_PACKAGE = "jupyterlab_widgets"
_CANNOT = "This page cannot show the live panel:"
#: What to do where the server is not known.
_INSTALL_THERE = f"In a terminal there: pip install {_EXTENSION}, then reload the page"
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
    anywidget
        The version of the extension that draws panels, in its environment or a folder that it shares with others; None
        if there is none.
    has_manager
        Whether the widget manager of JupyterLab is there, too.
    """

    python: Path
    anywidget: str | None
    has_manager: bool

    @property
    def prefix(self) -> Path:
        """The environment that it runs in."""
        return self.python.parent.parent

    @property
    def lacks(self) -> str:
        """Say why its pages draw no panels; empty if they do."""
        if self.anywidget is None:
            return f"{_EXTENSION} is missing"
        if not self.has_manager:
            return f"the widget manager ({_MANAGER_PACKAGE}) is missing"
        if not _draws(self.anywidget):
            return f"{_EXTENSION} is {self.anywidget}, and the kernel has {anywidget.__version__}"
        return ""

    @property
    def to_install(self) -> str:
        """What to type in a terminal, and do then, where something is missing."""
        package = _EXTENSION
        if self.anywidget is not None:
            package = f"{_EXTENSION}=={anywidget.__version__}" if self.has_manager else _MANAGER_PACKAGE
        return f"{self._installer} {package}, then reload the page"

    @property
    def _installer(self) -> str:
        python = shlex.quote(str(self.python)) if os.name == "posix" else f'"{self.python}"'
        if _is_made_by_uv(self.prefix) and not any(self.prefix.glob("lib/python*/site-packages/pip")):
            return f"uv pip install --python {python}"
        return f"{python} -m pip install"


def server() -> JupyterServer | None:
    """Return the server that started this kernel; None where that cannot be told, as on another machine."""
    python = _python_of_server()
    if python is None:
        return None
    # Looked for each time: it may have been installed since.
    folders = [folder / "labextensions" for folder in _folders(python)]
    version = next((found for folder in folders if (found := _version_in(folder / _EXTENSION)) is not None), None)
    return JupyterServer(python, version, any((folder / _MANAGER).is_dir() for folder in folders))


@cache
def _python_of_server() -> Path | None:
    command = _command_line(os.environ.get("JPY_PARENT_PID", ""))
    # After the interpreter stands the program's path, or -m and its module.
    if _SERVERS.isdisjoint(Path(part).name.lower().removesuffix(".exe") for part in command[1:3]):
        return None
    python = Path(command[0])
    if not python.is_absolute() or not python.name.lower().startswith("python"):
        return None
    return python


def _version_in(folder: Path) -> str | None:
    """Return the version of the extension in a folder: None if there is none, empty if it does not say."""
    if not folder.is_dir():
        return None
    try:
        return str(json.loads((folder / "package.json").read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _draws(version: str) -> bool:
    """Tell whether an extension draws the widgets of the kernel's anywidget: ``0.11.2`` those of ``0.11.0``."""
    return not version or version.split(".")[:2] == anywidget.__version__.split(".")[:2]


def _is_made_by_uv(prefix: Path) -> bool:
    try:
        lines = (prefix / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in lines)


def _folders(python: Path) -> list[Path]:
    """Return the folders that a server with this interpreter reads extensions from, on any system."""
    near = [python.parent.parent / "share" / "jupyter", python.parent / "share" / "jupyter"]
    shared = [Path("/usr/local/share/jupyter"), Path("/usr/share/jupyter")]
    own = [Path.home() / ".local" / "share" / "jupyter", Path.home() / "Library" / "Jupyter"]
    # A kernel has the environment of its server.
    named = [os.environ.get("JUPYTER_DATA_DIR", ""), *os.environ.get("JUPYTER_PATH", "").split(os.pathsep)]
    if os.environ.get("APPDATA"):
        own.append(Path(os.environ["APPDATA"]) / "jupyter")
    return [*(Path(folder) for folder in named if folder), *near, *own, *shared]


def advice(*, is_refused: bool = False) -> str:
    """Return what to do for live panels where it is known that the page can show none; else nothing.

    Parameters
    ----------
    is_refused
        Whether a page has refused the panel.
    """
    found = server()
    if found is None:
        return (
            f"{_CANNOT} the environment where Jupyter runs lacks {_EXTENSION}. {_INSTALL_THERE}." if is_refused else ""
        )
    if found.lacks:
        where = f"in {found.prefix}, where Jupyter runs, {found.lacks}"
        return f"{_CANNOT} {where}. In a terminal there: {found.to_install}."
    return (
        f"{_CANNOT} it was loaded without {_EXTENSION}, which is installed now. Reload the page." if is_refused else ""
    )


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
