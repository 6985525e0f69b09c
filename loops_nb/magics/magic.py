"""``%loops`` itself: settings, and the way from a line to a verb."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, needs_local_scope, no_var_expand, output_can_be_silenced
from traitlets import Float, Int, TraitError, Unicode, observe, validate

from loops_nb import console
from loops_nb.config import SETTINGS, files_that_mention_us

# Loading must be quick: what only a line needs is imported by the line.
if TYPE_CHECKING:
    from loops_nb.errors import ConfigError
    from loops_nb.magics.connection import Wishes
    from loops_nb.magics.desk import Desk


def _trait(kind: Any, name: str) -> Any:
    return kind(SETTINGS[name].default, help=SETTINGS[name].help).tag(config=True)


# Its types know only the form without a name.
_of_cells = cast("Any", cell_magic)("loops")


@magics_class
class LoopsMagics(Magics):
    """Settings of %loops. Set one with %config LoopsMagics.row_limit = 50, or in pyproject.toml under [tool.loops_nb]."""

    base_url = _trait(Unicode, "base_url")
    auth_scheme = _trait(Unicode, "auth_scheme")
    poll_interval = _trait(Float, "poll_interval")
    row_limit = _trait(Int, "row_limit")
    time_zone = _trait(Unicode, "time_zone")
    timeout = _trait(Float, "timeout")

    # Settings of ipython_config.py are set before __init__ comes to its second line.
    _desk: Desk | None = None

    def __init__(self, shell: Any) -> None:
        _drop_unusable(shell.config)
        super().__init__(shell=shell, parent=shell)
        self.project_file: Path | None = None
        self.project_url = ""
        self.project_error: ConfigError | None = None
        self.read_project()

    @property
    def desk(self) -> Desk:
        """The shell's desk; made at the first use, so that loading the extension stays quick."""
        if self._desk is None:
            from loops_nb.magics.connection import Connection  # noqa: PLC0415
            from loops_nb.magics.desk import Desk  # noqa: PLC0415
            from loops_nb.magics.knowledge import Knowledge  # noqa: PLC0415

            knowledge = Knowledge()
            self._desk = Desk(self.shell, self, Connection(self._wishes, knowledge), knowledge)
        return self._desk

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._desk is not None:
            self._desk.connection.drop()

    @validate("base_url", "auth_scheme", "poll_interval", "row_limit", "time_zone", "timeout")
    def _checked(self, proposal: Any) -> Any:
        from loops_nb.config.checks import check_setting  # noqa: PLC0415
        from loops_nb.errors import ConfigError  # noqa: PLC0415

        try:
            return check_setting(proposal["trait"].name, proposal["value"])
        except ConfigError as error:
            raise TraitError(str(error)) from None

    @observe("base_url")
    def _elsewhere(self, _change: Any) -> None:
        # The latest word wins: a base_url that is set after `%loops connect` is meant.
        if self._desk is not None:
            self._desk.connection.choose(None)

    @observe("poll_interval")
    def _other_pace(self, change: Any) -> None:
        # Panels that are open follow; without panels there is no poller yet.
        live = sys.modules.get("loops_nb.live")
        client = self._desk.connection.live if self._desk is not None else None
        if live is not None and client is not None:
            live.poller_for(client.exchange).interval = change["new"]

    def read_project(self) -> None:
        """Take the settings of the project's ``pyproject.toml``; those set by a person stay as they are.

        A faulty file is remembered, not raised: the magics must be there to say what is wrong with it.
        """
        self.project_error = None
        try:
            folder = Path.cwd()
        except OSError:
            # The working folder is gone.
            return
        if not files_that_mention_us(folder):
            return
        from loops_nb.config.project import project_settings  # noqa: PLC0415
        from loops_nb.errors import ConfigError  # noqa: PLC0415

        try:
            found = project_settings(folder)
        except ConfigError as error:
            self.project_error = error
            return
        self.project_file = found.path
        self.project_url = found.values.get("base_url", "")
        for name, value in found.values.items():
            if name != "base_url" and getattr(self, name) == SETTINGS[name].default:
                setattr(self, name, value)

    def _wishes(self) -> Wishes:
        if self.project_error is not None:
            self.read_project()
        if self.project_error is not None:
            raise self.project_error
        from loops_nb.magics.connection import Wishes  # noqa: PLC0415

        return Wishes(self.base_url, self.project_url, self.auth_scheme, self.timeout)

    @output_can_be_silenced
    @no_var_expand
    @needs_local_scope
    @line_magic
    def loops(self, line: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Baseten Loops from the notebook: %loops --help says everything."""
        from loops_nb.magics.dispatch import run_line  # noqa: PLC0415
        from loops_nb.magics.expressions import evaluated  # noqa: PLC0415

        namespace = {**self.desk.shell.user_ns, **(local_ns or {})}
        return run_line(self.desk, line, lambda expression: evaluated(expression, namespace))

    # Not to be silenced by a semicolon at the end of the cell: there it belongs to the prompt.
    @no_var_expand
    @needs_local_scope
    @_of_cells
    def loops_cell(self, line: str, cell: str, local_ns: dict[str, Any] | None = None) -> Any:
        """Complete the prompt in the cell: %%loops sample --help says everything."""
        from loops_nb.magics.dispatch import run_line  # noqa: PLC0415
        from loops_nb.magics.expressions import evaluated  # noqa: PLC0415

        namespace = {**self.desk.shell.user_ns, **(local_ns or {})}
        found = run_line(self.desk, line, lambda expression: evaluated(expression, namespace), cell=cell)
        return None if line.rstrip().endswith(";") else found


def _drop_unusable(config: Any) -> None:
    """Take values that cannot be used out of the shell's configuration, and say so.

    ``%config`` leaves a refused value there; with it the extension could not be loaded a second time.
    """
    if "LoopsMagics" not in config:
        return
    from loops_nb.config.checks import check_setting  # noqa: PLC0415
    from loops_nb.errors import ConfigError  # noqa: PLC0415

    section = config.LoopsMagics
    for name in [name for name in section if name in SETTINGS]:
        try:
            check_setting(name, section[name])
        except ConfigError as error:
            del section[name]
            console.say(f"LoopsMagics.{name} is left as it was: {error}")


# IPython asks an object for `getdoc` before it reads the docstring: so `%loops?` shows the whole help without loading the verbs now.
def _getdoc() -> str:
    from loops_nb.magics.dispatch import whole_help  # noqa: PLC0415

    return whole_help()


cast("Any", LoopsMagics.loops).getdoc = _getdoc
cast("Any", LoopsMagics.loops_cell).getdoc = _getdoc
