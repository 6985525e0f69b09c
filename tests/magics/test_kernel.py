"""A real Jupyter kernel, and a real IPython in a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kernel_environment(service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {
        "LOOPS_BASE_URL": service,
        "LOOPS_NB_HOME": str(tmp_path / "home"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": str(ROOT),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "COLUMNS": "100",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)
    return tmp_path


def executed(folder: Path, *cells: str, allow_errors: bool = False) -> Any:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        book, timeout=60, kernel_name="python3", allow_errors=allow_errors, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return book


def test_a_notebook_shows_tables_and_cards(kernel_environment: Path) -> None:
    book = executed(
        kernel_environment,
        "%load_ext loops_nb",
        "%loops",
        "%loops runs",
        "df = %loops runs\nrun_id = df.id[0]",
        "%loops run $run_id",
        "%loops runs --help",
    )
    status, shown, kept, card, helped = (cell.outputs for cell in book.cells[1:])
    assert "Connected to http://127.0.0.1" in status[0].text
    data = shown[0].data
    assert '<table class="dataframe">' in data["text/html"]
    assert "deployment_status" in data["text/plain"]
    assert kept == []
    assert "<caption>Run " in card[0].data["text/html"]
    assert "Usage:" in helped[0].text
    assert "application/vnd.jupyter.widget-view+json" not in str(book)


def test_an_error_is_one_line_and_stops_run_all(kernel_environment: Path) -> None:
    with pytest.raises(CellExecutionError) as caught:
        executed(kernel_environment, "%load_ext loops_nb", "%loops run no-such-run", "print('went on')")
    assert "NotFoundError" in str(caught.value)
    book = executed(kernel_environment, "%load_ext loops_nb", "%loops rnus", allow_errors=True)
    output = book.cells[1].outputs[0]
    assert output.output_type == "error"
    assert output.traceback == ["InvalidArgumentError: %loops has no verb 'rnus'. Did you mean runs?"]


def test_where_nobody_can_be_asked_a_script_is_told_of_y(kernel_environment: Path) -> None:
    cells = [
        "%load_ext loops_nb",
        "s = %loops create session",
        "r = %loops create run --session $s -m Qwen/Qwen3-8B",
        "%loops deactivate run $r",
    ]
    book = executed(kernel_environment, *cells, "%loops deactivate run $r -y", "%loops login", allow_errors=True)
    assert "Add -y to the line if you are sure." in book.cells[3].outputs[-1].evalue
    assert "Deactivated" in book.cells[4].outputs[0].data["text/plain"]
    assert "Set BASETEN_API_KEY" in book.cells[5].outputs[-1].evalue


def test_a_terminal_shows_a_listing_as_text(kernel_environment: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor", "--quick"],
        input="%load_ext loops_nb\n%config LoopsMagics.row_limit = 3\n%loops runs\n%loops rnus\n%unload_ext loops_nb\n",
        cwd=kernel_environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "deployment_status" in done.stdout
    assert "Showing 3 of " in done.stdout
    assert "Columns that did not fit:" in done.stdout
    assert "InvalidArgumentError: %loops has no verb 'rnus'. Did you mean runs?" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 400


def test_loading_in_a_running_kernel_is_quick(kernel_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As with an installed package, the code is compiled already.
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(kernel_environment / "pyc"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    measure = (
        "import sys, time\nshell = get_ipython()\nhad = set(sys.modules)\nstarted = time.process_time()\n"
        "shell.run_line_magic('load_ext', 'loops_nb')\ntook = time.process_time() - started\n"
        "heavy = ('httpx', 'httpcore', 'pandas', 'ipywidgets', 'anywidget', 'keyring')\n"
        "print([m for m in heavy if m in sys.modules and m not in had], took)"
    )
    said = [executed(kernel_environment, measure).cells[0].outputs[0].text for _ in range(4)]
    assert all(text.startswith("[] ") for text in said)
    # The first one compiled; time of the processor, because this machine is shared.
    assert min(float(text.split()[-1]) for text in said[1:]) <= 0.015
