"""A notebook in a page: its cells, its kernel and the panels that it shows."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

DRIVER = (Path(__file__).parent / "driver.js").read_text("utf-8")
#: Longest that anything in a page may take on a busy machine; a condition is usually met a hundred times sooner.
PATIENCE_SECONDS = 40.0


def written(cells: Sequence[str], kernel: str) -> str:
    """Return the text of a notebook of code cells."""
    made: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{i}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": source,
        }
        for i, source in enumerate(cells)
    ]
    about = {
        "kernelspec": {"name": kernel, "display_name": kernel, "language": "python"},
        "language_info": {"name": "python"},
    }
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "cells": made, "metadata": about})


class Run:
    """A cell that was started."""

    def __init__(self, page: Page, number: int) -> None:
        self._page = page
        self._number = number

    @property
    def over(self) -> bool:
        """Whether the cell has ended."""
        return bool(self._page.evaluate("n => driver.over(n)", self._number))

    def wait(self) -> None:
        """Wait for the cell's end."""
        self._page.wait_for_function("n => driver.over(n)", arg=self._number)


class Notebook:
    """A notebook in a page of its own.

    Parameters
    ----------
    page
        Where it is opened.
    path
        Its file.
    secret
        What the kernel must never send to the page.
    """

    def __init__(self, page: Page, path: Path, secret: str) -> None:
        self.page = page
        self.path = path
        self.leaks: list[str] = []
        self._secret = secret
        self.console: list[str] = []
        self.errors: list[str] = []
        self.hosts: set[str] = set()
        self._reloaded = False
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.add_init_script(DRIVER + f"\ndriver.path = {json.dumps(path.name)};")
        self._listeners: dict[Any, Any] = {
            "console": lambda message: self.console.append(f"{message.type}: {message.text}"),
            "pageerror": lambda error: self.errors.append(str(error)),
            "request": lambda request: self.hosts.add(urlsplit(request.url).hostname or ""),
            "websocket": lambda socket: socket.on("framereceived", self._received),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)

    def _received(self, payload: str | bytes) -> None:
        found = self._secret in payload if isinstance(payload, str) else self._secret.encode() in payload
        if found:
            self.leaks.append(repr(payload))

    def open(self, address: str, *, kernel: bool = True) -> None:
        """Open the page and wait until the notebook is there, and its kernel."""
        self.page.goto(address, wait_until="domcontentloaded")
        self.wait_ready(kernel=kernel)

    def open_in_tab(self, *, kernel: bool = True) -> None:
        """Open it in a page of JupyterLab that another test has used, and wait as `open` does."""
        self.page.evaluate("([path, kernel]) => driver.open(path, kernel)", [self.path.name, kernel])
        self.wait_ready(kernel=kernel)

    def leave_page(self) -> bool:
        """Close everything that the page shows; return whether another test can use the page."""
        # A page that is loaded again opens what was open in its workspace, also after the test has closed it.
        if self._reloaded or self.page.is_closed():
            return False
        if not self.page.evaluate("() => Boolean(globalThis.jupyterapp)"):
            return False
        self.page.evaluate("() => driver.closeAll()")
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)
        return True

    def reload(self, *, kernel: bool = True) -> None:
        """Load the page again; a kernel that is busy does not answer it."""
        self._reloaded = True
        self.page.reload(wait_until="domcontentloaded")
        self.wait_ready(kernel=kernel)

    def reload_until_visible(self, locator: Locator) -> None:
        """Wait until a widget that was saved with the notebook is visible, and load the page again when it is not.

        The widget manager of JupyterLab asks a kernel that has just started which widgets it has. Now and then such a
        request is never answered, and the page shows no widget until it is loaded again.
        """
        for _ in range(3):
            with contextlib.suppress(PlaywrightTimeoutError):
                return locator.wait_for(state="visible", timeout=PATIENCE_SECONDS * 250)
            self.reload()
        return locator.wait_for(state="visible")

    def wait_ready(self, *, kernel: bool = True) -> None:
        """Wait until the notebook can be driven."""
        self.page.wait_for_function("() => globalThis.jupyterapp && driver.panel()")
        self.page.evaluate("() => driver.ready()")
        if kernel:
            self.page.evaluate("() => driver.answered()")

    def start(self, index: int) -> Run:
        """Start a cell and return at once."""
        return Run(self.page, self.page.evaluate("i => driver.start(i)", index))

    def run(self, index: int) -> None:
        """Run a cell to its end; it must not fail."""
        self.start(index).wait()
        failed = [o for o in self.outputs(index) if o["output_type"] == "error"]
        assert not failed, "\n".join(failed[0]["traceback"])

    def command(self, name: str, **arguments: Any) -> None:
        """Carry out a command of the application's."""
        self.page.evaluate("([name, args]) => driver.command(name, args)", [name, arguments])

    def themes(self) -> Iterator[str]:
        """Show the page in each theme, one after the other, and then in the first one again."""
        try:
            for theme in ("JupyterLab Light", "JupyterLab Dark"):
                self._change_theme(theme)
                yield theme
        finally:
            self._change_theme("JupyterLab Light")

    def _change_theme(self, theme: str) -> None:
        if self.page.evaluate("() => document.body.dataset.jpThemeName") == theme:
            return
        color = "getComputedStyle(document.body).getPropertyValue('--jp-layout-color0')"
        before = self.page.evaluate(f"() => {color}")
        self.command("apputils:change-theme", theme=theme)
        # The style sheet comes after the name, and a splash screen goes last; another change before that breaks
        # JupyterLab's own code.
        is_shown = (
            f"([theme, before]) => document.body.dataset.jpThemeName === theme && {color} && {color} !== before"
            " && !document.getElementById('jupyterlab-splash')"
        )
        self.page.wait_for_function(is_shown, arg=[theme, before])

    def select(self, index: int) -> None:
        """Make a cell the active one."""
        self.page.evaluate("i => { driver.panel().content.activeCellIndex = i }", index)

    def scroll(self, to: Literal["start", "end"]) -> None:
        """Bring the first cell or the last one into sight."""
        self.page.evaluate("end => driver.scroll(end)", to == "end")

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """Return the outputs of a cell, as the file would have them."""
        found: list[dict[str, Any]] = self.page.evaluate("i => driver.outputs(i)", index)
        return found

    def printed(self, index: int) -> str:
        """Return what a cell printed."""
        return "".join("".join(o["text"]) for o in self.outputs(index) if o["output_type"] == "stream")

    def set_source(self, index: int, source: str) -> None:
        """Type over a cell."""
        self.page.evaluate("([i, source]) => driver.cell(i).sharedModel.setSource(source)", [index, source])

    def execute(self, code: str) -> str:
        """Run code in the kernel, not through a cell; returns what it printed."""
        return str(self.page.evaluate("code => driver.execute(code)", code))

    def insist(self, code: str) -> None:
        """Run code that may run twice in a kernel that may have just started, until it is answered."""
        self.page.evaluate("code => driver.insist(code)", code)

    def restart_kernel(self) -> None:
        """Restart the kernel, without asking."""
        self.page.evaluate("() => driver.kernel().restart()")
        self.page.evaluate("() => driver.answered()")

    def save(self) -> dict[str, Any]:
        """Save, and return what is in the file now."""
        self.page.evaluate("() => driver.save()")
        found: dict[str, Any] = json.loads(self.path.read_bytes())
        return found

    def cell(self, index: int) -> Locator:
        """Return a cell on the page."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook .jp-Cell").nth(index)


def wait_for(condition: Callable[[], Any], what: str, page: Page | None = None) -> Any:
    """Wait until a condition of the test is met and return its value; the page's events go on meanwhile."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < until, f"waited in vain: {what}"
        if page is None:
            time.sleep(0.02)
        else:
            page.wait_for_timeout(20)
    return found
