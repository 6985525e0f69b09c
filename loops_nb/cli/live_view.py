"""A live view of a panel's words in the terminal, with prompt_toolkit, which IPython brings along.

It uses the terminal's other screen, so that a resized window never mixes old lines with new ones; when it ends, the
last state is printed below the command.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import ANSI
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.output import create_output

from loops_nb.cli.colors import paint_for, paint_states
from loops_nb.cli.wording import in_shell, without_how_to_see_live

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.panels.widget import LiveWidget

_SECONDS = 0.5
_ENDS = "q or Ctrl-C ends"
_SIGNALS = (signal.SIGTERM, signal.SIGHUP) if os.name == "posix" else ()


class LiveView:
    """Shows what a panel shows until the user ends it, or nothing of it can change any more.

    Parameters
    ----------
    panel : LiveWidget
        The panel, which is kept up to date.
    words : callable
        Returns what it shows now, in so many columns.
    out : text stream
        The terminal.
    """

    def __init__(self, panel: LiveWidget, words: Callable[[int], str], out: TextIO) -> None:
        self._panel = panel
        self._words = words
        self._is_colored = paint_for(out) is not None
        self._first = 0
        self._caught: int | None = None
        self._output = create_output(stdout=out)
        self._app: Application[None] = Application(
            Layout(Window(FormattedTextControl(self._screen, show_cursor=False), always_hide_cursor=True)),
            key_bindings=self._keys(),
            full_screen=True,
            refresh_interval=_SECONDS,
            input=create_input(sys.stdin),
            output=self._output,
        )

    def run(self) -> str:
        """Show it; return the last state.

        Raises
        ------
        SystemExit
            If the process was told to end.
        """
        self._app.run(pre_run=self._start)
        if self._caught is not None:
            raise SystemExit(128 + self._caught)
        return self._text()

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            # The terminal gets its own screen back first.
            loop.add_signal_handler(number, self._catch, number)

    def _catch(self, number: int) -> None:
        self._caught = number
        self._app.exit()

    def _text(self) -> str:
        text = in_shell(without_how_to_see_live(self._words(self._output.get_size().columns)))
        return paint_states(text) if self._is_colored else text

    def _screen(self) -> ANSI:
        """Return the lines that fit the terminal now, and a line on what keys do."""
        self._panel.keep_visible()
        if self._panel.is_over and not self._app.is_done:
            self._app.exit()
        room = max(1, self._output.get_size().rows - 1)
        lines = self._text().splitlines()
        self._first = max(0, min(self._first, len(lines) - room))
        shown = lines[self._first : self._first + room]
        below = len(lines) - self._first - len(shown)
        foot = _ENDS
        if below or self._first:
            foot += f"; {below:,} more lines below, arrow keys scroll"
        filling = [""] * (room - len(shown))
        return ANSI("\n".join([*shown, *filling, foot[: self._output.get_size().columns - 1]]))

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        def end(event: Any) -> None:
            event.app.exit()

        def scroll(rows: Callable[[], int]) -> Callable[[Any], None]:
            def move(event: Any) -> None:
                self._first += rows()
                event.app.invalidate()

            return move

        def page() -> int:
            return max(1, self._output.get_size().rows - 2)

        for key in ("q", Keys.ControlC, Keys.SIGINT, Keys.ControlD):
            keys.add(key)(end)
        for key, rows in (
            (Keys.Down, lambda: 1),
            (Keys.Up, lambda: -1),
            (Keys.PageDown, page),
            (Keys.PageUp, lambda: -page()),
            (Keys.Home, lambda: -self._first),
            (Keys.End, lambda: 1_000_000),
        ):
            keys.add(key)(scroll(rows))
        if os.name == "posix":
            keys.add(Keys.ControlZ)(lambda event: event.app.suspend_to_background())
        return keys
