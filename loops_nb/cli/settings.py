"""The settings of ``loops-nb``: the defaults, and ``[tool.loops_nb]`` of the project's file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.config import SETTINGS
from loops_nb.config.current import current_project
from loops_nb.errors import ConfigError
from loops_nb.magics.connection import ConnectionSettings

if TYPE_CHECKING:
    from pathlib import Path


class ShellSettings:
    """Settings by name, as attributes; those that ``%config LoopsMagics`` has in a notebook."""

    auth_scheme: Any
    poll_interval: Any
    row_limit: Any
    sample_rate: Any
    time_zone: Any
    timeout: Any
    train_rate: Any

    def __init__(self) -> None:
        self.project_file: Path | None = None
        self.project_error: ConfigError | None = None
        self._project_url = ""
        self.read_project()

    def read_project(self) -> None:
        """Read the settings of the project's ``pyproject.toml``; an error is stored for what needs a setting."""
        values = {name: setting.default for name, setting in SETTINGS.items()}
        self.project_error = None
        try:
            found = current_project()
        except ConfigError as error:
            self.project_error = error
        else:
            if found is not None:
                self.project_file = found.path
                values |= found.values
        self._project_url = values["base_url"]
        for name, value in values.items():
            setattr(self, name, value)

    def connection(self) -> ConnectionSettings:
        """Return the settings of the connection.

        Raises
        ------
        ConfigError
            If the project's file cannot be used.
        """
        if self.project_error is not None:
            raise self.project_error
        return ConnectionSettings("", self._project_url, self.auth_scheme, self.timeout)
