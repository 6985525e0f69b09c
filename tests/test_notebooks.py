"""Notebooks run in a kernel with the local service, and leak no secret."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
#: The demo runs the one that trains, which takes longest, and its test looks for the same in what it leaves.
NOTEBOOKS = sorted(set((ROOT / "notebooks").glob("*.ipynb")) - {ROOT / "notebooks" / "train_locally.ipynb"})
#: What some notebooks need beside what the package does, and that the Pythons other than the first do without.
LIBRARIES = {"scale": ("dask.dataframe", "duckdb", "polars", "pyarrow")}
SENTINEL = "sentinel-key-in-the-environment-0123456789"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if path.stem == "quickstart" else [pytest.mark.once], id=path.stem)
        for path in NOTEBOOKS
    ],
)
def test_notebook_runs_without_leaking_secrets(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in LIBRARIES.get(path.stem, ()):
        pytest.importorskip(library)
    monkeypatch.setenv("SCALE_RUNS", "200")
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path))
    monkeypatch.setenv("BASETEN_API_KEY", SENTINEL)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("LOOPS_BASE_URL", raising=False)
    notebook = nbformat.read(path, as_version=4)
    try:
        nbclient.NotebookClient(notebook, timeout=90, resources={"metadata": {"path": str(tmp_path)}}).execute()
        text = nbformat.writes(notebook)
        assert SENTINEL not in text
        assert "Signature" not in text
        assert "signature=" not in text
        kept = [p for p in tmp_path.rglob("*") if p.is_file() and SENTINEL.encode() in p.read_bytes()]
        assert kept == []
        assert len(text) < 600_000
    finally:
        stop = [sys.executable, "-c", "from loops_nb.local import launcher; launcher.stop()"]
        subprocess.run(stop, check=True, env=os.environ | {"LOOPS_NB_HOME": str(tmp_path)})


@pytest.mark.once
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_is_committed_with_what_its_code_prints(path: Path) -> None:
    play = runpy.run_path(str(ROOT / "notebooks" / "play.py"))
    notebook = nbformat.read(path, as_version=4)
    digest = play["sources_digest"](notebook)
    assert notebook.metadata.get("outputs_of") == digest, f"run: python notebooks/play.py write {path.stem}"
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    text = json.dumps(outputs)
    assert outputs
    assert play["LIVE"] not in text, "a live panel needs a kernel; its report is beside it"
    assert [p for p in play["MACHINE"] if re.sub(p, play["MACHINE"][p], text) != text] == []
    assert len(text) < 600_000


@pytest.mark.once
def test_demo_prints_tables_and_a_readable_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "notebooks" / "play.py"), "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (
        "Loops local service on http://127.0.0.1:",
        "base_model",
        "bt://loops:",
        "adapter_model.safetensors",
        "build/quickstart.html",
        # A loss that falls, checkpoints that appear, and a sample that changed.
        "the loss fell from",
        "sampler_weights/step-180",
        "fish and chips.",
        "build/train_locally.html",
    ):
        assert expected in done.stdout
    assert "NotFoundError" in done.stdout
    assert "Traceback" not in done.stdout
    page = (ROOT / "build" / "quickstart.html").read_text("utf-8")
    for shown in (done.stdout, page):
        assert "seen-live" in shown
        assert "Frozen: this is how it was." in shown
        assert "Run p2syas8" in shown
    assert "needs a running kernel" not in done.stdout
    assert len(page) < 600_000
    assert "application/vnd.jupyter.widget-state+json" not in page
    for shown in (done.stdout, page, (ROOT / "build" / "train_locally.html").read_text("utf-8")):
        assert "Signature" not in shown
        assert "signature=" not in shown
