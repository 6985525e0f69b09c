"""Folders for data and caches, and paths given by users."""

from __future__ import annotations

import os
import re
from pathlib import Path

from loops_nb.errors import ConfigError, InvalidArgumentError

_VARIABLE = "LOOPS_NB_HOME"
# A drive of Windows has one letter.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_HINT = f"Set {_VARIABLE} to a folder by its whole path, such as /tmp/loops"


def home_dir() -> Path:
    """Return the folder for data of ``loops_nb``; it may not exist.

    ``LOOPS_NB_HOME`` names it; without that it is the platform's folder for user data.

    Raises
    ------
    ConfigError
        If there is no home folder for the user that it names, or for this one.
    """
    named = os.environ.get(_VARIABLE, "").strip()
    if named:
        return expanded(named, f"{_VARIABLE} is")
    import platformdirs  # only needed without the variable

    return _of_platform(platformdirs.user_data_dir("loops-nb", appauthor=False))


def cache_dir() -> Path:
    """Return the folder for caches; it may not exist.

    It is ``cache`` below ``LOOPS_NB_HOME``; without that variable it is the platform's folder for a user's caches.

    Raises
    ------
    ConfigError
        As `home_dir`.
    """
    if os.environ.get(_VARIABLE, "").strip():
        return home_dir() / "cache"
    import platformdirs  # only needed without the variable

    return _of_platform(platformdirs.user_cache_dir("loops-nb", appauthor=False))


def expanded(path: str | os.PathLike[str], what: str = "The path is") -> Path:
    """Return an absolute path, with ``~`` and ``~user`` at its beginning replaced by the home folder.

    Raises
    ------
    ConfigError
        If there is no such home folder.
    """
    try:
        return Path(path).expanduser().absolute()
    except (RuntimeError, OSError) as error:
        reason = (
            "and this user has no home folder"
            if str(path).startswith(("~/", "~\\"))
            else "and there is no such home folder"
        )
        if isinstance(error, OSError):
            reason = f"and the current folder is gone ({error.strerror})"
        raise ConfigError(f"{what} {str(path)!r:.200}, {reason}.", hint=_HINT) from None


def user_path(path: str | os.PathLike[str], *, argument: str = "path", kind: str = "file") -> Path:
    """Return a path given by the caller, with ``~`` and ``~user`` at its beginning replaced by the home folder.

    Every public function uses it, so that a path means the same in Python and in ``%loops`` lines.

    Parameters
    ----------
    path : str or path-like
        The path.
    argument : str, default "path"
        Name of the argument, for the error.
    kind : str, default "file"
        What the path names, for the error.

    Raises
    ------
    InvalidArgumentError
        If it is not a path, is empty, has the home folder of an unknown user, or is an address such as ``s3://…``.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise InvalidArgumentError(f"{argument} must be the path of a {kind}, not {path!r:.40}.", argument=argument)
    if scheme := _ADDRESS.match(str(path)):
        # A folder named "s3:" would be made in the working folder, where it would not be looked for.  The address is
        # not shown: one of a database may have a password in it.
        raise InvalidArgumentError(
            f"{argument} is an address ({scheme[0]}/…), and this takes the path of a {kind} on this machine. Nothing "
            f"was changed.",
            argument=argument,
        )
    try:
        return Path(path).expanduser()
    except (RuntimeError, TypeError):
        raise InvalidArgumentError(
            f"{argument} is {str(path)!r:.200}, and there is no such home folder. Nothing was changed.",
            argument=argument,
            hint="Write the whole path.",
        ) from None


def _of_platform(folder: str) -> Path:
    found = Path(folder)
    # platformdirs leaves ~ as it is where there is no home folder.
    if not found.is_absolute():
        raise ConfigError("This user has no home folder (the environment has no HOME).", hint=_HINT)
    return found
