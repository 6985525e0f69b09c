"""IPython and Jupyter extension: the ``%loops`` magics, their completion and their display."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loops_nb.magics.extension import Extension

_INSTALLED = "_loops_nb_installed"


def load(ip: Any) -> None:
    """Install ``%loops``, its settings, completion and display formatters into a shell.

    Parameters
    ----------
    ip : InteractiveShell
        The IPython shell.
    """
    from loops_nb.magics.extension import Extension  # needs IPython

    if getattr(ip, _INSTALLED, None) is None:
        setattr(ip, _INSTALLED, Extension(ip))


def unload(ip: Any) -> None:
    """Undo `load`, and close the connection.

    Parameters
    ----------
    ip : InteractiveShell
        The IPython shell.
    """
    installed: Extension | None = getattr(ip, _INSTALLED, None)
    if installed is not None:
        installed.remove()
        delattr(ip, _INSTALLED)
