"""``%loops`` in IPython and Jupyter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loops_nb.magics.installed import Installed

_INSTALLED = "_loops_nb_installed"


def load(ip: Any) -> None:
    """Put ``%loops``, its settings, its completion and its display into a shell.

    Parameters
    ----------
    ip
        The IPython shell.
    """
    from loops_nb.magics.installed import Installed  # noqa: PLC0415 - needs IPython

    if getattr(ip, _INSTALLED, None) is None:
        setattr(ip, _INSTALLED, Installed(ip))


def unload(ip: Any) -> None:
    """Take back all that `load` did, and close the connection.

    Parameters
    ----------
    ip
        The IPython shell.
    """
    installed: Installed | None = getattr(ip, _INSTALLED, None)
    if installed is not None:
        installed.remove()
        delattr(ip, _INSTALLED)
