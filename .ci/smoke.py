"""Uses an installed ``loops_nb`` as a new user would: ``python smoke.py VERSION [EXTRA ...]``, outside of a clone.

Run by `release.py` in environments that hold nothing but the wheel and what it asks for.  An extra is checked by what
it adds; ``local`` starts the local service, trains a step, lists, draws and opens a checkpoint.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: A module that each extra adds; `release.py` fails for an extra of pyproject.toml that is not here.
MODULES = {
    "checksums": "anycrc",
    "cloud": "obstore",
    "keyring": "keyring",
    "local": "uvicorn",
    "mcp": "mcp.server.mcpserver",
    "sdk": "baseten.loops",
    "sweep": "sklearn",
    "team": "psycopg",
}


class Cells:
    """An IPython shell in which cells are run; each must succeed unless it is expected to fail."""

    def __init__(self) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        config = Config({"HistoryManager": {"enabled": False}})
        self.shell: Any = InteractiveShell.instance(colors="nocolor", config=config)

    def run(self, cell: str, *, fails: bool = False) -> tuple[Any, str]:
        """Return the value and the output of a cell."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            done = self.shell.run_cell(cell)
        assert done.success is not fails, f"{cell}\n{out.getvalue()}"
        return done.result, out.getvalue()


@contextlib.contextmanager
def own_home() -> Iterator[Path]:
    """Use a home and a working folder that are thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LOOPS_NB_HOME"] = str(Path(folder) / "home")
        os.environ["IPYTHONDIR"] = str(Path(folder) / "ipython")
        os.environ.pop("BASETEN_API_KEY", None)
        os.environ.pop("LOOPS_BASE_URL", None)
        work = Path(folder) / "work"
        work.mkdir()
        former = Path.cwd()
        os.chdir(work)
        try:
            yield work
        finally:
            os.chdir(former)


def check_installed(version: str) -> None:
    """The package is the installed one, and its command starts."""
    import loops_nb

    assert loops_nb.__version__ == version
    assert "site-packages" in Path(loops_nb.__file__).parts, loops_nb.__file__
    assert version in in_shell("--version")
    assert "complete -F" in in_shell("completion", "bash")


def in_shell(*words: str) -> str:
    """Return what ``loops-nb`` prints."""
    command = Path(sys.executable).with_name("loops-nb")
    return subprocess.run([command, *words], capture_output=True, text=True, check=True).stdout


def check_without_service(cells: Cells) -> None:
    """The extension loads, explains itself, says what to type without a key, and records and draws."""
    cells.run("%load_ext loops_nb")
    assert "download" in cells.run("%loops --help")[1]
    said = cells.run("%loops runs", fails=True)[1]
    assert "%loops login" in said, said
    cells.run(
        "import loops_nb\n"
        "with loops_nb.experiment('first', params={'lr': 1e-3}) as exp:\n"
        "    for step in range(20):\n"
        "        exp.log(step=step, loss=2.0 / (step + 1))"
    )
    frame, _ = cells.run("exp.frame()")
    assert len(frame) == 20  # noqa: PLR2004
    cells.run("%loops curves first --save first.pdf")
    assert Path("first.pdf").read_bytes().startswith(b"%PDF")


def check_local(cells: Cells) -> None:
    """The local service starts, lists its sample data, shows a panel and opens a checkpoint."""
    cells.run("%loops local start")
    try:
        cells.run("runs = %loops runs")
        assert len(cells.run("runs")[0]) > 1
        assert "p2syas8" in in_shell("runs", "-q").split()
        from loops_nb.panels.bundle import page_code

        assert page_code()
        # A terminal gets the table of the panel.
        assert "p2syas8" in cells.run("%loops watch")[1]
        cells.run("saved = %loops checkpoints p2syas8")
        tensors, _ = cells.run("tensors = %loops tensors p2syas8/step-525 --target sampler\ntensors")
        assert len(tensors) > 1
        cells.run("%loops download p2syas8/step-525 --target sampler -o taken")
        assert list(Path("taken").rglob("*.safetensors"))
    finally:
        cells.run("%loops local stop")


def check_mcp() -> None:
    """The server for agents lists the tools that only read, and ends with its input."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "smoke", "version": "1"}}
    sent = (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    )
    command = [str(Path(sys.executable).with_name("loops-nb")), "mcp"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.writelines(f"{json.dumps(message)}\n" for message in sent)
        server.stdin.flush()
        server.stdout.readline()
        tools = json.loads(server.stdout.readline())["result"]["tools"]
        assert all(tool["annotations"]["readOnlyHint"] for tool in tools), tools
        server.stdin.close()
        assert server.wait(timeout=60) == 0


def main(words: list[str]) -> int:
    """Run what the installed extras allow; an AssertionError says what is wrong."""
    version, *extras = words
    with own_home():
        check_installed(version)
        cells = Cells()
        check_without_service(cells)
        for extra in extras:
            importlib.import_module(MODULES[extra])
        if "local" in extras:
            check_local(cells)
        if "mcp" in extras:
            check_mcp()
    print(f"Python {sys.version.split()[0]}: {' + '.join(['wheel', *extras])} works.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
