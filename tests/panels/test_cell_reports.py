"""The report below a finished cell shows what was so when the cell ended: in nbclient no page ever asks again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.browser.prepare import KERNELS, kernel_folder
from tests.service import AnyService

_ROOT = Path(__file__).parents[2]
_CONNECT = """
import loops_nb
loops = loops_nb.Loops()
session = loops.sessions.create().id

def make(name):
    return loops.runs.create(session_id=session, base_model="Qwen/Qwen3-8B", name=name)
"""
_SAVES = """
%loops watch
for n in range(12):
    make(f"run-{n}-of-KIND")
"""
_LOGS = """
%loops curves exp-KIND --metric loss --wait
exp = loops_nb.experiment("exp-KIND")
for step in range(50):
    exp.log({"loss": 50 - step}, step=step)
exp.log({"loss": 0.1234}, step=50)
"""


@pytest.mark.parametrize("kernel", KERNELS)
def test_report_of_a_cell_has_all_that_was_so_at_its_end(
    kernel: str, service: AnyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "LOOPS_BASE_URL": service.url,
        "BASETEN_API_KEY": service.key,
        "LOOPS_NB_HOME": str(tmp_path / "home"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": os.pathsep.join([str(kernel_folder(kernel)), str(_ROOT)]),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    sources = [
        f"%load_ext loops_nb\n{_CONNECT}",
        _SAVES.replace("KIND", f"end-{kernel}"),
        _SAVES.replace("KIND", f"error-{kernel}") + "raise RuntimeError('the training broke')",
        f"make('later-{kernel}')",
        _LOGS.replace("KIND", "end"),
        _LOGS.replace("KIND", "error") + "raise RuntimeError('the training broke')",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(
        book, timeout=60, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    def report(cell: int) -> str:
        outputs: list[Any] = book.cells[cell].outputs
        return str(next(found.data["text/html"] for found in outputs if "text/html" in found.get("data", {})))

    assert f"run-11-of-end-{kernel}" in report(1)
    assert f"run-11-of-error-{kernel}" in report(2)
    # A panel of an earlier cell goes on until the notebook ends.
    assert f"later-{kernel}" in report(1)
    assert "0.1234" in report(4)
    assert "0.1234" in report(5)
