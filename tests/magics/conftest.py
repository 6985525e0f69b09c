"""Fixtures: an IPython shell with ``%loops``, a private home folder, and the local service."""

from __future__ import annotations

import gc
import io
import os
from collections import deque
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from loops_nb.magics.context import MagicContext

CLEARED = ("BASETEN_API_KEY", "LOOPS_BASE_URL", "COLUMNS")


@dataclass
class CellResult:
    """Result and output of a cell."""

    value: Any
    out: str
    error: BaseException | None

    @property
    def text(self) -> str:
        """All output, the error included."""
        return self.out


class Notebook:
    """A shell to type cells into."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def run(self, cell: str, *, fails: bool | None = False) -> CellResult:
        """Run a cell; it must succeed, or fail when that is expected; None takes either."""
        seen = io.StringIO()
        with redirect_stdout(seen), redirect_stderr(seen):
            result = self.shell.run_cell(cell, store_history=True)
        error = result.error_in_exec or result.error_before_exec
        ran = CellResult(result.result, seen.getvalue(), error)
        assert fails is None or result.success is not fails, ran.out
        return ran

    @property
    def magics(self) -> Any:
        """The loaded magics."""
        return self.shell.magics_manager.registry["LoopsMagics"]

    @property
    def context(self) -> MagicContext:
        """The shell's context."""
        context: MagicContext = self.magics.context
        return context

    def html(self, value: Any) -> str:
        """Return how a notebook shows a value."""
        return str(self.shell.display_formatter.format(value)[0]["text/html"])

    def plain(self, value: Any) -> str:
        """Return how a terminal shows a value."""
        return str(self.shell.display_formatter.format(value)[0]["text/plain"])

    def completions(self, line: str) -> list[str]:
        """Return the whole lines that Tab at the end of a line offers."""
        from IPython.core.completer import provisionalcompleter

        with provisionalcompleter():
            return [line[: c.start] + c.text for c in self.shell.Completer.completions(line, len(line))]


@pytest.fixture(scope="module", autouse=True)
def _imports_kept() -> None:
    """Take what the tests before imported out of the garbage collector, which each reset of the shell runs."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def _shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("ipython")
    os.environ["IPYTHONDIR"] = str(folder)
    config = Config()
    config.HistoryManager.hist_file = str(folder / "history.sqlite")
    config.InteractiveShell.colors = "nocolor"
    InteractiveShell.clear_instance()
    shell: Any = InteractiveShell.instance(config=config)
    yield shell
    shell.history_manager.end_session()
    # A shell that some other test made may have stopped it already.
    if shell.history_manager.save_thread is not None:
        shell.history_manager.save_thread.stop()
    InteractiveShell.clear_instance()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the real local service with its sample workspace, in a process of its own; the address."""
    from loops_nb.local import launcher

    former = os.environ.get("LOOPS_NB_HOME")
    own = str(tmp_path_factory.mktemp("service"))
    try:
        os.environ["LOOPS_NB_HOME"] = own
        url = launcher.start(sample=True, any_key=True).url
    finally:
        _restore(former)
    yield url
    try:
        os.environ["LOOPS_NB_HOME"] = own
        launcher.stop()
    finally:
        _restore(former)


def _restore(former: str | None) -> None:
    if former is None:
        os.environ.pop("LOOPS_NB_HOME", None)
    else:
        os.environ["LOOPS_NB_HOME"] = former


@pytest.fixture
def live(notebook: Notebook, service: str, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Give this test a shell that talks to the real service."""
    monkeypatch.setenv("LOOPS_BASE_URL", service)
    return notebook


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give this test a home and a working folder of its own, without any key."""
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)
    # Faults that other tests of this process provoked are none of this one's.
    monkeypatch.setattr("loops_nb.faults._recorded", deque())
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr("loops_nb.config.credentials._keyring", lambda: None)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return tmp_path / "home"


@pytest.fixture
def notebook(_shell: Any, home: Path) -> Iterator[Notebook]:
    """Give this test a shell into which the extension is loaded."""
    _shell.reset(new_session=False)
    _shell.config.pop("LoopsMagics", None)
    book = Notebook(_shell)
    book.run("%load_ext loops_nb")
    yield book
    _shell.extension_manager.unload_extension("loops_nb")
