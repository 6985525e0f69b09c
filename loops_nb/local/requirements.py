"""Check that the packages of the extra ``loops_nb[local]`` are installed."""

from __future__ import annotations

from importlib.util import find_spec

from loops_nb.errors import LocalServiceError

#: Top-level modules of the packages that only the server imports.
SERVER_MODULES = ("starlette", "uvicorn")


def check_server_installed(*, pip: str = "pip") -> None:
    """Refuse to start the server where a package of its extra is missing.

    Parameters
    ----------
    pip : str, default "pip"
        The command that the hint names: ``%pip`` in a notebook.

    Raises
    ------
    LocalServiceError
        Naming the missing packages and the command that installs them.
    """
    missing = [name for name in SERVER_MODULES if find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise LocalServiceError(
            f"The local service needs {' and '.join(missing)}, which {verb} not installed.",
            hint=f'{pip} install "loops_nb[local]"',
        )
