"""The value of a setting for code outside of ``%loops`` lines, such as `loops_nb.experiment` in a script."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loops_nb.config import SETTINGS, project_files

if TYPE_CHECKING:
    from loops_nb.config.project import ProjectSettings

#: Settings that can be given as an environment variable, with its name.
VARIABLES = {"capture_environment": "LOOPS_NB_CAPTURE_ENVIRONMENT", "tracking": "LOOPS_NB_TRACKING"}
_OFF = frozenset({"", "0", "false", "no", "off"})
#: Values that ``%config`` has set in this process.
_chosen: dict[str, Any] = {}


def choose_setting(name: str, value: Any) -> None:
    """Set a setting for this process; None goes back to its other sources."""
    if value is None:
        _chosen.pop(name, None)
    else:
        _chosen[name] = value


def current_setting(name: str) -> Any:
    """Return a setting: from ``%config``, its environment variable, the project's file, or its default.

    Parameters
    ----------
    name : str
        One of `VARIABLES`.

    Raises
    ------
    ConfigError
        If the project's file cannot be read, or the value of the variable cannot be used.

    Examples
    --------
    >>> current_setting("capture_environment")
    True
    """
    if name in _chosen:
        return _chosen[name]
    text = os.environ.get(VARIABLES[name])
    if text is not None and isinstance(SETTINGS[name].default, bool):
        return text.strip().lower() not in _OFF
    if text is not None:
        from loops_nb.config.setting_checks import check_setting  # only where the variable is set

        return check_setting(name, text)
    project = current_project()
    values = {} if project is None else project.values
    return values.get(name, SETTINGS[name].default)


def current_project_files() -> list[tuple[Path, bytes]]:
    """Return the `project_files` of the working folder; none if that was deleted."""
    try:
        folder = Path.cwd()
    except OSError:
        return []
    return project_files(folder)


def current_project() -> ProjectSettings | None:
    """Return the settings of the project of the working folder, or None without any.

    Raises
    ------
    ConfigError
        As `loops_nb.config.project.project_settings`.
    """
    files = current_project_files()
    if not files:
        return None
    from loops_nb.config.project import project_settings  # only where a project has the table

    return project_settings(files)
