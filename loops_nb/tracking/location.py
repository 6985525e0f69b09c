"""Where experiments are recorded: the file on this machine, or a team's PostgreSQL."""

from __future__ import annotations

import os
import re
from pathlib import Path

from loops_nb.config.current import VARIABLES, current_project_files, current_setting
from loops_nb.config.paths import expanded, home_dir
from loops_nb.config.postgres_address import PostgresAddress, is_postgres_address
from loops_nb.errors import ConfigError, TrackingError
from loops_nb.tracking.warn import warn

#: A file, or a team's store.
Location = Path | PostgresAddress
#: Not the drive of a path of Windows, which is one letter.
_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+://")


class TrackingSettingError(TrackingError):
    """The setting ``tracking`` cannot be used; that is said at once, as nothing would be recorded."""


class StoreAwayError(TrackingError):
    """A team's store cannot be used at the moment."""


def store_path() -> Path:
    """Return the file of this machine: ``experiments.sqlite`` in the folder of `loops_nb.config.paths.home_dir`.

    What cannot be sent to a team's store waits in it.

    Raises
    ------
    TrackingError
        If there is no such folder.
    """
    try:
        return home_dir() / "experiments.sqlite"
    except ConfigError as error:
        raise TrackingError(error.message, hint=error.hint) from None


def store_location() -> Location:
    """Return where experiments are recorded by default: the setting ``tracking``, else `store_path`.

    Raises
    ------
    TrackingSettingError
        If the setting cannot be used.
    TrackingError
        If there is no folder for the file.
    """
    try:
        address = current_setting("tracking")
    except ConfigError as error:
        if not os.environ.get(VARIABLES["tracking"], "").strip():
            # A project's file that cannot be read, for whatever reason in it: that is said elsewhere.
            file = store_path()
            if any(b"tracking" in body for _, body in current_project_files()):
                warn(f"{error.message} Experiments are recorded in {file} meanwhile, and not in a team's store.")
            return file
        raise TrackingSettingError(error.message, hint=error.hint) from None
    return PostgresAddress.parse(address) if address else store_path()


def located(where: str | os.PathLike[str] | PostgresAddress | None) -> Location:
    """Return what a path, an address or None (the default) stands for.

    Raises
    ------
    TrackingError
        If there is no such home folder, or the address cannot be used.
    """
    if where is None:
        return store_location()
    if isinstance(where, PostgresAddress):
        return where
    try:
        if isinstance(where, str) and (is_postgres_address(where) or _URL.match(where)):
            return PostgresAddress.parse(where, "The store")
        return expanded(where)
    except ConfigError as error:
        raise TrackingError(error.message, hint=error.hint) from None


def path_of(location: Location) -> Path:
    """Return the file that a location is.

    Raises
    ------
    TrackingError
        If it is a team's store.
    """
    if isinstance(location, PostgresAddress):
        raise TrackingError(f"The experiments are in {location}, not in a file of this machine.")
    return location
