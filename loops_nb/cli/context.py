"""The context of a verb in a shell: results to the standard output, messages to the standard error."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

from loops_nb import console
from loops_nb.cli.form import Form
from loops_nb.cli.settings import ShellSettings
from loops_nb.cli.streams import can_redraw, is_terminal, text_width
from loops_nb.cli.wording import in_shell
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.completion_cache import SHELL_WAIT_SECONDS, CompletionCache
from loops_nb.magics.connection import SharedClient
from loops_nb.magics.context import MagicContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from loops_nb.panels.widget import LiveWidget


# What a terminal obeys in a text of the service that a message repeats; lines may be several.
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class ShellContext(MagicContext):
    """What every verb needs; one for each command.

    Parameters
    ----------
    form : Form, default Form.TEXT
        The form of results; with ids alone messages are left out.
    """

    is_shell = True

    def __init__(self, form: Form = Form.TEXT) -> None:
        settings = ShellSettings()
        cache = CompletionCache(wait_seconds=SHELL_WAIT_SECONDS)
        # There are no variables.
        no_notebook: Any = SimpleNamespace(user_ns={}, user_ns_hidden=frozenset())
        super().__init__(no_notebook, settings, SharedClient(settings.connection, cache), cache)
        self._form = form
        # A verb runs with `sys.stdout` led to the messages.
        self._out = sys.stdout

    def say(self, text: str) -> None:
        """Print a message to the standard error."""
        if self._form is not Form.IDS:
            console.say(in_shell(_printable(text)), out=sys.stderr, flush=True)

    def answer(self, text: str) -> None:
        """Print what was asked for, in words, to the standard output."""
        console.say(in_shell(_printable(text)), out=self._out, flush=True)

    def show_words(self, panel: LiveWidget, words: Callable[[int], str]) -> None:
        """Show what a panel shows until it ends, and leave its last state; in a pipe print it once."""
        if not can_redraw(self._out):
            try:
                self.answer(words(text_width()))
            finally:
                panel.close()
            return
        from loops_nb.cli.live_view import LiveView  # prompt_toolkit

        try:
            last = LiveView(panel, words, self._out).run()
        finally:
            panel.close()
        self.print_lines(last)

    def print_row(self, row: Mapping[str, str | None], text: str) -> None:
        """Print one row of a listing that has no end, as its text or as JSON on one line."""
        from loops_nb.cli.json_rows import as_line

        self.print_lines(as_line(dict(row)) if self._form is Form.JSON_LINES else text)

    def print_lines(self, text: str) -> None:
        """Print lines of data to the standard output."""
        console.say(text, out=self._out, flush=True)

    def confirm(self, question: str, *, sure: bool) -> bool:
        """Ask for confirmation on the terminal.

        Raises
        ------
        InvalidArgumentError
            If the standard input is no terminal.
        """
        if sure:
            return True
        if not is_terminal(sys.stdin):
            raise InvalidArgumentError(
                "There is no terminal to ask for confirmation in, so nothing was changed.",
                hint="Add -y to the line if you are sure.",
            )
        console.say(f"{in_shell(question)} [y/N] ", end="", out=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def close(self) -> None:
        """Close the connection."""
        self.connection.drop()


def _printable(text: str) -> str:
    return _CONTROL.sub(" ", text)
