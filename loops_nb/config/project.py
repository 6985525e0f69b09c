"""Reads the settings in a project's ``pyproject.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.config.setting_checks import check_setting
from loops_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TABLE = "tool.loops_nb"
_THEN = "Correct the file, then run the line again."


class ProjectSettings(NamedTuple):
    """The settings of a project's file.

    Parameters
    ----------
    path : pathlib.Path or None
        The file; None if there is none.
    values : dict
        Checked values by name of the setting.
    """

    path: Path | None
    values: dict[str, Any]


def project_settings(files: Iterable[tuple[Path, bytes]]) -> ProjectSettings:
    """Read ``[tool.loops_nb]`` of the first of these files that has it.

    Parameters
    ----------
    files : iterable of (pathlib.Path, bytes)
        `loops_nb.config.project_files` of a folder, or `loops_nb.config.current.current_project_files`.

    Raises
    ------
    ConfigError
        If the file is not TOML, or has an unknown setting or a value that cannot be used; the text names the file.
    """
    for path, body in files:
        values = _table(body, path)
        if values is not None:
            return ProjectSettings(path, _checked(values, path))
    return ProjectSettings(None, {})


def _table(body: bytes, path: Path) -> dict[str, Any] | None:
    import tomllib  # only when a file has the table

    try:
        document = tomllib.loads(body.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.", hint=_THEN) from None
    tools = document.get("tool")
    table = tools.get("loops_nb") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: {_TABLE} must be a table.", hint=f"Write it as [{_TABLE}] with one line a setting.")
    return table


def _checked(values: dict[str, Any], path: Path) -> dict[str, Any]:
    checked = {}
    for name, value in values.items():
        try:
            checked[name] = check_setting(name, value)
        except ConfigError as error:
            raise ConfigError(f"{path}, [{_TABLE}]: {error.message}", hint=error.hint or _THEN) from None
    return checked
