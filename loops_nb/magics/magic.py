"""The ``%loops`` and ``%%loops`` magics, and their settings."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, cast

from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
    output_can_be_silenced,
)
from traitlets import Bool, Float, Int, TraitError, Unicode, observe, validate

from loops_nb import console
from loops_nb.config import SETTINGS
from loops_nb.config.current import VARIABLES, choose_setting, current_project

# %load_ext must be fast: modules that only a line needs are imported when a line runs.
if TYPE_CHECKING:
    from pathlib import Path

    from loops_nb.errors import ConfigError
    from loops_nb.magics.connection import ConnectionSettings
    from loops_nb.magics.context import MagicContext


def _trait(kind: Any, name: str) -> Any:
    return kind(SETTINGS[name].default, help=SETTINGS[name].help).tag(config=True)


# Its type stubs lack the form with a name.
_loops_cell_magic = cast("Any", cell_magic)("loops")


@magics_class
class LoopsMagics(Magics):
    """Settings of %loops: %config LoopsMagics.row_limit = 50 sets one, as does [tool.loops_nb] in pyproject.toml."""

    base_url: Any = _trait(Unicode, "base_url")
    auth_scheme: Any = _trait(Unicode, "auth_scheme")
    poll_interval: Any = _trait(Float, "poll_interval")
    row_limit: Any = _trait(Int, "row_limit")
    sample_rate: Any = _trait(Float, "sample_rate")
    time_zone: Any = _trait(Unicode, "time_zone")
    train_rate: Any = _trait(Float, "train_rate")
    timeout: Any = _trait(Float, "timeout")
    capture_environment: Any = _trait(Bool, "capture_environment")
    tracking: Any = _trait(Unicode, "tracking")

    # Set on the class: `super().__init__` already calls the observers below, with the values of ipython_config.py.
    _context: MagicContext | None = None
    _is_reading_project = False

    def __init__(self, shell: Any) -> None:
        _drop_invalid(shell.config)
        super().__init__(shell=shell, parent=shell)
        self.project_file: Path | None = None
        self.project_url: str = ""
        self.project_error: ConfigError | None = None
        self.read_project()

    @property
    def context(self) -> MagicContext:
        """Context of the shell; made on first use, which keeps ``%load_ext`` fast."""
        if self._context is None:
            from loops_nb.magics.completion_cache import CompletionCache
            from loops_nb.magics.connection import SharedClient
            from loops_nb.magics.context import MagicContext

            cache = CompletionCache()
            self._context = MagicContext(self.shell, self, SharedClient(self._connection_settings, cache), cache)
        return self._context

    def close(self) -> None:
        """Close the connection."""
        if self._context is not None:
            self._context.connection.drop()
        for name in VARIABLES:
            choose_setting(name, None)

    @validate(*SETTINGS)
    def _validate(self, proposal: Any) -> Any:
        from loops_nb.config.setting_checks import check_setting
        from loops_nb.errors import ConfigError

        try:
            return check_setting(proposal["trait"].name, proposal["value"])
        except ConfigError as error:
            raise TraitError(str(error)) from None

    @observe("base_url")
    def _base_url_changed(self, _change: Any) -> None:
        # The latest setting wins, also over an earlier `%loops connect`.
        if self._context is not None:
            self._context.connection.select(None)

    @observe(*VARIABLES)
    def _process_setting_changed(self, change: Any) -> None:
        # Experiments read the project's file themselves.
        if not self._is_reading_project:
            choose_setting(change["name"], change["new"])

    @observe("poll_interval")
    def _poll_interval_changed(self, change: Any) -> None:
        # Applies to open panels too; without panels there is no poller yet.
        live = sys.modules.get("loops_nb.live")
        client = self._context.connection.current if self._context is not None else None
        if live is not None and client is not None:
            live.poller_for(client.config).interval = change["new"]

    def read_project(self) -> None:
        """Read the settings of the project's ``pyproject.toml``; settings made by the user take precedence.

        The error of an invalid file is stored, not raised: the extension must load to report it.
        """
        self.project_error = None
        from loops_nb.errors import ConfigError

        try:
            found = current_project()
        except ConfigError as error:
            self.project_error = error
            return
        if found is None:
            return
        self.project_file = found.path
        self.project_url = found.values.get("base_url", "")
        self._is_reading_project = True
        try:
            for name, value in found.values.items():
                if name != "base_url" and getattr(self, name) == SETTINGS[name].default:
                    setattr(self, name, value)
        finally:
            self._is_reading_project = False

    def _connection_settings(self) -> ConnectionSettings:
        if self.project_error is not None:
            self.read_project()
        if self.project_error is not None:
            raise self.project_error
        from loops_nb.magics.connection import ConnectionSettings

        return ConnectionSettings(self.base_url, self.project_url, self.auth_scheme, self.timeout)

    @output_can_be_silenced
    @no_var_expand
    @needs_local_scope
    @line_magic
    def loops(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Baseten Loops in the notebook: see %loops --help."""
        from loops_nb.magics.dispatch import run_line
        from loops_nb.magics.lexer import evaluate_expression

        namespace = {**self.context.shell.user_ns, **(local_ns or {})}
        found = run_line(self.context, line, lambda expression: evaluate_expression(expression, namespace))
        if "loops_nb.frames.listing_rows" not in sys.modules:
            return found
        from loops_nb.frames.listing_rows import ListingRows

        if not isinstance(found, ListingRows):
            return found
        from loops_nb.magics.early_display import displayed_or_frame  # httpx, which a picture does not need

        # A line of a function is not what the cell displays.
        is_top_level = local_ns is self.context.shell.user_ns
        return displayed_or_frame(self.context.shell, found, line, may_display=is_top_level)

    # Without `output_can_be_silenced`: a semicolon at the end of the cell belongs to the prompt.
    @no_var_expand
    @needs_local_scope
    @_loops_cell_magic
    def loops_cell(self, line: str, cell: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Complete the prompt in the cell: see %%loops sample --help."""
        from loops_nb.magics.dispatch import run_line
        from loops_nb.magics.lexer import evaluate_expression

        namespace = {**self.context.shell.user_ns, **(local_ns or {})}
        found = run_line(self.context, line, lambda expression: evaluate_expression(expression, namespace), cell=cell)
        if line.rstrip().endswith(";"):
            return None
        return found


def _drop_invalid(config: Any) -> None:
    """Remove invalid values from the shell's configuration, with a message.

    ``%config`` keeps a rejected value there, and the extension could not be loaded again with it.
    """
    if "LoopsMagics" not in config:
        return
    from loops_nb.config.setting_checks import check_setting
    from loops_nb.errors import ConfigError

    section = config.LoopsMagics
    for name in [name for name in section if name in SETTINGS]:
        try:
            check_setting(name, section[name])
        except ConfigError as error:
            del section[name]
            console.say(f"LoopsMagics.{name} was not changed: {error}")


# IPython prefers `getdoc` to the docstring: `%loops?` shows the whole help without importing the verbs now.
def _getdoc() -> str:
    from loops_nb.magics.dispatch import whole_help

    return whole_help()


cast("Any", LoopsMagics.loops).getdoc = _getdoc
cast("Any", LoopsMagics.loops_cell).getdoc = _getdoc
